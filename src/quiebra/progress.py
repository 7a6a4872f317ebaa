"""Progress of a stage: its kernel writes it to a file, and the process that runs the stage shows it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PROGRESS_FILE = "QUIEBRA_PROGRESS"
"""Environment variable with the path of the file that a kernel writes its progress to."""
POLL_SECONDS, PRINT_SECONDS = 0.2, 5.0


def report_progress(text: str) -> None:
    """Write the progress of this stage, such as ``year 2019 of 2024``; do nothing if no process shows it."""
    if path := os.environ.get(PROGRESS_FILE):
        with contextlib.suppress(OSError):
            Path(path).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def show_progress(heading: str, folder: Path, *, announce: bool) -> Iterator[None]:
    """Show ``heading`` and the progress of kernels started in the block on standard error.

    On a terminal one line is updated; elsewhere a new line is written at most every five seconds, the first with ``announce``
    alone. folder: for the progress file.
    """
    path, ended = folder / "progress", threading.Event()
    watcher = threading.Thread(target=_watch, args=(heading, path, ended, announce), daemon=True)
    os.environ[PROGRESS_FILE] = str(path)
    try:
        watcher.start()
        yield
    finally:
        del os.environ[PROGRESS_FILE]
        ended.set()
        watcher.join()


def _watch(heading: str, path: Path, ended: threading.Event, announce: bool) -> None:
    terminal = sys.stderr.isatty()
    shown, said_at = "", time.monotonic()
    if terminal or announce:
        _write(heading, terminal)
    while not ended.wait(POLL_SECONDS):
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="utf-8")
            if text != shown and (terminal or time.monotonic() - said_at >= PRINT_SECONDS):
                shown, said_at = text, time.monotonic()
                _write(f"{heading}: {text}", terminal)
    if terminal:
        _write("", terminal)


def _write(line: str, terminal: bool) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed
        sys.stderr.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
        sys.stderr.flush()
