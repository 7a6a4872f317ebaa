"""What every report says of itself: its title line, its banners, and where its numbers come from."""

from __future__ import annotations

from typing import Any

from quiebra.files import read_json
from quiebra.params import StageParams
from quiebra.reports.tables import table
from quiebra.risk import read_run
from quiebra.workspace import Workspace

TITLES = {"report": None, "validation_report": "Validation report"}
"""Stage → title of its page; None: ``report.title`` in params."""


def page_metadata(workspace: Workspace, stage: str, params: StageParams) -> dict[str, str]:
    """Return title and subtitle of a report: what it is of, as of when, and from which run."""
    run, source = read_run(workspace), read_json(workspace.panel / "source.json")
    marks = ["SIMULATED"] if run["simulated"] else []
    subtitle = " · ".join([*marks, source["title"], f"as of {run['as_of']}", f"run {run['run_id']}", params.report.status])
    return {"title": TITLES[stage] or params.report.title, "subtitle": subtitle}


def banners(run: dict[str, Any], source: dict[str, Any], status: str) -> str:
    """Return the callouts that a page must carry, as Markdown: that its companies are simulated, that it is a draft."""
    found = []
    if run["simulated"]:
        found.append(f"::: {{.callout-warning}}\n**SIMULATED.** {source['notes'].removeprefix('SIMULATED: ')}\n:::")
    if status == "DRAFT":
        found.append("::: {.callout-note}\n**DRAFT.** This report has not been approved.\n:::")
    return "\n\n".join(found)


def provenance(run: dict[str, Any], source: dict[str, Any], card: dict[str, Any]) -> str:
    """Return the table that traces a report to its run, data, model and code."""
    rows = [
        ("run", run["run_id"]),
        ("as of", run["as_of"]),
        ("source", f"{source['title']} ({source['source']})"),
        ("data, SHA-256", run["data"]["sha256"]),
        ("model, SHA-256", run["model_sha256"]),
        ("code, SHA-256", run["code_sha256"]),
        ("learnt from", f"fiscal years {card['trained_on']}"),
    ]
    return table([{"": name, "value": value} for name, value in rows])
