"""What every page's kernel imports, in one place for the process that they are forked from.

Importing starts no thread and reads no figures, so that forking is safe; what is imported is shared memory of all kernels.
"""

import contextlib
import datetime
import gc

import ipykernel.ipkernel
import ipykernel.kernelapp  # noqa: F401
import IPython.core.interactiveshell  # noqa: F401
import ipywidgets
import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401
import xgboost  # noqa: F401  # the model imports it where it first scores

import quiebra.dashboards.kernels  # what a fork runs first
import quiebra.dashboards.pages.company
import quiebra.dashboards.pages.executive
import quiebra.dashboards.pages.model
import quiebra.dashboards.pages.portfolio
import quiebra.dashboards.pages.settings
import quiebra.dashboards.pages.stress  # noqa: F401
from quiebra.words import LANGUAGES, Words

with contextlib.suppress(ImportError):  # pandera imports it at its first check, where it is installed
    import hypothesis  # noqa: F401
    import pandera.strategies.base_strategies  # noqa: F401

ipywidgets.register_comm_target()  # which its import does in a kernel only: a page asks for all widgets' state in one message

for language in LANGUAGES:  # catalogues and locales
    Words(language).date(datetime.date.today()), Words(language).percent(0.5)

gc.collect()
gc.freeze()  # the collector leaves what is shared alone, or it would be copied at the first collection
