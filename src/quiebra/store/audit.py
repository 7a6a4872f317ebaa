"""The audit table: critical actions in the order they happened, each entry chained to the previous one by its hash."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.store import audit_heads as heads
from quiebra.store.audit_chain import (
    ENTRY_FIELDS,
    GENESIS_HASH,
    JSON_FIELDS,
    check_entries,
    describe_entries,
    entry_hash,
    raw_entries,
)
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import AuditEntry, AuditSeal
from quiebra.text.person_input import clean_person_name

PRUNE = "audit prune"
RESTORED = "audit restored"
MISSING_SEALS_MESSAGE = "the audit table has lost its ends: restore the database from a backup; nothing was changed"


@dataclass(frozen=True)
class AuditRecord:
    """Entry to be written: who did what (action) to what (subject), the values before and after, and the reason.

    run_id: the run that was current.
    """

    who: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str
    run_id: str | None = None


@dataclass(frozen=True)
class ChainVerdict:
    """Result of checking the chain: number of entries, id and hash of the last one, faults, and remarks on what could not be
    checked."""

    entries: int
    last_id: int
    last_hash: str
    faults: list[str]
    remarks: list[str] = field(default_factory=list)


def append_entries(connection: Connection, entries: Sequence[AuditRecord]) -> None:
    """Append entries to the chain within the caller's transaction; concurrent writers wait for each other, also with no entries.

    InvalidNameError if a person's name is not allowed; StoreError if the rows with the chain's ends are missing.
    """
    head = connection.execute(select(AuditSeal).where(AuditSeal.name == "head").with_for_update()).first()
    if head is None:
        raise StoreError(MISSING_SEALS_MESSAGE)
    entry_id, hash_ = head.entry_id, head.hash
    now = _now()
    for entry in entries:
        kept = {name: _plain(getattr(entry, name)) for name in JSON_FIELDS}
        row = {"at": now, **vars(entry), **kept, "who": clean_person_name(entry.who, "who")}
        entry_id += 1
        hash_ = entry_hash(hash_, entry_id, {**row, **{name: json.dumps(value) for name, value in kept.items()}})
        connection.execute(insert(AuditEntry), {"entry_id": entry_id, **row, "hash": hash_})
    if entries:
        connection.execute(update(AuditSeal).where(AuditSeal.name == "head").values(entry_id=entry_id, hash=hash_))
        heads.schedule_head_note(connection, entry_id, hash_)


def record_action(engine: Engine, entries: Sequence[AuditRecord], act: Callable[[], object] = lambda: None) -> None:
    """Append entries and call ``act`` in the same transaction. If ``act`` fails nothing is written; if the commit fails
    (StoreError) the caller undoes what ``act`` did."""
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, entries)
        act()


def audit_entries(engine: Engine, count: int = 50, action: str | None = None) -> list[dict[str, Any]]:
    """Return the latest entries, newest first: entry_id, at, who, action, subject, before, after, reason, run_id and hash."""
    asked = select(AuditEntry).order_by(AuditEntry.entry_id.desc()).limit(count)
    if action is not None:
        asked = asked.where(AuditEntry.action == action)
    with read_only(engine) as connection, Session(connection) as session:
        return [{name: getattr(row, name) for name in ("entry_id", *ENTRY_FIELDS, "hash")} for row in session.scalars(asked)]


def last_entry(engine: Engine) -> int:
    """Return the id of the last entry."""
    return chain_head(engine)[0]


def chain_head(engine: Engine) -> tuple[int, str]:
    """Return the end of the chain: id and hash of the last entry. Kept elsewhere, such as in a mail, it later proves that no
    earlier entry was changed or removed."""
    with read_only(engine) as connection:
        found = connection.execute(select(AuditSeal.entry_id, AuditSeal.hash).where(AuditSeal.name == "head")).one()
        return found.entry_id, found.hash


def verify_chain(engine: Engine, known: tuple[int, str] | None = None) -> ChainVerdict:
    """Check each entry's hash and link, from the oldest kept to the last, and compare the chain with its ends noted outside the
    database (see `quiebra.store.audit_heads`).

    known: an entry's id and hash (or the hash's start) kept elsewhere, such as in a mail; a chain that was truncated or rewritten
    does not contain it.
    """
    outside, wrong = heads.noted_heads(engine)  # read first: a concurrent writer notes only ends that are already in the database
    chain = _chain(engine)
    if chain is None:
        return ChainVerdict(0, 0, GENESIS_HASH, [MISSING_SEALS_MESSAGE])
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
    return ChainVerdict(chain.entries, chain.end.entry_id, chain.end.hash, faults, remarks)


@dataclass(frozen=True)
class _Chain:
    """The chain in the database: its ends, number of entries, each entry's hash by id, and its faults."""

    start: Any
    end: Any
    entries: int
    seen: Mapping[int, str]
    faults: list[str]


def _chain(engine: Engine) -> _Chain | None:
    """Return the chain checked by itself; None if the rows with its ends are missing."""
    with read_only(engine) as connection:
        seals = {row.name: row for row in connection.execute(select(AuditSeal))}
        rows = raw_entries(connection)
    if not {"start", "head"} <= seals.keys():
        return None
    start, end = seals["start"], seals["head"]
    faults, seen = check_entries(rows, start, end, seals["exact"].entry_id if "exact" in seals else 0)
    if start.hash != GENESIS_HASH and not any(row["action"] == PRUNE and _says(row["after"], _pruned(start)) for row in rows):
        faults.append(f"{describe_entries(1, start.entry_id)} missing, and nobody has pruned them")
    return _Chain(start, end, len(rows), seen, faults)


def _against(outside: Sequence[heads.NotedHead], chain: _Chain) -> list[str]:
    """Return the faults of a chain compared with its noted ends: at most one of each kind, the most severe."""
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
            f"{describe_entries(last + 1, most.entry_id)} missing: entry {most.entry_id} was noted on {most.at[:10]}, so the end "
            "was cut off, or an older copy of the database was put back (`quiebra audit restored` puts that on record)"
        )
    return faults


def record_restore(engine: Engine, who: str, reason: str) -> tuple[int, str]:
    """Record that a person restored a copy of the database, or started a new one; return the new end of the chain.

    Ends noted before are kept in their file but not compared any more. StoreError if the chain agrees with its noted ends, or is
    broken in itself.
    """
    outside, wrong = heads.noted_heads(engine)
    chain = _chain(engine)
    if chain is None:
        raise StoreError(MISSING_SEALS_MESSAGE)
    if chain.faults or not (wrong or _against(outside, chain)):
        why = "; ".join(chain.faults) or "the chain agrees with what was noted of it"
        raise StoreError(f"nothing is put on record: {why}")
    last = max(outside, key=lambda one: one.entry_id, default=None)
    before = None if last is None else f"{last.entry_id}:{last.hash}"
    after = f"{chain.end.entry_id}:{chain.end.hash}"
    record_action(
        engine, [AuditRecord(who, RESTORED, "chain", before, after, reason)], lambda: heads.retire_noted_heads(engine, who)
    )
    return chain_head(engine)


def _says(text: Any, what: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == what)
    except (ValueError, TypeError):
        return False


def _pruned(start: Any) -> dict[str, Any]:
    """Return the value that a prune entry has for the new start of the chain."""
    return {"start": start.entry_id, "hash": start.hash}


def prune_audit(engine: Engine, before: dt.datetime, who: str) -> int:
    """Delete entries older than ``before`` (UTC) and return their number.

    The rest stays verifiable: the chain then starts from the hash of the last deleted entry, and the deletion is an entry itself.
    StoreError, with nothing deleted, if the chain is broken.
    """
    if faults := verify_chain(engine).faults:
        raise StoreError(f"nothing was deleted, since the audit table does not hold together: {'; '.join(faults)}")
    with translate_database_errors(engine), engine.begin() as connection:
        head = connection.execute(select(AuditSeal).where(AuditSeal.name == "head").with_for_update()).one()
        kept = connection.scalar(select(func.min(AuditEntry.entry_id)).where(AuditEntry.at >= before)) or head.entry_id
        last = connection.execute(
            select(AuditEntry.entry_id, AuditEntry.hash)
            .where(AuditEntry.entry_id < min(kept, head.entry_id))  # the last entry is always kept
            .order_by(AuditEntry.entry_id.desc())
            .limit(1)
        ).first()
        if last is None:
            return 0
        connection.execute(update(AuditSeal).where(AuditSeal.name == "start").values(entry_id=last.entry_id, hash=last.hash))
        gone = connection.execute(delete(AuditEntry).where(AuditEntry.entry_id <= last.entry_id)).rowcount
        entry = AuditRecord(
            who, PRUNE, f"up to entry {last.entry_id}", {"entries": gone}, _pruned(last), "older than the time to keep"
        )
        append_entries(connection, [entry])
    return gone


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def _plain(value: Any) -> Any:
    """Return a value as the database returns it: JSON types, dates as ISO text."""
    return json.loads(json.dumps(value, default=str))
