"""Logs: lines of JSON by one configuration, and the correlation id that joins what was written about one request or command."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from quiebra.environment import CORRELATION_ID, current_person, secret_redactor
from quiebra.errors import QuiebraError, WorkspaceError

LOG_FOLDER = Path("data") / "logs"
"""Folder of the logs in a workspace."""
LARGEST_LOG, KEPT_LOGS = 5_000_000, 3
"""Bytes of a log file, and the number of former ones that are kept beside it."""
LONGEST_VALUE = 20_000
"""Characters of a value in a line."""
_fields: ContextVar[dict[str, Any] | None] = ContextVar("quiebra_log_fields", default=None)
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
"""What a record has by itself; all else was given with ``extra``."""


def is_correlation_id(text: str) -> bool:
    """Return whether a text that came from outside may be kept as a correlation id: 8 to 64 letters, digits, - and _.

    >>> is_correlation_id("4f2a-77c1"), is_correlation_id("a b"), is_correlation_id("short")
    (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z0-9_-]{8,64}", text) is not None


def new_correlation_id() -> str:
    return os.urandom(16).hex()


def process_correlation_id() -> str:
    """Return this process's correlation id: QUIEBRA_CORRELATION_ID, or a new one, which its subprocesses have too."""
    given = os.environ.get(CORRELATION_ID, "")
    if not is_correlation_id(given):
        given = os.environ[CORRELATION_ID] = new_correlation_id()
    return given


def current_correlation_id() -> str:
    """Return the correlation id of the request that is being answered; outside of one this process's."""
    return str((_fields.get() or {}).get("correlation_id") or process_correlation_id())


def set_log_fields(**fields: Any) -> None:
    """Let every line from now on in this context (a request's task and threads) carry these fields, and no former ones."""
    _fields.set(dict(fields))


def add_log_fields(**fields: Any) -> None:
    """Add fields to those of the request that is being answered; outside of one nothing happens."""
    if (known := _fields.get()) is not None:
        known.update(fields)


def log_line(level: str, event: str, at: float | None = None, **fields: Any) -> dict[str, Any]:
    """Return a line's content: time (UTC), level, event, correlation_id, the fields of the request, and the given ones.

    at: seconds since 1970; None: now. Fields that are None are left out.
    """
    time = dt.datetime.now(dt.UTC) if at is None else dt.datetime.fromtimestamp(at, dt.UTC)
    line = {"time": time.isoformat(timespec="milliseconds"), "level": level, "event": event}
    line |= {"correlation_id": current_correlation_id(), **(_fields.get() or {}), **fields}
    return {name: value for name, value in line.items() if value is not None}


class JsonFormatter(logging.Formatter):
    """Writes records as lines of JSON, without the environment's secrets. ``extra`` of a call gives further fields; an
    exception's trace is in ``exception``."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self._redact = secret_redactor()

    def format(self, record: logging.LogRecord) -> str:
        more = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            more["exception"] = self.formatException(record.exc_info)
        line = log_line(record.levelname.lower(), record.getMessage(), record.created, logger=record.name, **more)
        return json.dumps({name: self._plain(value) for name, value in line.items()})

    def _plain(self, value: Any) -> Any:
        """Return a value as JSON has it; texts, and what is written as one, without secrets."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._plain(str(name)): self._plain(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(each) for each in value]
        return self._redact(str(value))[:LONGEST_VALUE]


class LogFileHandler(logging.Handler):
    """Appends lines to a private file that several processes write at once. A full one is renamed to ``NAME.1``, and so on.
    Where the disk cannot be written the line is lost, and nothing else."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, WorkspaceError):
            append_log_line(self.path, self.format(record))


def append_log_line(path: Path, line: str) -> None:
    """Append a line to a log file, after starting a new file where it is full. WorkspaceError or OSError where it cannot be
    written."""
    from quiebra.io.files import append_line, make_private_folder  # it imports Polars, which commands do without

    make_private_folder(path.parent)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size >= LARGEST_LOG and path.is_file():
            _rotate(path)
    append_line(path, line)


def _rotate(path: Path) -> None:
    from filelock import FileLock

    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.stat().st_size < LARGEST_LOG:  # another process has just done so
            return
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT_LOGS + 1))]
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)


def server_log_level() -> int:
    """Return from which level on a server writes: on a terminal warnings alone, elsewhere a line for each request."""
    return logging.WARNING if sys.stderr.isatty() else logging.INFO


def server_log_config() -> dict[str, Any]:
    """Return the configuration of a server's log, for `logging.config`: lines of JSON on standard error, of the libraries' own
    records too."""
    level = server_log_level()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "quiebra.logs.JsonFormatter"}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "json"}},
        "root": {"level": logging.WARNING, "handlers": ["lines"]},
        "loggers": {
            "quiebra": {"level": level},
            "uvicorn": {"level": level},
            "asgi_correlation_id": {"level": logging.ERROR},  # warns of each id from outside that is none
        },
    }


def file_logger(root: Path, name: str) -> logging.Logger:
    """Return the logger that writes to ``data/logs/NAME.log`` of a workspace, and nowhere else."""
    logger = logging.getLogger(f"quiebra.files.{name}")
    path = root / LOG_FOLDER / f"{name}.log"
    if not any(isinstance(handler, LogFileHandler) and handler.path == path for handler in logger.handlers):
        logger.handlers = [LogFileHandler(path)]
    logger.propagate, logger.level = False, logging.INFO
    return logger


@contextlib.contextmanager
def logged_command(root: Path | None, command: str, *, changes: bool) -> Iterator[None]:
    """Log a command in a workspace's ``data/logs/quiebra.log``: one that changes something, and every one that fails.

    root: of the workspace; None: nothing is logged. What was given with the command is not: it may be private.
    """
    began, code, error = dt.datetime.now(dt.UTC), None, None
    try:
        yield
    except SystemExit as end:
        code = end.code
        raise
    except BaseException as raised:
        error = raised
        raise
    finally:
        failed = error is not None or code not in (None, 0)
        if root is not None and (changes or failed):
            ms = round((dt.datetime.now(dt.UTC) - began).total_seconds() * 1000)
            more = {"exit_code": code or 1, "error": str(error) if error else None} if failed else {}
            trace = None if error is None or isinstance(error, QuiebraError | KeyboardInterrupt) else error
            file_logger(root, "quiebra").log(
                logging.ERROR if failed else logging.INFO,
                "command",
                exc_info=trace,
                extra={"command": command, "user": _person(), "run_id": _run_id(root), "ms": ms, **more},
            )


def _person() -> str | None:
    with contextlib.suppress(QuiebraError):
        return current_person()
    return None


def _run_id(root: Path) -> str | None:
    """Return the id of a workspace's last run; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((root / "data" / "scores" / "run.json").read_text(encoding="utf-8"))["run_id"])
    return None
