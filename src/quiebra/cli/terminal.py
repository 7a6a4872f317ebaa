"""What the command line says, and how a command ends: every line and every error goes through here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from quiebra.errors import QuiebraError
from quiebra.names import printable
from quiebra.settings import without_secrets


def say(text: object = "", *, err: bool = False, lines: bool = False) -> None:
    """Print a line. What cannot be seen (escapes of a terminal, marks of direction) is spelt out, whichever file it came from;
    passwords are left out. lines: whether the text has several."""
    typer.echo(printable(without_secrets(str(text)), lines=lines), err=err)


def run(app: Callable[[], Any]) -> None:
    """Run the command line. What people can mend comes out as its message alone, with exit code 1: errors of this program for
    people, and what disk and database refuse. A fault in the program itself keeps its trace."""
    try:
        app()
    except QuiebraError as error:
        _fail(str(error))
    except (OSError, MemoryError) as error:
        _fail(_system(error))
    except Exception as error:
        if not _of_database(error):
            raise
        _fail(f"the database refused: {str(getattr(error, 'orig', error)).splitlines()[0]}")


def _fail(text: str) -> None:
    say(f"error: {text}", err=True, lines=True)
    sys.exit(1)


def _system(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for this: close other programs, or give it less at a time"
    where = f" at {error.filename}" if error.filename else ""
    return f"the system refused{where}: {error.strerror or error}. Check the disk and its permissions."


def _of_database(error: Exception) -> bool:
    """Return whether the database refused something outside its own functions; nothing of it is imported for that."""
    kinds = getattr(sys.modules.get("sqlalchemy.exc"), "DBAPIError", None)
    return kinds is not None and isinstance(error, kinds)
