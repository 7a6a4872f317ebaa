"""The contents of a company's tear sheet: its score and what made it, on a page that can be printed or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.alerts.plain import facts, sentence
from quiebra.alerts.wording import decided
from quiebra.items import ITEMS
from quiebra.models.reasons import ALTMAN_WORDS
from quiebra.params import StageParams, for_stage
from quiebra.reports.pages import Report
from quiebra.reports.tables import table
from quiebra.risk import FinishedRun
from quiebra.risk import subject as one
from quiebra.risk.subject import Subject
from quiebra.words import escaped
from quiebra.workspace import Workspace

SHOWN = (
    "total_assets",
    "current_assets",
    "current_liabilities",
    "total_liabilities",
    "revenue",
    "ebitda",
    "ebit",
    "net_income",
    "market_value",
)
"""Items of the statement on the sheet; the others are in the base."""


def tear_sheet(company_id: str, overrides: Mapping[str, Any] | None = None) -> TearSheet:
    """Return the sheet of a company of the workspace around the current folder, of the riskiest where none is named. PanelError
    where it was not scored."""
    workspace = Workspace.find()
    params = for_stage(workspace, "report", overrides)
    scores = FinishedRun(workspace).scores
    riskiest = scores.sort("pd_12m", "company_id", descending=[True, False])["company_id"]
    return TearSheet(workspace, params, company_id or riskiest[0])


@dataclass(frozen=True)
class TearSheet(Report):
    """Everything that the sheet's notebook shows."""

    params: StageParams
    company_id: str

    @cached_property
    def subject(self) -> Subject:
        return one.known(self, self.company_id)

    @property
    def place(self) -> str:
        """Id, sector and region, each once."""
        row = self.companies.filter(pl.col("company_id") == self.company_id).row(0, named=True)
        return " · ".join(dict.fromkeys(part for part in (self.company_id, row["sector"], row["region"]) if part))

    def lead(self) -> str:
        """The banners, and in a sentence or two how likely the company is to fail, and how that compares."""
        words, score = self.words, self.subject.score
        below = self.scores.filter(pl.col("pd_12m") < score["pd_12m"]).height / self.scores.height
        peers = one.peer_pds(self, self.subject.sector)
        lines = [
            words(
                "**{name}** ({place}) fails within a year with a probability of **{pd}** ({low} to {high}), by the model: grade **{grade}**. "
                "{share} of companies are safer; the median of its sector is {median}.",
                name=escaped(self.subject.name),
                place=escaped(self.place),
                pd=words.percent(score["pd_12m"]),
                low=words.percent(score["pd_12m_low"]),
                high=words.percent(score["pd_12m_high"]),
                grade=score["rating"],
                share=words.percent(below, 1 if below > 0.99 else 0),
                median=words.percent(peers.median()),  # type: ignore[arg-type]
            )
        ]
        return "\n\n".join([self.banners(), *lines, *self._decisions()])

    def _decisions(self) -> list[str]:
        said = decided(self.company_id, self.standing["overrides"], self.standing["watched"], self.words)
        return [escaped(line) for line in said]

    def terms(self) -> str:
        words = self.words
        pds, lows, highs = one.terms(self.subject.score)
        rows = [
            {
                words("within"): words("{n} y", n=year),
                "PD": words.percent(p),
                words("interval"): words("{low} to {high}", low=words.percent(low), high=words.percent(high)),
            }
            for year, p, low, high in zip(range(1, 6), pds, lows, highs, strict=True)
        ]
        return table(rows, {"PD": str, words("interval"): str})

    def why(self) -> str:
        parts = one.why(self.subject, self.words)
        lists = ["\n".join([f"**{title}**", "", *(f"- {escaped(text)}" for text in texts)]) for title, texts in parts]
        return "\n\n".join(lists) or self.words("Nothing raises its risk above the usual.")

    def effects(self) -> list[tuple[str, float]]:
        return one.steps(self.subject, self.words)

    def said_each_year(self) -> pl.DataFrame:
        return one.history(self, self.subject)

    def altman(self) -> str:
        words = self.words
        rows = [
            {
                words("Score"): ALTMAN_WORDS[name],
                words("Value"): words.number(value, 2),
                words("Zone"): words(zone or "not available"),
            }
            for name, value, zone, _ in one.altman(self.subject)
        ]
        return table(rows, {words("Value"): str})

    def statement(self) -> str:
        words, labels = self.words, {item.name: item.label for item in ITEMS}
        year = self.subject.score["fiscal_year"]
        known = (pl.col("company_id") == self.company_id) & (pl.col("available_at") <= self.as_of)
        past = self.statements.filter(known & (pl.col("fiscal_year") < year))
        past = past.sort("fiscal_year", "available_at").unique("fiscal_year", keep="last", maintain_order=True).tail(2)
        columns = {str(row["fiscal_year"]): row for row in [*past.to_dicts(), self.subject.statement]}
        rows = [
            {words("Item"): words(labels[name]), **{year: words.number(row[name], 1) for year, row in columns.items()}}
            for name in SHOWN
        ]
        return table(rows, dict.fromkeys(columns, str))

    def alerts(self) -> str:
        words = self.words
        mine = [a for a in self.standing["alerts"] if a["subject"] == self.company_id]
        fact = facts(self).get(self.company_id)
        lines = [
            f"- {escaped(sentence(a, words, list(self.params.score.grades), fact))} ({words.short(a['raised_on'])})" for a in mine
        ]
        return "\n".join(lines) or words("No alert stands.")

    def flags(self) -> str:
        return "\n".join(f"- {escaped(line)}" for line in one.flags(self, self.subject, self.words)) or self.words(
            "Nothing to remark about its data."
        )

    def source_line(self) -> str:
        """What made the sheet, in a line, and what it is not to be used for."""
        words, run = self.words, self.run
        made = words(
            "Run {run}, as of {date}; data {data}, model {model}, code {code} (starts of SHA-256). `quiebra trace {run}` shows the rest.",
            run=run["run_id"],
            date=words.date(run["as_of"]),
            data=run["data"]["sha256"][:12],
            model=run["model_sha256"][:12],
            code=run["code_sha256"][:12],
        )
        return f"{made}\n\n{self.disclaimer()}"
