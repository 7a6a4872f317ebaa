"""What every report says of itself: its language, its banners, and where its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.banners import banners
from quiebra.files import read_json
from quiebra.params import StageParams
from quiebra.registry import challenger, waiting
from quiebra.reports.tables import escaped, table
from quiebra.risk import FinishedRun
from quiebra.words import Words

@dataclass(frozen=True)
class Report(FinishedRun):
    """What every report is made of: the finished run, and what it must say of itself."""

    params: StageParams

    @cached_property
    def words(self) -> Words:
        return Words(self.params.report.lang)

    @cached_property
    def standing(self) -> dict[str, Any]:
        """Alerts, watch list and overrides as they stood when alerts were evaluated; see `quiebra.alerts.evaluation.standing`."""
        return self.read(read_json, self.workspace.alerts / "standing.json")

    @cached_property
    def tenths(self) -> pl.DataFrame:
        return pl.read_csv(self.kept.validation / "tenths.csv")

    def banners(self) -> str:
        """Return the callouts that the page must carry, as Markdown: that its model is not in charge or failed a gate, that its
        companies are simulated, that it is a draft."""
        found, words = [], self.words
        for heading, said in banners(self.run):
            found.append(f"::: {{.callout-warning}}\n**{words(heading)}.** {escaped(words.say(said))}\n:::")
        if self.run["simulated"]:
            notes = words(self.source["notes"]).removeprefix("SIMULATED: ").removeprefix("SIMULADO: ")
            found.append(f"::: {{.callout-warning}}\n**{words('SIMULATED')}.** {escaped(notes)}\n:::")
        if self.params.report.status == "DRAFT":
            found.append(f"::: {{.callout-note}}\n**{words('DRAFT')}.** {words('This report has not been approved.')}\n:::")
        return "\n\n".join(found)

    def disclaimer(self) -> str:
        """Return what the report is not to be used for."""
        return self.words(
            "PDs are estimates of a statistical model, with the uncertainty that is shown, from statements as they were published; they "
            "are no advice and no credit decision by themselves. Reasons say what the model looked at, not what causes failure. For the "
            "addressee's own use."
        )

    def provenance(self) -> str:
        """Return the table that traces the report to its run, data, model and code."""
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
        if (newer := challenger(self.workspace, self.source["source"])) is not None:
            rows.append((words("newer model"), escaped(words.say(waiting(newer)))))
        return table([{"": name, words("value"): value} for name, value in rows])
