"""Stages of a run are forks of one process that has imported the libraries: nobody sees a difference but in time."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import command, environment

from quiebra.pipeline.forked_kernels import can_fork
from quiebra.pipeline.stage_client import ADDRESS, run_on_server
from quiebra.pipeline.stage_server import serve_stages
from quiebra.provenance import file_sha256
from quiebra.workspace import Workspace

pytestmark = pytest.mark.skipif(not can_fork(), reason="this system cannot fork a process that has imported the libraries")
SERVED = """
import os, subprocess, sys, time
from quiebra.pipeline.stage_server import serve_stages
from quiebra.workspace import Workspace
with serve_stages(Workspace.find()) as server:
    print("serving", flush=True)
    done = subprocess.run([sys.executable, "-m", "quiebra.cli", "run", *sys.argv[1:]], env={**os.environ, **server, "DVC_STAGE": "x"})
    sys.exit(done.returncode)
"""


def served(workspace: Path, *words: str) -> subprocess.Popen:
    """Start a stage behind a server, in the workspace's own code."""
    env = environment(PYTHONPATH=str(workspace / "src"))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-P", "-c", SERVED, *words], cwd=workspace, env=env, text=True, **pipes)


def family(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def eventually(condition, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_forked_stage_writes_says_and_answers_what_one_of_its_own_does(workspace: Path) -> None:
    outs = ("data/panel/statements.parquet", "data/panel/quality.json", "data/panel/ingest.ipynb")
    own = command(workspace, "quiebra", "run", "ingest")
    before = {name: file_sha256(workspace / name) for name in outs}
    process = served(workspace, "ingest")
    said, errors = process.communicate(timeout=300)
    assert process.returncode == own.returncode == 0, errors
    assert said == "serving\n" + own.stdout
    assert {name: file_sha256(workspace / name) for name in outs} == before


def test_a_forked_stage_that_fails_says_so_once_and_gives_its_exit_code(workspace: Path) -> None:
    (workspace / "data/panel/statements.parquet").write_bytes(b"no table")
    process = served(workspace, "features")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.count("error: ") == 1
    assert "Traceback" not in errors


def test_a_stages_kernel_is_a_fork_of_the_one_process_that_imported_the_libraries(workspace: Path) -> None:
    process = served(workspace, "train")
    eventually((workspace / "data/running/progress").exists, 120)
    forks = [one for one in family(process) if "forkserver" in " ".join(one.cmdline())]
    assert len(forks) == 3  # the process that imported, the stage and its kernel: a fork keeps the command line
    assert len({" ".join(one.cmdline()) for one in forks}) == 1
    assert process.communicate(timeout=300)[1].count("error") == 0
    assert process.returncode == 0


@pytest.mark.parametrize("whom", ["the command", "the run"])
def test_a_killed_command_or_run_takes_its_stage_and_kernel_with_it(workspace: Path, whom: str) -> None:
    process = served(workspace, "train")
    running = workspace / "data/running/progress"
    eventually(running.exists, 120)
    everybody = family(process)
    assert len(everybody) >= 4  # the command, the factory, the stage and its kernel
    if whom == "the run":
        process.kill()
    else:
        (asked,) = [one for one in everybody if "run" in one.cmdline()[-2:]]
        asked.kill()
    process.communicate(timeout=60)
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in everybody), 30)
    again = command(workspace, "quiebra", "run", "train")
    assert again.returncode == 0, again.stderr


def test_code_that_is_changed_during_a_run_is_run_as_it_is_then(workspace: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-c",
            SERVED.replace("    done =", "    run('ingest'); input()\n    done =").replace(
                "with serve",
                "def run(name):\n    subprocess.run([sys.executable, '-m', 'quiebra.cli', 'run', name], "
                "env={**os.environ, **server, 'DVC_STAGE': 'x'}, check=True)\nwith serve",
            ),
            "features",
        ],
        cwd=workspace,
        env=environment(PYTHONPATH=str(workspace / "src")),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ingested = workspace / "data/panel/quality.json"
    before = ingested.stat().st_mtime_ns
    eventually(lambda: ingested.exists() and ingested.stat().st_mtime_ns != before, 120)
    module = workspace / "src/quiebra/features/build.py"
    module.write_text(module.read_text() + "\nraise ImportError('changed meanwhile')\n")
    _, errors = process.communicate("\n", timeout=120)
    assert process.returncode == 1
    assert "changed meanwhile" in errors


def test_without_a_server_or_with_one_that_is_gone_the_stage_is_run_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    assert run_on_server("ingest") is None
    monkeypatch.setenv(ADDRESS, str(tmp_path / "gone"))
    assert run_on_server("ingest") is None


def test_a_server_leaves_what_is_of_another_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "served").mkdir()
    with serve_stages(Workspace(tmp_path / "served")) as variables:
        monkeypatch.setenv(ADDRESS, variables[ADDRESS])
        monkeypatch.chdir(tmp_path)
        assert run_on_server("ingest") is None
    assert not Path(variables[ADDRESS]).exists()


def test_a_workspace_with_code_of_its_own_is_not_served_by_other_code(workspace: Path) -> None:
    with serve_stages(Workspace(workspace)) as variables:
        assert variables == {}
