"""A disk that is full or cannot be written, and files of a run that are damaged: words that name the path, and exit code 1."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from conftest import copy_workspace
from test_damaged_database import COMMANDS, said

from quiebra.cli.app import app
from quiebra.errors import WorkspaceError
from quiebra.io.files import append_line, make_private_folder, read_json, read_table, write_json, write_table, write_text
from quiebra.params import load_params
from quiebra.pipeline.stages import run_stage
from quiebra.schedule.cycle import _log
from quiebra.terminal import run_cli
from quiebra.workspace import Workspace
from quiebra.workspace.recovery import repair_workspace


@contextlib.contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own, which really fills up and is really read-only, for root too."""
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("only root can mount a disk of its own")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@pytest.fixture
def small(finished: Path, tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", 40) as folder:
        yield copy_workspace(finished, folder / "workspace", ".git", "cache")


EVERY = [
    *COMMANDS,
    "models",
    "promote unknown --who ana",
    "rollback --who ana",
    "schedule",
    "run",
    "report",
    "score {file}",
    "score {file} --out out.csv",
    "report company {company}",
    "report --lang es",
]
WRITES = (
    "run",
    "schedule",
    "report",
    "audit prune",
    "alerts ack",
    "watch add",
    "override",
    "outbox retry",
    "promote",
    "rollback",
    "publish",
    "score {file} --out",
)


@pytest.mark.parametrize("state", ["read-only", "full"])
def test_every_command_answers_in_words_on_a_disk_that_cannot_be_written(
    state: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small)
    statements = pl.read_parquet(small / "data/panel/statements.parquet")
    company = statements["company_id"][0]
    statements.filter(pl.col("company_id") == company, pl.col("fiscal_year") < 2020).drop("currency", "source").write_csv(
        tmp_path / "mine.csv"
    )
    read_only(small.parent) if state == "read-only" else fill(small.parent)
    for words in EVERY:
        if state == "full" and words in ("run", "schedule"):
            continue  # they start stages, which the script of kills and full disks tries
        code, out = said(capsys, words.format(file=tmp_path / "mine.csv", company=company))
        if words.startswith(WRITES):
            assert code == 1, (words, out)
            assert str(small) in out or "out.csv" in out or "no alert" in out or "no model" in out, (words, out)


def test_a_full_disk_is_named_with_the_path_by_whatever_writes(small: Path) -> None:
    place, table = Workspace(small), pl.DataFrame({"a": list(range(200_000))})
    params = load_params(place)
    fill(small.parent)
    here = small / "data/x"
    for write in (
        lambda: write_text(here, "x" * 100_000),
        lambda: write_json(here, ["x"] * 100_000),
        lambda: write_table(here, table),
        lambda: [append_line(here, "x" * 100_000) for _ in range(3)],
    ):
        with pytest.raises(WorkspaceError, match=f"cannot write {here}: .*No space left"):
            write()
    for _ in range(3):  # a cycle goes on without its log, so that its owner is told
        _log(place, lambda line: None, {"state": "failed", "error": "x" * 10_000})
    with pytest.raises(WorkspaceError, match=r"cannot write .*\.ipynb: .*No space left"):
        run_stage(place, "features")
    assert params.run.seed is not None
    assert not list((small / "data").glob("**/.*.partial"))


def test_a_read_only_disk_is_named_too(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 1) as folder:
        read_only(folder)
        for write in (
            lambda: write_text(folder / "x", "x"),
            lambda: append_line(folder / "x", "x"),
            lambda: make_private_folder(folder / "x"),
        ):
            with pytest.raises(WorkspaceError, match=f"cannot write {folder}/x: Read-only"):
                write()


DAMAGES = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "garbled": lambda path: path.write_bytes(b"\xff\x00garbage" * 50),
    "empty": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_text("[1, 2]"),
    "deep": lambda path: path.write_text("[" * 200_000),
}
FILES = [
    "data/scores/run.json",
    "data/scores/scores.parquet",
    "data/panel/statements.parquet",
    "data/panel/source.json",
    "models/model.json",
    "data/validation/figures.json",
    "data/monitoring/findings.parquet",
    "data/features/features.parquet",
]

NOT_PUBLISHED = ("data/features/features.parquet", "models/model.json", "data/validation/figures.json")
"""What publishing does not read: of the model in charge it takes what is kept in models/registry."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_the_run_is_named_with_the_remedy(
    damage: str, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    (tmp_path / "mine.csv").write_text("company_id,fiscal_year,total_assets,total_liabilities\nA,2020,100,50\n")
    for name in FILES:
        path = workspace / name
        kept = path.read_bytes()
        DAMAGES[damage](path)
        with pytest.raises(WorkspaceError, match=f"{path.name}.* is damaged .*quiebra run"):
            read_json(path) if path.suffix == ".json" else read_table(path)
        for words in ("publish", f"score {tmp_path / 'mine.csv'}"):
            code, out = said(capsys, words)
            if words == "publish" and name not in NOT_PUBLISHED:
                assert code == 1, (name, out)
                assert path.name in out or "run `quiebra run` to score again" in out, (name, out)
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("name", "damage"), [("dvc.lock", "folder"), *(("dvc.yaml", d) for d in ("garbled", "a list", "folder"))]
)
def test_damaged_files_of_dvc_stop_the_run_in_words(
    name: str, damage: str, workspace: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    if damage == "folder":
        (workspace / name).unlink()
        (workspace / name).mkdir()
    else:
        DAMAGES[damage](workspace / name)
    monkeypatch.setattr(sys, "argv", ["quiebra", "run", *(["ingest"] if name == "dvc.yaml" else [])])
    with pytest.raises(SystemExit):
        run_cli(app)
    out = capfd.readouterr()
    assert name in out.err + out.out
    assert "Traceback" not in out.err + out.out
    assert "error: " in out.err


def test_params_that_are_a_folder_are_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "params.yaml").unlink()
    (workspace / "params.yaml").mkdir()
    for words in ("run", "audit list", "schedule", "doctor"):
        code, out = said(capsys, words)
        assert code == 1
        assert "params.yaml" in out


@pytest.mark.parametrize("damage", ["garbled", "a list", "empty"])
def test_a_damaged_record_of_stages_is_begun_anew_and_said(
    damage: str, workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](workspace / "dvc.lock")
    repair_workspace(Workspace(workspace))
    assert not (workspace / "dvc.lock").exists()
    assert "dvc.lock was cut short" in capfd.readouterr().err
