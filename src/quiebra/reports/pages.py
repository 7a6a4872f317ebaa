"""What every report says of itself: its title line, its banners, and where its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from quiebra.files import read_json
from quiebra.params import StageParams
from quiebra.reports.tables import table
from quiebra.risk import FinishedRun, read_run
from quiebra.workspace import Workspace

TITLES = {"report": None, "validation_report": "Validation report"}
"""Stage → title of its page; None: ``report.title`` in params."""


def page_metadata(workspace: Workspace, stage: str, params: StageParams) -> dict[str, str]:
    """Return title and subtitle of a report: what it is of, as of when, and from which run."""
    run, source = read_run(workspace), read_json(workspace.panel / "source.json")
    marks = ["SIMULATED"] if run["simulated"] else []
    subtitle = " · ".join([*marks, source["title"], f"as of {run['as_of']}", f"run {run['run_id']}", params.report.status])
    return {"title": TITLES[stage] or params.report.title, "subtitle": subtitle}


@dataclass(frozen=True)
class Report(FinishedRun):
    """What every report is made of: the finished run, and what it must say of itself."""

    params: StageParams

    @cached_property
    def tenths(self) -> pl.DataFrame:
        return pl.read_csv(self.workspace.validation / "tenths.csv")

    def banners(self) -> str:
        """Return the callouts that the page must carry, as Markdown: that its companies are simulated, that it is a draft."""
        found = []
        if self.run["simulated"]:
            found.append(f"::: {{.callout-warning}}\n**SIMULATED.** {self.source['notes'].removeprefix('SIMULATED: ')}\n:::")
        if self.params.report.status == "DRAFT":
            found.append("::: {.callout-note}\n**DRAFT.** This report has not been approved.\n:::")
        return "\n\n".join(found)

    def provenance(self) -> str:
        """Return the table that traces the report to its run, data, model and code."""
        rows = [
            ("run", self.run["run_id"]),
            ("as of", self.run["as_of"]),
            ("source", f"{self.source['title']} ({self.source['source']})"),
            ("data, SHA-256", self.run["data"]["sha256"]),
            ("model, SHA-256", self.run["model_sha256"]),
            ("code, SHA-256", self.run["code_sha256"]),
            ("learnt from", f"fiscal years {self.model_record['card']['trained_on']}"),
        ]
        return table([{"": name, "value": value} for name, value in rows])
