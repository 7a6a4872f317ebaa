"""The factory process that the pages' kernels are forked from."""

from __future__ import annotations

import os

from quiebra.pipeline.forked_kernels import start_factory


def start_kernel_factory() -> None:
    """Start the factory, if the system can fork; it imports what pages need in the background. Each kernel has four threads at
    most, as several readers share the machine."""
    os.environ.setdefault("POLARS_MAX_THREADS", str(max(1, min(4, os.cpu_count() or 1))))
    start_factory("quiebra.dashboards.server.preloaded")
