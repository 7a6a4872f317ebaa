"""Hash chain of the audit table: what each hash covers, and verification of consecutive entries."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, Text, cast, select, type_coerce
from sqlalchemy.types import NullType

from quiebra.store.tables import AuditEntry

ENTRY_FIELDS = ("at", "who", "action", "subject", "before", "after", "reason", "run_id")
JSON_FIELDS = ("before", "after")
"""Fields that hold JSON."""
GENESIS_HASH = "0" * 64
"""The previous hash of the first entry."""
NUMBER_PATTERN = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class _Unreadable(ValueError):
    """A field holds a value that this program never writes."""


def legacy_entry_hash(previous: str, entry_id: int, row: Mapping[str, Any] | RowMapping) -> str:
    """Return an entry's hash in the format before migration 0009: SHA-256 of the previous hash, the entry's id and its fields,
    with the parsed values of before and after, as JSON with sorted keys."""
    content = [previous, entry_id, row["at"].isoformat(timespec="microseconds"), *(row[name] for name in ENTRY_FIELDS[1:])]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def entry_hash(previous: str, entry_id: int, row: Mapping[str, Any]) -> str:
    """Return an entry's hash: SHA-256 of the previous hash, its id and its fields, with before and after as stored text, so that
    a repeated key, another order or a space changes it."""
    fields = {**row, **{name: json_as_stored(row[name]) for name in JSON_FIELDS}}
    content = [
        "text",
        previous,
        entry_id,
        row["at"].isoformat(timespec="microseconds"),
        *(fields[name] for name in ENTRY_FIELDS[1:]),
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def json_as_stored(value: Any) -> str | None:
    """Return stored JSON as text, the same on both databases: SQLite returns text that is a number as that number."""
    if isinstance(value, str) and not NUMBER_PATTERN.fullmatch(value):
        return value
    if value is not None and not isinstance(value, str | int | float):
        raise _Unreadable
    return None if value is None else repr(float(value))


def raw_entries(connection: Connection) -> list[dict[str, Any]]:
    """Return all entries in order without conversion: before and after as text, the other fields as stored."""
    raw = NullType()
    columns = [
        cast(column, Text).label(column.name)
        if column.name in JSON_FIELDS and connection.dialect.name == "postgresql"
        else type_coerce(column, raw).label(column.name)
        for column in AuditEntry.__table__.columns
    ]
    return [dict(row) for row in connection.execute(select(*columns).order_by(AuditEntry.entry_id)).mappings()]


def check_entries(rows: Iterable[Mapping[str, Any]], start: Any, head: Any, exact_from: int) -> tuple[list[str], dict[int, str]]:
    """Return the faults of the entries, from the oldest kept to the last, and entry id → hash.

    start, head: the ends of the chain, from its seals. exact_from: the last entry in the format of `legacy_entry_hash`.
    """
    faults, hash_, expected = [], start.hash, start.entry_id + 1
    seen = {start.entry_id: start.hash}
    for row in rows:
        number, before, hash_ = row["entry_id"], hash_, row["hash"]
        if number > expected:
            faults.append(f"{describe_entries(expected, number - 1)} missing")
        right = number == expected and _hash(before, number, row, number > exact_from) == hash_
        if (not right and number <= expected) or not start.entry_id < number <= head.entry_id:
            faults.append(f"entry {number} of {str(row['at'])[:10]} by {row['who']} was changed or put in")
        expected = number + 1
        seen[number] = str(hash_)
    if expected <= head.entry_id:
        faults.append(f"{describe_entries(expected, head.entry_id)} missing")
    elif not faults and hash_ != head.hash:
        faults.append("the last entry is not the one that was written last")
    return faults, seen


def _hash(before: str, number: int, row: Mapping[str, Any], exact: bool) -> str | None:
    """Return the hash that a row should have; None if this program cannot have written the row."""
    try:
        typed = {**row, "at": _moment(row["at"])}
        return entry_hash(before, number, typed) if exact else legacy_entry_hash(before, number, _parsed(typed))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _moment(value: Any) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with before and after parsed. Text formatted differently from this program's is refused, as it may hide
    content."""
    made = dict(row)
    for name in JSON_FIELDS:
        text = made[name]
        made[name] = json.loads(text) if isinstance(text, str) else text
        if isinstance(text, str) and not isinstance(made[name], int | float) and json.dumps(made[name]) != text:
            raise _Unreadable
    return made


def describe_entries(first: int, last: int) -> str:
    """Return a range of entries in words, with its verb."""
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
