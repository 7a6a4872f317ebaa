"""Stages of a run are forks of one process that has imported the libraries: nobody sees a difference but in time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import command, environment, wait_for_stage

from quiebra.io.private_folders import is_private, private_folder_path
from quiebra.pipeline.forked_kernels import can_fork
from quiebra.pipeline.stage_client import ADDRESS, dvc_folder, run_on_server
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
    module = workspace / "src/quiebra/feature_engineering/build.py"
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


def test_a_file_of_the_package_that_cannot_be_read_stops_no_run(workspace: Path) -> None:
    (workspace / "src/quiebra/pipeline/.#stages.py").symlink_to("somebody@somewhere.1:2")  # as an editor marks what it has open
    process = served(workspace, "ingest")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


NO_FACTORY = """
from multiprocessing import forkserver
def refused():
    raise BlockingIOError(11, "Resource temporarily unavailable")  # what fork says where no more processes are allowed
forkserver.ensure_running = refused
"""
NO_DESCRIPTORS = """
import resource, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
def exhaust():
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        time.sleep(4)
    for one in held:
        os.close(one)
"""


@pytest.mark.parametrize(
    "program",
    [
        NO_FACTORY + SERVED,
        SERVED.replace("\nwith serve", NO_DESCRIPTORS + "\nwith serve", 1)
        .replace("    done = subprocess.run([", "    done = subprocess.Popen(['sh', '-c', 'sleep 1; exec \"$@\"', 'sh', ")
        .replace("    sys.exit(done", "    exhaust(); done.wait()\n    sys.exit(done"),
    ],
    ids=["no process", "no descriptor"],
)
def test_a_server_that_is_short_of_something_stops_no_run(workspace: Path, program: str) -> None:
    env = environment(PYTHONPATH=str(workspace / "src"))
    words = [sys.executable, "-P", "-c", program, "ingest"]
    done = subprocess.run(words, cwd=workspace, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("whom", ["the run", "everybody"])
def test_an_interrupted_run_ends_at_once(workspace: Path, whom: str) -> None:
    content = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(content.replace("trees: 40", "trees: 400", 1))
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(["quiebra", "run"], cwd=workspace, env=environment(), text=True, start_new_session=True, **pipes)
    wait_for_stage(process, "train")
    everybody = family(process)
    os.killpg(process.pid, signal.SIGINT) if whom == "everybody" else process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert "Traceback" not in errors
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in everybody), 30)


def dvc_servers(pid: int) -> list[psutil.Process]:
    """The stage servers of a `dvc` command."""
    words = ["quiebra.pipeline.dvc_server", str(pid)]
    return [one for one in psutil.process_iter() if one.status() != psutil.STATUS_ZOMBIE and one.cmdline()[-2:] == words]


@pytest.mark.parametrize(
    "shell", ["/bin/sh", "/bin/bash"]
)  # DVC runs a stage in $SHELL; not each replaces itself with its command
def test_stages_of_a_dvc_command_share_a_server_that_ends_with_it(workspace: Path, shell: str) -> None:
    content = (workspace / "params.yaml").read_text()
    changed = content.replace("miss_cost: 35.0", "miss_cost: 36.0").replace("watch_list: 12", "watch_list: 5")
    (workspace / "params.yaml").write_text(changed)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    words = ["dvc", "repro", "alerts", "report"]
    process = subprocess.Popen(words, cwd=workspace, env=environment(SHELL=shell), text=True, **pipes)
    wait_for_stage(process, "alerts")
    (server,) = dvc_servers(process.pid)
    wait_for_stage(process, "report")
    assert dvc_servers(process.pid) == [server]
    forks = [one for one in server.children(recursive=True) if "forkserver" in " ".join(one.cmdline())]
    assert len(forks) >= 2  # the process that imported and the stage; its kernel may not have started
    assert process.wait(timeout=300) == 0
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in (server, *forks)), 30)
    assert not private_folder_path(dvc_folder(process.pid)).exists()
    assert "up to date" in command(workspace, "dvc", "status", "alerts", "report").stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_dvc_command_takes_stage_and_server_with_it(workspace: Path, number: int) -> None:
    content = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(content.replace("trees: 40", "trees: 400", 1))
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    words = ["dvc", "repro", "train"]
    process = subprocess.Popen(words, cwd=workspace, env=environment(), text=True, start_new_session=True, **pipes)
    wait_for_stage(process, "train")
    (server,) = dvc_servers(process.pid)
    everybody = [server, *server.children(recursive=True), *family(process)]
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    eventually(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in everybody), 30)


def test_only_a_folder_that_nobody_else_can_enter_is_trusted(tmp_path: Path) -> None:
    own, open_to_others, link = (tmp_path / name for name in ("own", "open", "link"))
    own.mkdir(mode=0o700)
    open_to_others.mkdir(mode=0o755)
    link.symlink_to(own)
    assert [is_private(folder) for folder in (own, open_to_others, link, tmp_path / "none")] == [True, False, False, False]


def test_closed_standard_streams_lead_nowhere(workspace: Path) -> None:
    done = command(workspace, "sh", "-c", "quiebra run ingest 2>&- && quiebra run >&- 2>&-")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((workspace / "data" / name).stat().st_size == 0 for name in (".run.lock", ".stage.lock"))


def test_a_long_folder_for_temporary_files_does(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    done = command(workspace, "quiebra", "run", "ingest", TMPDIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []


def test_a_kernel_that_ends_early_is_told_in_words(workspace: Path) -> None:
    path = workspace / "notebooks/01_ingest.ipynb"
    content = json.loads(path.read_text())
    next(cell for cell in content["cells"] if cell["cell_type"] == "code")["source"] = ["import os\n", "os._exit(3)"]
    path.write_text(json.dumps(content))
    done = command(workspace, "quiebra", "run", "ingest")
    assert done.returncode == 1
    assert "stage 'ingest' failed: its kernel ended before the notebook did" in done.stderr
    assert "Traceback" not in done.stderr
