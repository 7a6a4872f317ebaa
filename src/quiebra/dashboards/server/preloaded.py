"""Imports of every page's kernel, preloaded in the process that they are forked from.

Imports compute nothing and read no data: the threads that libraries start for themselves have nothing to do, so that forking is
safe. The kernels share the imported modules' memory.
"""

import contextlib
import datetime
import gc
import importlib

import ipywidgets

from quiebra.text.words import LANGUAGES, Words

MODULES = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "IPython.core.interactiveshell",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "pandera.polars",  # otherwise imported at the first panel that is read
    "xgboost",  # otherwise imported at the first scoring
    "quiebra.pipeline.forked_kernels",  # what a fork runs first
    "quiebra.dashboards.pages.company",
    "quiebra.dashboards.pages.executive",
    "quiebra.dashboards.pages.model",
    "quiebra.dashboards.pages.portfolio",
    "quiebra.dashboards.pages.settings",
    "quiebra.dashboards.pages.stress",
    "quiebra.dashboards.pages.work",
)
OPTIONAL_MODULES = ("hypothesis", "pandera.strategies.base_strategies")
"""Modules that pandera imports at its first check, if they are installed."""

gc.disable()  # collecting again and again takes a fifth of the time of importing
for name in MODULES:
    importlib.import_module(name)
with contextlib.suppress(ImportError):
    for name in OPTIONAL_MODULES:
        importlib.import_module(name)

ipywidgets.register_comm_target()  # its import does so in a kernel only; pages request all widgets' state in one message

for language in LANGUAGES:  # loads catalogues and locales
    Words(language).date(datetime.date.today()), Words(language).percent(0.5)

gc.freeze()  # keeps the garbage collector off shared memory, which it would copy at its first collection
gc.enable()
