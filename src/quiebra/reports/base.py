"""Parts common to all reports: language, banners, disclaimer and provenance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.banners import run_banners
from quiebra.io.files import read_json
from quiebra.params import StageParams
from quiebra.registry import challenger_in_words, waiting_challenger
from quiebra.reports.tables import escape_markup, markdown_table
from quiebra.risk import FinishedRun
from quiebra.text.words import Words


@dataclass(frozen=True)
class Report(FinishedRun):
    """A report on the finished run; subclasses add its sections."""

    params: StageParams

    @cached_property
    def words(self) -> Words:
        return Words(self.params.report.lang)

    @cached_property
    def standing(self) -> dict[str, Any]:
        """Alerts, watch list and overrides as of the evaluation of alerts; see `quiebra.alerts.evaluation.open_decisions`."""
        return self.read(read_json, self.workspace.alerts / "standing.json")

    @cached_property
    def tenths(self) -> pl.DataFrame:
        return pl.read_csv(self.registered_model.validation / "tenths.csv")

    def banners(self) -> str:
        """Return the callouts at the top of the report, as Markdown: the model is not the champion or failed a gate, companies
        are simulated, the report is a draft."""
        found, words = [], self.words
        for heading, said in run_banners(self.run):
            found.append(f"::: {{.callout-warning}}\n**{words(heading)}.** {escape_markup(words.say(said))}\n:::")
        if self.params.report.status == "DRAFT":
            found.append(f"::: {{.callout-note}}\n**{words('DRAFT')}.** {words('This report has not been approved.')}\n:::")
        return "\n\n".join(found)

    def disclaimer(self) -> str:
        """Return the disclaimer on the use of the report."""
        return self.words(
            "PDs are estimates of a statistical model, with the uncertainty that is shown, from statements as they were "
            "published; they "
            "are no advice and no credit decision by themselves. Reasons say what the model looked at, not what causes "
            "failure. For the "
            "addressee's own use."
        )

    def provenance(self) -> str:
        """Return the table of the report's provenance: run, data, model and code."""
        words = self.words
        rows = [
            (words("run"), self.run["run_id"]),
            (words("as of"), words.date(self.run["as_of"])),
            (words("source"), f"{words(self.source['title'])} ({self.source['source']})"),
            (words("data, SHA-256"), self.run["data"]["sha256"]),
            (words("model, SHA-256"), self.run["model_sha256"]),
            (words("code, SHA-256"), self.run["code_sha256"]),
            (words("learnt from"), words("fiscal years {years}", years=self.model_record["card"]["trained_on"])),
        ]
        if (newer := waiting_challenger(self.workspace, self.source["source"])) is not None:
            rows.append((words("newer model"), escape_markup(words.say(challenger_in_words(newer)))))
        return markdown_table([{"": name, words("value"): value} for name, value in rows])
