"""Leases: who alone may do something with this database. They are rows: no lost connection or restarted server frees one."""

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
from quiebra.processes import place, started
from quiebra.store.engine import answering, reading
from quiebra.store.tables import LeaseRow

TERM = 60.0
"""Seconds without a sign of life after which whoever waits may take a lease over."""
LOOK_AGAIN = 0.5
PASSED_ON = "QUIEBRA_LEASE"
"""In the environment of what a holder starts: the name and token of the lease that it acts under."""


class Taken(StoreError):
    """Somebody else has the lease, and lives."""


class LeaseLost(StoreError):
    """Somebody else has taken the lease over: nothing more may be done under it."""


@dataclass(frozen=True)
class Lease:
    """A lease that is held. token: grows by one with each holder, so that a former one is known by its own."""

    engine: Engine
    name: str
    token: int
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def confirm(self, connection: Connection) -> None:
        """Raise LeaseLost where somebody else has the lease. Nobody can take it over before the caller's transaction ends."""
        _confirm(connection, self.name, self.token)

    def check(self) -> None:
        """Raise LeaseLost where somebody else has the lease."""
        with answering(self.engine), self.engine.begin() as connection:
            self.confirm(connection)

    @contextlib.contextmanager
    def passed_on(self) -> Iterator[None]:
        """Let this process, and those that it starts, write under this lease alone; see `guard`."""
        os.environ[PASSED_ON] = f"{self.name}:{self.token}"
        try:
            yield
        finally:
            del os.environ[PASSED_ON]


@contextlib.contextmanager
def alone(engine: Engine, what: str, wait: float = 0.0) -> Iterator[Lease]:
    """Be the only one who does ``what`` with this database, whatever machine the others are on.

    The lease is renewed while the block runs, for as long as that takes. A holder that was killed is succeeded at once on its own
    machine, and after `TERM` seconds without a sign of life on another; no clock decides. One that lives all the same finds out
    by `Lease.confirm` before it acts. Taken where somebody else is still at it after ``wait`` seconds.
    """
    lease = Lease(engine, what, _acquire(engine, what, wait))
    renewing = threading.Thread(target=_renew, args=(lease,), daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        renewing.join(5.0)  # a database that hangs holds nobody up
        with contextlib.suppress(StoreError), answering(engine), engine.begin() as connection:
            connection.execute(update(LeaseRow).where(_of(lease.name, lease.token)).values(holder=None))


def guard(connection: Connection) -> None:
    """Raise LeaseLost where this process acts under a lease that was passed on to it and that somebody else has now."""
    name, _, token = os.environ.get(PASSED_ON, "").rpartition(":")
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
    """Give signs of life until the lease is given back or lost. A database that does not answer is asked again."""
    while not lease.ended.wait(TERM / 4):
        with contextlib.suppress(StoreError), answering(lease.engine), lease.engine.begin() as connection:
            alive = {"beats": LeaseRow.beats + 1, "renewed_at": _now(connection)}
            if not connection.execute(update(LeaseRow).where(_of(lease.name, lease.token)).values(**alive)).rowcount:
                return


def _acquire(engine: Engine, what: str, wait: float) -> int:
    """Return the token of the lease once it is had."""
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
            raise Taken("another {what} is running on this database ({who}): nothing was done", what=what, who=who)
        time.sleep(LOOK_AGAIN)


class _Watched:
    """What is seen of a holder while waiting, by this process's own clock."""

    def __init__(self) -> None:
        self.seen: tuple[int, int] | None = None
        self.since = time.monotonic()
        self.alive = False

    def silent(self, row: Row[Any]) -> bool:
        """Whether the holder has given no sign of life for `TERM` seconds."""
        now = (row.token, row.beats)
        if now != self.seen:
            self.alive = self.seen is not None
            self.seen, self.since = now, time.monotonic()
        return time.monotonic() - self.since >= TERM


def _look(engine: Engine, what: str) -> tuple[Row[Any], dt.datetime]:
    """Return the lease's row, made where there is none, and the time by the database's clock."""
    asked = select(LeaseRow.__table__).where(LeaseRow.name == what)
    with reading(engine) as connection:
        row, now = connection.execute(asked).first(), _now(connection)
    if row is None:
        with contextlib.suppress(IntegrityError), answering(engine, but=IntegrityError), engine.begin() as connection:
            connection.execute(insert(LeaseRow).values(name=what, token=0, beats=0, renewed_at=now))
        return _look(engine, what)
    return row, now


def _state(row: Row[Any], now: dt.datetime, me: str) -> str:
    """Return ``free``, ``held``, or ``unknown``: then whoever waits watches for a sign of life."""
    if row.holder is None:
        return "free"
    where, _, pid, start = row.holder.split()
    if where != me.split()[0]:
        return "unknown"
    if started(int(pid)) != float(start):
        return "free"
    return "held" if abs((now - row.renewed_at).total_seconds()) < TERM else "unknown"


def _take(engine: Engine, row: Row[Any], me: str) -> int | None:
    """Take the lease over as it was seen and return the token; None where somebody was faster, or its holder lives."""
    as_seen = _of(row.name, row.token) & (LeaseRow.beats == row.beats)
    with answering(engine), engine.begin() as connection:
        mine = {"token": row.token + 1, "holder": me, "beats": row.beats + 1, "renewed_at": _now(connection)}
        return row.token + 1 if connection.execute(update(LeaseRow).where(as_seen).values(**mine)).rowcount else None


def _now(connection: Connection) -> dt.datetime:
    if connection.dialect.name == "sqlite":
        return dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return connection.execute(select(func.timezone("UTC", func.clock_timestamp()))).scalar_one()


def _this_process() -> str:
    """Return who this is, in four words: the place that its id is of, the host, the id and its start."""
    return f"{place()} {socket.gethostname()} {os.getpid()} {started(os.getpid())}"


def _shown(holder: str) -> str:
    host, pid = holder.split()[1:3]
    return f"process {pid} on {host}"
