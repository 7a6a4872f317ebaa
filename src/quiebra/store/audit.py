"""The audit table: critical actions in the order in which they happened, each chained to the one before by its hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.store.engine import answering, reading
from quiebra.store.tables import AuditEntry, AuditSeal

FIELDS = ("at", "who", "action", "subject", "before", "after", "reason", "run_id")
NOTHING = "0" * 64
"""The hash before the first entry."""
PRUNE = "audit prune"


@dataclass(frozen=True)
class Entry:
    """who did what (action) to what (subject), from what to what, and why. run_id: the run that was current."""

    who: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str
    run_id: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What checking the chain found: how many entries there are, the id and hash of the last one, what is wrong, and what cannot
    be said."""

    entries: int
    last_id: int
    last_hash: str
    faults: list[str]
    remarks: list[str] = field(default_factory=list)


def chained(previous: str, entry_id: int, row: Mapping[str, Any]) -> str:
    """Return the hash of an entry: SHA-256 of the hash before it, its id and its fields as JSON with sorted keys."""
    content = [previous, entry_id, row["at"].isoformat(timespec="microseconds"), *(row[name] for name in FIELDS[1:])]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries at the end of the chain, as part of the caller's transaction. Writers wait for each other."""
    head = connection.execute(select(AuditSeal).where(AuditSeal.name == "head").with_for_update()).one()
    entry_id, hash_ = head.entry_id, head.hash
    now = _now()
    for entry in entries:
        row = {"at": now, **vars(entry), "before": _plain(entry.before), "after": _plain(entry.after)}
        entry_id += 1
        hash_ = chained(hash_, entry_id, row)
        connection.execute(insert(AuditEntry), {"entry_id": entry_id, **row, "hash": hash_})
    connection.execute(update(AuditSeal).where(AuditSeal.name == "head").values(entry_id=entry_id, hash=hash_))


def record(engine: Engine, entries: Sequence[Entry], act: Callable[[], object] = lambda: None) -> None:
    """Write entries and do what they say. Where ``act`` fails nothing is written; where the database refuses in the end
    (StoreError) the caller takes back what ``act`` did."""
    with answering(engine), engine.begin() as connection:
        append(connection, entries)
        act()


def entries(engine: Engine, count: int = 50, action: str | None = None) -> list[dict[str, Any]]:
    """Return the latest entries, newest first: entry_id, at, who, action, subject, before, after, reason, run_id and hash."""
    asked = select(AuditEntry).order_by(AuditEntry.entry_id.desc()).limit(count)
    if action is not None:
        asked = asked.where(AuditEntry.action == action)
    with reading(engine) as connection, Session(connection) as session:
        return [{name: getattr(row, name) for name in ("entry_id", *FIELDS, "hash")} for row in session.scalars(asked)]


def last_entry(engine: Engine) -> int:
    """Return the number of the last entry."""
    with reading(engine) as connection:
        return connection.execute(select(AuditSeal.entry_id).where(AuditSeal.name == "head")).scalar_one()


def verify(engine: Engine, known: tuple[int, str] | None = None) -> Verdict:
    """Check every entry against its hash and the one before it, from the oldest kept to the last.

    known: an entry's id and hash (or its start) that were noted elsewhere, such as in a report; a chain that was written anew
    as a whole does not have it.
    """
    with reading(engine) as connection:
        seals = {row.name: row for row in connection.execute(select(AuditSeal))}
        rows = connection.execute(select(AuditEntry.__table__).order_by(AuditEntry.entry_id)).mappings().all()
    start, head = seals["start"], seals["head"]
    faults, hash_, expected = [], start.hash, start.entry_id + 1
    seen = {start.entry_id: start.hash}
    for row in rows:
        number, hash_before, hash_ = row["entry_id"], hash_, row["hash"]
        if number > expected:
            faults.append(f"{_named(expected, number - 1)} missing")
        broken = number == expected and chained(hash_before, number, row) != hash_
        if broken or not start.entry_id < number <= head.entry_id:
            faults.append(f"entry {number} of {row['at']:%Y-%m-%d} by {row['who']} was changed or put in")
        expected = number + 1
        seen[number] = hash_
    if expected <= head.entry_id:
        faults.append(f"{_named(expected, head.entry_id)} missing")
    elif not faults and hash_ != head.hash:
        faults.append("the last entry is not the one that was written last")
    if start.hash != NOTHING and not any(row["action"] == PRUNE and row["after"] == _pruned(start) for row in rows):
        faults.append(f"{_named(1, start.entry_id)} missing, and nobody has pruned them")
    remarks = []
    if known and known[0] < start.entry_id:
        remarks.append(f"entry {known[0]} has been pruned since, so that its hash says nothing: note the last one")
    elif known and not seen.get(known[0], "").startswith(known[1]):
        faults.append(f"entry {known[0]} is not the one whose hash was noted: the chain was written anew")
    return Verdict(len(rows), head.entry_id, head.hash, faults, remarks)


def _pruned(start: Any) -> dict[str, Any]:
    """Return what the entry of a deletion says of where the chain starts since."""
    return {"start": start.entry_id, "hash": start.hash}


def prune(engine: Engine, before: dt.datetime, who: str) -> int:
    """Delete entries older than ``before`` (UTC) and return how many. What is kept stays checkable: the chain then starts from
    the hash of the last deleted entry, and the deletion is an entry itself. StoreError where the chain is broken: nothing is
    deleted.
    """
    if faults := verify(engine).faults:
        raise StoreError(f"nothing was deleted, since the audit table does not hold together: {'; '.join(faults)}")
    with answering(engine), engine.begin() as connection:
        head = connection.execute(select(AuditSeal).where(AuditSeal.name == "head").with_for_update()).one()
        kept = connection.scalar(select(func.min(AuditEntry.entry_id)).where(AuditEntry.at >= before)) or head.entry_id
        last = connection.execute(
            select(AuditEntry.entry_id, AuditEntry.hash)
            .where(AuditEntry.entry_id < min(kept, head.entry_id))  # the last entry is always kept
            .order_by(AuditEntry.entry_id.desc()).limit(1)
        ).first()  # fmt: skip
        if last is None:
            return 0
        connection.execute(update(AuditSeal).where(AuditSeal.name == "start").values(entry_id=last.entry_id, hash=last.hash))
        gone = connection.execute(delete(AuditEntry).where(AuditEntry.entry_id <= last.entry_id)).rowcount
        entry = Entry(who, PRUNE, f"up to entry {last.entry_id}", {"entries": gone}, _pruned(last), "older than the time to keep")
        append(connection, [entry])
    return gone


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def _named(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _plain(value: Any) -> Any:
    """Return a value as the database gives it back: JSON, dates as ISO text."""
    return json.loads(json.dumps(value, default=str))
