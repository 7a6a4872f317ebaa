"""The portfolio page."""

from __future__ import annotations

import ipywidgets as w
import polars as pl

from quiebra.dashboards import charts, portfolio
from quiebra.dashboards.controls import Chart, Download, Table, Upload, card, html, row
from quiebra.dashboards.markup import Kpi, Markup, flagged, kpi_row
from quiebra.dashboards.page import Page
from quiebra.dashboards.portfolio import Portfolio as Held
from quiebra.dashboards.rows import Column
from quiebra.exports import as_csv, as_excel
from quiebra.words import Words

OWN = " "
"""Stands for the reader's file among the names of saved portfolios."""


class Portfolio(Page):
    name = "portfolio"

    def __init__(self) -> None:
        super().__init__()
        self.held: Held | None = None
        self.saved = ""  # which saved portfolio is shown, `OWN`: the reader's file

    def first(self, words: Words) -> str:
        return self.head(portfolio.of_run(self.base), words)

    def head(self, held: Held, words: Words) -> str:
        report = held.report
        total = report["exposure"]
        share = report["expected_loss"] / total
        kpis = [
            Kpi(
                words("Companies"),
                words.number(report["companies"]),
                words("{n} on watch", n=words.number(held.table["watch"].sum())),
            ),
            Kpi(words("Exposure"), words.number(total, 1)),
            Kpi(
                words("Expected loss"),
                words.number(report["expected_loss"], 2),
                words("{share} of the exposure", share=words.percent(share)),
            ),
            Kpi(
                words("Loss in one year of {n}", n=words.number(1 / (1 - report["confidence"]))),
                words.number(report["value_at_risk"], 1),
                words("value at risk"),
            ),
            Kpi(words("Mean loss beyond that"), words.number(report["expected_shortfall"], 1), words("expected shortfall")),
            Kpi(
                words("Concentration"),
                words.number(report["hhi"]["name"], 4),
                words("Herfindahl index by name; alike: {n}", n=words.number(1 / report["companies"], 4)),
            ),
        ]
        return Markup('<section class="q-title"><h1>{}</h1></section>').format(_name(held, words)) + kpi_row(kpis)

    def compose(self) -> list[w.Widget]:
        words, base = self.words, self.base
        held = self.held or portfolio.of_run(base)
        self.title, self.notes = html(""), html("")
        self.charts = {name: Chart({}, words, 290) for name in ("pds", "curve", "contributions", "sectors")}
        self.table = self._companies(words("Companies of the portfolio"), "expected_loss", 15)
        self.watched = self._companies(words("Watch list"), "pd_12m", 8)
        self.sectors_card = card(words("Concentration by sector"), self.charts["sectors"], note=words("Share of the exposure."))
        source, self.fault_card = self._source(), self._faults()
        self.show_held(held)
        correlation = words.percent(held.report["correlation"], 0)
        downloads = [
            Download(words("CSV"), "portfolio.csv", self.guarded(lambda: as_csv(self._table()).encode())),
            Download(words("Excel"), "portfolio.xlsx", self.guarded(lambda: as_excel(self._table()))),
        ]
        return [
            row(source, w.VBox([self.title, self.notes, self.fault_card]), name="q-grid q-side"),
            row(
                card(words("Companies by PD"), self.charts["pds"]),
                card(
                    words("How bad a year can get"),
                    self.charts["curve"],
                    note=words("One common factor; correlation {rho}.", rho=correlation),
                ),
                card(words("Who contributes most to bad years"), self.charts["contributions"]),
                self.sectors_card,
            ),
            card(words("Companies of the portfolio"), row(*downloads, name="q-buttons"), self.table),
            card(words("Watch list"), self.watched, note=words("Grade {grade} or worse.", grade=base.params.score.watch_from)),
        ]

    def _source(self) -> w.VBox:
        """Return the card in which a portfolio is chosen or brought."""
        words = self.words
        self.choice = w.Dropdown(options=self._choices(), value=self.saved, description=words("Saved"))
        self.choice.observe(lambda change: self.guarded(self.choose)(change["new"]), "value")
        label, kinds, largest = words("Your own file (CSV or Excel)"), portfolio.KINDS, portfolio.LARGEST
        upload = Upload(self.guarded(self.take), label=label, kinds=kinds, largest=largest, words=words)
        self.progress = w.FloatProgress(value=0.0, max=1.0, layout={"display": "none", "width": "100%"})
        template = Download(words("Template"), "portfolio-template.xlsx", self.guarded(lambda: portfolio.template(self.base)))
        note = words(
            "Exposures with companies of the base (company_id, exposure, lgd), or statements, which are scored; nothing is kept."
        )
        buttons = row(template, name="q-buttons")
        return card(words("Which portfolio"), self.choice, upload, buttons, self.progress, note=note)

    def _faults(self) -> w.VBox:
        """Return the card that lists the rows left out."""
        words = self.words
        columns = [Column("row", words("Row"), "number", str), Column("problem", words("What is wrong"))]
        empty = pl.DataFrame(schema={"row": pl.Int64, "problem": pl.String})
        self.faults = Table(empty, columns, words, label=words("Rows with a fault"), size=8, searchable=False)
        note = words("Row numbers as in the file; the header is row 1. The rest was scored.")
        return card(words("Rows left out"), self.faults, note=note)

    def _companies(self, label: str, sort: str, size: int) -> Table:
        """Return a table of companies, still empty."""
        empty, grades = portfolio.of_run(self.base).table.clear(), list(self.base.params.score.grades)
        return Table(empty, self._columns(), self.words, label=label, sort=sort, size=size, grades=grades)

    def _choices(self) -> list[tuple[str, str]]:
        found = [(name or self.words("Portfolio of the run"), name) for name in portfolio.saved(self.base)]
        if self.saved not in (OWN, *(name for _, name in found)):  # taken away since
            found.append((self.saved, self.saved))
        return [*found, (_name(self.held, self.words), OWN)] if self.held and self.saved == OWN else found

    def choose(self, name: str) -> None:
        """Show a saved portfolio; where it cannot be read the one that is shown stays."""
        if name in (OWN, self.saved):
            return
        try:
            self.show_held(portfolio.of_saved(self.base, name))
            self.saved = name
        finally:
            self.choice.value = self.saved

    def take(self, name: str, content: bytes) -> None:
        """Score a file that arrived; whatever is wrong with it is said, and the page stays as it was."""
        self.progress.value, self.progress.layout.display = 0.02, ""
        try:
            held = portfolio.of_upload(self.base, name, content, self._progress)
            self.show_held(held)
            self.saved = OWN
            self.choice.options = self._choices()
            self.choice.value = OWN
            self.frame.say(
                self.words(
                    "Companies scored: {n}; rows left out: {bad}.",
                    n=self.words.number(held.table.height),
                    bad=self.words.number(held.faults.height),
                ),
                "ok",
            )
        finally:
            self.progress.layout.display = "none"

    def _progress(self, share: float) -> None:
        self.progress.value = share

    def show_held(self, held: Held) -> None:
        words = self.words
        self.held = held
        self.title.value = self.head(held, words)
        self.notes.value = flagged(words.say(note) for note in held.notes)
        self.fault_card.layout.display = "" if held.faults.height else "none"
        self.faults.show(portfolio.problems(held.faults, words))
        self.charts["pds"].spec = charts.histogram(held.table["pd_12m"].to_numpy(), words, title=words("one-year PD"))
        self.charts["curve"].spec = charts.loss_curve(held.report["quantiles"], held.report["expected_loss"], words)
        top = held.table.sort("contribution", "company_id", descending=[True, False]).head(12)
        self.charts["contributions"].spec = charts.contribution_bars(
            portfolio.labels(top), top["contribution"].to_list(), words, words("loss in bad years")
        )
        sectors = portfolio.by_sector(held.table)
        self.sectors_card.layout.display = "" if sectors.height else "none"
        self.charts["sectors"].spec = charts.contribution_bars(
            sectors["sector"].to_list(), sectors["exposure"].to_list(), words, words("share of the exposure")
        )
        known = pl.col("company_id").is_in(self.base.scores["company_id"].implode())
        table = self.base.beside(held.table).with_columns(known=known)
        self.table.show(table)
        self.watched.show(table.filter("watch"))

    def _columns(self) -> list[Column]:
        words = self.words
        return [
            Column("name", words("Company"), "company"),
            Column("sector", words("Sector")),
            Column("rating", words("Grade"), "rating"),
            *([Column("analyst", words("Analyst"), "rating")] if self.base.standing.overrides.height else []),
            Column("pd_12m", "PD", "number", words.percent),
            Column("pd_60m", words("PD, five years"), "number", words.percent),
            Column("exposure", words("Exposure"), "number", lambda v: words.number(v, 2)),
            Column("expected_loss", words("Expected loss"), "number", lambda v: words.number(v, 4)),
            Column("contribution", words("To bad years"), "number", lambda v: words.number(v, 3)),
            Column("reasons_es" if words.language == "es" else "reasons", words("What raises it")),
        ]

    def _table(self) -> pl.DataFrame:
        return portfolio.for_download(self.held.table, self.words)  # type: ignore[union-attr]


def _name(held: Held, words: Words) -> str:
    return held.name or words("All companies, one unit each")
