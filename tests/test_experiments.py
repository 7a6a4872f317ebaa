"""Experiments, worktrees and clones: each runs its own code on its own raw files, and publishes nothing."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import AMERICAN, ROOT, command, merged

from quiebra import store
from quiebra.environment import database_url
from quiebra.pipeline.kernels import foreign_kernel_program
from quiebra.provenance import file_sha256
from quiebra.store.ownership import belongs_to_another, claim_database
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import declare_publisher, is_experiment, is_publisher, why_not_published
from quiebra.workspace.raw_files import LIST_OF_FILES

CASH = '"cash_to_assets", "Cash / assets", "liquidity", "cash"'
STOCK = '"cash_to_assets", "Cash as stock / assets", "liquidity", "inventory"'


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def ran(folder: Path, *words: str, **extra: str) -> str:
    done = command(folder, *words, **extra)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def committed(workspace: Path) -> Path:
    """The finished workspace, declared as the publisher at its root, with everything that git is for committed."""
    shutil.copy(ROOT / ".gitignore", workspace / ".gitignore")
    declare_publisher(Workspace(workspace))
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", "as made")
    return workspace


def edit_feature(folder: Path) -> None:
    """Have the ratio of cash to assets take inventory instead."""
    path = folder / "src/quiebra/feature_engineering/ratios.py"
    before = path.read_text()
    after = before.replace(CASH, STOCK)
    assert after != before
    path.write_text(after)


def cash(path: Path) -> pl.Series:
    return pl.read_parquet(path)["cash_to_assets"]


def locked(text: str, stage: str, path: str) -> str:
    """Return the hash that a dvc.lock has for an out or a dep."""
    found = yaml.safe_load(text)["stages"][stage]
    return next(row["md5"] for row in (*found["outs"], *found["deps"]) if row["path"] == path)


def test_a_queued_experiment_runs_its_own_code_and_leaves_no_trace(committed: Path) -> None:
    features = committed / "data/features/features.parquet"
    before, database = file_sha256(features), file_sha256(committed / "data/quiebra.db")
    edit_feature(committed)
    ran(committed, "dvc", "exp", "run", "--queue", "--name", "cash", "features")
    git(committed, "checkout", "src")
    ran(committed, "dvc", "exp", "run", "--run-all")
    lock = subprocess.run(["git", "show", "cash:dvc.lock"], cwd=committed, capture_output=True, text=True)
    if lock.returncode:
        refs = subprocess.run(
            ["git", "for-each-ref", "--format=%(refname)"], cwd=committed, capture_output=True, text=True
        ).stdout
        (ref,) = (name for name in refs.split() if name.endswith("/cash"))
        lock = subprocess.run(["git", "show", f"{ref}:dvc.lock"], cwd=committed, capture_output=True, text=True, check=True)
    made = locked(lock.stdout, "features", "data/features/features.parquet")
    kept = committed / ".dvc/cache/files/md5" / made[:2] / made[2:]
    assert (cash(kept) - cash(features)).abs().max() > 0.01, "the experiment's features have the edit"
    assert file_sha256(features) == before, "the main checkout's have not"
    assert file_sha256(committed / "data/quiebra.db") == database
    edit_feature(committed)
    ran(committed, "dvc", "repro", "features")
    assert file_sha256(features) == file_sha256(kept), "a plain repro of the same edit has it too"


def test_an_experiment_publishes_nothing_and_a_run_cache_publishes_neither(committed: Path) -> None:
    """A whole experiment up to alerts leaves database and alerts as they were; a result that DVC has from before is published again."""
    engine = store.connect(database_url(committed))
    run = store.current_run(engine)
    engine.dispose()  # the file is read here, which would release the locks of its connections
    database = file_sha256(committed / "data/quiebra.db")
    said = ran(committed, "dvc", "exp", "run", "--temp", "--name", "four", "-S", "score.reasons=4", "alerts")
    assert "Running stage 'publish'" in said and "Running stage 'alerts'" in said
    assert file_sha256(committed / "data/quiebra.db") == database
    content = yaml.safe_load((committed / "params.yaml").read_text())
    (committed / "params.yaml").write_text(yaml.safe_dump(merged(content, {"score": {"reasons": 4}}), sort_keys=False))
    ran(committed, "dvc", "repro", "publish")
    assert store.current_run(engine) != run
    (committed / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    said = ran(committed, "dvc", "repro", "publish")
    assert "Stage 'score' is cached" in said
    assert "Running stage 'publish'" in said
    assert store.current_run(engine) == run


def test_a_copy_and_a_worktree_run_their_own_code_and_are_not_declared(committed: Path, tmp_path: Path) -> None:
    clone, worktree = tmp_path / "clone", tmp_path / "worktree"
    git(tmp_path, "clone", "-q", str(committed), "clone")
    git(committed, "worktree", "add", "-q", str(worktree))
    for folder in (clone, worktree):
        edit_feature(folder)
        assert "Cash as stock" in ran(folder, "quiebra", "dictionary"), folder.name
        declare_publisher(Workspace(folder))
        assert f"it is {committed} that publishes" in str(why_not_published(Workspace(folder)))
    assert "Cash as stock" not in ran(committed, "quiebra", "dictionary")
    assert why_not_published(Workspace(committed)) is None
    moved = Path(shutil.copytree(committed, tmp_path / "copy", symlinks=True))
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    ran(moved, "dvc", "repro", "--single-item", "--force", "publish", QUIEBRA_DATABASE_URL=url)
    assert json.loads((moved / "data/published/published.json").read_text())["published"] is False
    assert not (tmp_path / "shared.db").exists()


def test_an_experiment_takes_raw_files_by_their_recorded_hash(committed: Path) -> None:
    """On the American panel: git and DVC bring no raw file, and the experiment's panel is that of the checkout it came from."""
    if not AMERICAN.exists():
        pytest.skip(f"no American panel at {AMERICAN}")
    with gzip.open(AMERICAN, "rt") as panel:
        lines = panel.read().splitlines()
    raw = committed / "data/raw/american_bankruptcy.csv"
    raw.write_text("\n".join([lines[0], *lines[1:4000]]) + "\n")
    content = yaml.safe_load((committed / "params.yaml").read_text())
    (committed / "params.yaml").write_text(yaml.safe_dump(merged(content, {"ingest": {"source": "american"}}), sort_keys=False))
    ran(committed, "dvc", "repro", "ingest")
    lock = (committed / "dvc.lock").read_text()
    (listed,) = json.loads((committed / LIST_OF_FILES).read_text())["files"].items()
    assert listed == ("data/raw/american_bankruptcy.csv", {"size": raw.stat().st_size, "sha256": file_sha256(raw)})
    git(committed, "commit", "-qam", "american")
    ran(committed, "dvc", "exp", "run", "--temp", "--name", "raw", "-S", "run.seed=5", "ingest")
    refs = subprocess.run(["git", "for-each-ref", "--format=%(refname)"], cwd=committed, capture_output=True, text=True).stdout
    made = subprocess.run(
        ["git", "show", f"{next(r for r in refs.split() if r.endswith('/raw'))}:dvc.lock"],
        cwd=committed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in (LIST_OF_FILES, "data/panel/statements.parquet"):
        assert locked(made, "ingest", path) == locked(lock, "ingest", path)
    raw.write_text("\n".join([lines[0], *lines[1:3000]]) + "\n")
    refused = command(committed, "dvc", "exp", "run", "--temp", "-S", "run.seed=6", "ingest")
    assert refused.returncode != 0
    assert "is not what dvc.lock records: no raw file was taken from there" in refused.stdout + refused.stderr


def test_the_kernel_is_this_environments_whatever_is_on_the_path(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = workspace / "jupyter/kernels/python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        '{"argv": ["/bin/false", "-f", "{connection_file}"], "display_name": "x", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(workspace / "jupyter"))
    assert foreign_kernel_program() == "/bin/false"
    assert "python3 kernel on the path is another environment's: /bin/false" in command(workspace, "quiebra", "doctor").stdout
    ran(workspace, "quiebra", "run", "features")


def test_a_notebook_of_another_checkout_is_refused(workspace: Path) -> None:
    done = command(workspace, "papermill", "notebooks/02_features.ipynb", "out.ipynb")
    assert done.returncode != 0
    assert f"PYTHONPATH={workspace / 'src'}" in done.stderr


def test_a_database_belongs_to_the_workspace_that_claimed_it(tmp_path: Path) -> None:
    first, second = Workspace(tmp_path / "first"), Workspace(tmp_path / "second")
    engine = store.connect(f"sqlite:///{tmp_path / 'shared.db'}")
    store.upgrade_schema(engine)
    assert claim_database(engine, first) is None
    assert claim_database(engine, first) is None
    assert "belongs to the workspace" in str(claim_database(engine, second))
    assert belongs_to_another(engine, second) and belongs_to_another(engine, first) is None
    assert claim_database(engine, second, take_over=True) is None
    assert belongs_to_another(engine, first)
    own = store.connect(f"sqlite:///{second.root / 'data/quiebra.db'}")
    store.upgrade_schema(own)
    assert claim_database(own, second) is None and not store.audit_entries(own), "the database inside a workspace is its own"


def test_a_workspace_is_declared_for_one_root_and_an_experiment_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, temporary = Workspace(tmp_path / "here"), Workspace(tmp_path / "here/.dvc/tmp/exps/tmp1")
    declare_publisher(workspace)
    assert is_publisher(workspace) and why_not_published(workspace) is None
    shutil.copytree(workspace.root, tmp_path / "there")
    assert not is_publisher(Workspace(tmp_path / "there"))
    declare_publisher(temporary)
    assert is_experiment(temporary.root) and not is_publisher(temporary)
    monkeypatch.setenv("DVC_EXP_NAME", "x")
    assert "experiment" in str(why_not_published(workspace))
