"""Sessions of signed-in users: they hold until they end, expire or are copied, and follow what becomes of the user."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from quiebra import store
from quiebra.errors import IdentityError
from quiebra.identity import (
    User,
    add_user,
    change_password,
    change_role,
    check_session,
    disable_user,
    enable_user,
    end_session,
    open_session,
    renew_session,
)

GOOD = "correct horse battery"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    return engine


@pytest.fixture
def ana(engine: Engine) -> User:
    return add_user(engine, "ana", "admin", GOOD, None)


@pytest.fixture
def luis(engine: Engine, ana: User) -> User:
    return add_user(engine, "luis", "analyst", GOOD, ana)


def refused(engine: Engine, token: str) -> bool:
    try:
        check_session(engine, token, "browser")
    except IdentityError:
        return True
    return False


def test_a_session_says_who_is_there_until_it_ends(engine: Engine, luis: User) -> None:
    token = open_session(engine, luis, "browser")
    session = check_session(engine, token, "browser")
    assert session.user == luis
    end_session(engine, session.session_id)
    assert refused(engine, token)


def test_only_the_exact_token_of_its_kind_is_taken(engine: Engine, luis: User) -> None:
    token = open_session(engine, luis, "api")
    other = open_session(engine, luis, "browser")
    crossed = f"{token.partition('.')[0]}.{other.partition('.')[2]}"
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for wrong in (token, crossed, changed, token.partition(".")[2], "", other + " ", other.upper(), "%" + other[1:]):
        assert refused(engine, wrong), wrong
    assert not refused(engine, other)


def test_the_database_holds_no_token(engine: Engine, luis: User, tmp_path: Path) -> None:
    secret = open_session(engine, luis, "browser").partition(".")[2].encode()
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())


def test_a_session_has_the_role_that_the_user_has_now(engine: Engine, ana: User, luis: User) -> None:
    token = open_session(engine, luis, "browser")
    change_role(engine, "luis", "reader", ana)
    assert check_session(engine, token, "browser").user.role == "reader"


@pytest.mark.parametrize("what", ["disabled", "password"])
def test_a_session_ends_with_the_password_and_where_the_user_is_disabled(
    engine: Engine, ana: User, luis: User, what: str
) -> None:
    token = open_session(engine, luis, "browser")
    if what == "disabled":
        disable_user(engine, "luis", ana)
        assert refused(engine, token)
        enable_user(engine, "luis", ana)
    else:
        change_password(engine, "luis", "staple of another kind", luis)
    assert refused(engine, token)


@pytest.mark.parametrize(
    ("column", "shift"),
    [("expires_at", -dt.timedelta(hours=13)), ("last_used_at", -dt.timedelta(hours=3)), ("created_at", dt.timedelta(hours=1))],
    ids=["expired", "idle", "clock-set-back"],
)
def test_a_session_that_is_too_old_or_from_the_future_is_refused(
    engine: Engine, luis: User, column: str, shift: dt.timedelta
) -> None:
    token = open_session(engine, luis, "browser")
    with engine.begin() as connection:
        (kept,) = connection.execute(text(f"SELECT {column} FROM sesiones")).one()
        moved = dt.datetime.fromisoformat(kept) + shift
        connection.execute(text(f"UPDATE sesiones SET {column} = :at"), {"at": moved.isoformat(" ")})
    assert refused(engine, token)


def test_a_renewed_token_replaces_the_former_and_a_copy_of_that_ends_the_session(engine: Engine, luis: User) -> None:
    first = open_session(engine, luis, "api")
    session, second = renew_session(engine, first, "api")
    assert session.user == luis
    assert renew_session(engine, second, "api")[0].session_id == session.session_id
    third = renew_session(engine, renew_session(engine, open_session(engine, luis, "api"), "api")[1], "api")[1]
    with pytest.raises(IdentityError):
        renew_session(engine, second, "api")  # it was replaced: somebody has copied it
    with pytest.raises(IdentityError):
        check_session(engine, renew_session(engine, third, "api")[1].replace(third[:12], session.session_id), "api")
