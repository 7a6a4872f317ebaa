"""Run all stages with `dvc repro` under a lock, and summarise the result."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO

from quiebra.banners import run_banners
from quiebra.canonical import mean_value
from quiebra.errors import LocalisedMessage, RunStoppedError, StageError, WorkspaceError
from quiebra.io.files import read_json, read_table
from quiebra.params import load_params
from quiebra.pipeline.stage_server import serve_stages
from quiebra.pipeline.stages import hold_run_lock, ingest_summary
from quiebra.registry import challenger_in_words, read_scoring_model, registered_model, waiting_challenger
from quiebra.registry.champion import EXPERIMENT_MODEL, champion_path
from quiebra.reports.publisher import record_publisher
from quiebra.risk import FinishedRun
from quiebra.risk.scored_company import few_failures_sentence, own_figures_sentence
from quiebra.text.words import Words
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import declare_publisher, why_not_published
from quiebra.workspace.recovery import DVC_REPRO, repair_workspace


def reproduce(workspace: Workspace, target: str | None = None, *, log: IO[str] | None = None) -> None:
    """Run every stage whose inputs changed, or those that ``target`` needs.

    log: file for DVC's output; None: standard output. ParamsError before anything runs; StageError if a stage fails.
    """
    load_params(workspace)  # wrong ones are told before anything runs
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"

    with hold_run_lock(workspace, "run") as held, serve_stages(workspace) as server:
        repair_workspace(workspace)
        declare_publisher(workspace)
        _discard_unusable_champion(workspace)

        def repro(*words: str) -> None:
            command = [sys.executable, "-m", DVC_REPRO, *words]
            _run(command, cwd=workspace.root, env={**os.environ, "PATH": path, **server}, log=log, held=held)

        record_publisher(workspace)
        every = target or "dvc.yaml"
        repro(every)
        if target not in (None, "publish", "alerts"):  # the database is written by later stages
            return
        if reason := _unpublished(workspace):
            print(f"not published: {reason}", file=sys.stderr)
            return
        anew = _not_in_database(workspace)
        if anew:  # DVC restored an earlier run from its cache, or the database was exchanged
            repro("--single-item", "--force", "publish")
        if target != "publish" and (anew or _decided_since(workspace)):
            repro("--single-item", "--force", "alerts")
            repro(every)


def _run(command: list[str], *, cwd: Path, env: dict[str, str], log: IO[str] | None, held: int) -> None:
    """Run DVC; StageError with its last lines of error output.

    DVC inherits the lock's descriptor ``held``: if this process is killed, the next run waits until DVC has ended.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        text=True,
        pass_fds=[held],
        stdout=log,
        stderr=None if log is None else subprocess.PIPE,
    )
    if hasattr(signal, "siginterrupt"):  # not on Windows
        signal.siginterrupt(signal.SIGINT, True)  # after polars' import, waiting would go on
    last: deque[str] = deque(maxlen=12)
    for line in process.stderr or ():
        last.append(line)
        with contextlib.suppress(OSError):  # standard error may be on a full disk
            sys.stderr.write(line)
    if process.wait():
        said = "".join(line for line in last if line.startswith("error: ")) or "".join(last)
        if said.strip():
            raise StageError(f"the run stopped: {said.strip()}; mend it and run again, finished stages are kept")
        raise RunStoppedError("The run stopped there. Mend it and run again: finished stages are kept.")


def _discard_unusable_champion(workspace: Workspace) -> None:
    """Delete the choice of the scoring model, so that it is made again, if an experiment in this folder left its own model, the
    chosen model is not kept any more, or the file is damaged."""
    path = champion_path(workspace)
    if not path.is_file():
        return
    try:
        charge = read_scoring_model(workspace)
        registered_model(workspace, charge.model_sha256)
        usable = charge.standing != EXPERIMENT_MODEL
    except WorkspaceError:
        usable = False
    if not usable:
        path.unlink()


def _unpublished(workspace: Workspace) -> LocalisedMessage | None:
    """Return why this workspace may not publish its results; None if it may."""
    if reason := why_not_published(workspace):
        return reason
    from quiebra import store
    from quiebra.store.ownership import belongs_to_another

    engine = store.open_database(workspace)
    return belongs_to_another(engine, workspace)


def _decided_since(workspace: Workspace) -> bool:
    """Return whether decisions in the database, which DVC does not track, have changed since the alerts stage wrote them for
    reports."""
    record = workspace.alerts / "standing.json"
    if not record.is_file():
        return False
    from quiebra import store
    from quiebra.alerts.evaluation import decisions_hash

    engine = store.open_database(workspace)
    return bool(read_json(record)["decisions"] != decisions_hash(engine, read_json(workspace.panel / "source.json")["source"]))


def _not_in_database(workspace: Workspace) -> bool:
    """Return whether the run in the files differs from the database's current run, which DVC does not track."""
    record = workspace.published / "published.json"
    if not record.is_file():
        return False
    from quiebra import store
    from quiebra.environment import database_url

    engine = store.connect(database_url(workspace.root))
    return bool(store.current_run(engine) != read_json(workspace.scores / "run.json")["run_id"])


def result_summary(workspace: Workspace) -> list[str]:
    """Return a summary of the run in nine lines.

    Further lines, if they apply: warnings about the model, doubts about the data, figures of the scored source alone, a level
    that rests on few failures, columns of one's own, a waiting challenger, portfolio companies without a score, and unknown
    sectors in alert rules.
    """
    from quiebra.validation.monitoring import monitoring_lights

    run, source = read_json(workspace.scores / "run.json"), read_json(workspace.panel / "source.json")
    finished, words = FinishedRun(workspace), Words()
    scores, quality = read_table(workspace.scores / "scores.parquet"), finished.metrics
    w = quality["walk_forward"]
    low, high = w["interval"]["auc"]
    bounds = "" if low is None else f" ({low:.3f} to {high:.3f})"
    gates = quality["failed_gates"]
    near = [row["words"] for row in quality.get("verdict", []) if row["verdict"] == "watch"]
    verdict = ["no gate failed" + (f"; on watch: {', '.join(near)}" if near else "")]
    if gates:
        verdict = ["NOT to be promoted:", *gates]
    status = [light.status for light in monitoring_lights(read_table(workspace.monitoring / "findings.parquet"))]
    page = workspace.build / "risk_report.html"
    newer = waiting_challenger(workspace, run["data"]["source"])
    mean, worst, from_grade = mean_value(scores["pd_12m"]), scores["watch"].sum(), load_params(workspace).score.watch_from
    return [
        *(f"{heading}: {said}" for heading, said in run_banners(run)),
        f"{source['title']}, as of {run['as_of']}, run {run['run_id']}",
        *ingest_summary(workspace),
        f"companies   {scores.height:,} scored, mean one-year PD {mean:.2%}, {worst} of grade {from_grade} or worse",
        f"ranking     AUC {w['auc']:.3f}{bounds}, average precision {w['average_precision']:.3f}, out of time {w['test_years']}",
        f"riskiest    a tenth of companies held {w['top_decile_capture']:.0%} of {w['events']} failures",
        *_labelled("own", own_figures_sentence(finished, words)),
        *_labelled("level", few_failures_sentence(finished, words)),
        *_labelled("columns", _own_columns(finished)),
        f"calibration mean PD is {w['pd_over_observed']:.2f} times the observed rate",
        *_labelled("gates", *verdict),
        *([] if newer is None else [f"challenger  {challenger_in_words(newer)}"]),
        *_not_counted(workspace),
        f"monitoring  {status.count('alarm')} of {len(status)} measures in alarm, {status.count('watch')} on watch",
        f"report      {page}, PDF {page.with_suffix('.pdf')}, validation {page.with_stem('validation_report')}",
        "next        make dashboards",
    ]


def _own_columns(finished: FinishedRun) -> str:
    """Return which columns of one's own the model learnt from, and which not; empty where there are none."""
    learnt = {name for scorer in finished.model_record["scorers"].values() for name in scorer["features"]}
    own = [column["name"] for column in finished.source.get("own_columns", [])]
    left = [name for name in own if name not in learnt]
    said = [f"learnt from your own {', '.join(name for name in own if name in learnt)}"] if {*own} & learnt else []
    if left:
        why = ": a source lacks it, so that it would tell the source" if "+" in finished.source["source"] else ""
        said.append(f"not learnt from {', '.join(left)}{why}")
    return "; ".join(said)


def _labelled(label: str, *said: str) -> list[str]:
    """Return lines of the summary with their label before the first; none where nothing is said."""
    return [f"{head:<12}{line}" for head, line in zip([label, *[""] * len(said)], said, strict=False) if line]


def _not_counted(workspace: Workspace) -> list[str]:
    """Return warnings on entries of params that the portfolio's figures and the alert rules had to leave out."""
    from quiebra.alerts.descriptions import unknown_sector_sentences
    from quiebra.risk.losses import unscored_companies_sentence

    words, standing = Words(), workspace.alerts / "standing.json"
    portfolio = read_json(workspace.stress / "portfolio.json")
    said = [*portfolio.get("portfolio_notes", []), unscored_companies_sentence(portfolio, words)]
    alerts = unknown_sector_sentences(read_json(standing), words) if standing.is_file() else []
    return [*(f"portfolio   {line}" for line in said if line), *(f"alerts      {line}" for line in alerts)]
