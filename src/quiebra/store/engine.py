"""Connecting to the database and bringing it to this version's tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from quiebra.errors import StoreError
from quiebra.settings import DATABASE_URL


def connect(url: str) -> Engine:
    """Return an engine whose database answers. Passwords never appear in its errors.

    ``postgresql://`` uses psycopg; a SQLite file's folder is made. StoreError where the address is wrong or nothing answers.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"{DATABASE_URL} is not a database address such as postgresql://user:password@host/name") from error
    try:
        if address.get_backend_name() == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        elif address.get_backend_name() != "sqlite":
            raise StoreError(f"{DATABASE_URL} must start with sqlite:/// or postgresql://, not {address.drivername}://")
        elif address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        remote = {"connect_args": {"connect_timeout": 10}, "pool_pre_ping": True}  # a server that was restarted is found again
        engine = create_engine(address, **(remote if "psycopg" in address.drivername else {}))
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _sqlite_settings)
            event.listen(engine, "begin", _begin)
        with engine.connect():
            return engine
    except (DBAPIError, OSError) as error:
        raise StoreError(
            f"cannot reach the database at {shown(address)}: {_reason(error)}. Check {DATABASE_URL} and that it runs."
        ) from None


def shown(address: URL) -> str:
    """Return an address without user, password and options, for messages."""
    host = (address.host or "").rpartition("@")[2]
    port = f":{address.port}" if address.port else ""
    return f"{address.get_backend_name()}://{host}{port}/{address.database or ''}"


def _begin(connection: Connection) -> None:
    """Start a transaction: one that writes waits for its turn at once, one that only reads waits for nobody."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that only reads, so that it does not wait for one that writes. StoreError where the database refuses."""
    with answering(engine), engine.connect().execution_options(reads=True) as connection:
        yield connection


@contextlib.contextmanager
def answering(engine: Engine, but: type[DBAPIError] | tuple[()] = ()) -> Iterator[None]:
    """Turn what the database refuses (no right, no space, not a database, a lock) into a StoreError, all ``but`` one kind."""
    try:
        yield
    except but:
        raise
    except DBAPIError as error:
        raise StoreError(f"the database at {shown(engine.url)} refused: {_reason(error)}. Nothing was changed.") from None


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "orig", error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _sqlite_settings(connection, _record) -> None:  # type: ignore[no-untyped-def]
    connection.isolation_level = None  # leave BEGIN to us: the driver would commit before each CREATE TABLE
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA busy_timeout = 30000")


def upgrade(engine: Engine) -> None:
    """Create or migrate the tables and views to this version. StoreError where the database is of a later version."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    if engine.dialect.name == "sqlite":
        with answering(engine), contextlib.closing(engine.raw_connection()) as raw:
            raw.execute("PRAGMA journal_mode = WAL")  # readers see the last state while somebody writes
    with answering(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except command.util.CommandError as error:
            raise StoreError(f"the database was made by another version of quiebra ({error}): update this checkout") from error
