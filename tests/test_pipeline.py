"""The whole run: reproducible, resumable after a kill, nothing run twice, failures explained."""

import os
import re
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from conftest import SMALL, command, environment, merged, new_workspace, wait_for_stage

from quiebra.errors import StageError
from quiebra.io.files import read_json
from quiebra.pipeline.reproduce import reproduce
from quiebra.pipeline.stages import hold_run_lock, is_running
from quiebra.provenance import file_sha256, json_sha256
from quiebra.workspace import Workspace


def outs(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of every out that dvc.yaml names, and of every file in one that is a folder."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].values()
    listed = [out for stage in stages for out in (*stage["outs"], *stage.get("metrics", []))]
    names = [out if isinstance(out, str) else next(iter(out)) for out in listed]
    files = [
        path for name in names for path in ([folder / name] if (folder / name).is_file() else sorted((folder / name).iterdir()))
    ]
    return {str(path.relative_to(folder)): file_sha256(path) for path in files}


def leftovers(folder: Path) -> list[str]:
    """What a run that was killed may have left: unfinished files, the notebook half executed, sockets, temporary files."""
    found = [
        p for top in ("data", "models", "reports", ".dvc") for p in (folder / top).rglob("*") if p.suffix in (".partial", ".tmp")
    ]
    own = Path(tempfile.gettempdir()) / f"quiebra-{os.getuid()}-{json_sha256(str(folder))[:12]}"
    return [
        str(p) for p in (*found, *folder.glob("kernel-*"), folder / "data/running", folder / "data/failed", own) if p.exists()
    ]


def kill_during(folder: Path, stage: str) -> None:
    """Start `quiebra run`, wait until the stage's notebook is being executed, and kill everything without warning."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(["quiebra", "run"], cwd=folder, env=environment(), start_new_session=True, text=True, **pipes)
    wait_for_stage(process, stage)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_killed_at_its_start_completes_when_repeated_with_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """Also: everything from nothing twice, in two folders, gives the same hash for every out."""
    folder = new_workspace(tmp_path / "elsewhere", SMALL)
    kill_during(folder, "ingest")
    assert not (folder / "data/panel/ingest.ipynb").exists()
    again = command(folder, "quiebra", "run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert outs(folder) == outs(finished)
    assert leftovers(folder) == []


def test_a_run_killed_at_its_end_completes_when_repeated(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, {"report": {"watch_list": 5}}), sort_keys=False))
    before = (workspace / "reports/build/risk_report.pdf").read_bytes()
    kill_during(workspace, "report")
    assert (workspace / "reports/build/risk_report.pdf").read_bytes() == before
    again = command(workspace, "quiebra", "run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (workspace / "reports/build/risk_report.pdf").read_bytes()[:5] == b"%PDF-"
    assert (workspace / "reports/build/risk_report.pdf").read_bytes() != before
    assert leftovers(workspace) == []


def test_a_finished_run_runs_nothing_again_and_ends_with_its_result(workspace: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*.parquet")}
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0
    assert re.findall("Running stage '(.*)'", done.stdout) == ["inputs"], "the files that it reads are looked at each time"
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*.parquet")} == before
    lines = done.stdout.strip().splitlines()[-11:]
    assert lines[0] == "SIMULATED: These companies do not exist." and lines[1].startswith("Simulated companies, as of 20")
    assert re.match(r"statements  [\d,]+ rows in, [\d,]+ kept, \d+ set aside \(", lines[2])
    assert re.fullmatch(r"monitoring  \d+ of \d+ measures in alarm, \d+ on watch", lines[-3])
    page = re.fullmatch(r"report      (.*\.html), PDF (.*\.pdf), validation (.*\.html)", lines[-2])
    assert page is not None and all(Path(path).is_file() for path in page.groups())
    assert lines[-1] == "next        make dashboards"


def test_many_may_ask_at_once_whether_a_run_is_under_way(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert not is_running(workspace)
    with hold_run_lock(workspace, "run"):
        assert is_running(workspace)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: is_running(workspace), range(4000)))
    assert not any(answers)


def test_only_what_depends_on_a_change_runs_again(workspace: Path) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, {"train": {"trees": 41}}), sort_keys=False))
    status = command(workspace, "dvc", "status").stdout
    assert "train:" in status
    assert "ingest:" not in status
    assert "features:" not in status
    (workspace / "src/quiebra/panels/labels.py").open("a").write("\n# changed\n")
    assert "ingest:" in command(workspace, "dvc", "status").stdout


def test_metrics_and_plots_say_something(workspace: Path) -> None:
    shown = command(workspace, "dvc", "metrics", "show").stdout
    assert max(map(len, shown.splitlines())) <= 120
    assert re.search(r"auc +ap|altman +ap", shown)
    assert len(read_json(workspace / "data/validation/metrics.json")) == 9
    shown = command(workspace, "dvc", "plots", "show")
    assert shown.returncode == 0, shown.stderr
    page = (workspace / "dvc_plots" / "index.html").read_text()
    for title in (
        "Failures found among",
        "AUC by test year",
        "Observed failure rate",
        "the last year's model looks at",
        "have moved most",
    ):
        assert title in page
    assert "cdn." not in page and not re.search(r"<(script|link)[^>]+(src|href)=", page), "it needs no network"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ingest": {"source": "american"}}, ["kaggle datasets download", "data/failed/ingest.ipynb"]),
        ({"ingest": {"source": "table", "table": {"path": "data/raw/none.csv"}}}, ["no file at", "data/raw/none.csv"]),
        ({"train": {"treees": 3}}, ["train.treees: unknown", "'trees'"]),
        ({"train": {"trees": "x"}}, ["train.trees"]),
    ],
)
def test_failures_are_one_message_not_a_trace(workspace: Path, changes: dict, words: list[str]) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, changes), sort_keys=False))
    done = command(workspace, "quiebra", "run", "ingest")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert done.stderr.startswith("error: ")


def test_an_unexpected_failure_names_the_notebook(workspace: Path) -> None:
    (workspace / "data/features/features.parquet").write_bytes(b"not a table")
    done = command(workspace, "quiebra", "run", "train")
    assert done.returncode == 1
    assert "stage 'train' failed" in done.stderr
    assert "data/failed/train.ipynb" in done.stderr
    assert (workspace / "data/failed/train.ipynb").exists()
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_written_is_named(workspace: Path) -> None:
    for path in (workspace / "data/features").iterdir():
        path.unlink()
    (workspace / "data/features").rmdir()
    (workspace / "data/features").write_text("a file where the folder should be")
    done = command(workspace, "quiebra", "run", "features")
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "data/features" in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_workspace_it_says_so(tmp_path: Path) -> None:
    done = command(tmp_path, "quiebra", "run")
    assert done.returncode == 1
    assert "no params.yaml" in done.stderr


def test_a_table_of_ones_own_goes_all_the_way(workspace: Path) -> None:
    """The demo's statements, exported as a person's own CSV in thousands with other names, give the same scores."""
    import polars as pl

    statements = pl.read_parquet(workspace / "data/panel/statements.parquet")
    events = pl.read_parquet(workspace / "data/panel/events.parquet")
    sectors = pl.read_parquet(workspace / "data/panel/companies.parquet").select("company_id", "sector")
    mine = (
        statements.join(sectors, on="company_id")
        .join(events.select("company_id", "event_date"), on="company_id", how="left")
        .drop("source", "currency")
    )
    amounts = [name for name, kind in mine.schema.items() if kind == pl.Float64]
    mine = mine.with_columns(pl.col(amounts) * 1000).rename({"company_id": "NIF", "total_assets": "Activo"})
    mine.write_csv(workspace / "data/raw/mine.csv")
    before = pl.read_parquet(workspace / "data/scores/scores.parquet")
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    table = {"path": "data/raw/mine.csv", "units": 0.001, "columns": {"company_id": "NIF", "total_assets": "Activo"}}
    changes = {"ingest": {"source": "table", "table": table}, "run": {"as_of": "2023-06-30"}}
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, changes), sort_keys=False))
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIMULATED" not in done.stdout
    after = pl.read_parquet(workspace / "data/scores/scores.parquet")
    both = before.join(after, on="company_id", suffix="_mine")
    assert both.height == before.height == after.height
    gap = (both["pd_12m"] - both["pd_12m_mine"]).abs()  # some items that the panel lacks follow from others, and are worked out
    assert gap.median() < 0.003 and gap.quantile(0.9) < 0.03


def as_of(workspace: Path, date: str) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, {"run": {"as_of": date}}), sort_keys=False))


def test_another_date_is_scored(workspace: Path) -> None:
    as_of(workspace, "2019-06-30")
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as of 2019-06-30" in done.stdout


def test_a_date_that_no_statement_is_recent_at_is_explained(workspace: Path) -> None:
    as_of(workspace, "2031-06-30")
    with pytest.raises(StageError):
        reproduce(Workspace(workspace), "score")
    assert "change run.as_of" in (workspace / "data/failed/score.ipynb").read_text()


def test_a_changed_file_outside_data_raw_is_noticed(workspace: Path, tmp_path: Path) -> None:
    import polars as pl

    mine = pl.read_parquet(workspace / "data/panel/statements.parquet").drop("source", "currency")
    events = pl.read_parquet(workspace / "data/panel/events.parquet").select("company_id", "event_date")
    mine = mine.join(events, on="company_id", how="left")
    mine.write_csv(tmp_path / "mine.csv")
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    changes = {"ingest": {"source": "table", "table": {"path": str(tmp_path / "mine.csv")}}, "run": {"as_of": "2023-06-30"}}
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, changes), sort_keys=False))
    assert command(workspace, "dvc", "repro", "ingest").returncode == 0
    assert "ingest" not in command(workspace, "dvc", "status", "ingest").stdout, "DVC itself sees no change from here on"
    mine.filter(pl.col("company_id") != "SIM-00001").write_csv(tmp_path / "mine.csv")
    reproduce(Workspace(workspace), "ingest")
    companies = pl.read_parquet(workspace / "data/panel/companies.parquet")["company_id"]
    assert "SIM-00001" not in companies.to_list()
