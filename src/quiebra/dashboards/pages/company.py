"""The company page."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as w

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.pages.company_decisions import CompanyDecisions
from quiebra.dashboards.pages.company_sheet import company_page_html
from quiebra.dashboards.pages.visitor import NOBODY, Visitor, current_visitor
from quiebra.dashboards.widgets import charts
from quiebra.dashboards.widgets.controls import Chart, Download, Search, card, html, row
from quiebra.dashboards.widgets.markup import Kpi, Markup, bullet_list, chip, flag_list, html_table, kpi_row, titled_lists
from quiebra.errors import IdentityError
from quiebra.identity import Permission
from quiebra.items import ITEMS
from quiebra.models.reasons import ALTMAN_LABELS
from quiebra.risk import directions, scored_company
from quiebra.risk.scored_company import ScoredCompany
from quiebra.services import company
from quiebra.text.words import Words, translatable

FORM = (
    "total_assets",
    "current_assets",
    "cash",
    "receivables",
    "inventory",
    "total_liabilities",
    "current_liabilities",
    "long_term_debt",
    "retained_earnings",
    "revenue",
    "cost_of_goods_sold",
    "ebitda",
    "ebit",
    "depreciation_amortization",
    "interest_expense",
    "net_income",
    "operating_expenses",
    "operating_cash_flow",
    "market_value",
)
"""The form's items; gross profit is computed from revenue and cost of goods sold."""


NO_NUMBER = translatable("This is not a number.")


class CompanyPage(Page):
    name = "company"

    def __init__(self) -> None:
        super().__init__()
        self.wanted = ""
        self.visitor = NOBODY
        self.typing = self.filling = False
        self.entered: dict[str, Any] = {}

    def apply_query(self, query: dict[str, str]) -> None:
        if "company" in query:
            self.choose(query["company"])

    def subject(self) -> ScoredCompany:
        return company.load_company(self.view, self.wanted or company.riskiest_company(self.view))

    def opening_html(self, words: Words) -> str:
        return self.head(self.subject(), words)

    def head(self, subject: ScoredCompany, words: Words) -> str:
        """Return the company's name, grade and main figures."""
        score, view = subject.score, self.view
        low, high = scored_company.grade_bounds(view.params.score.grades, score["rating"])
        place = [
            name
            for name in ("" if subject.company_id in (subject.name, company.ENTERED_ID) else subject.company_id, subject.sector)
            if name
        ]
        blend = scored_company.blend_parts(view, subject)
        kpis = [
            Kpi(
                words("PD, one year"), words.percent(score["pd_12m"]), _between(words, score["pd_12m_low"], score["pd_12m_high"])
            ),
            Kpi(
                words("PD, five years"),
                words.percent(score["pd_60m"], 1),
                _between(words, score["pd_60m_low"], score["pd_60m_high"], 1),
            ),
            Kpi(
                words("Grade"),
                score["rating"],
                words("PD from {low} to {high}", low=words.percent(low), high=words.percent(high)),
            ),
            Kpi(
                words("Model alone"),
                words.percent(blend["model"]),
                words("weight {share}", share=words.percent(blend["weight"], 0)),
            ),
            Kpi(words("Altman alone"), words.percent(blend["altman"]), words("before calibration, both")),
        ]
        watch = chip("watch", words("watch list")) if score["watch"] else ""
        title = Markup('<section class="q-title"><h1>{} {} {}</h1><p class="note">{}</p>{}</section>')
        said = flag_list(company.decisions_on_company(view, subject.company_id, words))
        return title.format(subject.name, chip(score["rating"], big=True), watch, " · ".join(place), said) + kpi_row(kpis)

    def compose(self) -> list[w.Widget]:
        words, view = self.words, self.view
        self.search = Search(
            self.guarded(lambda text: company.find_companies(view, text)),
            self.choose,
            label=words("Company"),
            placeholder=words("Name or id"),
        )
        self.type_in = w.ToggleButton(value=self.typing, description=words("Type in a statement"))
        self.type_in.observe(lambda change: self.guarded(self.toggle)(change["new"]), "value")
        self.title, self.reasons, self.altman, self.flags, self.hints = (html("") for _ in range(5))
        self.charts = {
            name: Chart({}, words, height)
            for name, height in (("terms", 290), ("waterfall", 330), ("history", 290), ("peers", 290), ("tornado", 290))
        }
        self.sheet = Download(
            words("Tear sheet"),
            "tear-sheet.html",
            self.guarded(lambda: company_page_html(self.view, self.shown, self.words).encode()),
        )
        self.decisions = CompanyDecisions(self)
        self.form = self._form()
        self.form.layout.display = "" if self.typing else "none"
        if not self.typing:
            self.show_subject(self.subject())
        else:
            self.score_form()
        bar = w.Box([self.search, self.type_in, self.sheet])
        bar.add_class("q-bar")
        return [
            bar,
            self.form,
            self.title,
            row(
                card(words("PD over one to five years"), self.charts["terms"], note=words("Cumulative, with its interval.")),
                card(
                    words("Why"),
                    self.reasons,
                    self.charts["waterfall"],
                    note=words("Effects on the log-odds; they add up to the score."),
                ),
                card(
                    words("What was said each year"),
                    self.charts["history"],
                    note=words("PD and grade before the outcome was known."),
                ),
                card(
                    words("Among its peers"),
                    self.charts["peers"],
                    note=words("One-year PDs of the sector; the line is this company."),
                ),
                card(
                    words("What would move it"),
                    self.charts["tornado"],
                    self.hints,
                    note=words("By the model: it says what goes with risk, not what causes it.")
                    + " "
                    + words(directions.SHOCK_NOTE),
                ),
                card(words("Altman scores"), self.altman, name="q-altman"),
                card(words("The data behind it"), self.flags),
                self.decisions.box,
            ),
        ]

    def choose(self, company_id: str) -> None:
        """Show a company of the run; an empty id shows the riskiest."""

        def show() -> None:
            subject = company.load_company(self.view, company_id or company.riskiest_company(self.view))
            self.wanted = subject.company_id
            self.typing = self.type_in.value = False
            self.form.layout.display = "none"
            self.show_subject(subject)

        self.guarded(show)()

    def show_permitted_parts(self, visitor: Visitor) -> None:
        self.type_in.layout.display = "" if visitor.may(Permission.PREDICT) else "none"
        if visitor != self.visitor:
            self.visitor = visitor
            self.refresh_decisions()

    def refresh_decisions(self) -> None:
        self.title.value = self.head(self.shown, self.words)
        self.decisions.show("" if self.typing else self.shown.company_id, self.visitor)

    def toggle(self, on: bool) -> None:
        if on == self.typing:  # switched off by choosing a company, which is shown already
            return
        if on and not current_visitor(self.view.workspace).may(Permission.PREDICT):
            raise IdentityError("your role reads, and has no statements scored")
        self.typing = on
        self.form.layout.display = "" if on else "none"
        if on:
            self.score_form()
        else:
            self.choose(self.wanted)

    def show_subject(self, subject: ScoredCompany) -> None:
        """Show all parts about a company: saved figures at once, those that need scoring later."""
        words, view = self.words, self.view
        self.shown = subject
        self.title.value = self.head(subject, words)
        self.charts["terms"].spec = charts.term_structure(*scored_company.pd_term_structure(subject.score), words)
        self.charts["waterfall"].spec = charts.waterfall(subject.base_log_odds, scored_company.score_steps(subject, words), words)
        self.charts["history"].spec = charts.company_history(scored_company.pd_history(view, subject), words)
        self.charts["peers"].spec = charts.peers(
            scored_company.peer_pds(view, subject.sector).to_numpy(), subject.score["pd_12m"], words
        )
        self.reasons.value = titled_lists(scored_company.reasons_by_heading(subject, words)) or bullet_list(
            [words("Nothing raises its risk above a typical company's.")]
        )
        self.altman.value = self._altman(subject)
        self.flags.value = flag_list(scored_company.data_flags(view, subject, words)) or words("Nothing to remark.")
        self.decisions.show("" if self.typing else subject.company_id, self.visitor)
        if self.frame.opened and self.ready:
            self.debounce(self.draw_costly_parts)

    def draw_costly_parts(self) -> None:
        """Show the parts that need scoring: the levers' effects on the PD."""
        subject, words = self.shown, self.words
        self.charts["tornado"].spec = charts.tornado(company.lever_effects(subject, words), words)
        self.hints.value = "".join(f"<p>{escape(line)}</p>" for line in company.halving_sentences(subject, words))

    def _altman(self, subject: ScoredCompany) -> str:
        words, states = self.words, {"safe": "ok", "grey": "watch", "distress": "alarm"}
        rows = []
        for name, value, zone, (low, high) in scored_company.altman_rows(subject):
            bounds = words("distress below {low}, safe above {high}", low=words.number(low, 2), high=words.number(high, 2))
            state = chip(states.get(zone or "", ""), words(zone or "not available"))
            rows.append((ALTMAN_LABELS[name], words.number(value, 2), state, bounds))
        return html_table([words("Score"), words("Value"), words("Zone"), words("Bounds")], rows, numbers={1})

    def _form(self) -> w.VBox:
        words, view = self.words, self.view
        sectors = sorted(view.scores["sector"].drop_nulls().unique().to_list())
        self.called = w.Text(
            value=self.entered.get("name", ""), description=words("Name"), placeholder=words("for your eyes only")
        )
        self.sector = w.Dropdown(
            options=[(words("unknown"), None), *((s, s) for s in sectors)],
            value=self.entered.get("sector"),
            description=words("Sector"),
        )
        usual = company.sector_medians(view, None)
        start = {name: words.typed(value) for name, value in usual.items()} | self._entered_texts()
        labels = {item.name: item.label for item in ITEMS}
        self.fields = {
            name: w.Text(value=start[name], description=words(labels[name]), placeholder=words("missing"))
            for name in FORM
            if usual[name] is not None  # a source may lack items: those stay missing
        }
        listed = self.entered.get("listed", usual["market_value"] is not None)
        self.listed = w.Checkbox(value=listed, description=words("listed: has a market value"), indent=False)
        self.notes = {name: html("", "q-fault") for name in self.fields}
        for control in (*self.fields.values(), self.listed, self.called):
            control.observe(lambda _change: self.guarded(self.score_form)(), "value")
        self.sector.observe(lambda change: self.guarded(self.fill)(change["new"]), "value")
        cells = [w.VBox([self.fields[name], self.notes[name]]) for name in self.fields]
        grid = w.Box(cells)
        grid.add_class("q-fields")
        unit = words(
            "Millions of {currency}. It starts from the sector's median company; each change is scored at once.",
            currency=view.source["currency"],
        )
        return card(
            words("A company that is not in the base"),
            w.HBox([self.called, self.sector, self.listed]),
            grid,
            note=unit,
            name="q-form",
        )

    def _entered_texts(self) -> dict[str, str]:
        """Return the texts typed so far, with numbers in the page's language, so that a change of language keeps them."""
        items = self.entered.get("items", {})
        return {name: value if isinstance(value, str) else self.words.typed(value) for name, value in items.items()}

    def fill(self, sector: str | None) -> None:
        """Fill the form with the median statement of a sector."""
        self.filling = True
        try:
            for name, value in company.sector_medians(self.view, sector).items():
                if name in self.fields:
                    self.fields[name].value = self.words.typed(value)
        finally:
            self.filling = False
        self.score_form()

    def score_form(self) -> None:
        """Score the form if it is valid, and show each field's error beside it."""
        if self.filling or not self.typing:
            return
        items: dict[str, float | None] = dict.fromkeys(self.fields)
        wrong: dict[str, str] = {}
        for name, field in self.fields.items():
            try:
                items[name] = self.words.parsed(field.value)
            except ValueError:
                wrong[name] = NO_NUMBER
        self.entered = {
            "items": {name: self.fields[name].value if name in wrong else value for name, value in items.items()},
            "listed": self.listed.value,
            "name": self.called.value,
            "sector": self.sector.value,
        }
        revenue, cost = items.get("revenue"), items.get("cost_of_goods_sold")
        if revenue is not None and cost is not None:
            items["gross_profit"] = revenue - cost
        if not self.listed.value:
            items["market_value"] = None
        wrong = {**company.statement_faults(items), **wrong}
        for name, note in self.notes.items():
            note.value = escape(self.words(wrong.get(name, "")))
        if not wrong:
            self.guarded(
                lambda: self.show_subject(
                    company.score_statement(self.view, self.called.value or self.words("typed in"), self.sector.value, items)
                )
            )()


def _between(words: Words, low: float | None, high: float | None, decimals: int = 2) -> str:
    return words("{low} to {high}", low=words.percent(low, decimals), high=words.percent(high, decimals))
