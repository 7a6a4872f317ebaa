"""Running one stage: its notebook through Papermill, with the parameters that it declares, and its evidence kept."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from quiebra.errors import QuiebraError, StageError, WorkspaceError, nearest
from quiebra.files import write_text, writing
from quiebra.params import StageParams, for_stage, plain
from quiebra.publishing import is_experiment
from quiebra.raw_files import bring_raw_files
from quiebra.recovery import scratch_folder
from quiebra.settings import RESULTS
from quiebra.workspace import Workspace

try:
    import fcntl
except ImportError:  # Windows: whether a run is under way is not known there
    fcntl = None  # type: ignore[assignment]

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # optional to nbformat, and two seconds to import

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
CHAMPION, PUBLISHER = "champion", "publisher"
"""Stages without a notebook: who is in charge is decided in a moment, and which program sets the reports' pages is recorded."""


def run_stage(workspace: Workspace, name: str, *, lang: str | None = None, progress: bool = True) -> Path:
    """Run a stage's notebook and return the path of the executed one, kept next to the stage's outputs.

    Parameters are checked before the kernel starts. A stage already running in this workspace is waited for. The executed
    notebook is normalised (no timings, no machine paths), so that the same inputs give the same bytes; that of a failed
    stage is kept in ``data/failed``. ``lang``: of a report that is also wanted in another language than that of params; it goes
    into a folder of that name. The stages `CHAMPION` and `PUBLISHER` have no notebook. Raises
    ParamsError, and StageError with the failed cell's message.
    """
    if name == PUBLISHER:
        from quiebra.reports.publisher import record_publisher

        record_publisher(workspace)
        return workspace.build / "publisher.json"
    if name == CHAMPION:
        return _decide(workspace)
    if name not in STAGES:
        every = (*STAGES, CHAMPION, PUBLISHER)
        raise StageError(f"no stage '{name}'{nearest(name, every)}; there are {', '.join(every)}")
    stage = STAGES[name]
    other = {} if lang is None else {"report": {"lang": lang}}
    params = for_stage(workspace, name, other)
    overrides = plain(params)
    evidence = workspace.root / stage.evidence
    if lang is not None and lang != for_stage(workspace, name).report.lang:
        evidence = evidence.parent / lang / evidence.name
    with one_at_a_time(workspace, "stage"), scratch_folder(workspace) as scratch:
        if name == "ingest":
            bring_raw_files(workspace)
        partial = scratch / evidence.name
        with writing(evidence):
            evidence.parent.mkdir(parents=True, exist_ok=True)
            _execute(workspace, stage, partial, overrides, progress)
        normalise(partial, workspace)
        if name in REPORTS:
            _publish(workspace, name, partial, evidence, params)
        else:
            partial.replace(evidence)
        _failed(workspace, stage).unlink(missing_ok=True)
    return evidence


@contextlib.contextmanager
def one_at_a_time(workspace: Workspace, what: str) -> Iterator[int]:
    """Hold the workspace's lock for ``what`` and give its file descriptor; wait up to ten minutes for whoever has it. A killed
    holder frees it, but for a process that was given the descriptor."""
    path = workspace.root / "data" / f".{what}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=1)  # whoever asks whether it is held has it for a moment
        if not lock.is_locked:
            print(f"another {what} is running in {workspace.root}; waiting for it", file=sys.stderr)
            lock.acquire(timeout=LOCK_WAIT_SECONDS)
    except Timeout:
        raise WorkspaceError(f"another {what} has been running in {workspace.root} for too long: stop it first") from None
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}. Check the disk and its permissions.") from error
    try:
        yield lock._context.lock_file_fd  # type: ignore[misc]
    finally:
        lock.release()


def under_way(workspace: Workspace, what: str = "run") -> bool:
    """Return whether all stages (``run``), or one of them (``stage``), are being run in this workspace just now. Any number may
    ask at once: they share the lock that a run holds alone."""
    if fcntl is None:
        return False
    try:
        with (workspace.root / "data" / f".{what}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nobody has ever run all stages here
        return False
    return False


def _decide(workspace: Workspace) -> Path:
    """Run the stage that decides who is in charge; imported here, since other stages need none of it."""
    from quiebra.registry.charge import charge_path, decide

    params = for_stage(workspace, CHAMPION)
    with one_at_a_time(workspace, "stage"):
        decide(workspace, params.registry, experiment=is_experiment(workspace.root))
    return charge_path(workspace)


@contextlib.contextmanager
def own_surroundings(workspace: Workspace) -> Iterator[None]:
    """Have the kernels that are started meanwhile run the workspace's own code and write to the pipeline's folders."""
    path = os.pathsep.join(filter(None, (str(workspace.root / "src"), os.environ.get("PYTHONPATH", ""))))
    before = {name: os.environ.get(name) for name in (RESULTS, "PYTHONPATH")}
    os.environ.update({RESULTS: str(workspace.root), "PYTHONPATH": path})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _execute(workspace: Workspace, stage: Stage, output: Path, overrides: dict[str, Any], progress: bool) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from quiebra.kernel import OwnAsyncKernelManager, kernel_config

    try:
        with own_surroundings(workspace):
            papermill.execute_notebook(
                str(workspace.root / stage.notebook), str(output), {"overrides": overrides}, cwd=str(workspace.root),
                progress_bar={"desc": stage.name} if progress else False, kernel_name="python3",
                shutdown_kernel="immediate", record_timing=False, log_output=False, config=kernel_config(),
                kernel_manager_class=OwnAsyncKernelManager,
            )  # fmt: skip
    except PapermillExecutionError as error:
        failed = _failed(workspace, stage)
        with contextlib.suppress(OSError):  # on a full disk what went wrong is said all the same
            failed.parent.mkdir(parents=True, exist_ok=True)
            output.replace(failed)
        message = re.sub(r"\x1b\[[0-9;]*m", "", error.evalue)
        meant_for_people = error.ename in {kind.__name__ for kind in QuiebraError.__subclasses__()}
        kind = "" if meant_for_people else f"{error.ename}: "
        shown = failed.relative_to(workspace.root)
        raise StageError(f"stage '{stage.name}' failed: {kind}{message}\nThe notebook up to there: {shown}") from None


def _failed(workspace: Workspace, stage: Stage) -> Path:
    return workspace.root / "data" / "failed" / f"{stage.name}.ipynb"


def _publish(workspace: Workspace, stage: str, executed: Path, page: Path, params: StageParams) -> None:
    """Put the executed report into its language and format it; imported here, since other stages need none of it."""
    from quiebra.reports.front import page_metadata
    from quiebra.reports.notebook import finish
    from quiebra.reports.publisher import publish_report, record_publisher

    head = page_metadata(workspace, stage, params)
    finish(executed, head)
    publish_report(executed, page, record_publisher(workspace), head)


def normalise(path: Path, workspace: Workspace) -> None:
    """Take out of an executed notebook what differs between runs and machines."""
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
