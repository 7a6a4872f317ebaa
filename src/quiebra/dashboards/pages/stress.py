"""The stress page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import ipywidgets as w

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.widgets import charts
from quiebra.dashboards.widgets.controls import Chart, Search, Table, card, html, row
from quiebra.dashboards.widgets.markup import Kpi, Markup, chip, html_table, kpi_row
from quiebra.risk import directions
from quiebra.services import company, stress
from quiebra.services.stress import StressCase
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words, translatable


def _with_readout(slider: w.FloatSlider, show: Callable[[float], str]) -> w.Box:
    """Return a slider with its value beside it, in the reader's language."""
    value = html(show(slider.value), "q-readout")
    slider.observe(lambda change: setattr(value, "value", show(change["new"])), "value")
    return row(slider, value, name="q-slide")


class StressPage(Page):
    name = "stress"

    def __init__(self) -> None:
        super().__init__()
        self.company_id = ""
        self.moves: dict[str, float] = {}  # of the economy, exact; sliders have steps
        self.moved: dict[str, float] = {}
        self.setting = False  # True while the page, not the reader, sets controls
        self.wanted = self.chosen_shock = self.chosen_scenario = ""

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Set controls without triggering updates."""
        self.setting = True
        try:
            yield
        finally:
            self.setting = False

    def apply_query(self, query: dict[str, str]) -> None:
        if "company" in query:
            self.choose(query["company"])

    def opening_html(self, words: Words) -> str:
        totals = stress.portfolio_totals(self.view, stress.current_pds(self.view))
        return self.head(totals, totals, words)

    def head(
        self, before: dict[str, float], after: dict[str, float], words: Words, loss: tuple[float, float] | None = None
    ) -> str:
        def kpi(
            title: str, name: str, show: Callable[[float], str], span: tuple[float, float] | None = None, note: str = ""
        ) -> Kpi:
            trend = "" if after[name] == before[name] else "up" if after[name] > before[name] else "down"
            parts = [words("{low} to {high}", low=show(span[0]), high=show(span[1]))] if span else []
            parts += [words("now {value}", value=show(before[name])), *([note] if note else [])]
            return Kpi(title, show(after[name]), "; ".join(parts), trend)

        exposure = float(self.view.portfolio_losses["exposure"].sum())
        of_exposure = words("of an exposure of {total}", total=words.number(exposure, 1))
        return kpi_row(
            [
                kpi(words("Mean PD, one year"), "pd_12m", words.percent),
                kpi(words("Mean PD, five years"), "pd_60m", words.percent),
                kpi(words("On the watch list"), "watch", words.number),
                kpi(words("Expected loss"), "loss", lambda v: words.number(v, 2), loss, of_exposure),
            ]
        )

    def compose(self) -> list[w.Widget]:
        words, view = self.words, self.view
        self.company_id = self.company_id or stress.default_company(view)
        self.title, self.company_note, self.reversed = html(""), html(""), html("")
        heights = {"terms": 280, "moves": 310, "company": 260, "tornado": 280}
        self.charts = {name: Chart({}, words, height) for name, height in heights.items()}
        hit, grades = stress.hit_hardest(view, stress.current_pds(view), words), list(view.params.score.grades)
        self.table = Table(hit, self._columns(), words, label=words("Hit hardest"), size=8, grades=grades)
        levers, one, reverse = self._levers(), self._company(), self._reverse(grades)
        self.update()
        self.choose(self.company_id)
        before, shocked = stress.current_pds(view), stress.shock_summary(view, words)
        moves = card(words("Grades, now and then"), self.charts["moves"], note=words("Rows: now; columns: in the case."))
        figures = w.VBox([self.title, row(card(words("Mean PD over five years"), self.charts["terms"]), moves)])
        return [
            row(levers, figures, name="q-grid q-side"),
            card(words("Hit hardest"), self.table),
            card(
                words("What each shock does to all companies"),
                Chart(charts.contribution_bars(*shocked, words, words("Mean PD, one year"), share=True), words, 240),
                note=words(
                    "Each alone, as the run worked it out; now {value}.",
                    value=words.percent(stress.mean_term_structure(before)[0]),
                ),
            ),
            row(one, card(words("What moves it"), self.charts["tornado"]), reverse),
        ]

    def _levers(self) -> w.VBox:
        """Return the card with the controls of a stress case."""
        words, view = self.words, self.view
        options = view.params.stress
        known = options.scenarios if view.economy.levers else ()
        scenarios = [(words("own"), ""), *((words(name), name) for name in known)]
        chosen = self.chosen_scenario if self.chosen_scenario in known else ""
        self.scenario = w.Dropdown(options=scenarios, value=chosen, description=words("Scenario"))
        self.scenario.layout.display = "" if known else "none"
        self.scenario.observe(lambda change: self.guarded(self.take_scenario)(change["new"]), "value")
        shocks = [(words("none"), ""), *((words(name), name) for name in stress.active_presets(view))]
        self.preset = w.Dropdown(options=shocks, value=self.chosen_shock, description=words("Shock"))
        self.preset.observe(lambda change: self.guarded(self.take_preset)(change["new"]), "value")
        self.economy = {}
        for lever in view.economy.levers:
            low, high = stress.lever_range(view, lever)
            at = self.moves.get(lever, 0.0)
            title = words("Economy") if lever == "years" else words(stress.SERIES_LABELS.get(lever, lever))
            slider = w.FloatSlider(value=at, min=low, max=high, step=0.1, description=title, readout=False)
            slider.observe(lambda _change: self.guarded(self.take_economy)(), "value")
            self.economy[lever] = slider
        self.levers = {}
        for name in stress.active_levers(view):
            title, *reach = stress.LEVER_RANGES[name]
            at = self.moved.get(name, 0.0)
            reach += [preset[name] for preset in options.shocks.values() if name in preset]  # covers the shocks of params
            low, high = min(reach), max(reach)
            slider = w.FloatSlider(value=at, min=low, max=high, step=0.01, description=words(title), readout=False)
            slider.observe(lambda _change: self.guarded(self.take_lever)(), "value")
            self.levers[name] = slider
        reset = w.Button(description=words("Back to now"))
        reset.on_click(lambda _button: self.guarded(self.reset)())
        shown = {lever: partial(self.in_words, lever) for lever in self.economy}
        economy = [_with_readout(slider, shown[lever]) for lever, slider in self.economy.items()]
        levers = [_with_readout(s, lambda value: words.signed(100 * value, 0) + "\u00a0%") for s in self.levers.values()]
        controls = (self.scenario, *economy, self.preset, *levers, reset)
        return card(words("What happens"), *controls, name="q-levers", note=self.about_levers())

    def about_levers(self) -> str:
        words, economy = self.words, self.view.economy
        if economy.satellite:
            levers = words("Macro series as failures were related to them; each begins at the mean of its years.")
        elif economy.levers:
            levers = words("The economy in standard deviations of failure rates between years; to the right it is worse.")
        else:
            levers = ""
        no_item = translatable("Not worked out, since no statement has what it moves: {shock}.")
        idle = [words(no_item, shock=words(name)) for name in self.view.losses["idle_shocks"]]
        parts = (
            economy.about(words),
            levers,
            words("Shocks hit every company’s statements, which go on adding up."),
            words(directions.SHOCK_NOTE),
            *idle,
        )
        return " ".join(filter(None, parts))

    def in_words(self, lever: str, move: float) -> str:
        """Return the value of a lever of the economy: the series' own value, or its move in standard deviations."""
        satellite = self.view.economy.satellite
        if satellite is None:
            return self.words.signed(move, 1)
        kind, value = self.view.params.stress.macro[lever], satellite.state({lever: move})[lever]
        return self.words.signed(value, 2) if kind == "change" else self.words.number(value, 2)

    def _company(self) -> w.VBox:
        """Return the card of one company, with its search."""
        words = self.words
        search = Search(
            self.guarded(lambda text: company.find_companies(self.view, text)),
            self.choose,
            label=words("Company"),
            placeholder=words("Name or id"),
        )
        return card(words("One company"), search, self.company_note, self.charts["company"])

    def _reverse(self, grades: list[str]) -> w.VBox:
        """Return the card with the changes needed to reach a grade."""
        words = self.words
        watch_from = self.view.params.score.watch_from
        self.grade = w.Dropdown(options=grades, value=self.wanted or watch_from, description=words("To grade"))
        self.grade.observe(lambda _change: self.guarded(self.reverse)(), "value")
        note = words("The least change of one thing alone that brings it to the grade.")
        return card(words("What it would take"), self.grade, self.reversed, note=note, wide=True)

    def case(self) -> StressCase:
        self.moved = {name: slider.value for name, slider in self.levers.items()}
        return StressCase(self.moves, stress.shock_from_levers(self.moved))

    def take_scenario(self, name: str) -> None:
        """Apply the exact moves of a scenario in params; sliders round to their steps."""
        if self.setting or not name:
            return
        self.set_economy(stress.scenario_moves(self.view, name))
        self.update()

    def set_economy(self, moves: dict[str, float]) -> None:
        with self.quietly():
            for lever, slider in self.economy.items():
                slider.value = moves.get(lever, 0.0)
        self.moves = moves

    def take_economy(self) -> None:
        """Apply the sliders of the economy; the scenario then becomes the reader's own."""
        if self.setting:
            return
        with self.quietly():
            self.scenario.value = ""
        self.moves = {lever: slider.value for lever, slider in self.economy.items()}
        self.update()

    def take_preset(self, name: str) -> None:
        if not self.setting:
            self.set_levers(stress.preset_sizes(self.view, name) if name else {})

    def take_lever(self) -> None:
        """Apply the sliders of a shock, which then becomes the reader's own."""
        if self.setting:
            return
        with self.quietly():
            self.preset.value = ""
        self.update()

    def set_levers(self, values: dict[str, float]) -> None:
        with self.quietly():
            for lever, slider in self.levers.items():
                slider.value = values.get(lever, 0.0)
        self.update()

    def reset(self) -> None:
        with self.quietly():
            self.scenario.value = self.preset.value = ""
        self.set_economy({})
        self.set_levers({})

    def update(self) -> None:
        """Show the stress case: the portfolio first, then the company."""
        view, words, case = self.view, self.words, self.case()
        self.chosen_scenario, self.chosen_shock = self.scenario.value, self.preset.value
        before, after = stress.current_pds(view), stress.stressed_pds(view, case)
        self.after = after
        totals = (stress.portfolio_totals(view, before), stress.portfolio_totals(view, after))
        self.title.value = self.head(*totals, words, stress.expected_loss_range(view, case))
        self.charts["terms"].spec = charts.scenario_terms(
            {words("now"): stress.mean_term_structure(before), words("in the case"): stress.mean_term_structure(after)}, words
        )
        self.charts["moves"].spec = charts.migration_map(stress.shocked_grade_migration(view, after), "", words)
        self.table.show(stress.hit_hardest(view, after, words))
        if self.charts["company"].spec:
            self.update_company()

    def choose(self, company_id: str) -> None:

        def show() -> None:
            self.company_id = company.load_company(self.view, company_id).company_id
            self.update_company()
            if self.frame.opened and self.ready:
                self.draw_costly_parts()

        self.guarded(show)()

    def draw_costly_parts(self) -> None:
        """Show the parts that score a company repeatedly: its levers' effects and the reverse stress test."""
        subject = company.load_company(self.view, self.company_id)
        self.charts["tornado"].spec = charts.tornado(company.lever_effects(subject, self.words), self.words)
        self.reverse()

    def update_company(self) -> None:
        view, words = self.view, self.words
        before, after = (table.filter(company_id=self.company_id) for table in (stress.current_pds(view), self.after))
        name = view.scores.filter(company_id=self.company_id)["name"][0]
        chips = [chip(t["rating"][0]) + Markup(" ") + words.percent(t["pd_12m"][0]) for t in (before, after)]
        self.company_note.value = Markup("<p><strong>{}</strong>: {} → {}</p>").format(name, *chips)
        self.charts["company"].spec = charts.scenario_terms(
            {words("now"): stress.mean_term_structure(before), words("in the case"): stress.mean_term_structure(after)}, words
        )

    def reverse(self) -> None:
        words = self.words

        def said(size: float | None) -> str:
            return words("nothing within reason") if size is None else words.percent(size, 0) if size else words("already there")

        self.wanted = self.grade.value
        found = stress.reverse_stress_company(self.view, self.company_id, self.wanted)
        self.reversed.value = html_table(
            [], [(words(stress.LEVER_RANGES[lever][0]), said(size)) for lever, size in found], numbers={1}
        )

    def _columns(self) -> list[TableColumn]:
        words = self.words
        return [
            TableColumn("name", words("Company"), "company"),
            TableColumn("sector", words("Sector")),
            TableColumn("before", words("Now"), "rating"),
            TableColumn("rating", words("In the case"), "rating"),
            TableColumn("pd_before", words("PD now"), "number", words.percent),
            TableColumn("pd_12m", words("PD in the case"), "number", words.percent),
            TableColumn("rise", words("Rise, points"), "number", words.points),
        ]
