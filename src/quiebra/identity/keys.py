"""Keys of other systems: shown once, stored as a hash, with scopes, an end, and when each was used last."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update

from quiebra.errors import IdentityError, single_match
from quiebra.identity.permissions import KEY_SCOPES, Permission
from quiebra.identity.random_secrets import PATTERN, hash_secret, is_secret_of, new_id, new_secret
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import KeyRow, UserRow
from quiebra.text.lookalikes import looks
from quiebra.text.person_input import clean_person_name

PREFIX = "qbk"
KEY = rf"{PREFIX}_([0-9a-f]{{12}})_({PATTERN})"
ID_START = rf"(?:{PREFIX}_)?([0-9a-f]{{0,12}})(?:_.*)?"
"""An id, its start, or a key of which parts may be missing."""
LONGEST_DAYS = 730
LAST_USE_STEP = dt.timedelta(minutes=1)
"""How old the noted last use may be before it is noted anew."""
REFUSED = "the key is unknown, revoked or expired: `quiebra keys list` shows which there are"


@dataclass(frozen=True)
class ApiKey:
    """A key that may be used. name: of the system that holds it."""

    key_id: str
    name: str
    permissions: frozenset[Permission]


def create_key(engine: Engine, name: str, scopes: Sequence[str], days: int, who: str) -> str:
    """Make a key for a system and return it: it is stored as a hash only, and cannot be shown again.

    name: of the system, which may have several keys. scopes: of `KEY_SCOPES`. days: until it expires. who: the admin.
    IdentityError if a scope is unknown, the time too long, or the name, by its looks, that of a user.
    """
    name, who = clean_person_name(name, "name"), clean_person_name(who, "who")
    unknown = sorted({*scopes} - {*KEY_SCOPES})
    if unknown or not scopes:
        raise IdentityError(f"a key has one or more of the scopes {', '.join(KEY_SCOPES)}, not {', '.join(unknown) or 'none'}")
    if not 1 <= days <= LONGEST_DAYS:
        raise IdentityError(f"a key lasts from 1 to {LONGEST_DAYS} days, not {days}")
    key_id, secret, now = new_id(), new_secret(), _now()
    kept = sorted(map(str, {*scopes}))
    row = {"name": name, "scopes": kept, "created_by": who, "created_at": now, "expires_at": now + dt.timedelta(days=days)}
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        for taken in connection.scalars(select(UserRow.name)):
            if looks(taken) == looks(name):
                raise IdentityError("there is a user '{name}': name the key by the system that will hold it", name=taken)
        connection.execute(insert(KeyRow).values(key_id=key_id, secret_sha256=hash_secret(secret), **row))
        about = {"name": name, "scopes": kept, "expires_at": str(row["expires_at"])}
        append_entries(connection, [AuditRecord(who, "key created", key_id, None, about, "key created")])
    return f"{PREFIX}_{key_id}_{secret}"


def check_key(engine: Engine, given: str) -> ApiKey:
    """Return the key that a request gave, and note its use. IdentityError if it is unknown, revoked or expired."""
    written = re.fullmatch(KEY, given)
    if written is None:
        raise IdentityError(REFUSED)
    key_id, secret = written.groups()
    with read_only(engine) as connection:
        row = connection.execute(select(KeyRow.__table__).where(KeyRow.key_id == key_id)).first()
    if row is None or not is_secret_of(secret, row.secret_sha256) or row.revoked_at or row.expires_at <= _now():
        raise IdentityError(REFUSED)
    if row.last_used_at is None or abs(_now() - row.last_used_at) > LAST_USE_STEP:  # later than now: the clock was set back
        with translate_database_errors(engine), engine.begin() as connection:
            connection.execute(update(KeyRow).where(KeyRow.key_id == key_id).values(last_used_at=_now()))
    return ApiKey(key_id, row.name, frozenset(scope for scope in KEY_SCOPES if scope in listed_scopes(row.scopes)))


def listed_scopes(stored: Any) -> list[str]:
    """Return the scopes of a key's row; none where what is stored is no list of them."""
    return [scope for scope in stored if isinstance(scope, str)] if isinstance(stored, list) else []


def key_id_start(given: str) -> str:
    """Return the part of a key's id in what a person typed: the id, its start, or the key itself, whose secret is left out.

    >>> key_id_start("qbk_1a2b3c4d5e6f_secret"), key_id_start("1A2B"), key_id_start("treasury")
    ('1a2b3c4d5e6f', '1a2b', '')
    """
    found = re.fullmatch(ID_START, given.strip(), re.IGNORECASE | re.DOTALL)
    return found[1].lower() if found else ""


def revoke_key(engine: Engine, identifier: str, who: str) -> str:
    """End a key at once and return its id. identifier: the id, its start, or the key itself. IdentityError, which does not show
    the key, if none or several match, or it has ended."""
    who, identifier = clean_person_name(who, "who"), key_id_start(identifier)
    if not identifier:
        raise IdentityError("a key's id has hexadecimal digits only: `quiebra keys list` shows them")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        rows = connection.execute(select(KeyRow.__table__).where(KeyRow.key_id.startswith(identifier))).all()
        row = single_match(rows, identifier, "key", IdentityError, "`quiebra keys list` shows them")
        if row.revoked_at:
            raise IdentityError(f"key {row.key_id} was revoked on {row.revoked_at:%Y-%m-%d} already")
        connection.execute(update(KeyRow).where(KeyRow.key_id == row.key_id).values(revoked_at=_now()))
        append_entries(connection, [AuditRecord(who, "key revoked", row.key_id, {"name": row.name}, None, "key revoked")])
    return str(row.key_id)


def list_keys(engine: Engine) -> list[dict[str, Any]]:
    """Return all keys, newest first: key_id, name, scopes, created_by, created_at, expires_at, revoked_at and last_used_at."""
    columns = ("key_id", "name", "scopes", "created_by", "created_at", "expires_at", "revoked_at", "last_used_at")
    with read_only(engine) as connection:
        rows = connection.execute(select(*(getattr(KeyRow, name) for name in columns)).order_by(KeyRow.created_at.desc()))
        return [{**row, "scopes": listed_scopes(row["scopes"])} for row in rows.mappings()]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
