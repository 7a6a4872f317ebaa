"""After a kill or a full disk the next run is not held up, runs nothing again that was done, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import command
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from servers import eventually

from quiebra.errors import WorkspaceError
from quiebra.io.files import write_json
from quiebra.pipeline.stages import hold_run_lock
from quiebra.workspace import Workspace
from quiebra.workspace.recovery import repair_workspace, scratch_folder

DVC = "/srv/quiebra/.venv/lib/python3.11/site-packages/dvc/__main__.py repro"


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "data/scores").mkdir(parents=True)
    return Workspace(tmp_path)


def locked(bare: Workspace, pid: int, cmd: str = DVC) -> Path:
    """As DVC writes it: a process reads one path and writes another."""
    path, one = bare.root / ".dvc/tmp/rwlock", {"pid": pid, "cmd": cmd}
    path.write_text(
        json.dumps({"write": {"/w/data/scores/run.json": one}, "read": {"/w/data/panel": [one], "/w/params.yaml": [one]}})
    )
    return path


def holders(path: Path) -> set[int]:
    content = json.loads(path.read_text())
    return {one["pid"] for one in [*content["write"].values(), *(one for all_ in content["read"].values() for one in all_)]}


@pytest.mark.parametrize("damaged", ['{"write": {"/w/data/sco', "", "\x00" * 512, '{"write": {"/w": {"pid": "x"}}}', "[]"])
def test_a_file_of_locks_that_was_cut_short_is_made_anew(bare: Workspace, damaged: str) -> None:
    path = bare.root / ".dvc/tmp/rwlock"
    path.write_text(damaged)
    repair_workspace(bare)
    assert not path.exists()


def test_while_somebody_runs_dvc_by_hand_a_damaged_file_of_locks_is_left_and_the_process_named(bare: Workspace) -> None:
    path = bare.root / ".dvc/tmp/rwlock"
    path.write_text('{"write"')
    (bare.root / "dvc").write_text("import time; time.sleep(60)")
    process = subprocess.Popen([sys.executable, "dvc", "repro"], cwd=bare.root)
    try:
        eventually(lambda: psutil.Process(process.pid).cmdline()[1:] == ["dvc", "repro"])
        with pytest.raises(WorkspaceError, match=f"process {process.pid} runs DVC here"):
            repair_workspace(bare)
    finally:
        process.kill()
        process.wait()
    repair_workspace(bare)
    assert not path.exists()


def test_a_lock_goes_with_its_process_even_where_another_has_its_number(bare: Workspace) -> None:
    path = locked(bare, os.getpid())  # a process that lives, and is no DVC
    repair_workspace(bare)
    assert holders(path) == set()
    late = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "repro"])
    try:
        path = locked(bare, late.pid)
        os.utime(path, (time.time() - 3600,) * 2)  # it began after the lock was written
        repair_workspace(bare)
        assert holders(path) == set()
        path = locked(bare, late.pid)
        repair_workspace(bare)
        assert holders(path) == {late.pid}, "work by hand that is under way keeps its locks"
        late.kill()
        eventually(lambda: psutil.Process(late.pid).status() == psutil.STATUS_ZOMBIE)  # nobody has waited for it yet
        repair_workspace(bare)
        assert holders(path) == set()
    finally:
        late.kill()
        late.wait()


def test_a_record_that_was_cut_short_keeps_the_stages_before_the_cut(finished: Path, bare: Workspace) -> None:
    path, whole = bare.root / "dvc.lock", (finished / "dvc.lock").read_text(encoding="utf-8")
    every = yaml.safe_load(whole)["stages"]
    for cut in range(0, len(whole), 1511):
        path.write_text(whole[:cut], encoding="utf-8")
        repair_workspace(bare)
        if path.exists():
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_text(encoding="utf-8")))  # what DVC asks of it
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
        before = [name for name in every if f"\n  {name}:\n" in whole[:cut]]
        assert list(kept)[: len(before) - 1] == before[:-1], cut
        assert all(kept[name] == every[name] for name in before[:-1]), cut
    path.write_text(whole, encoding="utf-8")
    repair_workspace(bare)
    assert path.read_text(encoding="utf-8") == whole


def test_a_record_in_conflict_is_left_to_a_person(bare: Workspace) -> None:
    path = bare.root / "dvc.lock"
    path.write_text("schema: '2.0'\n<<<<<<< HEAD\nstages:\n=======\n")
    before = path.read_text()
    repair_workspace(bare)
    assert path.read_text() == before


def test_unfinished_files_of_dead_processes_are_put_away_and_those_of_live_ones_are_not(bare: Workspace) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder, cache = bare.root / "data/scores", bare.root / ".dvc/cache/files/md5/3a"
    cache.mkdir(parents=True)
    gone = [folder / f".scores.parquet.{dead.pid}.partial", folder / f".{'a-_B' * 5}ab.tmp", cache / f".{'x' * 22}.tmp"]
    reused, live, mine = (
        folder / name for name in (f".run.json.{os.getpid()}.partial", f".reasons.parquet.{os.getpid()}.partial", "x.tmp")
    )
    for path in (*gone, reused, live, mine):
        path.write_text("x")
    os.utime(reused, (1_600_000_000,) * 2)  # written by one that had this process's number years ago
    repair_workspace(bare)
    assert [path.exists() for path in (*gone, reused)] == [False] * 4
    assert live.exists()
    assert mine.exists()


def test_a_stages_sockets_and_temporary_files_are_its_own_and_gone_in_the_end(bare: Workspace) -> None:
    old = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(bare.root)  # such paths must be short
    try:
        old.bind("kernel-ipc-1")
    finally:
        os.chdir(here)
    (bare.root / "data/running").mkdir()
    (bare.root / "data/running/score.ipynb").write_text("half")
    before = tempfile.gettempdir()
    with scratch_folder(bare) as folder:
        inside = Path(tempfile.gettempdir())
        assert (inside.stat().st_mode & 0o777, list(folder.iterdir())) == (0o700, [])
        assert os.environ["TMPDIR"] == str(inside)
        assert len(str(inside / "kernel-ipc-12")) < 100
        (inside / "left").write_text("x")
    assert tempfile.gettempdir() == before
    assert not inside.exists()
    assert not folder.exists()
    assert not list(bare.root.glob("kernel-*"))
    inside.mkdir()  # as a killed process leaves it
    (inside / "left").write_text("x")
    with scratch_folder(bare):
        assert Path(tempfile.gettempdir()) == inside
        assert not (inside / "left").exists()
    assert not inside.exists()


def test_a_run_after_all_of_it_completes_and_runs_nothing_again(workspace: Path) -> None:
    """Locks cut short, a record that lacks its last stage, files that nobody finishes, a notebook half executed."""
    (workspace / ".dvc/tmp/rwlock").write_text('{"write": {')
    record = workspace / "dvc.lock"
    whole = record.read_text(encoding="utf-8")
    record.write_text(whole[: whole.rindex("    - path: ") + 8], encoding="utf-8")
    (workspace / "data/running").mkdir()
    (workspace / "data/running/score.ipynb").write_text("half")
    (workspace / f"data/panel/.{'x' * 22}.tmp").write_text("half")
    (workspace / "data/scores/.scores.parquet.999999999.partial").write_text("half")
    before = {path.relative_to(workspace) for path in (workspace / "data").rglob("*")}
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    again = set(re.findall("Running stage '(\\w+)'", done.stdout))
    assert again <= {"inputs", "champion", "publish", "alerts", "report", "validation_report"}, (
        "what never comes out of DVC's cache alone runs again"
    )
    assert set(yaml.safe_load(record.read_text(encoding="utf-8"))["stages"]) == set(yaml.safe_load(whole)["stages"])
    gone = before - {path.relative_to(workspace) for path in (workspace / "data").rglob("*")}
    assert {path.name for path in gone} == {"running", "score.ipynb", f".{'x' * 22}.tmp", ".scores.parquet.999999999.partial"}
    assert len(re.findall("^mended after a kill or a full disk", done.stderr, flags=re.M)) == 2


def test_a_lock_of_dvc_that_names_a_live_process_holds_no_run_up(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["alerts"]["back_test"]["miss_cost"] = 36.0  # so that DVC has something to lock
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    busy = {"pid": os.getpid(), "cmd": DVC}
    write_json(workspace / ".dvc/tmp/rwlock", {"write": {str(workspace / "data/alerts/standing.json"): busy}, "read": {}})
    done = command(workspace, "quiebra", "run", "alerts")
    assert done.returncode == 0, done.stderr
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_waiting_run_leaves_the_one_that_runs_its_files(bare: Workspace) -> None:
    with hold_run_lock(bare, "stage"), scratch_folder(bare) as folder:
        (folder / "score.ipynb").write_text("half")
        repair_workspace(bare)
        assert (folder / "score.ipynb").exists()
