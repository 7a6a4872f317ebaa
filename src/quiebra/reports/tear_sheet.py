"""Contents of a company's tear sheet: its score and the reasons, on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from quiebra.alerts.descriptions import analyst_decision_sentences
from quiebra.alerts.sentences import alert_sentence, company_facts
from quiebra.canonical import median_value
from quiebra.items import ITEMS
from quiebra.models.reasons import ALTMAN_LABELS
from quiebra.params import StageParams, stage_params
from quiebra.reports.base import Report
from quiebra.reports.tables import markdown_table
from quiebra.risk import FinishedRun, scored_company
from quiebra.risk.scored_company import ScoredCompany
from quiebra.text.words import escape_markup
from quiebra.workspace import Workspace

SHEET_ITEMS = (
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
"""Items of the statement shown on the sheet."""


def tear_sheet(company_id: str, overrides: Mapping[str, Any] | None = None) -> TearSheet:
    """Return the tear sheet of a company of the current folder's workspace, by default of the riskiest. PanelError if it was not
    scored."""
    workspace = Workspace.find()
    params = stage_params(workspace, "report", overrides)
    scores = FinishedRun(workspace).scores
    riskiest = scores.sort("pd_12m", "company_id", descending=[True, False])["company_id"]
    return TearSheet(workspace, params, company_id or riskiest[0])


@dataclass(frozen=True)
class TearSheet(Report):
    """Contents of the tear sheet's notebook."""

    params: StageParams
    company_id: str

    @cached_property
    def subject(self) -> ScoredCompany:
        return scored_company.load_company(self, self.company_id)

    @property
    def place(self) -> str:
        """Id, sector and region, without repetitions."""
        row = self.companies.filter(pl.col("company_id") == self.company_id).row(0, named=True)
        return " · ".join(dict.fromkeys(part for part in (self.company_id, row["sector"], row["region"]) if part))

    def lead(self) -> str:
        """Return the banners, the company's PD and grade compared with others, and analysts' decisions."""
        words, score = self.words, self.subject.score
        below = self.scores.filter(pl.col("pd_12m") < score["pd_12m"]).height / self.scores.height
        peers = scored_company.peer_pds(self, self.subject.sector)
        lines = [
            words(
                "**{name}** ({place}) fails within a year with a probability of **{pd}** ({low} to {high}), by the model: "
                "grade **{grade}**. "
                "{share} of companies are safer; the median of its sector is {median}.",
                name=escape_markup(self.subject.name),
                place=escape_markup(self.place),
                pd=words.percent(score["pd_12m"]),
                low=words.percent(score["pd_12m_low"]),
                high=words.percent(score["pd_12m_high"]),
                grade=score["rating"],
                share=words.percent(below, 1 if below > 0.99 else 0),
                median=words.percent(median_value(peers)),
            )
        ]
        return "\n\n".join([self.banners(), *lines, *self._decisions()])

    def _decisions(self) -> list[str]:
        said = analyst_decision_sentences(self.company_id, self.standing["overrides"], self.standing["watched"], self.words)
        return [escape_markup(line) for line in said]

    def terms(self) -> str:
        words = self.words
        pds, lows, highs = scored_company.pd_term_structure(self.subject.score)
        rows = [
            {
                words("within"): words("{n} y", n=year),
                "PD": words.percent(p),
                words("interval"): words("{low} to {high}", low=words.percent(low), high=words.percent(high)),
            }
            for year, p, low, high in zip(range(1, 6), pds, lows, highs, strict=True)
        ]
        return markdown_table(rows, {"PD": str, words("interval"): str})

    def why(self) -> str:
        parts = scored_company.reasons_by_heading(self.subject, self.words)
        lists = ["\n".join([f"**{title}**", "", *(f"- {escape_markup(text)}" for text in texts)]) for title, texts in parts]
        return "\n\n".join(lists) or self.words("Nothing raises its risk above the usual.")

    def effects(self) -> list[tuple[str, float]]:
        return scored_company.score_steps(self.subject, self.words)

    def said_each_year(self) -> pl.DataFrame:
        return scored_company.pd_history(self, self.subject)

    def altman(self) -> str:
        words = self.words
        rows = [
            {
                words("Score"): ALTMAN_LABELS[name],
                words("Value"): words.number(value, 2),
                words("Zone"): words(zone or "not available"),
            }
            for name, value, zone, _ in scored_company.altman_rows(self.subject)
        ]
        return markdown_table(rows, {words("Value"): str})

    def statement(self) -> str:
        words, labels = self.words, {item.name: item.label for item in ITEMS}
        year = self.subject.score["fiscal_year"]
        known = (pl.col("company_id") == self.company_id) & (pl.col("available_at") <= self.as_of)
        past = self.statements.filter(known & (pl.col("fiscal_year") < year))
        past = past.sort("fiscal_year", "available_at").unique("fiscal_year", keep="last", maintain_order=True).tail(2)
        columns = {str(row["fiscal_year"]): row for row in [*past.to_dicts(), self.subject.statement]}
        rows = [
            {words("Item"): words(labels[name]), **{year: words.number(row[name], 1) for year, row in columns.items()}}
            for name in SHEET_ITEMS
        ]
        return markdown_table(rows, dict.fromkeys(columns, str))

    def alerts(self) -> str:
        words = self.words
        mine = [a for a in self.standing["alerts"] if a["subject"] == self.company_id]
        fact = company_facts(self).get(self.company_id)
        lines = [
            f"- {escape_markup(alert_sentence(a, words, list(self.params.score.grades), fact))} ({words.short(a['raised_on'])})"
            for a in mine
        ]
        return "\n".join(lines) or words("No alert stands.")

    def flags(self) -> str:
        return "\n".join(
            f"- {escape_markup(line)}" for line in scored_company.data_flags(self, self.subject, self.words)
        ) or self.words("Nothing to remark about its data.")

    def source_line(self) -> str:
        """Return a line on the sheet's provenance, and the disclaimer."""
        words, run = self.words, self.run
        made = words(
            "Run {run}, as of {date}; data {data}, model {model}, code {code} (starts of SHA-256). `quiebra trace {run}` "
            "shows the rest.",
            run=run["run_id"],
            date=words.date(run["as_of"]),
            data=run["data"]["sha256"][:12],
            model=run["model_sha256"][:12],
            code=run["code_sha256"][:12],
        )
        return f"{made}\n\n{self.disclaimer()}"
