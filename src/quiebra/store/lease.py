"""Leases: exclusive rights of one process to an activity on a database. They are table rows, so that no lost connection or server
restart frees one."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from quiebra.errors import StoreError
from quiebra.io.processes import process_namespace, process_start
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import LeaseRow

LEASE_SECONDS = 60.0
"""Seconds without renewal after which a waiting process may take a lease over."""
POLL_SECONDS = 0.5
LEASE_VARIABLE = "QUIEBRA_LEASE"
"""Environment variable of subprocesses with the name and token of the lease they run under."""


class LeaseTaken(StoreError):
    """Another live process holds the lease."""


class LeaseLost(StoreError):
    """Another process has taken the lease over: nothing more may be done under it."""


@dataclass(frozen=True)
class Lease:
    """A held lease. token: increases by one with each holder, which tells a former holder from the current one."""

    engine: Engine
    name: str
    token: int
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def confirm(self, connection: Connection) -> None:
        """Raise LeaseLost if another process holds the lease. The lease cannot change hands before the caller's transaction
        ends."""
        _confirm(connection, self.name, self.token)

    def check(self) -> None:
        """Raise LeaseLost if another process holds the lease."""
        with translate_database_errors(self.engine), self.engine.begin() as connection:
            self.confirm(connection)

    @contextlib.contextmanager
    def passed_on(self) -> Iterator[None]:
        """Let this process and its subprocesses write only while they hold this lease; see `check_lease`."""
        os.environ[LEASE_VARIABLE] = f"{self.name}:{self.token}"
        try:
            yield
        finally:
            del os.environ[LEASE_VARIABLE]


@contextlib.contextmanager
def hold_lease(engine: Engine, what: str, wait: float = 0.0) -> Iterator[Lease]:
    """Hold the exclusive right to ``what`` on this database, among processes on all machines.

    The lease is renewed while the block runs. A killed holder is replaced at once on its own machine, and after `LEASE_SECONDS`
    seconds
    without renewal on another, by the waiting process's own monotonic clock. A replaced holder that is still alive notices by
    `Lease.confirm` before it acts. LeaseTaken if another process still holds the lease after ``wait`` seconds.
    """
    lease = Lease(engine, what, _acquire(engine, what, wait))
    renewing = threading.Thread(target=_renew, args=(lease,), daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        renewing.join(5.0)  # a hanging database must not block the end
        with contextlib.suppress(StoreError), translate_database_errors(engine), engine.begin() as connection:
            connection.execute(update(LeaseRow).where(_of(lease.name, lease.token)).values(holder=None))


def check_lease(connection: Connection) -> None:
    """Raise LeaseLost if this process runs under a passed-on lease that another process holds now."""
    name, _, token = os.environ.get(LEASE_VARIABLE, "").rpartition(":")
    if name:
        _confirm(connection, name, int(token))


def _confirm(connection: Connection, name: str, token: int) -> None:
    asked = select(LeaseRow.token, LeaseRow.holder).where(LeaseRow.name == name).with_for_update(read=True)
    row = connection.execute(asked).first()
    if row is None or row.token != token:
        by = "" if row is None or row.holder is None else f" by {_shown(row.holder)}"
        raise LeaseLost("this {what} was taken over{by}, since it gave no sign of life: it stops here", what=name, by=by)


def _of(name: str, token: int) -> Any:
    return (LeaseRow.name == name) & (LeaseRow.token == token)


def _renew(lease: Lease) -> None:
    """Renew the lease until it is released or lost; database errors are retried."""
    while not lease.ended.wait(LEASE_SECONDS / 4):
        with contextlib.suppress(StoreError), translate_database_errors(lease.engine), lease.engine.begin() as connection:
            alive = {"beats": LeaseRow.beats + 1, "renewed_at": _now(connection)}
            if not connection.execute(update(LeaseRow).where(_of(lease.name, lease.token)).values(**alive)).rowcount:
                return


def _acquire(engine: Engine, what: str, wait: float) -> int:
    """Return the lease's token once it is acquired."""
    me, began, watched = _this_process(), time.monotonic(), _Watched()
    while True:
        row, now = _look(engine, what)
        state = _state(row, now, me)
        if state == "free" or watched.silent(row):
            if (token := _take(engine, row, me)) is not None:
                return token
            continue
        if (state == "held" or watched.alive) and time.monotonic() - began >= wait:
            who = _shown(row.holder)
            raise LeaseTaken("another {what} is running on this database ({who}): nothing was done", what=what, who=who)
        time.sleep(POLL_SECONDS)


class _Watched:
    """Observations of a holder while waiting, timed by this process's own clock."""

    def __init__(self) -> None:
        self.seen: tuple[int, int] | None = None
        self.since = time.monotonic()
        self.alive = False

    def silent(self, row: Row[Any]) -> bool:
        """Return whether the holder has not renewed the lease for `LEASE_SECONDS` seconds."""
        now = (row.token, row.beats)
        if now != self.seen:
            self.alive = self.seen is not None
            self.seen, self.since = now, time.monotonic()
        return time.monotonic() - self.since >= LEASE_SECONDS


def _look(engine: Engine, what: str) -> tuple[Row[Any], dt.datetime]:
    """Return the lease's row, created if missing, and the time: the server's on PostgreSQL, this machine's on SQLite."""
    asked = select(LeaseRow.__table__).where(LeaseRow.name == what)
    with read_only(engine) as connection:
        row, now = connection.execute(asked).first(), _now(connection)
    if row is None:
        with (
            contextlib.suppress(IntegrityError),
            translate_database_errors(engine, but=IntegrityError),
            engine.begin() as connection,
        ):
            connection.execute(insert(LeaseRow).values(name=what, token=0, beats=0, renewed_at=now))
        return _look(engine, what)
    return row, now


def _state(row: Row[Any], now: dt.datetime, me: str) -> str:
    """Return ``free``, ``held``, or ``unknown``: then the caller watches for a renewal."""
    if row.holder is None:
        return "free"
    where, _, pid, start = row.holder.split()
    if where != me.split()[0]:
        return "unknown"
    if process_start(int(pid)) != float(start):
        return "free"
    return "held" if abs((now - row.renewed_at).total_seconds()) < LEASE_SECONDS else "unknown"


def _take(engine: Engine, row: Row[Any], me: str) -> int | None:
    """Take over the lease if unchanged since it was read, and return the token; None if it has changed."""
    as_seen = _of(row.name, row.token) & (LeaseRow.beats == row.beats)
    with translate_database_errors(engine), engine.begin() as connection:
        mine = {"token": row.token + 1, "holder": me, "beats": row.beats + 1, "renewed_at": _now(connection)}
        return row.token + 1 if connection.execute(update(LeaseRow).where(as_seen).values(**mine)).rowcount else None


def _now(connection: Connection) -> dt.datetime:
    if connection.dialect.name == "sqlite":
        return dt.datetime.now(dt.UTC).replace(tzinfo=None)
    now: dt.datetime = connection.execute(select(func.timezone("UTC", func.clock_timestamp()))).scalar_one()
    return now


def _this_process() -> str:
    """Return this process as four words: the namespace of its process id, host, process id and start time."""
    return f"{process_namespace()} {socket.gethostname()} {os.getpid()} {process_start(os.getpid())}"


def _shown(holder: str) -> str:
    host, pid = holder.split()[1:3]
    return f"process {pid} on {host}"
