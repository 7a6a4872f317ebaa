"""Sessions of signed-in users: a random token, kept by its hash, that says who is there until it ends."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, insert, select, update

from quiebra.errors import IdentityError
from quiebra.identity.random_secrets import PATTERN, hash_secret, is_secret_of, new_id, new_secret
from quiebra.identity.users import User
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import SessionRow, UserRow
from quiebra.text.person_input import person_key
from quiebra.text.words import translatable

Kind = Literal["browser", "api"]
LIFETIMES: dict[Kind, dt.timedelta] = {"browser": dt.timedelta(hours=12), "api": dt.timedelta(days=14)}
"""How long a session lasts at most."""
IDLE_TIMES: dict[Kind, dt.timedelta] = {"browser": dt.timedelta(hours=2), "api": dt.timedelta(days=2)}
"""How long a session lasts without being used."""
LAST_USE_STEP = dt.timedelta(minutes=1)
"""How old the noted last use may be before it is noted anew."""
TOKEN = rf"([0-9a-f]{{12}})\.({PATTERN})"
ENDED = translatable("the session has ended: sign in again")


@dataclass(frozen=True)
class Session:
    """A session that holds. user: with the role that the user has now."""

    session_id: str
    user: User


def open_session(engine: Engine, user: User, kind: Kind) -> str:
    """Start a session of a user who has signed in, and return its token, which cannot be shown again."""
    session_id, secret, now = new_id(), new_secret(), _now()
    row = {"kind": kind, "user_id": person_key(user.name), "created_at": now, "last_used_at": now}
    with translate_database_errors(engine), engine.begin() as connection:
        connection.execute(
            insert(SessionRow).values(
                session_id=session_id, secret_sha256=hash_secret(secret), expires_at=now + LIFETIMES[kind], **row
            )
        )
    return f"{session_id}.{secret}"


def check_session(engine: Engine, token: str, kind: Kind, *, note_use: bool = True) -> Session:
    """Return the session of a token. IdentityError if it is unknown or over, or its user is disabled.

    note_use: note that the session is used; False for what a page asks by itself, which does not keep a session from idling out.
    """
    session_id, secret = _parts(token)
    with read_only(engine) as connection:
        row, user = _session(connection, session_id, kind)
    if not is_secret_of(secret, row.secret_sha256):
        raise IdentityError(ENDED)
    if note_use and _now() - row.last_used_at > LAST_USE_STEP:
        with translate_database_errors(engine), engine.begin() as connection:
            connection.execute(update(SessionRow).where(SessionRow.session_id == session_id).values(last_used_at=_now()))
    return Session(session_id, user)


def session_user(engine: Engine, session_id: str, kind: Kind) -> User:
    """Return the user of a session that holds, by its id. IdentityError as from `check_session`."""
    with read_only(engine) as connection:
        return _session(connection, session_id, kind)[1]


def renew_session(engine: Engine, token: str, kind: Kind) -> tuple[Session, str]:
    """Return the session of a token, and the token that takes its place.

    A token that was replaced before has been copied: the session ends, whoever shows it. IdentityError as from `check_session`.
    """
    session_id, secret = _parts(token)
    fresh = new_secret()
    with translate_database_errors(engine), engine.begin() as connection:
        row, user = _session(connection, session_id, kind, lock=True)
        right = is_secret_of(secret, row.secret_sha256)
        if right:
            new = {"secret_sha256": hash_secret(fresh), "former_sha256": row.secret_sha256, "last_used_at": _now()}
            connection.execute(update(SessionRow).where(SessionRow.session_id == session_id).values(**new))
        elif is_secret_of(secret, row.former_sha256):
            connection.execute(update(SessionRow).where(SessionRow.session_id == session_id).values(ended_at=_now()))
    if not right:
        raise IdentityError(ENDED)
    return Session(session_id, user), f"{session_id}.{fresh}"


def end_session(engine: Engine, session_id: str) -> None:
    """End a session; nothing happens where it has ended."""
    with translate_database_errors(engine), engine.begin() as connection:
        mine = SessionRow.session_id == session_id, SessionRow.ended_at.is_(None)
        connection.execute(update(SessionRow).where(*mine).values(ended_at=_now()))


def _parts(token: str) -> tuple[str, str]:
    written = re.fullmatch(TOKEN, token)
    if written is None:
        raise IdentityError(ENDED)
    session_id, secret = written.groups()
    return session_id, secret


def _session(connection: Connection, session_id: str, kind: Kind, *, lock: bool = False) -> tuple[Row[Any], User]:
    """Return a session that holds and its user. IdentityError where there is none."""
    asked = select(SessionRow.__table__, UserRow.name, UserRow.role, UserRow.disabled).join(
        UserRow, UserRow.user_id == SessionRow.user_id
    )
    asked = asked.where(SessionRow.session_id == session_id, SessionRow.kind == kind)
    row = connection.execute(asked.with_for_update(of=SessionRow) if lock else asked).first()
    now = _now()
    if row is None or row.ended_at or row.disabled or row.expires_at <= now or now - row.last_used_at > IDLE_TIMES[kind]:
        raise IdentityError(ENDED)
    if row.created_at - now > LAST_USE_STEP:  # the clock was set back: how long the session has lasted is not known
        raise IdentityError(ENDED)
    return row, User(row.name, row.role)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
