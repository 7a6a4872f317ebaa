"""Users, roles and keys: who may sign in, what each role may do, and that a decision needs both once there are users."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bcrypt
import polars as pl
import pytest
from conftest import command, environment
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from quiebra import store
from quiebra.errors import AlertError, IdentityError, InvalidNameError, QuiebraError, StoreError, WorkspaceError
from quiebra.identity import (
    ROLES,
    Permission,
    User,
    add_user,
    change_password,
    change_role,
    check_key,
    create_key,
    disable_user,
    enable_user,
    list_keys,
    list_users,
    require_permission,
    revoke_key,
    sign_in,
    users,
    users_exist,
)
from quiebra.identity.passwords import NOBODY, hash_password, verify_password
from quiebra.params import Params
from quiebra.registry import read_scoring_model
from quiebra.registry.register import read_registers, write_registers
from quiebra.services import champion, decisions
from quiebra.store.audit import AuditRecord, record_action
from quiebra.store.ownership import claim_database
from quiebra.store.run_files import read_publication
from quiebra.text.person_input import clean_comment
from quiebra.workspace import Workspace

GOOD, OTHER = "correct horse battery", "staple of another kind"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")(f"identity{time.time_ns()}")
    engine = store.connect(url)
    store.upgrade_schema(engine)
    return engine


@pytest.fixture
def admin(engine: Engine) -> User:
    return add_user(engine, "Ana", "admin", GOOD, None)


@pytest.fixture
def published(engine: Engine, finished: Path) -> Engine:
    store.publish_run(engine, read_publication(Workspace(finished)))
    return engine


def actions(engine: Engine) -> list[tuple[str, str, str]]:
    return [(entry["who"], entry["action"], entry["subject"]) for entry in store.audit_entries(engine)][::-1]


def at(monkeypatch: pytest.MonkeyPatch, moment: dt.datetime) -> None:
    monkeypatch.setattr(users, "_now", lambda: moment)


def test_the_first_user_is_an_admin_and_adds_the_others(engine: Engine) -> None:
    assert not users_exist(engine)
    with pytest.raises(IdentityError, match="the first user manages the others"):
        add_user(engine, "Luis", "analyst", GOOD, None)
    admin = add_user(engine, "Ana", "admin", GOOD, None)
    with pytest.raises(IdentityError, match="there are users already"):
        add_user(engine, "Eva", "admin", GOOD, None)
    luis = add_user(engine, "Luis", "analyst", OTHER, admin)
    with pytest.raises(IdentityError, match="Luis does not manage users"):
        add_user(engine, "Eva", "admin", GOOD, luis)
    assert [(user["name"], user["role"]) for user in list_users(engine)] == [("Ana", "admin"), ("Luis", "analyst")]
    assert actions(engine) == [("Ana", "user added", "Ana"), ("Ana", "user added", "Luis")]
    assert store.verify_chain(engine).faults == []


def test_two_who_add_the_first_user_at_once_make_one(engine: Engine) -> None:
    refused = []

    def first(name: str) -> None:
        try:
            add_user(engine, name, "admin", GOOD, None)
        except IdentityError as error:
            refused.append(error)

    threads = [threading.Thread(target=first, args=(name,)) for name in ("Ana", "Eva", "Luis")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list_users(engine)) == 1 and len(refused) == 2


@pytest.mark.parametrize("name", ["ana", "ANA", " A​na".replace("​", ""), "Ａna"])
def test_a_name_is_taken_in_every_spelling(engine: Engine, admin: User, name: str) -> None:
    with pytest.raises(IdentityError, match="there is a user 'Ana' already"):
        add_user(engine, name, "reader", GOOD, admin)
    assert sign_in(engine, name, GOOD) == admin


@pytest.mark.parametrize("name", ["", "A\u202ena", "x" * 61, "Ana\u180b", "Ana\U0001d159", "a" + "\u0301\u0323" * 100_000])
def test_a_name_with_signs_that_cannot_be_seen_or_without_end_is_refused(engine: Engine, admin: User, name: str) -> None:
    with pytest.raises(InvalidNameError):
        add_user(engine, name, "reader", GOOD, admin)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("\u0410na", "mixes alphabets, Cyrillic, Latin"),  # CYRILLIC CAPITAL LETTER A
        ("\u0410\u043f\u0430 Ruiz", "mixes alphabets"),
        ("A\u0274a", "looks the same"),  # LATIN LETTER SMALL CAPITAL N
        ("Iucas", "there is a user 'lucas' already, whose name looks the same"),
        ("1ucas", "looks the same"),
        ("\u0421\u0430\u0440\u0430", "there is a user 'Capa' already"),
        ("treasury", "a system is named 'treasury'"),
        ("key treasury", "could be taken for a system with a key"),
        ("\u212aEY  payments", "could be taken for a system with a key"),  # KELVIN SIGN
        ("Quiebra", "signs where no person did"),
        ("SYSTEM", "signs where no person did"),
    ],
)
def test_a_name_that_looks_like_another_is_refused(engine: Engine, admin: User, name: str, why: str) -> None:
    for other in ("lucas", "Capa"):
        add_user(engine, other, "reader", GOOD, admin)
    create_key(engine, "treasury", ["read"], 1, "Ana")
    with pytest.raises(IdentityError, match=why):
        add_user(engine, name, "reader", GOOD, admin)
    for other in ("Ána", "Ольга", "Lucía", "陳大文"):
        assert sign_in(engine, add_user(engine, other, "reader", OTHER, admin).name, OTHER).name == other
    with pytest.raises(IdentityError, match="there is a user 'lucas'"):
        create_key(engine, "Iucas", ["read"], 1, "Ana")


def test_a_name_or_password_without_end_is_refused_at_once(engine: Engine, admin: User) -> None:
    endless = "a" + "\u0301\u0323" * 100_000  # to normalise it takes a minute
    started = time.monotonic()
    for name, password in ((endless, GOOD), ("Ana", endless)):
        with pytest.raises(IdentityError, match="wrong name or password"):
            sign_in(engine, name, password)
    with pytest.raises(IdentityError, match="12 to 256"):
        hash_password(endless, "Ana")
    with pytest.raises(InvalidNameError, match="2000 signs at most"):
        clean_comment(endless, "note")
    assert time.monotonic() - started < 10


def test_a_password_may_hold_a_name_of_one_or_two_letters() -> None:
    assert hash_password("a sentence with all letters", "S")
    with pytest.raises(IdentityError, match="easy to guess"):
        hash_password("ＪＯＳÉ and nobody else", "José")


@pytest.mark.parametrize("password", ["short", "", "aaaaaaaaaaaaaaaa", "my name is ana, and that is it", "x" * 257])
def test_a_weak_password_is_refused(engine: Engine, password: str) -> None:
    with pytest.raises(IdentityError, match="password"):
        add_user(engine, "Ana", "admin", password, None)
    assert not users_exist(engine)


def test_a_name_whose_plain_form_is_longer_than_itself(engine: Engine, admin: User) -> None:
    name = "\ufdfa" * 30  # one sign, eighteen letters
    assert sign_in(engine, add_user(engine, name, "reader", GOOD, admin).name, GOOD).role == "reader"
    with pytest.raises(IdentityError, match="wrong name or password"):
        sign_in(engine, "An\x00b", GOOD)


def test_five_wrong_passwords_lock_out_and_say_no_more_than_an_unknown_name(
    engine: Engine, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = dt.datetime(2026, 1, 1, 12)
    at(monkeypatch, start)
    said = set()
    for name, password in [("nobody", GOOD), *[("Ana", "wrong password")] * 5, ("Ana", GOOD)]:
        with pytest.raises(IdentityError) as refused:
            sign_in(engine, name, password)
        said.add(str(refused.value))
    assert len(said) == 1, "the answer does not tell which names there are"
    assert actions(engine)[-1] == ("Ana", "user locked out", "Ana") and list_users(engine)[0]["locked_out"]
    at(monkeypatch, start + dt.timedelta(minutes=16))
    assert sign_in(engine, "Ana", GOOD) == admin
    for _ in range(4):
        with pytest.raises(IdentityError):
            sign_in(engine, "Ana", "wrong password")
    assert sign_in(engine, "Ana", GOOD) == admin, "four are not five, and a right one counts anew"
    for _ in range(4):
        with pytest.raises(IdentityError):
            sign_in(engine, "Ana", "wrong password")
    assert sign_in(engine, "Ana", GOOD) == admin


def test_a_clock_that_is_set_back_locks_nobody_out_for_long(engine: Engine, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, dt.datetime(2026, 6, 1, 12))
    for _ in range(5):
        with pytest.raises(IdentityError):
            sign_in(engine, "Ana", "wrong password")
    at(monkeypatch, dt.datetime(2026, 1, 1, 12))
    assert sign_in(engine, "Ana", GOOD) == admin


def test_a_disabled_user_cannot_sign_in_and_an_admin_is_always_left(engine: Engine, admin: User) -> None:
    luis = add_user(engine, "Luis", "analyst", OTHER, admin)
    disable_user(engine, "luis", admin)
    with pytest.raises(IdentityError, match="wrong name or password"):
        sign_in(engine, "Luis", OTHER)
    enable_user(engine, "Luis", admin)
    assert sign_in(engine, "Luis", OTHER) == luis
    for leave in (lambda: disable_user(engine, "Ana", admin), lambda: change_role(engine, "Ana", "reader", admin)):
        with pytest.raises(IdentityError, match="the last admin"):
            leave()
    change_role(engine, "Luis", "admin", admin)
    disable_user(engine, "Ana", admin)
    with pytest.raises(IdentityError, match="Ana does not manage users"):
        change_role(engine, "Luis", "reader", admin)
    with pytest.raises(IdentityError, match=r"no user 'Luiz' \(did you mean 'Luis'\?\)"):
        change_role(engine, "Luiz", "reader", User("Luis", "admin"))


def test_a_bcrypt_hash_of_an_older_system_counts_once_and_is_renewed(engine: Engine, admin: User) -> None:
    old = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(4)).decode()
    with engine.begin() as connection:
        connection.execute(text("UPDATE usuarios SET password_hash = :old"), {"old": old})
    with pytest.raises(IdentityError):
        sign_in(engine, "Ana", OTHER)
    assert sign_in(engine, "Ana", GOOD) == admin
    with engine.connect() as connection:
        (kept,) = connection.execute(text("SELECT password_hash FROM usuarios")).one()
    assert kept.startswith("$argon2id$") and sign_in(engine, "Ana", GOOD) == admin
    long = "é" * 20 + "abcdefgh" * 10
    assert verify_password(long, bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode())[0], "bcrypt read 72 bytes"


def test_a_password_set_during_a_sign_in_is_the_one_that_counts(
    engine: Engine, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bcrypt.hashpw(GOOD.encode(), bcrypt.gensalt(4)).decode()
    with engine.begin() as connection:
        connection.execute(text("UPDATE usuarios SET password_hash = :old"), {"old": old})

    def check(password: str, stored: str | None) -> tuple[bool, str | None]:
        found = verify_password(password, stored)
        if stored == old:
            change_password(engine, "Ana", OTHER, admin)
        return found

    monkeypatch.setattr(users, "verify_password", check)
    with pytest.raises(IdentityError, match="wrong name or password"):
        sign_in(engine, "Ana", GOOD)
    assert sign_in(engine, "Ana", OTHER) == admin, "the renewed hash of the old one has not taken its place"


def test_an_unknown_user_costs_as_much_as_a_wrong_password(engine: Engine, admin: User) -> None:
    from quiebra.identity import passwords

    def verified(name: str) -> list[str]:
        checked: list[str] = []
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(passwords._HASHES, "verify", lambda plain, stored: checked.append(stored[:30]))
            patched.setattr(passwords._HASHES, "verify_and_update", lambda plain, stored: (checked.append(stored[:30]), None))
            patched.setattr(passwords._HASHES, "hash", lambda plain: checked.append("made"))
            with pytest.raises(IdentityError, match="wrong name or password"):
                sign_in(engine, name, GOOD)
        return checked

    assert len(verified("nobody")) == 1 and verified("nobody") == verified("Ana")


def test_a_role_that_this_version_does_not_know_allows_nothing(engine: Engine, admin: User) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE usuarios SET role = 'owner'"))
    found = sign_in(engine, "Ana", GOOD)
    assert found.permissions == frozenset()
    with pytest.raises(IdentityError, match="Ana is owner and may not look"):
        require_permission(engine, found, Permission.READ, "look")
    with pytest.raises(IdentityError, match="Ana does not manage users"):
        change_role(engine, "Ana", "admin", found)


@pytest.mark.parametrize("stored", ["$md5$abc", "", "$2b$99$" + "a" * 53, "$2x$04$" + "a" * 53, "$argon2id$rubbish"])
def test_a_hash_of_no_known_kind_is_said(engine: Engine, admin: User, stored: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE usuarios SET password_hash = :stored"), {"stored": stored})
    with pytest.raises(IdentityError, match="unknown kind: have an admin set a new password"):
        sign_in(engine, "Ana", GOOD)


def test_ones_own_password_is_ones_own_to_change(engine: Engine, admin: User) -> None:
    luis = add_user(engine, "Luis", "analyst", OTHER, admin)
    change_password(engine, "luis", "a new one, quite long", luis)
    with pytest.raises(IdentityError, match="Luis does not manage users"):
        change_password(engine, "Ana", "a new one, quite long", luis)
    assert sign_in(engine, "Luis", "a new one, quite long") == luis
    assert "argon2" not in str(store.audit_entries(engine)), "no hash in the audit table"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=18), st.text(max_size=18))
def test_only_the_right_password_is_right(right: str, wrong: str) -> None:
    stored = bcrypt.hashpw(unicodedata.normalize("NFC", right).encode(), bcrypt.gensalt(4)).decode()
    same = unicodedata.normalize("NFC", right) == unicodedata.normalize("NFC", wrong)
    assert verify_password(wrong, stored)[0] is (same and "\0" not in wrong)
    assert verify_password(wrong, None) == (False, None)


@pytest.mark.parametrize("password", ["\udcff" * 3 + "bytes that are none", "a\0b" * 6, "x" * 100_000])
def test_bytes_that_are_no_letters_are_refused_and_never_right(password: str) -> None:
    with pytest.raises(IdentityError, match="password"):
        hash_password(password, "Ana")
    assert verify_password(password, hash_password(GOOD, "Ana")) == (False, None)


def test_a_denied_action_is_told_and_in_the_audit_table(engine: Engine, admin: User) -> None:
    with pytest.raises(IdentityError, match="Ana is admin and may not approve a grade: it needs approver"):
        require_permission(engine, admin, Permission.APPROVE, "approve a grade")
    assert actions(engine)[-1] == ("Ana", "denied", "approve a grade")
    assert store.audit_entries(engine, 1)[0]["reason"] == "asked for by admin, allowed to approver"


def test_a_denied_action_is_kept_whatever_its_text_holds(engine: Engine, admin: User) -> None:
    with pytest.raises(IdentityError, match="may not add"):
        require_permission(engine, admin, Permission.APPROVE, "add \udcff\x1b[2J" + "x" * 100_000)
    (denied,) = store.audit_entries(engine, 1)
    assert (
        denied["action"] == "denied"
        and denied["subject"].startswith("add \\udcff\\u001b[2Jxxx")
        and len(denied["subject"]) == 200
    )
    with pytest.raises(StoreError, match="bytes that are no letters"):
        record_action(engine, [AuditRecord("Ana", "noted", "\udcff", None, None, "")])


def test_no_role_both_manages_users_and_decides() -> None:
    for role, allowed in ROLES.items():
        assert Permission.READ in allowed
        assert not (Permission.USERS in allowed and {Permission.DECIDE, Permission.APPROVE, Permission.PROMOTE} & allowed), role
        assert not ({Permission.APPROVE, Permission.PROMOTE} <= allowed), role


def test_a_key_is_shown_once_and_ends(engine: Engine, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from quiebra.identity import keys

    key = create_key(engine, "treasury", ["read", "predict"], 30, "Ana")
    found = check_key(engine, key)
    assert (found.name, found.permissions) == ("treasury", {Permission.READ, Permission.PREDICT})
    (row,) = list_keys(engine)
    assert row["last_used_at"] is not None and row["scopes"] == ["predict", "read"]
    with engine.connect() as connection:
        everything = str(connection.execute(text("SELECT * FROM claves_api")).all()) + str(store.audit_entries(engine))
    assert key.split("_", 2)[2] not in everything
    for wrong in (
        "",
        "qbk",
        key[:-1],
        key + "x",
        key.replace("qbk", "abc"),
        f"qbk_{row['key_id']}_",
        "qbk_%_x",
        "é" * 50,
        f"qbk_{row['key_id']}_\x00",
        "\udcff",
        key + "\n",
    ):
        with pytest.raises(IdentityError, match="unknown, revoked or expired"):
            check_key(engine, wrong)
    assert revoke_key(engine, row["key_id"][:6], "Ana") == row["key_id"]
    with pytest.raises(IdentityError, match="unknown, revoked or expired"):
        check_key(engine, key)
    with pytest.raises(IdentityError, match="revoked on"):
        revoke_key(engine, row["key_id"], "Ana")
    later = create_key(engine, "ledger", ["read"], 1, "Ana")
    monkeypatch.setattr(keys, "_now", lambda: dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=1, minutes=1))
    with pytest.raises(IdentityError, match="unknown, revoked or expired"):
        check_key(engine, later)
    assert [action for _, action, _ in actions(engine)][-3:] == ["key created", "key revoked", "key created"]


def test_a_key_that_got_out_is_revoked_by_itself_and_shown_nowhere(engine: Engine, admin: User) -> None:
    key = create_key(engine, "treasury", ["read"], 30, "Ana")
    secret = key.split("_", 2)[2]
    for wrong in (key.replace("qbk", "abc"), "treasury", "%%%%", "____", "\udcff\udcff", key[:4] + "0" * 12 + key[16:]):
        with pytest.raises(IdentityError, match="keys list") as refused:
            revoke_key(engine, wrong, "Ana")
        assert secret not in str(refused.value)
    assert revoke_key(engine, f" {key} ", "Ana") == key.split("_")[1]
    assert secret not in str(store.audit_entries(engine))


@pytest.mark.parametrize("stored", ['["read", "users"]', '["read", "a later one"]', '"read"', "null", "5", '{"read": 1}'])
def test_a_key_has_only_scopes_that_keys_have(engine: Engine, admin: User, stored: str) -> None:
    key = create_key(engine, "treasury", ["predict"], 30, "Ana")
    with engine.begin() as connection:
        connection.execute(text("UPDATE claves_api SET scopes = :stored"), {"stored": stored})
    assert check_key(engine, key).permissions == ({Permission.READ} if stored.startswith("[") else set())
    assert all(isinstance(row["scopes"], list) for row in list_keys(engine))


def test_the_last_use_of_a_key_is_noted_after_the_clock_was_set_back(
    engine: Engine, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quiebra.identity import keys

    key, now = create_key(engine, "treasury", ["read"], 30, "Ana"), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    for moment in (now + dt.timedelta(days=20), now):
        monkeypatch.setattr(keys, "_now", lambda moment=moment: moment)
        check_key(engine, key)
        assert list_keys(engine)[0]["last_used_at"] == moment


@pytest.mark.parametrize(("scopes", "days"), [(["approve"], 1), (["users"], 1), ([], 1), (["read"], 0), (["read"], 731)])
def test_a_key_has_no_rights_of_a_person(engine: Engine, admin: User, scopes: list[str], days: int) -> None:
    with pytest.raises(IdentityError, match="a key"):
        create_key(engine, "treasury", scopes, days, "Ana")


@pytest.mark.slow
def test_decisions_on_the_command_line_need_a_second_person_who_signed_in(workspace: Path) -> None:
    said = []
    company = pl.read_parquet(workspace / "data/scores/scores.parquet").sort("pd_12m")["company_id"][-1]

    def run(*words: str, person: str, password: str | None = GOOD, new: str | None = None) -> tuple[int, str]:
        given = {"QUIEBRA_USER": person, "QUIEBRA_PASSWORD": password, "QUIEBRA_NEW_PASSWORD": new}
        done = command(workspace, "quiebra", *words, **{name: text for name, text in given.items() if text})
        said.append(done.stdout + done.stderr)
        return done.returncode, said[-1]

    reason = ("--reason", "parent guarantees its debt")
    assert run("override", "propose", company, "B", *reason, person="ana", password=None)[0] == 0, "before there are users"
    assert run("users", "add", "ana", "--role", "admin", person="ana", new=GOOD) == (0, "ana is admin\n")
    for name, role in (("luis", "analyst"), ("eva", "approver")):
        assert run("users", "add", name, "--role", role, person="ana", new=OTHER + role)[0] == 0
    code, text_ = run("override", "approve", "1", person="eva", password=None)
    assert code == 1 and "type it at a terminal, or set QUIEBRA_PASSWORD" in text_
    code, text_ = run("override", "approve", "1", person="eva", password="wrong " + GOOD)
    assert code == 1 and "wrong name or password" in text_
    code, text_ = run("override", "approve", "1", person="luis", password=OTHER + "analyst")
    assert code == 1 and "luis is analyst and may not approve a grade: it needs approver" in text_
    code, text_ = run("users", "role", "luis", "admin", person="luis", password=OTHER + "analyst")
    assert code == 1 and "may not change the role of luis" in text_
    code, text_ = run("override", "approve", "1", person="eva", password=OTHER + "approver")
    assert code == 1 and "ana proposed this and is admin now, who may not propose it" in text_
    assert run("override", "propose", company, "B", *reason, person="luis", password=OTHER + "analyst")[0] == 0
    assert run("override", "approve", "2", person="eva", password=OTHER + "approver") == (0, "override 2 is in force\n")
    assert run("override", "propose", company, "BB", *reason, person="eva", password=OTHER + "approver")[0] == 0
    code, text_ = run("override", "approve", "3", person="eva", password=OTHER + "approver")
    assert code == 1 and "another person must approve it" in text_
    code, text_ = run("promote", "abcd", person="luis", password=OTHER + "analyst")
    assert code == 1 and "it needs model_owner" in text_
    assert run("users", "add", "olga", "--role", "model_owner", person="ana", new=OTHER + "owner")[0] == 0
    code, text_ = run("promote", "abcd", person="olga", password=OTHER + "owner")
    assert code == 1 and "no model has an id starting 'abcd'" in text_
    model = read_scoring_model(Workspace(workspace)).model_id
    assert "is proposed; an approver confirms it" in run("promote", model, person="olga", password=OTHER + "owner")[1]
    assert "promotion of " + model + " by olga waits for an approver" in run("models", person="olga", password=None)[1]
    assert run("promote", model, person="eva", password=OTHER + "approver")[0] == 0
    code, key = run("keys", "create", "treasury", "--scope", "read", person="ana")
    assert code == 0 and key.startswith("qbk_")
    assert run("users", "list", person="x", password=None)[0] == 0 and "approver" in said[-1]
    kept = b"".join(path.read_bytes() for path in workspace.rglob("*") if path.is_file() and ".git" not in path.parts)
    for secret in (GOOD, OTHER, key.strip().split("_", 2)[2]):
        assert secret.encode() not in kept
    assert not any(GOOD in line or OTHER in line for line in said)
    denied = [
        entry
        for entry in store.audit_entries(store.connect(f"sqlite:///{workspace}/data/quiebra.db"))
        if entry["action"] == "denied"
    ]
    assert {(entry["who"], entry["subject"]) for entry in denied} == {
        ("luis", "approve a grade"),
        ("luis", "change the role of luis"),
        ("luis", "promote a model"),
    }


def test_what_needs_no_sign_in_is_not_on_record_as_a_users_doing(
    engine: Engine, admin: User, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, signed in (("ANA", "ANA (not signed in)"), ("scheduler", "scheduler")):
        monkeypatch.setenv("QUIEBRA_USER", name)
        with engine.begin() as connection:
            connection.execute(text("UPDATE ejecuciones SET is_current = :no"), {"no": False})
        store.publish_run(engine, read_publication(Workspace(finished)))
        assert actions(engine)[-1][:2] == (signed, "run published")


def test_a_shared_database_is_taken_over_by_who_signed_in(postgres: Callable[[str], str], workspace: Path) -> None:
    url = postgres(f"identity{time.time_ns()}")
    engine = store.connect(url)
    store.upgrade_schema(engine)
    assert claim_database(engine, Workspace(workspace.parent)) is None
    olga = add_user(engine, "Olga", "admin", GOOD, None)
    add_user(engine, "Luis", "analyst", GOOD, olga)
    for person, password, why in (
        ("Olga", {}, "set QUIEBRA_PASSWORD"),
        ("Luis", {"QUIEBRA_PASSWORD": GOOD}, "may not take the database over"),
    ):
        given = {"QUIEBRA_DATABASE_URL": url, "QUIEBRA_USER": person, **password}
        done = command(workspace, "quiebra", "publish", "--take-over", **given)
        assert done.returncode == 1 and why in done.stderr, done.stderr
    given = {"QUIEBRA_DATABASE_URL": url, "QUIEBRA_PASSWORD": GOOD}
    assert command(workspace, "quiebra", "publish", "--take-over", "--who", "olga", **given).returncode == 0
    assert ("Olga", "workspace declared") in [entry[:2] for entry in actions(engine)]


def test_a_promotion_does_not_go_past_the_users_by_another_database(workspace: Path, tmp_path: Path) -> None:
    own = {"QUIEBRA_DATABASE_URL": f"sqlite:///{tmp_path / 'shared.db'}"}
    assert command(workspace, "quiebra", "publish", **own).returncode == 0
    model = read_scoring_model(Workspace(workspace)).model_id
    for words in (("promote", model), ("rollback",)):
        done = command(workspace, "quiebra", *words)  # in a new terminal, without the variable
        assert done.returncode == 1 and f"this workspace publishes to sqlite:///{tmp_path / 'shared.db'}" in done.stderr, (
            done.stderr
        )
    assert command(workspace, "quiebra", "promote", model, **own).returncode == 0
    assert command(workspace, "quiebra", "publish").returncode == 0
    assert command(workspace, "quiebra", "promote", model).returncode == 0


def test_no_program_that_a_command_starts_gets_its_password(workspace: Path) -> None:
    shown = "import os; print('given', sorted(name for name in os.environ if 'PASSWORD' in name))"
    script = f"from quiebra.cli import app; type(app.app).__call__ = lambda *_, **__: __import__('subprocess').run(['{sys.executable}', '-c', {shown!r}]); "
    script += (
        "app.run_app(); from quiebra.environment import given_password; print(given_password('QUIEBRA_PASSWORD') == 'x' * 12)"
    )
    done = command(workspace.parent, sys.executable, "-c", script, QUIEBRA_PASSWORD="x" * 12, QUIEBRA_NEW_PASSWORD="y" * 12)
    assert done.stdout == "given []\nTrue\n", done.stderr


def test_a_typed_password_is_unseen_and_asked_for_beside_what_the_command_prints(tmp_path: Path) -> None:
    import pty

    store.upgrade_schema(store.connect(f"sqlite:///{tmp_path / 'test.db'}"))
    (tmp_path / "params.yaml").write_text("")
    (tmp_path / "dvc.yaml").write_text("")
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "quiebra.cli", "users", "add", "ana\x1b[2J", "--role", "admin"],
        cwd=tmp_path,
        env=environment(QUIEBRA_DATABASE_URL=f"sqlite:///{tmp_path / 'test.db'}"),
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    err = b""
    try:
        for prompt in (b"ana\\u001b[2J: ", b"confirmation: "):
            while not err.endswith(prompt):
                sign = process.stderr.read(1)
                assert sign, err
                err += sign
            time.sleep(0.5)  # what is typed before the prompt is thrown away
            os.write(parent, f"{GOOD}\n".encode())
        out, more = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out == b"" and GOOD.encode() not in err + more and b"\x1b" not in err + more and b"cannot be seen" in more, (err, more)


def test_a_promotion_takes_two_and_a_rollback_is_confirmed_afterwards(engine: Engine, workspace: Path) -> None:
    from test_registry import BY_HAND, decided

    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    assert decided(w, "second", BY_HAND) == (first, "champion")
    second = read_registers(w)["demo"].last
    assert second is not None
    with pytest.raises(IdentityError, match="nobody has proposed"):
        champion.confirm_promotion(w, engine, second, "eva")
    assert champion.propose_promotion(w, engine, second[:6], "ana") == second
    assert read_scoring_model(w).model_id == first, "a proposal changes nothing"
    with pytest.raises(IdentityError, match="was proposed by ana already"):
        champion.propose_promotion(w, engine, second, "luis")
    with pytest.raises(IdentityError, match="another person must confirm it"):
        champion.confirm_promotion(w, engine, second, " ANA ")
    waits = {"kind": "promotion", "model_id": second, "proposed_by": "ana", "despite": False}
    assert champion.waiting_successions(engine) == [waits]
    with pytest.raises(IdentityError, match="without --despite: it is to be proposed anew"):
        champion.confirm_promotion(w, engine, second, "eva", despite=True)
    assert champion.confirm_promotion(w, engine, second, "eva").after == second
    assert read_scoring_model(w).model_id == second and champion.waiting_successions(engine) == []
    assert champion.roll_back_unconfirmed(w, engine, None, "ana").after == first
    assert read_scoring_model(w).model_id == first, "a rollback does not wait"
    waits = {"kind": "rollback", "model_id": first, "proposed_by": "ana", "despite": False}
    assert champion.waiting_successions(engine) == [waits]
    with pytest.raises(IdentityError, match="another person must confirm it"):
        champion.confirm_rollback(engine, "ana")
    assert champion.confirm_rollback(engine, "eva") == first
    with pytest.raises(IdentityError, match="no rollback waits"):
        champion.confirm_rollback(engine, "eva")
    assert [(who, action) for who, action, _ in actions(engine)] == [
        ("ana", "model proposed"),
        ("eva", "promotion confirmed"),
        ("ana", "rollback waits for confirmation"),
        ("eva", "rollback confirmed"),
    ]


def test_a_grade_proposed_by_nobody_who_signed_in_is_not_approved(published: Engine, params: Params) -> None:
    engine = published
    with engine.connect() as connection:
        company = connection.scalar(text("SELECT company_id FROM v_ultimas_predicciones WHERE rating = 'B' ORDER BY company_id"))

    def propose(author: str) -> int:
        return decisions.propose_override(engine, company, "BB", author, "parent guarantees its debt", params.score.grades)

    def refused(number: int, why: str) -> None:
        with pytest.raises(IdentityError, match=why + ".*proposed anew"):
            decisions.approve_override(engine, number, "Eva")
        with engine.connect() as connection:
            asked = text("SELECT approver FROM ajustes_calificacion WHERE override_id = :n")
            assert connection.scalar(asked, {"n": number}) is None

    ghost, trusted = propose("ghost"), propose("Luis")
    decisions.approve_override(engine, trusted, "Eva")  # before there are users names are on trust
    early = propose("Luis")
    admin = add_user(engine, "Ana", "admin", GOOD, None)
    for name, role in (("Luis", "analyst"), ("Eva", "approver")):
        add_user(engine, name, role, GOOD, admin)
    refused(ghost, "ghost proposed this and is no user")
    refused(early, "Luis proposed this and had not signed in")
    number = propose("LUIS")  # the early one counts for nothing, and is not in the way
    disable_user(engine, "Luis", admin)
    refused(number, "is disabled")
    enable_user(engine, "Luis", admin)
    change_role(engine, "Luis", "reader", admin)
    refused(number, "is reader now, who may not propose it")
    change_role(engine, "Luis", "approver", admin)
    with pytest.raises(AlertError, match="another person must approve it"):
        decisions.approve_override(engine, number, "luis")
    decisions.approve_override(engine, number, "Eva")
    with engine.begin() as connection:  # as one would who writes to the database, but for the audit table
        connection.execute(
            text("UPDATE ajustes_calificacion SET override_id = 99, approver = NULL WHERE override_id = :n"), {"n": number}
        )
    refused(99, "had not signed in")


def test_a_promotion_proposed_by_who_may_not_any_more_is_not_confirmed(engine: Engine, admin: User, workspace: Path) -> None:
    from test_registry import BY_HAND, decided

    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    decided(w, "second", BY_HAND)
    second = read_registers(w)["demo"].last
    assert second is not None
    for name, role in (("Olga", "model_owner"), ("Pia", "model_owner"), ("Eva", "approver")):
        add_user(engine, name, role, GOOD, admin)
    champion.propose_promotion(w, engine, second, "Olga")
    disable_user(engine, "Olga", admin)
    assert champion.waiting_successions(engine) == []
    with pytest.raises(IdentityError, match="Olga proposed this and is disabled: it is to be proposed anew"):
        champion.confirm_promotion(w, engine, second, "Eva")
    assert read_scoring_model(w).model_id == first
    champion.propose_promotion(w, engine, second, "Pia")
    assert champion.confirm_promotion(w, engine, second, "Eva").after == second
    champion.propose_promotion(w, engine, second, "Pia")
    champion.roll_back_unconfirmed(w, engine, None, "Pia")
    with pytest.raises(IdentityError, match="nobody has proposed"):
        champion.confirm_promotion(w, engine, second, "Eva")
    disable_user(engine, "Pia", admin)
    assert champion.confirm_rollback(engine, "Eva") == first, "what is in force is confirmed, whoever did it"


def test_both_must_say_that_a_model_is_promoted_although_it_ranks_worse(
    engine: Engine, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_registry import BY_HAND, decided

    from quiebra.registry import champion as files

    w = Workspace(workspace)
    decided(w, "second", BY_HAND)
    second = read_registers(w)["demo"].last
    assert second is not None
    champion.propose_promotion(w, engine, second, "ana")
    register = read_registers(w)["demo"]
    found = {"champion": register.champion, "worse": True}
    write_registers(
        w, {"demo": replace(register, models={**register.models, second: replace(register.models[second], comparison=found)})}
    )
    monkeypatch.setattr(files, "ranks_worse", lambda comparison: bool(comparison and comparison.get("worse")))
    monkeypatch.setattr(files, "comparison_in_words", lambda comparison: "by far")
    for despite in (False, True):
        with pytest.raises(QuiebraError, match=r"by far|without --despite: it is to be proposed anew"):
            champion.confirm_promotion(w, engine, second, "eva", despite=despite)
    champion.propose_promotion(w, engine, second, "ana", despite=True)
    assert champion.waiting_successions(engine)[-1]["despite"]
    with pytest.raises(WorkspaceError, match="by far; to promote it all the same, add --despite"):
        champion.confirm_promotion(w, engine, second, "eva")
    assert champion.confirm_promotion(w, engine, second, "eva", despite=True).after == second
    assert champion.waiting_successions(engine) == []


def test_a_promotion_that_the_database_did_not_keep_is_undone(engine: Engine, workspace: Path) -> None:
    from test_registry import BY_HAND, decided

    w = Workspace(workspace)
    first = read_scoring_model(w).model_id
    decided(w, "second", BY_HAND)
    second = read_registers(w)["demo"].last
    assert second is not None
    champion.propose_promotion(w, engine, second, "ana")

    def full(connection: Any) -> None:
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    event.listen(engine, "commit", full)
    with pytest.raises(StoreError, match="disk is full"):
        champion.confirm_promotion(w, engine, second, "eva")
    event.remove(engine, "commit", full)
    assert read_scoring_model(w).model_id == first and len(champion.waiting_successions(engine)) == 1
    assert champion.confirm_promotion(w, engine, second, "eva").after == second


def test_no_rollback_is_without_a_note(engine: Engine, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_registry import BY_HAND, decided

    w = Workspace(workspace)
    with pytest.raises(WorkspaceError, match="no model was champion before"):
        champion.roll_back_unconfirmed(w, engine, None, "ana")
    assert champion.waiting_successions(engine) == [] and actions(engine) == []
    first = read_scoring_model(w).model_id
    decided(w, "second", BY_HAND)
    second = read_registers(w)["demo"].last
    assert second is not None
    champion.promote_model(w, second, "ana")
    for error, waits in ((WorkspaceError("the disk is full"), 0), (KeyboardInterrupt(), 1)):

        def fail(*_: Any, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(champion, "roll_back", fail)  # killed here, or the disk is full
            with pytest.raises(type(error)):
                champion.roll_back_unconfirmed(w, engine, None, "ana")
        assert read_scoring_model(w).model_id == second and len(champion.waiting_successions(engine)) == waits
    assert champion.roll_back_unconfirmed(w, engine, None, "ana").after == first
    assert champion.confirm_rollback(engine, "eva") == first and champion.waiting_successions(engine) == []


def test_a_proposal_that_has_become_wrong_or_old_is_not_confirmed(
    engine: Engine, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_registry import BY_HAND, decided

    w = Workspace(workspace)
    decided(w, "second", BY_HAND)
    second = read_registers(w)["demo"].last
    assert second is not None
    champion.propose_promotion(w, engine, second, "ana")
    decided(w, "second", BY_HAND, failed=["too low"])
    with pytest.raises(WorkspaceError, match="is not promoted: too low"):
        champion.confirm_promotion(w, engine, second, "eva")
    decided(w, "second", BY_HAND)
    later = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=31)
    monkeypatch.setattr(champion, "_now", lambda: later)
    with pytest.raises(IdentityError, match="nobody has proposed"):
        champion.confirm_promotion(w, engine, second, "eva")


def test_a_password_hash_is_argon2id_of_64_mib() -> None:
    assert NOBODY.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert hash_password(GOOD, "Ana").startswith("$argon2id$v=19$m=65536,t=3,p=4$")
