"""All stages together: `dvc repro` under a lock, and its result in a few lines."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO

from quiebra.banners import banners
from quiebra.errors import Said, StageError, WorkspaceError
from quiebra.files import read_json, read_table
from quiebra.panel.quality import summary_lines
from quiebra.params import Params, load
from quiebra.provenance import sha256
from quiebra.publishing import declare, why_not_published
from quiebra.recovery import mend
from quiebra.registry import challenger, in_charge, kept, waiting
from quiebra.registry.charge import EXPERIMENT, charge_path
from quiebra.reports.publisher import record_publisher
from quiebra.risk import FinishedRun
from quiebra.sources.macro_files import macro_hash
from quiebra.stages import one_at_a_time
from quiebra.words import Words
from quiebra.workspace import Workspace


def reproduce(workspace: Workspace, target: str | None = None, *, log: IO[str] | None = None) -> None:
    """Run every stage whose inputs changed, or those that ``target`` needs. ParamsError before anything runs; StageError where
    a stage failed. log: where DVC writes what it does; standard output where none is given."""
    params = load(workspace)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

    with one_at_a_time(workspace, "run") as held:
        mend(workspace)
        declare(workspace)
        _undo_experiment(workspace)

        def repro(*words: str) -> None:
            command = [sys.executable, "-m", "dvc", "repro", *words]
            _run(command, cwd=workspace.root, env={**os.environ, "PATH": path}, log=log, held=held)

        record_publisher(workspace)
        if _changed_unseen(workspace, params):
            repro("--single-item", "--force", "ingest")
        every = [target] if target else []
        repro(*every)
        if target not in (None, "publish", "alerts"):  # what the database shows comes after it
            return
        if reason := _unpublished(workspace):
            print(f"not published: {reason}", file=sys.stderr)
            return
        anew = _not_in_database(workspace)
        if anew:  # DVC took files of a former run from its cache, or the database is another one
            repro("--single-item", "--force", "publish")
        if target != "publish" and (anew or _decided_since(workspace)):
            repro("--single-item", "--force", "alerts")
            repro(*every)


def _run(command: list[str], *, cwd: Path, env: dict[str, str], log: IO[str] | None, held: int) -> None:
    """Run DVC; StageError with its last words. The process holds the lock ``held`` too: where this one is killed, who comes next
    waits for what it has begun."""
    process = subprocess.Popen(
        command, cwd=cwd, env=env, text=True, pass_fds=[held],
        stdout=log, stderr=None if log is None else subprocess.PIPE,
    )  # fmt: skip
    last: deque[str] = deque(maxlen=12)
    for line in process.stderr or ():
        last.append(line)
        with contextlib.suppress(OSError):  # a full disk where it goes
            sys.stderr.write(line)
    if process.wait():
        said = "".join(line for line in last if line.startswith("error: ")) or "".join(last)
        why = f": {said.strip()}" if said.strip() else ": see the message above"
        raise StageError(f"the run stopped{why}; mend it and run again, finished stages are kept")


def _undo_experiment(workspace: Workspace) -> None:
    """Have it decided anew who is in charge where an experiment in this very folder left its own model, or where the model in
    charge is not kept any more, or the file is damaged."""
    path = charge_path(workspace)
    if not path.is_file():
        return
    try:
        charge = in_charge(workspace)
        kept(workspace, charge.model_sha256)
        usable = charge.standing != EXPERIMENT
    except WorkspaceError:
        usable = False
    if not usable:
        path.unlink()


def _unpublished(workspace: Workspace) -> Said | None:
    """Return why this workspace may not publish what it made; None where it may."""
    if reason := why_not_published(workspace):
        return reason
    from quiebra import store
    from quiebra.settings import database_url
    from quiebra.store.ownership import belongs_to_another

    engine = store.connect(database_url(workspace.root))
    store.upgrade(engine)
    return belongs_to_another(engine, workspace)


def _changed_unseen(workspace: Workspace, params: Params) -> bool:
    """Whether a source's file is outside data/raw, where DVC does not look, and differs from the one last ingested."""
    record = workspace.panel / "source.json"
    if not record.is_file():
        return False
    before = read_json(record)
    if before["source"] != params.ingest.source:
        return False
    if before.get("macro_sha256") != macro_hash(params.ingest.macro, workspace.root):
        return True
    path = workspace.root / getattr(getattr(params.ingest, params.ingest.source), "path", "")
    unseen = path.is_file() and not path.is_relative_to(workspace.root / "data" / "raw")
    return unseen and before["sha256"] != sha256(path)


def _decided_since(workspace: Workspace) -> bool:
    """Whether people acknowledged, closed or overrode something after the reports' standing was written: DVC sees no database."""
    record = workspace.alerts / "standing.json"
    if not record.is_file():
        return False
    from quiebra import store
    from quiebra.alerts.evaluation import decisions
    from quiebra.settings import database_url

    engine = store.connect(database_url(workspace.root))
    store.upgrade(engine)
    return read_json(record)["decisions"] != decisions(engine, read_json(workspace.panel / "source.json")["source"])


def _not_in_database(workspace: Workspace) -> bool:
    """Whether the run that the files hold is not the one that the database shows: DVC does not see it."""
    record = workspace.published / "published.json"
    if not record.is_file():
        return False
    from quiebra import store
    from quiebra.settings import database_url

    engine = store.connect(database_url(workspace.root))
    return store.current_run(engine) != read_json(workspace.scores / "run.json")["run_id"]


def ingest_lines(workspace: Workspace) -> list[str]:
    """Return what came in, was kept and was set aside by rule, and a line for each doubt about the data as a whole."""
    return summary_lines(read_json(workspace.panel / "quality.json"))


def result_lines(workspace: Workspace) -> list[str]:
    """Return eight lines of result, one for each doubt about the data, and the path of the report; before them what must be said
    of the model behind them, and lines on a newer model that is not in charge, on companies of the portfolio without a score and
    on sectors that alert rules name in vain."""
    from quiebra.validation.monitoring import lights

    run, source = read_json(workspace.scores / "run.json"), read_json(workspace.panel / "source.json")
    scores, quality = read_table(workspace.scores / "scores.parquet"), FinishedRun(workspace).metrics
    w = quality["walk_forward"]
    low, high = w["interval"]["auc"]
    bounds = "" if low is None else f" ({low:.3f} to {high:.3f})"
    gates = quality["failed_gates"]
    verdict = "no gate failed" if not gates else f"NOT to be promoted: {'; '.join(gates)}"
    status = [light.status for light in lights(read_table(workspace.monitoring / "findings.parquet"))]
    newer = challenger(workspace, run["data"]["source"])
    return [
        *(f"{heading}: {said}" for heading, said in banners(run)),
        f"{'SIMULATED  ' if run['simulated'] else ''}{source['title']}, as of {run['as_of']}, run {run['run_id']}",
        *ingest_lines(workspace),
        f"companies   {scores.height:,} scored, mean one-year PD {scores['pd_12m'].mean():.2%}, {scores['watch'].sum()} on watch",
        f"ranking     AUC {w['auc']:.3f}{bounds}, average precision {w['average_precision']:.3f}, out of time {w['test_years']}",
        f"riskiest    a tenth of companies held {w['top_decile_capture']:.0%} of {w['events']} failures",
        f"calibration mean PD is {w['pd_over_observed']:.2f} times the observed rate",
        f"gates       {verdict}",
        *([] if newer is None else [f"challenger  {waiting(newer)}"]),
        *_not_counted(workspace),
        f"monitoring  {status.count('alarm')} of {len(status)} measures in alarm, {status.count('watch')} on watch",
        f"report      {workspace.build / 'risk_report.html'}",
    ]


def _not_counted(workspace: Workspace) -> list[str]:
    """Return what the portfolio's figures and the alert rules leave out although params name it."""
    from quiebra.alerts.wording import unknown_sector_sentences
    from quiebra.risk.losses import unscored_companies_sentence

    words, standing = Words(), workspace.alerts / "standing.json"
    portfolio = read_json(workspace.stress / "portfolio.json")
    said = [*portfolio.get("portfolio_notes", []), unscored_companies_sentence(portfolio, words)]
    alerts = unknown_sector_sentences(read_json(standing), words) if standing.is_file() else []
    return [*(f"portfolio   {line}" for line in said if line), *(f"alerts      {line}" for line in alerts)]
