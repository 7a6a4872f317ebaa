"""How the entries of the audit table are chained: what each hash is made of, and checking them one after the other."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Text, cast, select, type_coerce
from sqlalchemy.types import NullType

from quiebra.store.tables import AuditEntry

FIELDS = ("at", "who", "action", "subject", "before", "after", "reason", "run_id")
VALUES = ("before", "after")
"""Fields that hold JSON."""
NOTHING = "0" * 64
"""The hash before the first entry."""
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class _Unreadable(ValueError):
    """A field holds what no entry can."""


def hash_of_values(previous: str, entry_id: int, row: Mapping[str, Any]) -> str:
    """Return the hash of an entry as entries had it before their text was hashed: SHA-256 of the hash before it, its id and its
    fields, with values of before and after, as JSON with sorted keys."""
    content = [previous, entry_id, row["at"].isoformat(timespec="microseconds"), *(row[name] for name in FIELDS[1:])]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_of_text(previous: str, entry_id: int, row: Mapping[str, Any]) -> str:
    """Return the hash of an entry: SHA-256 of the hash before it, its id and its fields, with before and after as the very text
    that is stored: a key that is there twice, another order or a blank change it."""
    fields = {**row, **{name: stored_text(row[name]) for name in VALUES}}
    content = ["text", previous, entry_id, row["at"].isoformat(timespec="microseconds"), *(fields[name] for name in FIELDS[1:])]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def stored_text(value: Any) -> str | None:
    """Return JSON as the database gives it back, as one text: SQLite keeps a text that is a number as that number."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        return value
    if value is not None and not isinstance(value, str | int | float):
        raise _Unreadable
    return None if value is None else repr(float(value))


def as_stored(connection: Connection) -> list[dict[str, Any]]:
    """Return all entries in order, nothing converted: before and after as text, whatever is in the other fields as it is."""
    raw = NullType()
    columns = [
        cast(column, Text).label(column.name)
        if column.name in VALUES and connection.dialect.name == "postgresql"
        else type_coerce(column, raw).label(column.name)
        for column in AuditEntry.__table__.columns
    ]
    return [dict(row) for row in connection.execute(select(*columns).order_by(AuditEntry.entry_id)).mappings()]


def checked(rows: Iterable[Mapping[str, Any]], start: Any, head: Any, exact_from: int) -> tuple[list[str], dict[int, str]]:
    """Return what is wrong with entries, from the oldest kept to the last, and the hash of each by its number.

    start, head: the ends of the chain, as its seals say. exact_from: the last entry whose values were hashed, and not their text.
    """
    faults, hash_, expected = [], start.hash, start.entry_id + 1
    seen = {start.entry_id: start.hash}
    for row in rows:
        number, before, hash_ = row["entry_id"], hash_, row["hash"]
        if number > expected:
            faults.append(f"{named(expected, number - 1)} missing")
        right = number == expected and _hash(before, number, row, number > exact_from) == hash_
        if (not right and number <= expected) or not start.entry_id < number <= head.entry_id:
            faults.append(f"entry {number} of {str(row['at'])[:10]} by {row['who']} was changed or put in")
        expected = number + 1
        seen[number] = str(hash_)
    if expected <= head.entry_id:
        faults.append(f"{named(expected, head.entry_id)} missing")
    elif not faults and hash_ != head.hash:
        faults.append("the last entry is not the one that was written last")
    return faults, seen


def _hash(before: str, number: int, row: Mapping[str, Any], exact: bool) -> str | None:
    """Return the hash that a row should have; None where it cannot have been written by this program."""
    try:
        typed = {**row, "at": _moment(row["at"])}
        return hash_of_text(before, number, typed) if exact else hash_of_values(before, number, _parsed(typed))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _moment(value: Any) -> dt.datetime:
    return value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with before and after as values. Their text must be as this program writes it, or it hides something."""
    made = dict(row)
    for name in VALUES:
        text = made[name]
        made[name] = json.loads(text) if isinstance(text, str) else text
        if isinstance(text, str) and not isinstance(made[name], int | float) and json.dumps(made[name]) != text:
            raise _Unreadable
    return made


def named(first: int, last: int) -> str:
    """Return entries in words, with their verb."""
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
