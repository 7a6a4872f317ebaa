"""Tear sheets of companies: one notebook for all, one kernel for the batch, one folder a company."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from quiebra.errors import PanelError, StageError, nearest
from quiebra.files import read_table, write_text
from quiebra.params import for_stage
from quiebra.provenance import digest
from quiebra.recovery import scratch_folder
from quiebra.reports.front import page_metadata
from quiebra.reports.notebook import finish
from quiebra.reports.publisher import Published, publish_report, record_publisher
from quiebra.stages import normalise, one_at_a_time, own_surroundings
from quiebra.workspace import Workspace


def tear_sheets(workspace: Workspace, companies: Sequence[str], lang: str | None = None) -> Iterator[Published]:
    """Make the sheet of each company, as page and PDF, in ``reports/build/companies/ID/``, and give each as it is made.

    Other languages than that of params go into ``ID/LANG``. PanelError, before anything is made, where a company was not scored.
    """
    params = for_stage(workspace, "report", {} if lang is None else {"report": {"lang": lang}})
    names = _names(workspace, companies)
    own = lang if lang != for_stage(workspace, "report").report.lang else None
    publisher = record_publisher(workspace)
    with one_at_a_time(workspace, "stage"), scratch_folder(workspace) as scratch, _kernel(workspace) as kernel:
        for company in companies:
            folder = workspace.build / "companies" / _folder(company) / (own or "")
            folder.mkdir(parents=True, exist_ok=True)
            executed = scratch / "tear_sheet.ipynb"
            _execute(workspace, executed, company, {"report": {"lang": params.report.lang}}, kernel)
            normalise(executed, workspace)
            head = page_metadata(workspace, "tear_sheet", params)
            head["title"] = f"{names[company]} · {head['title']}"
            finish(executed, head)
            yield publish_report(executed, folder / "tear_sheet.ipynb", publisher, head)


def _names(workspace: Workspace, companies: Sequence[str]) -> dict[str, str]:
    scored = read_table(workspace.scores / "scores.parquet")["company_id"].to_list()
    for company in companies:
        if company not in scored:
            raise PanelError(f"no company with the id '{company}' was scored{nearest(company, scored)}")
    named = read_table(workspace.panel / "companies.parquet").select("company_id", "name").iter_rows()
    return {company_id: (name or company_id).replace("\n", " ") for company_id, name in named}


def _folder(company: str) -> str:
    """Return a name that any file system takes, from an id that may hold anything."""
    safe = quote(company, safe="")
    if not safe or set(safe) == {"."}:
        return safe.replace(".", "%2E") or "%"
    return safe if len(safe) <= 120 else f"{safe[:100]}-{digest(company)[:16]}"


def _kernel(workspace: Workspace):  # type: ignore[no-untyped-def]
    """Return one kernel for all sheets, so that what it imports is imported once."""
    import contextlib

    from quiebra.kernel import OwnKernelManager, kernel_config

    @contextlib.contextmanager
    def running() -> Iterator[OwnKernelManager]:
        manager = OwnKernelManager(kernel_name="python3", config=kernel_config())
        with own_surroundings(workspace):
            manager.start_kernel(cwd=str(workspace.root))
        try:
            yield manager
        finally:
            manager.shutdown_kernel(now=True)

    return running()


def _execute(workspace: Workspace, executed: Path, company: str, overrides: dict[str, object], kernel: object) -> None:
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
        cell.execution_count = place  # whatever the kernel has run before
    write_text(executed, nbformat.writes(notebook))
