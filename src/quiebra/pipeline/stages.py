"""Run one stage: its notebook through Papermill with the stage's parameters; the executed notebook is kept."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from quiebra.environment import RESULTS_FOLDER
from quiebra.errors import QuiebraError, StageError, WorkspaceError, suggestion
from quiebra.io.files import name_path_in_errors, read_json, write_text
from quiebra.params import StageParams, load_params, stage_params, to_plain
from quiebra.progress import show_progress
from quiebra.terminal import echo
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import declare_publisher, is_experiment
from quiebra.workspace.raw_files import bring_raw_files
from quiebra.workspace.recovery import scratch_folder

try:
    import fcntl
except ImportError:  # Windows: there it is not known whether a run is under way
    fcntl = None  # type: ignore[assignment]  # a module on other systems

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # optional for nbformat, and takes two seconds to import

LOCK_WAIT_SECONDS = 600


@dataclass(frozen=True)
class Stage:
    """notebook: what is run; evidence: where the executed notebook is kept, both relative to the workspace."""

    name: str
    notebook: str
    evidence: str


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("ingest", "notebooks/01_ingest.ipynb", "data/panel/ingest.ipynb"),
        Stage("features", "notebooks/02_features.ipynb", "data/features/features.ipynb"),
        Stage("train", "notebooks/03_train.ipynb", "models/train.ipynb"),
        Stage("validate", "notebooks/04_validate.ipynb", "data/validation/validate.ipynb"),
        Stage("score", "notebooks/05_score.ipynb", "data/scores/score.ipynb"),
        Stage("stress", "notebooks/06_stress.ipynb", "data/stress/stress.ipynb"),
        Stage("monitor", "notebooks/07_monitor.ipynb", "data/monitoring/monitor.ipynb"),
        Stage("publish", "notebooks/08_publish.ipynb", "data/published/publish.ipynb"),
        Stage("alerts", "notebooks/09_alerts.ipynb", "data/alerts/alerts.ipynb"),
        Stage("report", "reports/risk_report.ipynb", "reports/build/risk_report.ipynb"),
        Stage("validation_report", "reports/validation_report.ipynb", "reports/build/validation_report.ipynb"),
    )
}


REPORTS = ("report", "validation_report")
INPUTS_STAGE, CHAMPION_STAGE, PUBLISHER_STAGE = "inputs", "champion", "publisher"
"""Stages without a notebook: one lists the files that a run reads, one chooses the scoring model, one records the program that
renders the reports."""


def run_stage(workspace: Workspace, name: str, *, lang: str | None = None) -> Path:
    """Run a stage's notebook and return the path of the executed notebook, kept beside the stage's outputs.

    Parameters are validated before the kernel starts. If a stage is running in this workspace, this call waits for it. The
    executed notebook is normalised (no timings, no machine paths), so that the same inputs give the same bytes; that of a failed
    stage is kept in ``data/failed``. lang: language of a report; one other than that of params goes to a folder of that name.
    `INPUTS_STAGE`, `CHAMPION_STAGE` and `PUBLISHER_STAGE` have no notebook. Raises ParamsError, and StageError with the failed
    cell's message.
    """
    if name == PUBLISHER_STAGE:
        from quiebra.reports.publisher import record_publisher

        record_publisher(workspace)
        return workspace.build / "publisher.json"
    if name == INPUTS_STAGE:
        return _list_inputs(workspace)
    if name == CHAMPION_STAGE:
        return _choose_scoring_model(workspace)
    if name not in STAGES:
        every = (*STAGES, INPUTS_STAGE, CHAMPION_STAGE, PUBLISHER_STAGE)
        raise StageError(f"no stage '{name}'{suggestion(name, every)}; there are {', '.join(every)}")
    stage = STAGES[name]
    other = {} if lang is None else {"report": {"lang": lang}}
    params = stage_params(workspace, name, other)
    overrides = to_plain(params)
    evidence = workspace.root / stage.evidence
    if lang is not None and lang != stage_params(workspace, name).report.lang:
        evidence = evidence.parent / lang / evidence.name
    in_run = "DVC_STAGE" in os.environ
    with hold_run_lock(workspace, "stage"), scratch_folder(workspace) as scratch:
        if name == "ingest":
            _bring_inputs(workspace)
        partial = scratch / evidence.name
        with name_path_in_errors(evidence):
            evidence.parent.mkdir(parents=True, exist_ok=True)
            heading = f"{list(STAGES).index(name) + 1} of {len(STAGES)}, {name}" if in_run else name
            with show_progress(heading, scratch, announce=in_run):
                _execute(workspace, stage, partial, overrides)
        normalise_notebook(partial, workspace)
        if name in REPORTS:
            _render_report(workspace, name, partial, evidence, params)
        else:
            partial.replace(evidence)
        _failed(workspace, stage).unlink(missing_ok=True)
    return evidence


def _list_inputs(workspace: Workspace) -> Path:
    from quiebra.sources.input_files import INGEST, list_path, write_input_lists

    _bring_inputs(workspace)
    write_input_lists(workspace, load_params(workspace))
    return list_path(workspace.root, INGEST)


def _bring_inputs(workspace: Workspace) -> None:
    """Have the files that a run reads, and a portfolio's, in an experiment, worktree or clone."""
    from quiebra.sources.input_files import ingest_files

    params = load_params(workspace)
    portfolio = params.portfolio.file
    bring_raw_files(workspace, lambda root: [*ingest_files(params.ingest, root), *([root / portfolio] if portfolio else [])])


def run_stage_command(workspace: Workspace, name: str) -> None:
    """Run a stage as `quiebra run STAGE` does, and print the summary of ingest. If a person starts it, not DVC, the workspace is
    declared a publisher."""
    if "DVC_STAGE" not in os.environ:
        declare_publisher(workspace)
    run_stage(workspace, name)
    if name == "ingest":
        for line in ingest_summary(workspace):
            echo(line)


def ingest_summary(workspace: Workspace) -> list[str]:
    """Return the number of rows read, kept and quarantined by rule, and a line for each doubt about the data."""
    from quiebra.panels.quality import quality_summary

    return quality_summary(read_json(workspace.panel / "quality.json"))


@contextlib.contextmanager
def hold_run_lock(workspace: Workspace, what: str) -> Iterator[int]:
    """Hold the workspace's lock for ``what`` and yield its file descriptor, after waiting up to ten minutes for another holder.

    The lock of a killed process is freed, unless a subprocess that inherited the descriptor is alive.
    """
    path = workspace.root / "data" / f".{what}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=1)  # is_running holds the lock for a moment
        if not lock.is_locked:
            print(f"another {what} is running in {workspace.root}; waiting for it", file=sys.stderr)
            lock.acquire(timeout=LOCK_WAIT_SECONDS)
    except Timeout:
        raise WorkspaceError(f"another {what} has been running in {workspace.root} for too long: stop it first") from None
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}. Check the disk and its permissions.") from error
    try:
        yield cast("int", lock._context.lock_file_fd)  # not None while the lock is held
    finally:
        lock.release()


def is_running(workspace: Workspace, what: str = "run") -> bool:
    """Return whether a run (``run``) or a single stage (``stage``) is under way in this workspace.

    Concurrent calls do not block each other: they use a shared lock, a run an exclusive one.
    """
    if fcntl is None:
        return False
    try:
        with (workspace.root / "data" / f".{what}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no run was ever started here
        return False
    return False


def _choose_scoring_model(workspace: Workspace) -> Path:
    """Run the stage that chooses the scoring model; imports are local, as other stages do not need them."""
    from quiebra.registry.champion import champion_path, decide_scoring_model

    params = stage_params(workspace, CHAMPION_STAGE)
    with hold_run_lock(workspace, "stage"):
        decide_scoring_model(workspace, params.registry, experiment=is_experiment(workspace.root))
    return champion_path(workspace)


@contextlib.contextmanager
def own_code_environment(workspace: Workspace) -> Iterator[None]:
    """Let kernels started in the block run the workspace's own code and write to the pipeline's folders."""
    path = os.pathsep.join(filter(None, (str(workspace.root / "src"), os.environ.get("PYTHONPATH", ""))))
    before = {name: os.environ.get(name) for name in (RESULTS_FOLDER, "PYTHONPATH")}
    os.environ.update({RESULTS_FOLDER: str(workspace.root), "PYTHONPATH": path})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _execute(workspace: Workspace, stage: Stage, output: Path, overrides: dict[str, Any]) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from quiebra.pipeline.kernels import AsyncEnvironmentKernelManager, kernel_config

    try:
        with own_code_environment(workspace):
            papermill.execute_notebook(
                str(workspace.root / stage.notebook),
                str(output),
                {"overrides": overrides},
                request_save_on_cell_execute=False,  # what a failed notebook has run is saved all the same
                cwd=str(workspace.root),
                progress_bar=False,
                kernel_name="python3",
                shutdown_kernel="immediate",
                record_timing=False,
                log_output=False,
                config=kernel_config(),
                kernel_manager_class=AsyncEnvironmentKernelManager,
            )
    except RuntimeError as error:
        if "Kernel died" not in str(error):  # nbclient says so of one that ends early, also before its first answer
            raise
        raise StageError(
            f"stage '{stage.name}' failed: its kernel ended before the notebook did ({error}). Where memory ran out, close other "
            "programs or give it less at a time; otherwise look for what ends the process in the notebook's cells."
        ) from error
    except PapermillExecutionError as error:
        failed = _failed(workspace, stage)
        with contextlib.suppress(OSError):  # on a full disk the error is still raised
            failed.parent.mkdir(parents=True, exist_ok=True)
            output.replace(failed)
        message = re.sub(r"\x1b\[[0-9;]*m", "", error.evalue)
        meant_for_people = error.ename in {kind.__name__ for kind in QuiebraError.__subclasses__()}
        kind = "" if meant_for_people else f"{error.ename}: "
        shown = failed.relative_to(workspace.root)
        raise StageError(f"stage '{stage.name}' failed: {kind}{message}\nThe notebook up to there: {shown}") from None


def _failed(workspace: Workspace, stage: Stage) -> Path:
    return workspace.root / "data" / "failed" / f"{stage.name}.ipynb"


def _render_report(workspace: Workspace, stage: str, executed: Path, page: Path, params: StageParams) -> None:
    """Translate and render an executed report; imports are local, as other stages do not need them."""
    from quiebra.reports.metadata import page_metadata
    from quiebra.reports.notebook import finish_notebook
    from quiebra.reports.publisher import publish_report, record_publisher

    head = page_metadata(workspace, stage, params)
    finish_notebook(executed, head)
    publish_report(executed, page, record_publisher(workspace), head)


def normalise_notebook(path: Path, workspace: Workspace) -> None:
    """Remove what differs between runs and machines from an executed notebook."""
    import nbformat

    text = path.read_text(encoding="utf-8").replace(str(workspace.root), ".")
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
    write_text(path, nbformat.writes(notebook))
