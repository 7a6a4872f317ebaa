"""Tear sheets of companies: one notebook, one kernel for the batch, one folder per company."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from quiebra.errors import PanelError, StageError, suggestion
from quiebra.io.files import read_table, write_text
from quiebra.params import stage_params
from quiebra.pipeline.stages import hold_run_lock, normalise_notebook, own_code_environment
from quiebra.provenance import json_sha256
from quiebra.reports.metadata import page_metadata
from quiebra.reports.notebook import finish_notebook
from quiebra.reports.publisher import Published, publish_report, record_publisher
from quiebra.workspace import Workspace
from quiebra.workspace.recovery import scratch_folder

if TYPE_CHECKING:
    from quiebra.pipeline.kernels import EnvironmentKernelManager


def write_tear_sheets(workspace: Workspace, companies: Sequence[str], lang: str | None = None) -> Iterator[Published]:
    """Write each company's tear sheet as HTML and PDF to ``reports/build/companies/ID/``, and yield each once it is written.

    Languages other than that of params go to ``ID/LANG``. PanelError, before anything is written, if a company was not scored.
    """
    params = stage_params(workspace, "report", {} if lang is None else {"report": {"lang": lang}})
    names = _names(workspace, companies)
    own = lang if lang != stage_params(workspace, "report").report.lang else None
    publisher = record_publisher(workspace)
    with hold_run_lock(workspace, "stage"), scratch_folder(workspace) as scratch, _kernel(workspace) as kernel:
        for company in companies:
            folder = workspace.build / "companies" / _folder(company) / (own or "")
            folder.mkdir(parents=True, exist_ok=True)
            executed = scratch / "tear_sheet.ipynb"
            _execute(workspace, executed, company, {"report": {"lang": params.report.lang}}, kernel)
            normalise_notebook(executed, workspace)
            head = page_metadata(workspace, "tear_sheet", params)
            head["title"] = f"{names[company]} · {head['title']}"
            finish_notebook(executed, head)
            yield publish_report(executed, folder / "tear_sheet.ipynb", publisher, head)


def _names(workspace: Workspace, companies: Sequence[str]) -> dict[str, str]:
    scored = read_table(workspace.scores / "scores.parquet")["company_id"].to_list()
    for company in companies:
        if company not in scored:
            raise PanelError(f"no company with the id '{company}' was scored{suggestion(company, scored)}")
    named = read_table(workspace.panel / "companies.parquet").select("company_id", "name").iter_rows()
    return {company_id: (name or company_id).replace("\n", " ") for company_id, name in named}


def _folder(company: str) -> str:
    """Return a folder name valid on any file system for any id."""
    safe = quote(company, safe="")
    if not safe or set(safe) == {"."}:
        return safe.replace(".", "%2E") or "%"
    return safe if len(safe) <= 120 else f"{safe[:100]}-{json_sha256(company)[:16]}"


def _kernel(workspace: Workspace) -> AbstractContextManager[EnvironmentKernelManager]:
    """Return one kernel for all sheets, so that libraries are imported once."""
    import contextlib

    from quiebra.pipeline.kernels import EnvironmentKernelManager, kernel_config

    @contextlib.contextmanager
    def running() -> Iterator[EnvironmentKernelManager]:
        manager = EnvironmentKernelManager(kernel_name="python3", config=kernel_config())
        with own_code_environment(workspace):
            manager.start_kernel(cwd=str(workspace.root))
        try:
            yield manager
        finally:
            manager.shutdown_kernel(now=True)

    return running()


def _execute(
    workspace: Workspace, executed: Path, company: str, overrides: dict[str, object], kernel: EnvironmentKernelManager
) -> None:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = load_notebook_node(str(workspace.reports / "tear_sheet.ipynb"))
    notebook = parameterize_notebook(notebook, {"company": company, "overrides": overrides})
    client = NotebookClient(
        notebook, km=kernel, timeout=300, record_timing=False, resources={"metadata": {"path": str(workspace.root)}}
    )
    try:
        client.execute()
    except CellExecutionError as error:
        message = re.sub(r"\x1b\[[0-9;]*m", "", error.evalue)
        raise StageError(f"the tear sheet of '{company}' failed: {error.ename}: {message}") from None
    for place, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = place  # counted per sheet, as the kernel has run other sheets before
    write_text(executed, nbformat.writes(notebook))
