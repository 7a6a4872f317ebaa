"""The model page."""

from __future__ import annotations

import ipywidgets as w

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.pages.model_decisions import ModelDecisions
from quiebra.dashboards.pages.visitor import NOBODY, Visitor
from quiebra.dashboards.widgets import charts
from quiebra.dashboards.widgets.controls import Chart, Table, card, html, row
from quiebra.dashboards.widgets.markup import Kpi, Markup, chip, html_table, kpi_row
from quiebra.risk.scored_company import uncompared_sentence
from quiebra.services import model_health as model
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words


class ModelPage(Page):
    name = "model"

    def __init__(self) -> None:
        super().__init__()
        self.visitor = NOBODY

    def opening_html(self, words: Words) -> str:
        m, c = self.view.metrics["walk_forward"], self.view.calibration

        def span(name: str, decimals: int) -> str:
            low, high = m["interval"][name]
            return (
                ""
                if low is None
                else words("{low} to {high}", low=words.number(low, decimals), high=words.number(high, decimals))
            )

        kpis = [
            Kpi(words("AUC, {years}", years=m["test_years"]), words.number(m["auc"], 3), span("auc", 3)),
            Kpi(words("Average precision"), words.number(m["average_precision"], 3), span("average_precision", 3)),
            Kpi(
                words("Failures in the riskiest tenth"), words.percent(m["top_decile_capture"], 0), words("of {n}", n=m["events"])
            ),
            Kpi(words("Mean PD / observed"), words.number(m["pd_over_observed"], 2), span("pd_over_observed", 2)),
            Kpi(words("Grades calibrated"), words.percent(c["grades_inside"], 0), words("of those with five failures or more")),
            Kpi(words("Altman alone, AUC"), words.number(self.view.metrics["altman_alone"].get("auc"), 3)),
        ]
        return kpi_row(kpis)

    def compose(self) -> list[w.Widget]:
        words, view = self.words, self.view
        ranking = Chart(charts.points_with_intervals(model.auc_by_year(view, words), words, title="AUC", top=1.0), words)
        calibrated = Chart(charts.calibration(view.calibration["by_grade"], words), words, 330)
        strongest = model.importance_rows(view, words)
        importance = Chart(
            charts.contribution_bars(
                [t for _, t, _ in strongest], [v for _, _, v in strongest], words, words("mean absolute effect on the log-odds")
            ),
            words,
            420,
        )
        self.decisions, self.register = ModelDecisions(self), html(self._register())
        self.decisions.show(self.visitor)
        swarm = Chart(charts.beeswarm(model.beeswarm_rows(view, words), words), words, 420)
        return [
            html(self.opening_html(words)),
            row(
                card(
                    words("Ranking by year"),
                    ranking,
                    note=words("Each year was scored by a model that had learnt from earlier years alone."),
                ),
                card(words("Predicted and observed, by grade"), calibrated, note=words("With Jeffreys' interval.")),
                card(words("What the model looks at"), importance, note=words("Today's companies.")),
                card(words("How it acts"), swarm, note=words("A dot a company; colour: low (teal) to high (orange) value.")),
                card(words("Verdict"), self._verdict(), note=model.champion_comparison(view, words)),
                card(words("Lineage"), self._lineage()),
            ),
            card(
                words("Drift"),
                self._drift(),
                note=" ".join(
                    [
                        words("Stability indices and monitored quality, with the limits in params."),
                        uncompared_sentence(view.findings, words),
                    ]
                ),
            ),
            self.decisions.box,
            card(words("Registered models"), self.register),
        ]

    def show_permitted_parts(self, visitor: Visitor) -> None:
        if visitor != self.visitor:
            self.visitor = visitor
            self.decisions.show(visitor)

    def refresh_decisions(self) -> None:
        self.register.value = self._register()
        self.decisions.show(self.visitor)

    def _verdict(self) -> str:
        words = self.words
        rows = [
            (
                words(r["words"]),
                words.number(r["value"], 3),
                words.number(r["pass"], 2),
                words.number(r["watch"], 2),
                chip(r["verdict"], words(r["verdict"])),
            )
            for r in model.gate_rows(self.view)
        ]
        heads = [words("Test"), words("Value"), words("Passes at"), words("Watched at"), words("Verdict")]
        return html_table(heads, rows, numbers={1, 2, 3})

    def _lineage(self) -> str:
        code = Markup('<code class="q-hash">{}</code>')
        return html_table([], [(name, code.format(value)) for name, value in model.run_lineage(self.view, self.words)])

    def _drift(self) -> Table:
        words = self.words

        def number(value: float) -> str:
            return words.number(value, 3)

        columns = [
            TableColumn("measure", words("Measure")),
            TableColumn("subject", words("Of")),
            TableColumn("value", words("Value"), "number", number),
            TableColumn("watch", words("Watched at"), "number", number),
            TableColumn("alarm", words("Alarm at"), "number", number),
            TableColumn("status", words("State"), "status"),
        ]
        return Table(model.drift_rows(self.view, words), columns, words, label=words("Drift"), size=10)

    def _register(self) -> str:
        words = self.words
        rows = [
            (
                m["model_id"],
                str(m["version"] or ""),
                words(m["status"] or ""),
                m["source"],
                m["trained_on"],
                words.number(m["auc"], 3),
                model.failed_gates_text(m["gates"], words),
            )
            for m in model.registered_models(self.view)[:20]
        ]
        heads = [words("Model"), words("Version"), words("Status"), words("Source"), words("Learnt from"), "AUC", words("Failed")]
        return html_table(heads, rows, numbers={1, 5})
