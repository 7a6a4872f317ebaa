"""What every page's kernel imports, in one place for the process that they are forked from.

Importing starts no thread and reads no data, so that forking is safe; what is imported is shared memory of all kernels.
"""

import contextlib
import gc

import ipykernel.ipkernel
import ipykernel.kernelapp  # noqa: F401
import IPython.core.interactiveshell  # noqa: F401
import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

import quiebra.dashboards.pages.company
import quiebra.dashboards.pages.executive
import quiebra.dashboards.pages.model
import quiebra.dashboards.pages.portfolio
import quiebra.dashboards.pages.settings
import quiebra.dashboards.pages.stress  # noqa: F401

with contextlib.suppress(ImportError):  # pandera imports it at its first check, where it is installed
    import hypothesis  # noqa: F401
    import pandera.strategies.base_strategies  # noqa: F401

gc.collect()
gc.freeze()  # the collector leaves what is shared alone, or it would be copied at the first collection
