"""Output and exit codes of the command line: every printed line and every error passes through here."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any

from quiebra.environment import redact_secrets
from quiebra.errors import QuiebraError, RunStoppedError
from quiebra.text.person_input import escape_invisible


def echo(text: object = "", *, err: bool = False, lines: bool = False) -> None:
    """Print a line with secrets removed and invisible characters (terminal escapes, direction marks) spelt out.

    lines: whether the text may have several lines.
    """
    print(escape_invisible(redact_secrets(str(text)), lines=lines), file=sys.stderr if err else sys.stdout, flush=True)


def run_cli(app: Callable[[], Any]) -> None:
    """Run the command line. Errors that users can fix (QuiebraError, disk, memory, database) print their message alone and exit
    with code 1; bugs keep their traceback."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a letter shows its number
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            with contextlib.suppress(OSError):  # a forked stage's output may not be sought in
                stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except RunStoppedError as error:
        echo(error, err=True)
        sys.exit(1)
    except QuiebraError as error:
        _fail(str(error))
    except (OSError, MemoryError) as error:
        _fail(_system(error))
    except Exception as error:
        if not _of_database(error):
            raise
        _fail(f"the database refused: {str(getattr(error, 'orig', error)).splitlines()[0]}")


def _fail(text: str) -> None:
    echo(f"error: {text}", err=True, lines=True)
    sys.exit(1)


def _system(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for this: close other programs, or give it less at a time"
    where = f" at {error.filename}" if error.filename else ""
    return f"the system refused{where}: {error.strerror or error}. Check the disk and its permissions."


def _of_database(error: Exception) -> bool:
    """Return whether an error comes from the database driver, without importing SQLAlchemy."""
    kinds = getattr(sys.modules.get("sqlalchemy.exc"), "DBAPIError", None)
    return kinds is not None and isinstance(error, kinds)
