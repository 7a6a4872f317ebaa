"""Connecting to the database and bringing it to this version's tables."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoResultFound

from quiebra.errors import StoreError
from quiebra.files import keep_private
from quiebra.settings import DATABASE_URL, without_secrets
from quiebra.store.heads import begin, note_when_committed
from quiebra.store.stored import Garbled

BUSY_MILLISECONDS = 30_000
"""How long SQLite waits for another program that holds the file."""
ODD_SIGNS = "where the user or the password has one of @ : / # % ? write it in percent code, such as %40 for @"


def connect(url: str | URL) -> Engine:
    """Return an engine whose database answers. Passwords never appear in its errors.

    ``postgresql://`` uses psycopg; a SQLite file's folder is made, and the file can be read by this user alone. StoreError where
    the address is wrong or nothing answers.
    """
    address = _address(url)
    try:
        if address.get_backend_name() == "sqlite" and _file(address):
            Path(_file(address)).parent.mkdir(parents=True, exist_ok=True)
            keep_private(Path(_file(address)))
        remote = {"connect_args": {"connect_timeout": 10}, "pool_pre_ping": True}  # a server that was restarted is found again
        engine = create_engine(address, **(remote if "psycopg" in address.drivername else {}))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_settings)
            event.listen(engine, "begin", _begin)
        note_when_committed(engine)
        with engine.connect():
            return engine
    except (DBAPIError, OSError, UnicodeError) as error:
        raise StoreError(
            f"cannot reach the database at {shown(address)}: {_reason(error)}. Check {DATABASE_URL} and that it runs."
        ) from None


def _address(url: str | URL) -> URL:
    """Return an address as SQLAlchemy takes it. StoreError, which shows nothing of it, where it is none, or where it is not sure
    where its password ends."""
    wrong = StoreError(f"{DATABASE_URL} is not a database address such as postgresql://user:password@host/name; {ODD_SIGNS}")
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
    """Return the file of a SQLite address; an empty text for a database in memory or an address of SQLite's own."""
    name = address.database or ""
    return "" if name in ("", ":memory:") or name.startswith("file:") else name


def shown(address: URL) -> str:
    """Return an address without user, password and options, for messages."""
    port = f":{address.port}" if address.port else ""
    return f"{address.get_backend_name()}://{address.host or ''}{port}/{address.database or ''}"


RESTORE = "restore it from a backup, or move it away and run `quiebra publish`"
WORDS = {
    "malformed": RESTORE,
    "not a database": RESTORE,
    "readonly": "its disk, its folder or the file may not be written: check their permissions",
    "read-only": "its disk, its folder or the file may not be written: check their permissions",
    "disk is full": "free some space",
    "disk I/O": "check the disk",
    "is locked": "another program holds it: try again when that has ended",
    "no such table": "it was made by something else, or is damaged: " + RESTORE,
}
"""What SQLite says, and what to do about it."""


def _begin(connection: Connection) -> None:
    """Start a transaction: one that writes waits for its turn at once, one that only reads waits for nobody."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that only reads, so that it does not wait for one that writes, and all that it reads is of one moment.
    StoreError where the database refuses."""
    options = {"reads": True} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with answering(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextlib.contextmanager
def answering(engine: Engine, but: type[DBAPIError] | tuple[()] = ()) -> Iterator[None]:
    """Turn what the database refuses (no right, no space, not a database, a lock), or holds that nobody can read, into a
    StoreError, all ``but`` one kind."""
    try:
        yield
    except but:
        raise
    except NoResultFound:
        raise StoreError(f"the database at {shown(engine.url)} lacks a row that it must have: {RESTORE}") from None
    except (DBAPIError, sqlite3.Error, Garbled) as error:
        raise StoreError(f"the database at {shown(engine.url)} refused: {_reason(error)}. Nothing was changed.") from None


def _reason(error: Exception) -> str:
    lines = without_secrets(str(getattr(error, "orig", error)).strip()).splitlines()
    said = lines[0] if lines else type(error).__name__
    return said + next((f" ({words})" for part, words in WORDS.items() if part in said), "")


def _sqlite_settings(connection, _record) -> None:  # type: ignore[no-untyped-def]
    connection.isolation_level = None  # leave BEGIN to us: the driver would commit before each CREATE TABLE
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


def upgrade(engine: Engine) -> None:
    """Create or migrate the tables and views to this version. StoreError where the database is of a later version."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    if engine.dialect.name == "sqlite":
        with answering(engine), contextlib.closing(engine.raw_connection()) as raw:
            raw.execute("PRAGMA journal_mode = WAL")  # readers see the last state while somebody writes
    with answering(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except command.util.CommandError as error:
            raise StoreError(f"the database was made by another version of quiebra ({error}): update this checkout") from error
        head = connection.exec_driver_sql("SELECT entry_id, hash FROM auditoria_sellos WHERE name = 'head'").first()
    if head is not None:
        begin(engine, *head)
