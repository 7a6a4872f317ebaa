"""Users in the database: roles, passwords, sign-in with lock-out, and who was refused what. Each change is in the audit table."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from quiebra.errors import IdentityError, closest_name, either
from quiebra.identity.passwords import hash_password, verify_password
from quiebra.identity.permissions import ROLES, Permission, roles_with
from quiebra.store.audit import AuditRecord, append_entries, record_action
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import KeyRow, SessionRow, UserRow
from quiebra.store.unverified import SYSTEM
from quiebra.text.lookalikes import alphabets, looks
from quiebra.text.person_input import clean_person_name, escape_invisible, person_key
from quiebra.text.words import translatable

FAILURES_TO_LOCK = 5
"""Wrong passwords in a row after which a user is locked out."""
LOCK_TIME = dt.timedelta(minutes=15)
ADMIN = "admin"
KEY_NAME_PREFIX = "key "
"""What the name of a system begins with where it signs by a key."""
WRONG = translatable(
    "wrong name or password, or too many wrong ones: after {most} in a row, {minutes} minutes pass before the next try"
)
NOT_ALLOWED = translatable("{name} is {role} and may not {action}: it needs {roles}")
USER_ADDED = "user added"
SIGNED_WITHOUT_A_PERSON = {SYSTEM, "system", "unknown"}
"""Names that entries of the audit table have where no person decided."""
LONGEST_ACTION = 200
"""Characters of an asked-for action that the audit table keeps."""


@dataclass(frozen=True)
class User:
    """A person who may sign in."""

    name: str
    role: str

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role allows; nothing for a role that this version does not know."""
        return ROLES.get(self.role, frozenset())


def users_exist(engine: Engine) -> bool:
    """Return whether any user was added: from then on, decisions need a sign-in."""
    with read_only(engine) as connection:
        return connection.execute(select(UserRow.user_id).limit(1)).first() is not None


def list_users(engine: Engine) -> list[dict[str, Any]]:
    """Return all users by name: name, role, disabled, locked_until, locked_out (now), created_at, created_by and last_sign_in;
    never a hash."""
    columns = ("name", "role", "disabled", "locked_until", "created_at", "created_by", "last_sign_in")
    with read_only(engine) as connection:
        rows = connection.execute(select(*(getattr(UserRow, name) for name in columns)).order_by(UserRow.name))
        return [{**row._mapping, "locked_out": _is_locked(row)} for row in rows]


def add_user(engine: Engine, name: str, role: str, password: str, by: User | None) -> User:
    """Add a user. by: the admin; None only for the first user, who must be an admin.

    IdentityError if the role is unknown, the password too weak, or the name taken: by a user whose name is the same but for case
    and Unicode form, or looks the same, or by what signs without a person.
    """
    name, role = check_user_name(name), _known_role(role)
    hashed = hash_password(password, name)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])  # takes the audit table's lock: two first users wait for each other here
        _check_manager(connection, by)
        if by is None and role != ADMIN:
            raise IdentityError("the first user manages the others: give the role admin")
        _check_free(connection, name)
        who, now = by.name if by else name, _now()
        connection.execute(
            insert(UserRow).values(
                user_id=person_key(name),
                name=name,
                role=role,
                password_hash=hashed,
                disabled=False,
                failures=0,
                created_at=now,
                created_by=who,
            )
        )
        append_entries(connection, [AuditRecord(who, USER_ADDED, name, None, {"role": role}, USER_ADDED)])
    return User(name, role)


def change_role(engine: Engine, name: str, role: str, by: User) -> None:
    """Give a user another role. IdentityError if there is no such user or role, or no admin would be left."""
    role = _known_role(role)
    with translate_database_errors(engine), engine.begin() as connection:
        row = _managed(connection, name, by)
        if row.role == ADMIN and role != ADMIN:
            _keep_an_admin(connection, row.user_id)
        _change(connection, row, by, "user's role changed", {"role": row.role}, {"role": role})


def disable_user(engine: Engine, name: str, by: User) -> None:
    """Keep a user from signing in. IdentityError if there is no such user, or no admin would be left."""
    with translate_database_errors(engine), engine.begin() as connection:
        row = _managed(connection, name, by)
        if row.role == ADMIN:
            _keep_an_admin(connection, row.user_id)
        _change(connection, row, by, "user disabled", {"disabled": row.disabled}, {"disabled": True})
        _end_sessions(connection, row.user_id)


def enable_user(engine: Engine, name: str, by: User) -> None:
    """Let a user sign in again who was disabled or locked out."""
    with translate_database_errors(engine), engine.begin() as connection:
        row = _managed(connection, name, by)
        new = {"disabled": False, "failures": 0, "locked_until": None}
        _change(connection, row, by, "user enabled", {"disabled": row.disabled}, new)


def change_password(engine: Engine, name: str, password: str, by: User) -> None:
    """Set a user's password: one's own, or as an admin another's, which ends a lock-out too."""
    with read_only(engine) as connection:
        name = _row(connection, name).name
    hashed = hash_password(password, name)
    with translate_database_errors(engine), engine.begin() as connection:
        row = _row(connection, name) if person_key(name) == person_key(by.name) else _managed(connection, name, by)
        append_entries(connection, [])
        _change(connection, row, by, "password changed", None, {"password_hash": hashed, "failures": 0, "locked_until": None})
        _end_sessions(connection, row.user_id)


def check_user_name(name: str) -> str:
    """Return a new user's name as it is stored. IdentityError if it could be taken for a name that another alphabet writes, or is
    one that entries without a person have."""
    name = clean_person_name(name, "name")
    if len(found := alphabets(name)) > 1:
        raise IdentityError(
            "the name '{name}' mixes alphabets, {found}: write it in one", name=name, found=", ".join(sorted(found))
        )
    if looks(name).startswith(looks(KEY_NAME_PREFIX)):
        raise IdentityError("'{name}' could be taken for a system with a key: take another name", name=name)
    if person_key(name) in SIGNED_WITHOUT_A_PERSON:
        raise IdentityError("'{name}' is what signs where no person did: take another name", name=name)
    return name


def sign_in(engine: Engine, name: str, password: str) -> User:
    """Return the user whose name and password these are, and renew a hash of an older kind.

    IdentityError, in the same words and after the same time, if the name is unknown, the password wrong, or the user disabled or
    locked out: `FAILURES_TO_LOCK` wrong passwords in a row lock for `LOCK_TIME`, which the audit table notes.
    """
    key = person_key(name)
    while True:
        with read_only(engine) as connection:
            stored = connection.scalar(select(UserRow.password_hash).where(UserRow.user_id == key))
        right, renewed = verify_password(password, stored)
        with translate_database_errors(engine), engine.begin() as connection:
            append_entries(connection, [])
            row = connection.execute(select(UserRow.__table__).where(UserRow.user_id == key)).first()
            if (row.password_hash if row else None) != stored:  # a new password was set meanwhile: only that one counts
                continue
            allowed = row is not None and not row.disabled and not _is_locked(row)
            if row is not None and allowed:
                _note_attempt(connection, row, right, renewed)
        if row is None or not (allowed and right):
            raise IdentityError(WRONG, most=FAILURES_TO_LOCK, minutes=int(LOCK_TIME.total_seconds() // 60))
        return User(row.name, row.role)


def _note_attempt(connection: Connection, row: Row[Any], right: bool, renewed: str | None) -> None:
    """Count a wrong password of a user who may sign in, or note the sign-in and the renewed hash."""
    new: dict[str, Any] = {"failures": row.failures + 1}
    if right:
        new = {"failures": 0, "locked_until": None, "last_sign_in": _now(), **({"password_hash": renewed} if renewed else {})}
    elif row.failures + 1 >= FAILURES_TO_LOCK:
        new = {"failures": 0, "locked_until": _now() + LOCK_TIME}
        locked = AuditRecord(row.name, "user locked out", row.name, None, None, "wrong passwords, one after another")
        append_entries(connection, [locked])
    connection.execute(update(UserRow).where(UserRow.user_id == row.user_id).values(**new))


def require_permission(engine: Engine, user: User, permission: Permission, action: str) -> None:
    """Raise IdentityError, noted in the audit table, if a user may not do something. action: what was asked for, in words."""
    if permission in user.permissions:
        return
    action = escape_invisible(action)[:LONGEST_ACTION]
    roles = roles_with(permission)
    text = f"asked for by {user.role}, allowed to {', '.join(roles)}"
    record_action(engine, [AuditRecord(user.name, "denied", action, None, None, text)])
    raise IdentityError(
        NOT_ALLOWED,
        name=user.name,
        role=user.role,
        action=action,
        roles=either(roles),
    )


def _check_free(connection: Connection, name: str) -> None:
    """Raise IdentityError if a new user's name is, or looks like, that of a user or of a system with a key."""
    for taken in connection.scalars(select(UserRow.name)):
        if person_key(taken) == person_key(name):
            raise IdentityError("there is a user '{name}' already", name=taken)
        if looks(taken) == looks(name):
            raise IdentityError("there is a user '{name}' already, whose name looks the same", name=taken)
    for taken in connection.scalars(select(KeyRow.name)):
        if looks(taken) == looks(name):
            raise IdentityError("a system is named '{name}': a user with that name could be taken for it", name=taken)


def _known_role(role: str) -> str:
    if role not in ROLES:
        near = closest_name(role, ROLES)
        raise IdentityError(f"'{role}' is no role: there are {', '.join(ROLES)}" + (f" (did you mean '{near}'?)" if near else ""))
    return role


def _is_locked(row: Row[Any]) -> bool:
    """Return whether a user is locked out; a time further ahead than a lock lasts comes from a clock that was set back."""
    return row.locked_until is not None and dt.timedelta() < row.locked_until - _now() <= LOCK_TIME


def _row(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(UserRow.__table__).where(UserRow.user_id == person_key(name))).first()
    if row is None:
        near = closest_name(name, connection.scalars(select(UserRow.name)).all())
        raise IdentityError(f"there is no user '{name}'" + (f" (did you mean '{near}'?)" if near else ""))
    return row


def _managed(connection: Connection, name: str, by: User) -> Row[Any]:
    """Return a user's row for a change by an admin."""
    append_entries(connection, [])
    _check_manager(connection, by)
    return _row(connection, name)


def _check_manager(connection: Connection, by: User | None) -> None:
    """Raise IdentityError if ``by`` is no longer a user who manages others, or is None where users exist."""
    if by is None:
        if connection.scalar(select(func.count()).select_from(UserRow)):
            raise IdentityError("there are users already: an admin adds others")
        return
    row = _row(connection, by.name)
    if row.disabled or Permission.USERS not in User(row.name, row.role).permissions:
        raise IdentityError("{name} does not manage users", name=by.name)


def _keep_an_admin(connection: Connection, leaving: str) -> None:
    left = connection.scalar(
        select(func.count()).where(UserRow.role == ADMIN, UserRow.disabled.is_(False), UserRow.user_id != leaving)
    )
    if not left:
        raise IdentityError("this is the last admin: make another one first")


def _change(
    connection: Connection, row: Row[Any], by: User, action: str, before: dict[str, Any] | None, new: dict[str, Any]
) -> None:
    connection.execute(update(UserRow).where(UserRow.user_id == row.user_id).values(**new))
    told = {name: new[name] for name in before} if before else None
    append_entries(connection, [AuditRecord(by.name, action, row.name, before, told, action)])


def _end_sessions(connection: Connection, user_id: str) -> None:
    mine = SessionRow.user_id == user_id, SessionRow.ended_at.is_(None)
    connection.execute(update(SessionRow).where(*mine).values(ended_at=_now()))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
