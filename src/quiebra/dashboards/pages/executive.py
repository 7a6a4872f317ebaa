"""The executive page."""

from __future__ import annotations

from ipywidgets import Widget
from markupsafe import Markup

from quiebra import risk
from quiebra.alerts.cases import CASE_ORDER_NOTE
from quiebra.alerts.descriptions import MONITORED_LABELS
from quiebra.canonical import mean_value
from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.widgets import charts
from quiebra.dashboards.widgets.controls import Chart, Table, card, html, row
from quiebra.dashboards.widgets.markup import chip, html_table, kpi_row
from quiebra.services import overview as executive
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words
from quiebra.validation.monitoring import monitoring_lights


class ExecutivePage(Page):
    name = "executive"

    def opening_html(self, words: Words) -> str:
        return _lead(self.view, words) + kpi_row(executive.headline_figures(self.view, words))

    def compose(self) -> list[Widget]:
        view, words = self.view, self.words
        years = view.judged_years(view.params.labels.window_months)
        pd_trend = Chart(charts.pd_over_time(years, words), words)
        grades = Chart(charts.grade_bars(executive.grade_counts(view, words), words), words)
        moves = Chart(charts.migration_map(executive.grade_migration(view), words("gone"), words), words, height=330)
        return [
            html(self.opening_html(words)),
            row(
                card(
                    words("PD over time"),
                    pd_trend,
                    note=words("Fiscal year of the statements; scored before the outcome was known."),
                ),
                card(words("Grades, a year ago and now"), grades, note=words("Share of companies in each grade.")),
                card(words("Where companies moved in a year"), moves, note=words("Rows: grade a year ago; columns: grade now.")),
                card(words("Model and data, lights"), self._lights(), note=executive.health_sentence(view, words)),
                *self._groups(),
            ),
            card(words("Alerts that stand"), self._alerts(), note=self._about_alerts()),
            card(
                words("Who moved most"),
                self._movers(),
                note=words("Against a year ago, by how much the odds grew. Sort Times the other way to see whose PD fell most."),
            ),
        ]

    def _lights(self) -> str:
        words = self.words
        rows = [
            (words(MONITORED_LABELS[m.measure]), chip(m.status, words(m.status)), words("{n} of {all}", n=m.off, all=m.subjects))
            for m in monitoring_lights(self.view.findings)
        ]
        return html_table([words("Measure"), words("State"), words("Beyond its limit")], rows, numbers={2})

    def _groups(self) -> list[Widget]:
        words, found = self.words, []
        for by, title in (("sector", words("By sector")), ("region", words("By region"))):
            groups = executive.pds_by(self.view, by)
            if groups.is_empty():
                continue
            draw = charts.treemap if by == "region" else charts.group_bars
            found.append(card(title, Chart(draw(groups, by, words), words, height=320), note=words("Mean one-year PD.")))
        return found

    def _alerts(self) -> Table:
        words = self.words
        columns = [
            TableColumn("name", words("Of"), "company"),
            TableColumn("severity", words("Severity"), "status"),
            TableColumn("what", words("What")),
            TableColumn("alerts", words("Alerts")),
            TableColumn("step", words("First step")),
            TableColumn("raised_on", words("Since"), "number", words.short),
            TableColumn("state", words("State")),
            TableColumn("owner", words("Owner")),
        ]
        return Table(executive.open_alerts(self.view, words), columns, words, label=words("Alerts that stand"), size=6)

    def _about_alerts(self) -> str:
        return " ".join(filter(None, [self.words(CASE_ORDER_NOTE), executive.overdue_sentence(self.view, self.words)]))

    def _movers(self) -> Table:
        words = self.words
        columns = [
            TableColumn("name", words("Company"), "company"),
            TableColumn("rating_before", words("Before"), "rating"),
            TableColumn("rating", words("Now"), "rating"),
            *([TableColumn("analyst", words("Analyst"), "rating")] if self.view.decisions.overrides.height else []),
            TableColumn("pd_before", words("PD before"), "number", words.percent),
            TableColumn("pd_12m", words("PD now"), "number", words.percent),
            TableColumn("ratio", words("Times"), "number", lambda v: words.number(v, 1)),
            TableColumn("why", words("What raises it")),
        ]
        return Table(
            executive.movers_table(self.view, words),
            columns,
            words,
            label=words("Who moved most"),
            size=8,
            grades=list(self.view.params.score.grades),
        )


def _lead(view: FinishedRunView, words: Words) -> Markup:
    """Return the main result in one sentence, as HTML."""
    scores, then = view.scores, mean_value(view.before["pd_12m"])
    now = mean_value(scores["pd_12m"])
    moved = "" if then is None else words(" (a year ago {pd})", pd=words.percent(then))
    riskiest = risk.watch_list(scores, 3)["name"].to_list()
    named = words.markup(" The riskiest are {names}.", names=", ".join(riskiest)) if riskiest else ""
    first = words(
        "Of {companies}, some {failures} expected to fail within a year: the mean PD is <strong>{pd}</strong>{moved}.",
        companies=words.count("{n} company", "{n} companies", n=scores.height),
        failures=words.count("<strong>{n}</strong> is", "<strong>{n}</strong> are", n=float(scores["pd_12m"].sum())),
        pd=words.percent(now),
        moved=moved,
    )
    return Markup(f"<p class='q-lead'>{first}{named}</p>")  # noqa: S704  names are escaped above; the rest is ours, and numbers
