"""Connect to the database and migrate its schema to this version."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoResultFound

from quiebra.environment import DATABASE_URL, database_url, redact_secrets
from quiebra.errors import StoreError
from quiebra.io.files import make_private_file
from quiebra.store.audit_heads import note_first_head, note_when_committed
from quiebra.store.column_types import UnreadableValue
from quiebra.workspace import Workspace

BUSY_MILLISECONDS = 30_000
"""How long SQLite waits for a lock held by another process."""
PERCENT_CODE_HINT = "where the user or the password has one of @ : / # % ? write it in percent code, such as %40 for @"


def connect(url: str | URL) -> Engine:
    """Return an engine after a test connection. Its errors never show passwords.

    ``postgresql://`` uses psycopg; a SQLite file's folder is created, and only this user can read the file. StoreError if the
    address is wrong or the database does not answer.
    """
    address = _address(url)
    try:
        if address.get_backend_name() == "sqlite" and _file(address):
            Path(_file(address)).parent.mkdir(parents=True, exist_ok=True)
            make_private_file(Path(_file(address)))
        remote = {"connect_args": {"connect_timeout": 10}, "pool_pre_ping": True}  # reconnects after a server restart
        more = remote if "psycopg" in address.drivername else {}
        engine = create_engine(address, hide_parameters=True, **more)  # errors say nothing of what was to be written
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_settings)
            event.listen(engine, "begin", _begin)
        note_when_committed(engine)
        with engine.connect():
            return engine
    except (DBAPIError, OSError, UnicodeError) as error:
        raise StoreError(
            f"cannot reach the database at {address_without_password(address)}: {_reason(error)}. "
            f"Check {DATABASE_URL} and that it runs."
        ) from None


def open_database(workspace: Workspace) -> Engine:
    """Return the engine of a workspace's database with its schema migrated to this version. StoreError as from `connect`, and if
    the schema is newer than this version."""
    engine = connect(database_url(workspace.root))
    upgrade_schema(engine)
    return engine


def _address(url: str | URL) -> URL:
    """Return a parsed address. StoreError, which does not show it, if it is invalid or ambiguous where its password ends."""
    wrong = StoreError(
        f"{DATABASE_URL} is not a database address such as postgresql://user:password@host/name; {PERCENT_CODE_HINT}"
    )
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise wrong from None
    if address.get_backend_name() == "postgresql":
        parts = (address.host, address.database, *map(str, address.query.values()))
        if (isinstance(url, str) and url.count("@") > 1) or any("@" in (part or "") for part in parts):
            raise wrong
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        raise StoreError(f"{DATABASE_URL} must start with sqlite:/// or postgresql://, not {address.drivername}://")
    return address


def _file(address: URL) -> str:
    """Return the file of a SQLite address; empty for a database in memory or a ``file:`` URI."""
    name = address.database or ""
    return "" if name in ("", ":memory:") or name.startswith("file:") else name


def address_without_password(address: URL) -> str:
    """Return an address without user, password and options, for messages."""
    port = f":{address.port}" if address.port else ""
    return f"{address.get_backend_name()}://{address.host or ''}{port}/{address.database or ''}"


RESTORE_ADVICE = "restore it from a backup, or move it away and run `quiebra publish`"
REMEDY_BY_ERROR = {
    "malformed": RESTORE_ADVICE,
    "not a database": RESTORE_ADVICE,
    "readonly": "its disk, its folder or the file may not be written: check their permissions",
    "read-only": "its disk, its folder or the file may not be written: check their permissions",
    "disk is full": "free some space",
    "disk I/O": "check the disk",
    "is locked": "another program holds it: try again when that has ended",
    "no such table": "it was made by something else, or is damaged: " + RESTORE_ADVICE,
}
"""Part of SQLite's error message → remedy."""


def _begin(connection: Connection) -> None:
    """Start a transaction: one that writes takes SQLite's write lock at once, one that only reads takes none."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def read_only(engine: Engine) -> Iterator[Connection]:
    """Yield a read-only connection with a consistent snapshot that does not wait for writers. StoreError on database errors."""
    options = {"reads": True} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with translate_database_errors(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextlib.contextmanager
def translate_database_errors(engine: Engine, but: type[DBAPIError] | tuple[()] = ()) -> Iterator[None]:
    """Raise a StoreError for database errors (permissions, disk space, not a database, locks), unreadable values and text that
    cannot be written, except errors of type ``but``."""
    try:
        yield
    except but:
        raise
    except NoResultFound:
        raise StoreError(
            f"the database at {address_without_password(engine.url)} lacks a row that it must have: {RESTORE_ADVICE}"
        ) from None
    except UnicodeEncodeError as error:
        raise StoreError(f"a text holds bytes that are no letters, {error.object!a}: type it again") from None
    except (DBAPIError, sqlite3.Error, UnreadableValue) as error:
        raise StoreError(
            f"the database at {address_without_password(engine.url)} refused: {_reason(error)}. Nothing was changed."
        ) from None


def _reason(error: Exception) -> str:
    lines = redact_secrets(str(getattr(error, "orig", error)).strip()).splitlines()
    said = lines[0] if lines else type(error).__name__
    return said + next((f" ({words})" for part, words in REMEDY_BY_ERROR.items() if part in said), "")


def _sqlite_settings(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in _begin: the driver would commit before each CREATE TABLE
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


def upgrade_schema(engine: Engine) -> None:
    """Create or migrate tables and views to this version. StoreError if the database is of a later version."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    if engine.dialect.name == "sqlite":
        with translate_database_errors(engine), contextlib.closing(engine.raw_connection()) as raw:
            raw.execute("PRAGMA journal_mode = WAL")  # readers see the last committed state during a write
    with translate_database_errors(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"the database was made by another version of quiebra ({error}): update this checkout") from error
        head = connection.exec_driver_sql("SELECT entry_id, hash FROM auditoria_sellos WHERE name = 'head'").first()
    if head is not None:
        note_first_head(engine, *head)
