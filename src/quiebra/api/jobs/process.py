"""The process that works on jobs: how it is stopped."""

from __future__ import annotations

import logging.config
import os
import signal
import threading
from collections.abc import Callable

from quiebra.io.processes import process_start
from quiebra.logs import server_log_config
from quiebra.workspace import Workspace

PARENT_SECONDS = 1.0
NICENESS = 10
"""By how much requests go before jobs, where both run on one machine."""


def run_worker(workspace: Workspace, parent: int | None, say: Callable[[str], None]) -> None:
    """Work on jobs until SIGTERM or SIGINT, or until the process ``parent`` has ended; a part under way is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent, stop), daemon=True).start()
    logging.config.dictConfig(server_log_config())
    from quiebra.api.jobs.worker import JobWorker

    JobWorker(workspace, stop, say).run()


def _end_with(parent: int, stop: threading.Event) -> None:
    began = process_start(parent)
    while began is not None and process_start(parent) == began:
        if stop.wait(PARENT_SECONDS):
            return
    stop.set()
