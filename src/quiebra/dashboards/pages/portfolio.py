"""The portfolio page."""

from __future__ import annotations

import ipywidgets as w
import polars as pl

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.widgets import charts
from quiebra.dashboards.widgets.controls import Chart, Download, Table, Upload, card, html, row
from quiebra.dashboards.widgets.markup import Kpi, Markup, flag_list, kpi_row
from quiebra.io.exports import to_csv, to_excel
from quiebra.services import portfolio
from quiebra.services.portfolio import ScoredPortfolio
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words

READERS_FILE = " "
"""Key of the reader's own file among the names of saved portfolios."""


class PortfolioPage(Page):
    name = "portfolio"

    def __init__(self) -> None:
        super().__init__()
        self.held: ScoredPortfolio | None = None
        self.saved = ""  # the saved portfolio shown; `READERS_FILE`: the reader's file

    def opening_html(self, words: Words) -> str:
        return self.head(portfolio.run_portfolio(self.view), words)

    def head(self, held: ScoredPortfolio, words: Words) -> str:
        report = held.report
        total = report["exposure"]
        share = report["expected_loss"] / total
        kpis = [
            Kpi(
                words("Companies"),
                words.number(report["companies"]),
                words("{n} on watch", n=words.number(int(held.table["watch"].sum()))),
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
        words, view = self.words, self.view
        held = self.held or portfolio.run_portfolio(view)
        self.title, self.notes = html(""), html("")
        self.charts = {name: Chart({}, words, 290) for name in ("pds", "curve", "contributions", "sectors")}
        self.table = self._companies(words("Companies of the portfolio"), "expected_loss", 15)
        self.watched = self._companies(words("Watch list"), "pd_12m", 8)
        self.sectors_card = card(words("Concentration by sector"), self.charts["sectors"], note=words("Share of the exposure."))
        source, self.fault_card = self._source(), self._faults()
        self.show_held(held)
        correlation = words.percent(held.report["correlation"], 0)
        downloads = [
            Download(words("CSV"), "portfolio.csv", self.guarded(lambda: to_csv(self._table()).encode())),
            Download(words("Excel"), "portfolio.xlsx", self.guarded(lambda: to_excel(self._table()))),
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
            card(words("Watch list"), self.watched, note=words("Grade {grade} or worse.", grade=view.params.score.watch_from)),
        ]

    def _source(self) -> w.VBox:
        """Return the card for choosing or uploading a portfolio."""
        words = self.words
        self.choice = w.Dropdown(options=self._choices(), value=self.saved, description=words("Saved"))
        self.choice.observe(lambda change: self.guarded(self.choose)(change["new"]), "value")
        label, kinds, largest = words("Your own file (CSV or Excel)"), portfolio.FILE_KINDS, portfolio.MAX_UPLOAD_BYTES
        upload = Upload(self.guarded(self.take), label=label, kinds=kinds, largest=largest, words=words)
        self.progress = w.FloatProgress(value=0.0, max=1.0, layout={"display": "none", "width": "100%"})
        template = Download(
            words("Template"), "portfolio-template.xlsx", self.guarded(lambda: portfolio.portfolio_template(self.view))
        )
        note = words(
            "Exposures with companies of the base (company_id, exposure, lgd), or statements, which are scored; nothing is kept."
        )
        buttons = row(template, name="q-buttons")
        return card(words("Which portfolio"), self.choice, upload, buttons, self.progress, note=note)

    def _faults(self) -> w.VBox:
        """Return the card that lists the rows left out."""
        words = self.words
        columns = [TableColumn("row", words("Row"), "number", str), TableColumn("problem", words("What is wrong"))]
        empty = pl.DataFrame(schema={"row": pl.Int64, "problem": pl.String})
        self.faults = Table(empty, columns, words, label=words("Rows with a fault"), size=8, searchable=False)
        note = words("Row numbers as in the file; the header is row 1. The rest was scored.")
        return card(words("Rows left out"), self.faults, note=note)

    def _companies(self, label: str, sort: str, size: int) -> Table:
        """Return an empty table of companies."""
        empty, grades = portfolio.run_portfolio(self.view).table.clear(), list(self.view.params.score.grades)
        return Table(empty, self._columns(), self.words, label=label, sort=sort, size=size, grades=grades)

    def _choices(self) -> list[tuple[str, str]]:
        found = [(name or self.words("Portfolio of the run"), name) for name in portfolio.saved_portfolios(self.view)]
        if self.saved not in (READERS_FILE, *(name for _, name in found)):  # deleted since it was chosen
            found.append((self.saved, self.saved))
        return [*found, (_name(self.held, self.words), READERS_FILE)] if self.held and self.saved == READERS_FILE else found

    def choose(self, name: str) -> None:
        """Show a saved portfolio; if it cannot be read, the current one stays."""
        if name in (READERS_FILE, self.saved):
            return
        try:
            self.show_held(portfolio.saved_portfolio(self.view, name))
            self.saved = name
        finally:
            self.choice.value = self.saved

    def take(self, name: str, content: bytes) -> None:
        """Score an uploaded file and show it; on an error the page stays as it was."""
        self.progress.value, self.progress.layout.display = 0.02, ""
        try:
            held = portfolio.uploaded_portfolio(self.view, name, content, self._progress)
            self.show_held(held)
            self.saved = READERS_FILE
            self.choice.options = self._choices()
            self.choice.value = READERS_FILE
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

    def show_held(self, held: ScoredPortfolio) -> None:
        words = self.words
        self.held = held
        self.title.value = self.head(held, words)
        self.notes.value = flag_list(words.say(note) for note in held.notes)
        self.fault_card.layout.display = "" if held.faults.height else "none"
        self.faults.show(portfolio.row_problems(held.faults, words))
        self.charts["pds"].spec = charts.histogram(held.table["pd_12m"].to_numpy(), words, title=words("one-year PD"))
        self.charts["curve"].spec = charts.loss_curve(held.report["quantiles"], held.report["expected_loss"], words)
        top = held.table.sort("contribution", "company_id", descending=[True, False]).head(12)
        self.charts["contributions"].spec = charts.contribution_bars(
            portfolio.company_labels(top), top["contribution"].to_list(), words, words("loss in bad years")
        )
        sectors = portfolio.sector_shares(held.table)
        self.sectors_card.layout.display = "" if sectors.height else "none"
        self.charts["sectors"].spec = charts.contribution_bars(
            sectors["sector"].to_list(), sectors["exposure"].to_list(), words, words("share of the exposure")
        )
        known = pl.col("company_id").is_in(self.view.scores["company_id"].implode())
        table = self.view.with_overrides(held.table).with_columns(known=known)
        self.table.show(table)
        self.watched.show(table.filter("watch"))

    def _columns(self) -> list[TableColumn]:
        words = self.words
        return [
            TableColumn("name", words("Company"), "company"),
            TableColumn("sector", words("Sector")),
            TableColumn("rating", words("Grade"), "rating"),
            *([TableColumn("analyst", words("Analyst"), "rating")] if self.view.decisions.overrides.height else []),
            TableColumn("pd_12m", "PD", "number", words.percent),
            TableColumn("pd_60m", words("PD, five years"), "number", words.percent),
            TableColumn("exposure", words("Exposure"), "number", lambda v: words.number(v, 2)),
            TableColumn("expected_loss", words("Expected loss"), "number", lambda v: words.number(v, 4)),
            TableColumn("contribution", words("To bad years"), "number", lambda v: words.number(v, 3)),
            TableColumn("reasons_es" if words.language == "es" else "reasons", words("What raises it")),
        ]

    def _table(self) -> pl.DataFrame:
        return portfolio.download_table((self.held or portfolio.run_portfolio(self.view)).table, self.words)


def _name(held: ScoredPortfolio, words: Words) -> str:
    return held.name or words("All companies, one unit each")
