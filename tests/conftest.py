"""Shared ground: a small demo panel in memory, a small finished workspace on disk, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import contextlib
import gettext
import os
import pickle
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import polars as pl
import psycopg
import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

from quiebra.feature_engineering import feature_table
from quiebra.models import ModelChain, walk_forward
from quiebra.panels import Panel, build_panel
from quiebra.params import Demo, Params, validate_params
from quiebra.services.finished_run import FinishedRunView
from quiebra.sources.demo import Simulation, simulate
from quiebra.text.words import _catalogue
from quiebra.workspace import Workspace

settings.register_profile("quiebra", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("quiebra")
T = TypeVar("T")
ROOT = Path(__file__).parents[1]
AMERICAN = ROOT.parent / "shared" / "data" / "american" / "american_bankruptcy_to_2017.csv.gz"
SMALL = {
    "ingest": {"demo": {"companies": 260, "first_year": 2012, "years": 11, "seed": 3}},
    "train": {"trees": 40, "later_trees": 20, "min_years": 2},
    "validate": {
        "bootstrap": 30,
        "gates": {"grades_inside": {"watch": 0.5}, "score_psi": {"watch": 5.0}},
    },  # so few pass no other
}


def merged(content: dict, changes: dict) -> dict:
    """Return nested settings with changes laid over them."""
    return {
        **content,
        **{
            k: merged(content[k], v) if isinstance(v, dict) and isinstance(content.get(k), dict) else v
            for k, v in changes.items()
        },
    }


def default_params(**changes: dict) -> dict:
    content = merged(yaml.safe_load((ROOT / "params.yaml").read_text()), {"run": {"threads": 1}})  # the workers share the cores
    return merged(content, changes)


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command run as a user would, without the caller's database."""
    env = {k: v for k, v in os.environ.items() if k != "QUIEBRA_DATABASE_URL" and not k.startswith("PYTEST")}
    return {**env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", **extra}


def command(workspace: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace and return what it said."""
    return subprocess.run(words, cwd=workspace, env=environment(**extra), capture_output=True, text=True, timeout=1500)


def wait_for_stage(process: subprocess.Popen[str], stage: str) -> None:
    """Read a run's standard error until it says that the stage's notebook is being executed."""
    said = []
    for line in process.stderr or ():
        said.append(line)
        if re.fullmatch(rf"\d+ of \d+, {stage}", line.strip()):
            return
    raise AssertionError(f"the run ended before {stage} started: {''.join(said)}")


def new_workspace(folder: Path, changes: dict) -> Path:
    """Make a workspace as cloned, with some params changed."""
    for name in ("notebooks", "reports", "dashboards", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("build", ".ipynb_checkpoints"))
    for name in (
        "dvc.yaml",
        ".dvcignore",
        ".dvc/config",
        ".dvc/.gitignore",
        ".dvc/plots/page.html",
        ".dvc/plots/by_year.json",
        "data/raw/README.md",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(yaml.safe_dump(default_params(**changes), sort_keys=False, allow_unicode=True))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def copy_workspace(workspace: Path, folder: Path, *without: str) -> Path:
    """Copy a workspace, less what SQLite keeps beside its database for readers in other tests, and less what is named."""
    return Path(
        shutil.copytree(workspace, folder, symlinks=True, ignore=shutil.ignore_patterns("*.db-shm", "*.db-wal", *without))
    )


def pytest_configure() -> None:
    """Where coverage is measured, let kernels save theirs after each cell: they are killed at the end."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        startup = ROOT / "build" / "coverage" / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True, exist_ok=True)
        saving = "get_ipython().events.register('post_run_cell', lambda result: coverage.Coverage.current().save())"
        (startup / "coverage.py").write_text(f"import coverage\n{saving}\n")
        os.environ["IPYTHONDIR"] = str(startup.parents[1])


SLOW_FIXTURES = {"finished", "chain", "postgres"}
"""What takes a whole run, a trained model or a server of its own: tests that need one are left out of `make test-fast`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are slow by nature, and run them last."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def made_once(shared: Path, name: str, make: Callable[[], T]) -> T:
    """Return what ``make`` gives: made by the first worker that asks, read by the others."""
    path = shared / f"{name}.pickle"
    with FileLock(shared / f"{name}.lock"):
        if not path.exists():
            path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())  # noqa: S301  # written here


def folder_made_once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first worker that asks has filled by ``make``. Do not change it: take a copy."""
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def params() -> Params:
    return validate_params(default_params())


@pytest.fixture(scope="session")
def simulation(params: Params, shared: Path) -> Simulation:
    """The demo panel of params.yaml, with its truth."""
    return made_once(shared, "simulation", lambda: simulate(params.ingest.demo))


@pytest.fixture(scope="session")
def panel(simulation: Simulation, shared: Path) -> Panel:
    return made_once(shared, "panel", lambda: build_panel(simulation.source))


@pytest.fixture(scope="session")
def features(panel: Panel, shared: Path) -> pl.DataFrame:
    return made_once(shared, "features", lambda: feature_table(panel.statements, panel.companies))


def walk_on(panel: Panel, params: Params, features: pl.DataFrame | None = None) -> ModelChain:
    """The chain of a panel with the given params."""
    return walk_forward(
        feature_table(panel.statements, panel.companies) if features is None else features,
        panel.statements,
        panel.events,
        first_year=panel.info.first_label_year,
        as_of=panel.info.as_of,
        train=params.train,
        labels=params.labels,
        run=params.run,
    )


@pytest.fixture(scope="session")
def chain(panel: Panel, features: pl.DataFrame, params: Params, shared: Path) -> ModelChain:
    return made_once(shared, "chain", lambda: walk_on(panel, params, features))


@pytest.fixture(scope="session")
def small_panel(shared: Path) -> Panel:
    demo = Demo(companies=400, first_year=2012, years=10, seed=3)
    return made_once(shared, "small_panel", lambda: build_panel(simulate(demo).source))


@pytest.fixture(scope="session")
def small_chain(small_panel: Panel, shared: Path) -> ModelChain:
    return made_once(shared, "small_chain", lambda: walk_on(small_panel, validate_params(default_params(**SMALL))))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all test workers share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def finished(shared: Path) -> Path:
    """A small workspace after a whole run. Do not change it: take a copy."""

    def make(folder: Path) -> None:
        new_workspace(folder, SMALL)
        done = command(folder, "quiebra", "run")
        assert done.returncode == 0, done.stdout + done.stderr

    return folder_made_once(shared, "finished", make)


@pytest.fixture(scope="session")
def base(finished: Path) -> FinishedRunView:
    """What the dashboards read of the finished workspace."""
    return FinishedRunView(Workspace(finished))


@pytest.fixture
def untranslated() -> Iterator[set[str]]:
    """What was asked of the Spanish catalogue during a test and is not in it, whichever way the text came there."""
    asked: set[str] = set()

    class Missing(gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            asked.add(message)
            return message

        def ngettext(self, one: str, many: str, n: int) -> str:
            asked.add(many)
            return many

    catalogue = _catalogue("es")
    catalogue.add_fallback(Missing())
    yield asked
    catalogue._fallback = None  # type: ignore[attr-defined]


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """An own copy of the finished workspace, under an own path."""
    return copy_workspace(finished, tmp_path / "workspace")


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    elsewhere = shutil.which("initdb")
    return found[-1].parent if found else Path(elsewhere).parent if elsewhere else None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A PostgreSQL server of the tests' own on loopback; gives a function that makes a database and returns its URL."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as make:
        yield make


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[Callable[[str], str]]:
    """Run a PostgreSQL server on loopback in a folder; give a function that makes a database and returns its URL."""
    programs = _postgres_bin()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (initdb not found)")
    as_user = []
    folder.mkdir(exist_ok=True)
    if os.getuid() == 0:  # the server refuses to run as root
        names = [u.pw_name for u in pwd.getpwall()]
        if "postgres" not in names:
            pytest.skip("tests run as root and there is no user 'postgres' to run the server as")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        for parent in (folder, *folder.parents)[:4]:
            with contextlib.suppress(PermissionError):
                parent.chmod(parent.stat().st_mode | 0o011)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    run = lambda *words: subprocess.run([*as_user, *map(str, words)], check=True, capture_output=True, cwd="/")  # noqa: E731
    run(programs / "initdb", "-D", data, "-A", "trust", "-U", "quiebra", "--no-sync")
    settings = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings, "start")
    os.environ["QUIEBRA_AUDIT_HEADS"] = str(folder / "heads")  # the ends of their chains are not noted in this checkout
    try:

        def make(name: str) -> str:
            server = f"postgresql://quiebra@127.0.0.1:{port}"
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')
            return f"{server}/{name}"

        yield make
    finally:
        os.environ.pop("QUIEBRA_AUDIT_HEADS", None)
        run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
