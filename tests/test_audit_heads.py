"""The end of the audit chain outside the database: a tail that was cut off, or a chain written anew, is found without being asked."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest
from conftest import command
from sqlalchemy import Engine, text
from test_audit import entry, unprotected

from quiebra import store
from quiebra.delivery.message_texts import report_messages
from quiebra.errors import InvalidNameError, StoreError
from quiebra.params import load_params
from quiebra.store.audit import AuditRecord, append_entries, chain_head, prune_audit, record_action, record_restore, verify_chain
from quiebra.store.audit_heads import heads_path, noted_heads
from quiebra.workspace import Workspace


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    if request.param == "sqlite":
        monkeypatch.delenv("QUIEBRA_AUDIT_HEADS", raising=False)
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")(f"heads{time.time_ns()}")
    engine = store.connect(url)
    store.upgrade_schema(engine)
    return engine


def cut(engine: Engine, keep: int) -> None:
    """Cut the end of the chain off, as somebody with all rights on the database would, and set its seal to what is left."""
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM auditoria WHERE entry_id > {keep}"))
        last = connection.execute(text(f"SELECT hash FROM auditoria WHERE entry_id = {keep}")).scalar() or "0" * 64
        connection.execute(
            text("UPDATE auditoria_sellos SET entry_id = :n, hash = :h WHERE name = 'head'"), {"n": keep, "h": last}
        )


def test_a_tail_that_was_cut_off_is_found(engine: Engine) -> None:
    record_action(engine, [entry(str(n)) for n in range(5)])
    assert verify_chain(engine).faults == []
    cut(engine, 3)
    (fault,) = verify_chain(engine).faults
    assert re.match(r"entries 4 to 5 are missing: entry 5 was noted on 20\d\d-\d\d-\d\d, so the end was cut off", fault)
    record_action(engine, [entry("over the cut") for _ in range(4)])  # whoever goes on writing does not hide it
    assert "entry 5 is not the one that was noted on" in verify_chain(engine).faults[0]
    with pytest.raises(StoreError, match="nothing was deleted"):
        prune_audit(engine, dt.datetime.now(dt.UTC).replace(tzinfo=None), "ana")


def test_a_chain_that_was_reset_is_found(engine: Engine) -> None:
    record_action(engine, [entry()])
    cut(engine, 0)
    assert "entry 1 is missing" in verify_chain(engine).faults[0]
    record_action(engine, [entry("other"), entry("more")])
    assert "entry 1 is not the one that was noted on" in verify_chain(engine).faults[0]


def test_what_is_not_committed_is_not_noted_and_what_is_noted_is_there(engine: Engine) -> None:
    record_action(engine, [entry()])
    with pytest.raises(ZeroDivisionError):
        record_action(engine, [entry("lost")], lambda: 1 / 0)
    with engine.connect() as connection:
        append_entries(connection, [entry("given up")])
        connection.rollback()
    with engine.begin() as connection:
        append_entries(connection, [])
    ends, wrong = noted_heads(engine)
    assert [one.entry_id for one in ends] == [0, 1]
    assert wrong == []
    assert verify_chain(engine).faults == []


def test_writers_at_once_on_one_database_note_ends_that_all_hold(engine: Engine) -> None:
    faults: list[str] = []

    def write() -> None:
        mine = store.connect(engine.url)
        for _ in range(5):
            record_action(mine, [entry()])
            faults.extend(verify_chain(mine).faults)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert {one.entry_id for one in noted_heads(engine)[0]} - {0} == set(range(1, 21)), (
        "0, the empty chain, where its note was first"
    )


def test_two_workspaces_on_one_database_each_note_what_they_wrote(
    postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    url = postgres(f"shared{time.time_ns()}")
    engines = []
    for name in ("one", "two"):
        monkeypatch.setenv("QUIEBRA_AUDIT_HEADS", str(tmp_path / name))
        engines.append(store.connect(url))
        store.upgrade_schema(engines[-1])
        record_action(engines[-1], [entry(name)])
        assert verify_chain(engines[-1]).faults == []
    cut(engines[0], 1)
    assert "entry 2 is missing" in verify_chain(engines[1]).faults[0]  # of what the second noted
    monkeypatch.setenv("QUIEBRA_AUDIT_HEADS", str(tmp_path / "one"))
    assert verify_chain(engines[0]).faults == []  # the first never saw it


def test_a_workspace_notes_the_ends_of_a_server_in_its_data(postgres, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    url = postgres(f"own{time.time_ns()}")
    monkeypatch.delenv("QUIEBRA_AUDIT_HEADS")
    monkeypatch.chdir(workspace)
    engine = store.connect(url)
    store.upgrade_schema(engine)
    record_action(engine, [entry()])
    assert heads_path(engine).parent == workspace / "data"
    assert stat.S_IMODE(heads_path(engine).stat().st_mode) == 0o600


def test_pruned_entries_stay_noted_and_raise_no_alarm(engine: Engine) -> None:
    for n in range(4):
        record_action(engine, [entry(str(n))])
    prune_audit(engine, dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=5), "ana")
    assert verify_chain(engine).faults == []
    assert verify_chain(engine).entries == 2


def test_a_changed_line_of_the_file_is_said(engine: Engine) -> None:
    record_action(engine, [entry()])
    path = heads_path(engine)
    path.write_text(path.read_text() + "1:abc\nrubbish \x1b[2J\n")
    assert [fault.split(" of ")[0] for fault in verify_chain(engine).faults] == ["line 3", "line 4"]


def test_where_the_end_cannot_be_noted_the_work_is_done_and_it_is_said(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    record_action(engine, [entry()])
    path = heads_path(engine)
    path.unlink()
    path.mkdir()
    record_action(engine, [entry("kept")])
    assert verify_chain(engine).entries == 2
    assert "is not noted: cannot write" in caplog.text
    path.rmdir()


def test_a_copy_that_was_put_back_is_put_on_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUIEBRA_AUDIT_HEADS", raising=False)
    engine = store.connect(f"sqlite:///{tmp_path / 'live.db'}")
    store.upgrade_schema(engine)
    record_action(engine, [entry("one"), entry("two")])
    with pytest.raises(StoreError, match="agrees with what was noted"):
        record_restore(engine, "ana", "no reason for it")
    engine.dispose()
    shutil.copy(tmp_path / "live.db", tmp_path / "backup.db")
    engine = store.connect(f"sqlite:///{tmp_path / 'live.db'}")
    record_action(engine, [entry("after the backup")])
    lost = chain_head(engine)
    engine.dispose()
    for end in ("-wal", "-shm"):
        (tmp_path / f"live.db{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", tmp_path / "live.db")
    engine = store.connect(f"sqlite:///{tmp_path / 'live.db'}")
    assert "entry 3 is missing" in verify_chain(engine).faults[0]
    assert record_restore(engine, "ana", "the disk of Monday died") == chain_head(engine)
    assert verify_chain(engine).faults == []
    last = store.audit_entries(engine, 1)[0]
    assert (last["action"], last["who"], last["before"]) == ("audit restored", "ana", f"{lost[0]}:{lost[1]}")
    assert f"{lost[1]} " in heads_path(engine).read_text()  # what was given up can still be read
    cut(engine, 2)
    assert "entry 3 is missing" in verify_chain(engine).faults[0]


@pytest.mark.parametrize(
    ("stored", "changed"),
    [
        ('{"a": 1}', '{"a": 2, "a": 1}'),
        ('{"a": 1}', '{"a":1}'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ('"x"', '"\\u0078"'),
        ("[1, 2]", "[1, 2.0]"),
        ("null", '"null"'),
        ("true", "1"),
        ("0.45", "0.46"),
        ('"1"', "1"),
    ],
)
def test_the_stored_text_is_what_is_hashed(engine: Engine, stored: str, changed: str) -> None:
    """A second reader of JSON may take the first of two equal keys: whoever adds one changes what an entry says."""
    record_action(engine, [AuditRecord("ana", "settings", "x", json.loads(stored), None, "why not")])
    assert verify_chain(engine).faults == []
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE auditoria SET before = :new"), {"new": changed})
    assert [fault.split(" of ")[0] for fault in verify_chain(engine).faults] == ["entry 1"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        -1,
        1.0,
        0.1,
        1e300,
        0.30000000000000004,
        12345678901234567890,
        True,
        "",
        "1",
        "null",
        [],
        {},
        {"b": [1, {"a": None}]},
        "é<&>\n",
        2**53 + 1,
    ],
)
def test_every_value_is_verified_as_it_was_written(engine: Engine, value: object) -> None:
    record_action(engine, [AuditRecord("ana", "settings", "x", value, {"v": value}, "why not")])
    assert verify_chain(engine).faults == []
    assert store.audit_entries(engine, 1)[0]["after"] == {"v": value}


def test_entries_of_the_version_before_hold_and_hide_nothing(tmp_path: Path) -> None:
    from alembic import command as alembic_command
    from alembic.config import Config

    from quiebra.store.audit_chain import GENESIS_HASH, legacy_entry_hash

    engine = store.connect(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    at = dt.datetime(2026, 1, 1, 10)
    row = {
        "at": at,
        "who": "ana",
        "action": "settings",
        "subject": "x",
        "before": 0.45,
        "after": {"a": 1},
        "reason": "why",
        "run_id": None,
    }
    hash_ = legacy_entry_hash(GENESIS_HASH, 1, row)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0007")
        connection.execute(
            text("INSERT INTO auditoria VALUES (1, :at, 'ana', 'settings', 'x', '0.45', '{\"a\": 1}', 'why', NULL, :hash)"),
            {"at": at, "hash": hash_},
        )
        connection.execute(text("UPDATE auditoria_sellos SET entry_id = 1, hash = :hash WHERE name = 'head'"), {"hash": hash_})
    store.upgrade_schema(engine)
    record_action(engine, [entry()])
    assert verify_chain(engine).faults == []
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text('UPDATE auditoria SET after = \'{"a": 2, "a": 1}\' WHERE entry_id = 1'))
    assert verify_chain(engine).faults == ["entry 1 of 2026-01-01 by ana was changed or put in"]


@pytest.mark.parametrize(
    "garbling",
    [
        "UPDATE auditoria SET at = 'yesterday' WHERE entry_id = 2",
        "UPDATE auditoria SET at = NULL WHERE entry_id = 2",
        "UPDATE auditoria SET before = '{' WHERE entry_id = 2",
        "UPDATE auditoria SET before = x'00ff' WHERE entry_id = 2",
        "UPDATE auditoria SET who = x'ff' WHERE entry_id = 2",
        "UPDATE auditoria SET hash = '' WHERE entry_id = 2",
        "UPDATE auditoria SET after = '" + "[" * 100_000 + "' WHERE entry_id = 2",
    ],
)
def test_a_garbled_entry_is_named(garbling: str, tmp_path: Path) -> None:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    record_action(engine, [entry(str(n)) for n in range(3)])
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text("PRAGMA writable_schema = ON"))
        connection.execute(text("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'auditoria'"))
    engine.dispose()
    with engine.begin() as connection:
        connection.exec_driver_sql(garbling)
    assert any(fault.startswith("entry 2 ") for fault in verify_chain(engine).faults)


@pytest.mark.parametrize(
    "name", ["", "  ", "ana\nluis", "ana\x1b[2J", "ana\u202eanul", "a\u200bna", "\u3164", "x" * 61, "\ud800"]
)
def test_a_name_that_hides_something_is_not_kept(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidNameError):
        record_action(engine, [AuditRecord(name, "settings", "x", 1, 2, "why not")])
    assert verify_chain(engine).entries == 0


def test_the_monthly_mail_keeps_the_end_of_the_chain(workspace: Path) -> None:
    place = Workspace(workspace)
    params = load_params(place)
    to = [{"address": "ana@example.com", "lang": None}]
    told = params.model_copy(
        update={"delivery": params.delivery.model_validate({**params.delivery.model_dump(by_alias=True), "recipients": to})}
    )
    engine = store.connect(f"sqlite:///{workspace / 'data' / 'quiebra.db'}")
    number, hash_ = chain_head(engine)
    body = report_messages(place, told, chain_head(engine))[0].body.decode().replace("=\r\n", "")
    assert body.count(f"audit verify --known {number}:{hash_}") == 2  # in text and in HTML


def test_the_command_line_finds_the_cut_and_puts_a_copy_on_record(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUIEBRA_AUDIT_HEADS", raising=False)
    (workspace / "data/quiebra.db.heads").unlink(missing_ok=True)
    env = {"QUIEBRA_AUDIT_HEADS": ""}
    watched = command(workspace, "quiebra", "audit", "verify", **env)
    assert watched.returncode == 0, watched.stderr
    assert "ends of it that were noted in" in watched.stdout
    engine = store.connect(f"sqlite:///{workspace / 'data' / 'quiebra.db'}")
    last = chain_head(engine)[0]
    record_action(engine, [entry("to be cut")])
    cut(engine, last)
    engine.dispose()
    found = command(workspace, "quiebra", "audit", "verify", **env)
    assert found.returncode == 1
    assert f"FAIL  entry {last + 1} is missing" in found.stdout
    done = command(workspace, "quiebra", "audit", "restored", "--reason", "copy of Sunday", "--who", "ana", **env)
    assert done.returncode == 0, done.stderr
    assert command(workspace, "quiebra", "audit", "verify", **env).returncode == 0
