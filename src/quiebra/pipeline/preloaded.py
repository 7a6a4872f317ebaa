"""Imports of stages and their kernels, preloaded in the process that they are forked from.

Imports compute nothing and read no data: the threads that libraries start for themselves have nothing to do, so that forking is
safe. The forks share the imported modules' memory.
"""

import contextlib
import gc
import importlib
import pkgutil

MODULES = (
    "quiebra.pipeline.stages",  # first: it blocks an optional import of nbformat's that takes two seconds
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "IPython.core.interactiveshell",
    "matplotlib_inline.backend_inline",
    "apscheduler.triggers.cron",
    "nbclient",
    "pandera.backends.polars.container",
    "pandera.polars",
    "papermill",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "xgboost",
    "quiebra.pipeline.kernels",
    "quiebra.pipeline.stage_server",
)
OPTIONAL_MODULES = ("hypothesis", "pandera.strategies.base_strategies")
"""Imported by pandera at its first check, if installed."""
PACKAGES = (
    "sources",
    "panels",
    "feature_engineering",
    "models",
    "validation",
    "registry",
    "risk",
    "store",
    "alerts",
    "plots",
    "reports",
)
"""Packages of quiebra that the stages' notebooks use; all of their modules are imported."""

gc.disable()  # collecting again and again takes a fifth of the time of importing
for name in MODULES:
    importlib.import_module(name)
with contextlib.suppress(ImportError):
    for name in OPTIONAL_MODULES:
        importlib.import_module(name)
for package in PACKAGES:
    module = importlib.import_module(f"quiebra.{package}")
    for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
        if ".migrations" not in found.name:
            importlib.import_module(found.name)

gc.freeze()  # keeps the garbage collector off shared memory, which it would copy at its first collection
gc.enable()
