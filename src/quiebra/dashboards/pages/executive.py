"""The executive page."""

from __future__ import annotations

from ipywidgets import Widget

from quiebra.alerts.cases import ORDER
from quiebra.alerts.wording import MONITORED
from quiebra.dashboards import charts, executive
from quiebra.dashboards.controls import Chart, Table, card, html, row
from quiebra.dashboards.markup import chip, kpi_row, table
from quiebra.dashboards.page import Page
from quiebra.dashboards.rows import Column
from quiebra.validation.monitoring import lights
from quiebra.words import Words


class Executive(Page):
    name = "executive"

    def first(self, words: Words) -> str:
        return executive.lead(self.base, words) + kpi_row(executive.kpis(self.base, words))

    def compose(self) -> list[Widget]:
        base, words = self.base, self.words
        years = base.judged_years(base.params.labels.window_months)
        pd_trend = Chart(charts.pd_over_time(years, words), words)
        grades = Chart(charts.grade_bars(executive.grade_counts(base, words), words), words)
        moves = Chart(charts.migration_map(executive.migration(base), words("gone"), words), words, height=330)
        return [
            html(self.first(words)),
            row(
                card(
                    words("PD over time"),
                    pd_trend,
                    note=words("Fiscal year of the statements; scored before the outcome was known."),
                ),
                card(words("Grades, a year ago and now"), grades, note=words("Share of companies in each grade.")),
                card(words("Where companies moved in a year"), moves, note=words("Rows: grade a year ago; columns: grade now.")),
                card(words("Model and data, lights"), self._lights(), note=executive.health(base, words)),
                *self._groups(),
            ),
            card(words("Alerts that stand"), self._alerts(), note=self._about_alerts()),
            card(
                words("Who moved most"),
                self._movers(),
                note=words("Against a year ago, by how much the odds grew; sorted by Times the other way, whose PD fell most."),
            ),
        ]

    def _lights(self) -> str:
        words = self.words
        rows = [
            (words(MONITORED[m.measure]), chip(m.status, words(m.status)), words("{n} of {all}", n=m.off, all=m.subjects))
            for m in lights(self.base.findings)
        ]
        return table([words("Measure"), words("State"), words("Off")], rows, numbers={2})

    def _groups(self) -> list[Widget]:
        words, found = self.words, []
        for by, title in (("sector", words("By sector")), ("region", words("By region"))):
            groups = executive.groups(self.base, by)
            if groups.is_empty():
                continue
            draw = charts.treemap if by == "region" else charts.group_bars
            found.append(card(title, Chart(draw(groups, by, words), words, height=320), note=words("Mean one-year PD.")))
        return found

    def _alerts(self) -> Table:
        words = self.words
        columns = [
            Column("name", words("Of"), "company"),
            Column("severity", words("Severity"), "status"),
            Column("what", words("What")),
            Column("alerts", words("Alerts")),
            Column("step", words("First step")),
            Column("raised_on", words("Since"), "number", words.short),
            Column("state", words("State")),
            Column("owner", words("Owner")),
        ]
        return Table(executive.alerts(self.base, words), columns, words, label=words("Alerts that stand"), size=6)

    def _about_alerts(self) -> str:
        return " ".join(filter(None, [self.words(ORDER), executive.late(self.base, self.words)]))

    def _movers(self) -> Table:
        words = self.words
        columns = [
            Column("name", words("Company"), "company"),
            Column("rating_before", words("Before"), "rating"),
            Column("rating", words("Now"), "rating"),
            *([Column("analyst", words("Analyst"), "rating")] if self.base.standing.overrides.height else []),
            Column("pd_before", words("PD before"), "number", words.percent),
            Column("pd_12m", words("PD now"), "number", words.percent),
            Column("ratio", words("Times"), "number", lambda v: words.number(v, 1)),
            Column("why", words("What raises it")),
        ]
        return Table(
            executive.movers(self.base, words),
            columns,
            words,
            label=words("Who moved most"),
            size=8,
            grades=list(self.base.params.score.grades),
        )
