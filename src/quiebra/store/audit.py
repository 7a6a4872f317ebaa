"""The audit table: critical actions in the order in which they happened, each chained to the one before by its hash."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.names import person_name
from quiebra.store import heads
from quiebra.store.chain import FIELDS, NOTHING, VALUES, as_stored, checked, hash_of_text, named
from quiebra.store.engine import answering, reading
from quiebra.store.tables import AuditEntry, AuditSeal

PRUNE = "audit prune"
RESTORED = "audit restored"
LOST = "the audit table has lost its ends: restore the database from a backup; nothing was changed"


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


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries at the end of the chain, as part of the caller's transaction. Writers wait for each other. NameRefused where
    the name of who did it cannot stand there; StoreError where the table has lost its ends."""
    head = connection.execute(select(AuditSeal).where(AuditSeal.name == "head").with_for_update()).first()
    if head is None:
        raise StoreError(LOST)
    entry_id, hash_ = head.entry_id, head.hash
    now = _now()
    for entry in entries:
        kept = {name: _plain(getattr(entry, name)) for name in VALUES}
        row = {"at": now, **vars(entry), **kept, "who": person_name(entry.who, "who")}
        entry_id += 1
        hash_ = hash_of_text(hash_, entry_id, {**row, **{name: json.dumps(value) for name, value in kept.items()}})
        connection.execute(insert(AuditEntry), {"entry_id": entry_id, **row, "hash": hash_})
    if entries:
        connection.execute(update(AuditSeal).where(AuditSeal.name == "head").values(entry_id=entry_id, hash=hash_))
        heads.about_to(connection, entry_id, hash_)


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
    return head(engine)[0]


def head(engine: Engine) -> tuple[int, str]:
    """Return the end of the chain: number and hash of the last entry. Noted elsewhere, such as in a mail, it shows later that
    nothing before it was changed or cut off."""
    with reading(engine) as connection:
        found = connection.execute(select(AuditSeal.entry_id, AuditSeal.hash).where(AuditSeal.name == "head")).one()
        return found.entry_id, found.hash


def verify(engine: Engine, known: tuple[int, str] | None = None) -> Verdict:
    """Check every entry against its hash and the one before it, from the oldest kept to the last, and the chain against the ends
    of it that were noted outside the database (see `quiebra.store.heads`).

    known: an entry's id and hash (or its start) that were noted elsewhere, such as in a mail; a chain that was cut off or written
    anew as a whole does not have it.
    """
    outside, wrong = heads.noted(engine)  # first: whoever writes meanwhile notes only what is in the database already
    chain = _chain(engine)
    if chain is None:
        return Verdict(0, 0, NOTHING, [LOST])
    faults, remarks, start = list(chain.faults), [], chain.start.entry_id
    if known and known[0] < start:
        remarks.append(f"entry {known[0]} has been pruned since, so that its hash says nothing: note the last one")
    elif known and not chain.seen.get(known[0], "").startswith(known[1]):
        faults.append(f"entry {known[0]} is not the one whose hash was noted: the chain was written anew")
    faults += wrong + _against(outside, chain)
    path = heads.heads_path(engine)
    if outside:
        remarks.append(f"ends of it that were noted in {path} since {outside[0].at}, and held against it: {len(outside)}")
    else:
        remarks.append(f"no end of it was noted in {path} before: only a hash from a mail can show a chain written anew")
    return Verdict(chain.entries, chain.end.entry_id, chain.end.hash, faults, remarks)


@dataclass(frozen=True)
class _Chain:
    """The chain as the database has it: its ends, how many entries, each one's hash by its number, and what is wrong with it."""

    start: Any
    end: Any
    entries: int
    seen: Mapping[int, str]
    faults: list[str]


def _chain(engine: Engine) -> _Chain | None:
    """Check the chain in itself; None where its ends are lost."""
    with reading(engine) as connection:
        seals = {row.name: row for row in connection.execute(select(AuditSeal))}
        rows = as_stored(connection)
    if not {"start", "head"} <= seals.keys():
        return None
    start, end = seals["start"], seals["head"]
    faults, seen = checked(rows, start, end, seals["exact"].entry_id if "exact" in seals else 0)
    if start.hash != NOTHING and not any(row["action"] == PRUNE and _says(row["after"], _pruned(start)) for row in rows):
        faults.append(f"{named(1, start.entry_id)} missing, and nobody has pruned them")
    return _Chain(start, end, len(rows), seen, faults)


def _against(outside: Sequence[heads.Noted], chain: _Chain) -> list[str]:
    """Return what is wrong with a chain by the ends of it that were noted: the worst is said, not each."""
    last = chain.end.entry_id
    lost = [one for one in outside if one.entry_id > last]
    other = [one for one in outside if chain.start.entry_id <= one.entry_id <= last and chain.seen.get(one.entry_id) != one.hash]
    faults = []
    if other:
        one = other[0]
        faults.append(f"entry {one.entry_id} is not the one that was noted on {one.at[:10]}: the chain was written anew")
    if lost:
        most = max(lost, key=lambda one: one.entry_id)
        faults.append(
            f"{named(last + 1, most.entry_id)} missing: entry {most.entry_id} was noted on {most.at[:10]}, so the end was cut "
            "off, or an older copy of the database was put back (`quiebra audit restored` puts that on record)"
        )
    return faults


def restored(engine: Engine, who: str, reason: str) -> tuple[int, str]:
    """Put on record that a person has put back a copy of the database, or begun a new one; return the new end of the chain, which
    is noted from now on. What was noted before is kept, and not looked at any more.

    StoreError where the chain agrees with what was noted of it, or is broken in itself.
    """
    outside, wrong = heads.noted(engine)
    chain = _chain(engine)
    if chain is None:
        raise StoreError(LOST)
    if chain.faults or not (wrong or _against(outside, chain)):
        why = "; ".join(chain.faults) or "the chain agrees with what was noted of it"
        raise StoreError(f"nothing is put on record: {why}")
    last = max(outside, key=lambda one: one.entry_id, default=None)
    before = None if last is None else f"{last.entry_id}:{last.hash}"
    after = f"{chain.end.entry_id}:{chain.end.hash}"
    record(engine, [Entry(who, RESTORED, "chain", before, after, reason)], lambda: heads.give_up(engine, who))
    return head(engine)


def _says(text: Any, what: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == what)
    except (ValueError, TypeError):
        return False


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


def _plain(value: Any) -> Any:
    """Return a value as the database gives it back: JSON, dates as ISO text."""
    return json.loads(json.dumps(value, default=str))
