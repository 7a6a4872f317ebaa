"""The audit table: a chain that shows what was changed, put in or taken out, and that the database itself protects."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import pytest
from conftest import command
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from quiebra import store
from quiebra.errors import StoreError
from quiebra.params.operations import Retention
from quiebra.store import audit
from quiebra.store.audit import AuditRecord, append_entries, prune_audit, record_action, verify_chain
from quiebra.store.audit_heads import heads_path
from quiebra.store.tables import AccessRow, Cycle, Message, ServedPrediction, SessionRow


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'test.db'}"
    else:
        url = request.getfixturevalue("postgres")(f"audit{time.time_ns()}")
    engine = store.connect(url)
    store.upgrade_schema(engine)
    return engine


def entry(subject: str = "x") -> AuditRecord:
    return AuditRecord("ana", "settings", subject, {"b": 0.1, "a": [1, None]}, dt.date(2026, 1, 31), "because é <&>")


def unprotected(engine: Engine) -> None:
    """Take away what a person with all rights on the database could take away."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("DROP TRIGGER auditoria_append_only ON auditoria"))
        else:
            for name in ("auditoria_no_update", "auditoria_no_delete"):
                connection.execute(text(f"DROP TRIGGER {name}"))


def test_an_untouched_chain_holds_together(engine: Engine) -> None:
    assert verify_chain(engine).faults == []
    record_action(engine, [entry(str(i)) for i in range(3)])
    record_action(engine, [entry("last")])
    found = verify_chain(engine)
    assert (found.entries, found.last_id, found.faults) == (4, 4, [])
    assert store.audit_entries(engine, 1)[0]["hash"] == found.last_hash
    assert store.audit_entries(engine, 1)[0]["after"] == "2026-01-31"


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        ("UPDATE auditoria SET who = 'eva' WHERE entry_id = 2", "entry 2 .* was changed"),
        ("UPDATE auditoria SET after = '\"2020-01-01\"' WHERE entry_id = 3", "entry 3 .* was changed"),
        ("UPDATE auditoria SET at = '2020-01-01' WHERE entry_id = 1", "entry 1 .* was changed"),
        ("DELETE FROM auditoria WHERE entry_id = 2", "entry 2 is missing"),
        ("DELETE FROM auditoria WHERE entry_id IN (2, 3)", "entries 2 to 3 are missing"),
        ("DELETE FROM auditoria WHERE entry_id = 4", "entry 4 is missing"),
        ("DELETE FROM auditoria", "entries 1 to 4 are missing"),
        ("UPDATE auditoria SET entry_id = 5 WHERE entry_id = 4", "entry 5 .* was changed or put in"),
    ],
)
def test_tampering_is_found_and_named(engine: Engine, tampering: str, fault: str) -> None:
    record_action(engine, [entry(str(i)) for i in range(4)])
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text(tampering))
    assert any(__import__("re").search(fault, found) for found in verify_chain(engine).faults), verify_chain(engine).faults


def test_a_chain_written_anew_as_a_whole_lacks_the_hash_that_was_noted(engine: Engine) -> None:
    record_action(engine, [entry(str(i)) for i in range(3)])
    noted = store.audit_entries(engine, 1)[0]
    assert verify_chain(engine, (noted["entry_id"], noted["hash"][:12])).faults == []
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM auditoria"))
        connection.execute(text(f"UPDATE auditoria_sellos SET entry_id = 0, hash = '{'0' * 64}'"))
    record_action(engine, [entry("other") for _ in range(3)])
    assert "entry 3 is not the one that was noted on" in verify_chain(engine).faults[0]
    heads_path(engine).unlink()
    assert verify_chain(engine).faults == []
    assert "was noted in" in verify_chain(engine).remarks[0]
    assert "written anew" in verify_chain(engine, (noted["entry_id"], noted["hash"])).faults[0]


@pytest.mark.parametrize("statement", ["UPDATE auditoria SET who = 'eva'", "DELETE FROM auditoria"])
def test_the_database_refuses_to_change_or_delete_entries(engine: Engine, statement: str) -> None:
    record_action(engine, [entry()])
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert verify_chain(engine).entries == 1


def test_pruning_keeps_what_is_left_checkable(engine: Engine) -> None:
    record_action(engine, [entry(str(i)) for i in range(3)])
    soon = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=5)
    assert prune_audit(engine, soon - dt.timedelta(days=1), "ana") == 0
    assert prune_audit(engine, soon, "ana") == 2  # the last entry is always kept
    found = verify_chain(engine)
    assert (found.entries, found.last_id, found.faults) == (2, 4, [])
    assert store.audit_entries(engine, 1)[0]["action"] == "audit prune"
    unprotected(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE auditoria SET who = 'eva' WHERE entry_id = 3"))
    with pytest.raises(StoreError, match="nothing was deleted"):
        prune_audit(engine, soon + dt.timedelta(days=1), "ana")


def test_a_beginning_that_is_cut_off_is_found_though_the_database_allows_it(engine: Engine) -> None:
    record_action(engine, [entry(str(i)) for i in range(5)])
    third = next(row for row in store.audit_entries(engine) if row["entry_id"] == 3)
    with engine.begin() as connection:  # as pruning does, without its entry
        connection.execute(text("UPDATE auditoria_sellos SET entry_id = 3, hash = :h WHERE name = 'start'"), {"h": third["hash"]})
        connection.execute(text("DELETE FROM auditoria WHERE entry_id <= 3"))
    assert verify_chain(engine).faults == ["entries 1 to 3 are missing, and nobody has pruned them"]


def test_one_wrong_clock_does_not_take_younger_entries_with_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    record_action(engine, [entry("young")])
    with engine.begin() as connection:
        monkeypatch.setattr(audit, "_now", lambda: dt.datetime(2001, 1, 1))
        append_entries(connection, [entry("by a wrong clock")])
        monkeypatch.undo()
    record_action(engine, [entry("young")])
    assert prune_audit(engine, dt.datetime(2020, 1, 1), "ana") == 0
    assert verify_chain(engine).entries == 3


def test_after_pruning_a_hash_noted_before_says_nothing_and_does_not_cry_wolf(engine: Engine) -> None:
    record_action(engine, [entry(str(i)) for i in range(4)])
    noted = next((row["entry_id"], row["hash"]) for row in store.audit_entries(engine) if row["entry_id"] == 2)
    prune_audit(engine, dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=5), "ana")
    found = verify_chain(engine, noted)
    assert found.faults == []
    assert "entry 2 has been pruned" in found.remarks[0]


def test_what_is_older_than_params_say_is_deleted_and_what_waits_is_kept(engine: Engine) -> None:
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    old, recent = now - dt.timedelta(days=100), now - dt.timedelta(days=1)
    record_action(engine, [entry()])
    states = ("queued", "sending", "doubtful", "sent", "written", "failed", "dropped")
    row = {
        "channel": "report",
        "recipient": "a",
        "about": "b",
        "subject": "c",
        "body": b"d",
        "attempts": 1,
        "not_before": old,
        "queued_at": old,
        "changed_at": old,
    }
    with engine.begin() as connection:
        connection.execute(insert(Message), [{**row, "message_id": name, "state": name} for name in states])
        ended = {"state": "done", "steps": [], "started_at": old}
        connection.execute(
            insert(Cycle), [{**ended, "cycle_id": "over", "ended_at": old}, {**ended, "cycle_id": "not over", "ended_at": None}]
        )
        told = {"input_sha256": "x", "model_id": "m"}
        answer = {**told, "company_id": "c", "run_id": "r", "pd_12m": 0.1, "rating": "A", "request": b"{}", "answer": b"{}"}
        served = [{**answer, "prediction_id": name, "computed_at": at} for name, at in (("old", old), ("new", recent))]
        connection.execute(insert(ServedPrediction), served)
        access = {**told, "who": "key treasury", "route": "/v1/predict/single", "companies": 1, "cached": 0}
        connection.execute(
            insert(AccessRow), [{**access, "access_id": name, "at": at} for name, at in (("old", old), ("new", recent))]
        )
        session = {"kind": "api", "user_id": "u", "secret_sha256": "s", "created_at": old, "last_used_at": old}
        ends = {"ended": (recent, old), "expired": (old, None), "signed out yesterday": (old, recent), "valid": (recent, None)}
        rows = [{**session, "session_id": name[:12], "expires_at": ex, "ended_at": end} for name, (ex, end) in ends.items()]
        connection.execute(insert(SessionRow), rows)
    keep = Retention(audit_days=3650, messages_days=90, cycles_days=90, predictions_days=90, sessions_days=90)
    gone = {"bandeja_salida": 4, "ciclos": 1, "accesos_api": 1, "predicciones_api": 1, "sesiones": 2, "trabajos": 0}
    assert store.prune_database(engine, keep, "ana") == {"auditoria": 0, **gone}
    with engine.connect() as connection:
        assert set(connection.scalars(select(Message.state))) == {"queued", "sending", "doubtful"}
        assert connection.scalars(select(Cycle.cycle_id)).all() == ["not over"]
        assert connection.scalars(select(ServedPrediction.prediction_id)).all() == ["new"]
        assert connection.scalars(select(AccessRow.access_id)).all() == ["new"]
        assert set(connection.scalars(select(SessionRow.session_id))) == {"signed out y", "valid"}
    assert store.audit_entries(engine, 1)[0]["before"] == gone
    assert verify_chain(engine).faults == []


def test_many_writers_at_once_make_one_chain(engine: Engine) -> None:
    def write(n: int) -> None:
        for i in range(5):
            record_action(engine, [entry(f"{n}-{i}")])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify_chain(engine)
    assert (found.entries, found.faults) == (20, [])


def test_what_fails_leaves_no_entry(engine: Engine) -> None:
    with pytest.raises(RuntimeError), engine.begin() as connection:
        append_entries(connection, [entry()])
        raise RuntimeError
    assert verify_chain(engine).entries == 0


def test_entries_from_before_there_was_a_chain_are_chained(tmp_path: Path) -> None:
    from alembic import command as alembic_command
    from alembic.config import Config

    engine = store.connect(f"sqlite:///{tmp_path / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0004")
        for number in (3, 7):  # ids may have gaps in an old table
            connection.execute(
                text(
                    "INSERT INTO auditoria VALUES (:n, '2026-01-01 10:00:00', 'ana', 'settings', 'x', '1', '{\"a\": 2.5}', 'why', NULL)"
                ),
                {"n": number},
            )
    store.upgrade_schema(engine)
    assert verify_chain(engine).faults == []
    record_action(engine, [entry()])
    assert (verify_chain(engine).entries, verify_chain(engine).faults) == (3, [])


def test_the_command_line_verifies(workspace: Path) -> None:
    done = command(workspace, "quiebra", "audit", "verify")
    assert done.returncode == 0, done.stderr
    noted = done.stdout.split()[-1]
    assert command(workspace, "quiebra", "audit", "verify", "--known", noted).returncode == 0
    wrong = command(workspace, "quiebra", "audit", "verify", "--known", noted[:-1] + ("0" if noted[-1] != "0" else "1"))
    assert wrong.returncode == 1
    assert "written anew" in wrong.stdout
    bad = command(workspace, "quiebra", "audit", "verify", "--known", "abc")
    assert bad.returncode == 1
    assert "41:9f3c2a" in bad.stderr
