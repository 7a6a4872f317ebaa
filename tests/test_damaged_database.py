"""Whatever is wrong with database or disk, every command says it in words and ends with exit code 1: never with a trace."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import copy_workspace

from quiebra import registry
from quiebra.cli.app import app
from quiebra.store import engine as store_engine
from quiebra.terminal import run_cli

COMMANDS = [
    "audit verify",
    "audit verify --known 1:abc",
    "audit list",
    "audit prune --who ana",
    "audit restored --reason because --who ana",
    "alerts list --all",
    "alerts ack unknown --who ana",
    "alerts close unknown --reason because --who ana",
    "alerts history unknown",
    "watch list",
    "watch add SIM-00001 --reason because --who ana",
    "watch remove SIM-00001 --reason because --who ana",
    "override list --all",
    "override propose SIM-00001 A --reason because --who ana",
    "override approve 1 --who luis",
    "override end 1 --reason because --who ana",
    "outbox list",
    "outbox send",
    "outbox retry unknown --who ana",
    "outbox drop unknown --reason because --who ana",
    "trace unknown",
    "doctor",
    "publish",
]
CYCLE = ["schedule"]


def sql(*statements: str) -> Callable[[Path], None]:
    def damage(database: Path) -> None:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as link:
            for name in ("auditoria_no_update", "auditoria_no_delete"):
                link.execute(f"DROP TRIGGER IF EXISTS {name}")
            link.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                link.execute(statement)

    return damage


def nullable(table: str) -> tuple[str, str]:
    return ("PRAGMA writable_schema = ON", f"UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = '{table}'")


def half(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


def a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


STATES: dict[str, Callable[[Path], None]] = {
    "no database": lambda path: path.write_bytes(b"this is a letter, not a database. " * 200),
    "half of it": half,
    "a few bytes": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "zeros in the middle": lambda path: path.write_bytes(path.read_bytes()[:8192] + bytes(200_000)),
    "a folder": a_folder,
    "no ends of the audit chain": sql("DELETE FROM auditoria_sellos"),
    "no audit table": sql("DROP TABLE auditoria"),
    "no table of ends": sql("DROP TABLE auditoria_sellos"),
    "no audit rows": sql("DELETE FROM auditoria"),
    "audit rows without a time": sql("UPDATE auditoria SET at = 'yesterday'"),
    "audit rows of bytes": sql("UPDATE auditoria SET who = x'ff00', subject = x'ff', before = x'00', reason = 7"),
    "audit rows of nothing": sql(*nullable("auditoria"), "UPDATE auditoria SET hash = ''"),
    "garbled JSON": sql(
        "UPDATE auditoria SET before = '{', after = '[[['",
        "UPDATE modelos SET metrics = '{', gates = 'x'",
        "UPDATE ejecuciones SET record = '{'",
    ),
    "garbled ends": sql("UPDATE auditoria_sellos SET entry_id = 'x', hash = x'00'"),
    "garbled alerts": sql(
        "UPDATE alertas SET value = 'high', raised_on = 'soon', changed_at = 5", "UPDATE vigilancia SET level = 'x'"
    ),
    "garbled messages": sql(
        "INSERT INTO bandeja_salida VALUES ('1', 'report', x'ff', 'a', NULL, 's', 'b', 'queued', 'x', 'soon', NULL, 'now', 'now', NULL, NULL)"
    ),
    "garbled runs": sql("UPDATE ejecuciones SET as_of = 'x', published_at = 'x', is_current = 'x'"),
    "another program's tables": sql("DROP TABLE alertas", "CREATE TABLE alertas (x INTEGER)"),
    "a version of the future": sql("UPDATE alembic_version SET version_num = '9999'"),
    "two versions": sql("INSERT INTO alembic_version VALUES ('0003')"),
    "no version": sql("DROP TABLE alembic_version"),
}
OPENED = ("no database", "half of it", "a few bytes", "zeros in the middle", "a folder")
"""States in which no cycle can begin, so that it is soon over."""


@pytest.fixture(scope="module")
def place(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_workspace(finished, tmp_path_factory.mktemp("damaged") / "workspace")


def said(capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str]:
    """Run a command in this process, as a terminal does; a trace fails the test by itself."""
    code = 0
    argv, sys.argv = sys.argv, ["quiebra", *words.split()]
    try:
        run_cli(app)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = argv
    out = capsys.readouterr()
    assert "Traceback" not in out.err + out.out
    if code and words != "doctor" and not words.startswith("audit verify") and words != "schedule":
        assert re.search("^error: ", out.err, flags=re.M), (words, out.err[:300])  # notes may come before it
    assert code in (0, 1), (words, out.err)
    return code, out.out + out.err


@pytest.mark.parametrize("state", STATES)
def test_every_command_answers_in_words_whatever_the_database_holds(
    state: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(store_engine, "BUSY_MILLISECONDS", 100)
    database = place / "data/quiebra.db"
    kept = database.with_suffix(".kept")
    shutil.copy(database, kept)
    try:
        with contextlib.closing(sqlite3.connect(kept)) as link:
            link.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for words in COMMANDS + (CYCLE if state in OPENED else []):
            _put_back(database, kept)
            STATES[state](database)
            code, out = said(capsys, words)
            if (state in OPENED and words != "publish") or (
                state == "no ends of the audit chain" and words.startswith("audit verify")
            ):
                assert code == 1, (words, out)
            if state in OPENED and words not in ("doctor",):
                assert "quiebra.db" in out, (words, out)
    finally:
        _put_back(database, kept)
        kept.unlink()


def _put_back(database: Path, kept: Path) -> None:
    shutil.rmtree(database) if database.is_dir() else database.unlink(missing_ok=True)
    for end in ("-wal", "-shm", "-journal"):
        database.with_name(f"quiebra.db{end}").unlink(missing_ok=True)
    shutil.copy(kept, database)


def test_a_database_that_another_program_holds_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(store_engine, "BUSY_MILLISECONDS", 100)
    with contextlib.closing(sqlite3.connect(place / "data/quiebra.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for words in ("audit verify", "alerts list", "publish", "outbox list", "schedule"):
            code, out = said(capsys, words)
            assert code == 1
            assert "is locked (another program holds it: try again when that has ended)" in out


def test_a_fault_of_the_program_itself_keeps_its_trace(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["quiebra", "models"])
    monkeypatch.setattr(registry, "list_models", lambda workspace: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_cli(app)
