"""Open alerts and the back-test of rules as Markdown tables and sentences, for reports and the alerts stage's notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quiebra.alerts.cases import CASE_ORDER_NOTE, AlertCase, count_subjects
from quiebra.alerts.descriptions import SEVERITY_LABELS
from quiebra.reports.tables import DEFAULT_WORDS, markdown_table
from quiebra.text.words import Words


def open_alerts_table(
    found: Sequence[AlertCase], words: Words, names: Mapping[str, str], grades: Sequence[str], count: int
) -> str:
    """Return the number of open alerts, and a table of the first ``count`` cases (companies or other subjects).

    names: company_id → name.
    """
    head = words(
        "{alerts} on {subjects}, {high} of high severity. {order}",
        alerts=words.count("{n} alert stands", "{n} alerts stand", n=sum(len(case.alerts) for case in found)),
        subjects=count_subjects(found, words),
        high=words.number(sum(alert["severity"] == "high" for case in found for alert in case.alerts)),
        order=words(CASE_ORDER_NOTE),
    )
    owned = any(case.each("owner") for case in found[:count])

    def owner(case: AlertCase) -> dict[str, str | None]:
        return {words("owner"): ", ".join(case.each("owner")) or None} if owned else {}

    rows = [
        {
            words("of"): case.named(words, names),
            words("what"): case.headline(words, grades),
            words("alerts"): words(
                "{severity}: {alerts}, since {date}",
                severity=words(SEVERITY_LABELS[case.severity]),
                alerts=case.counted(words),
                date=words.short(case.since),
            ),
            words("first step"): case.step(words),
            **owner(case),
        }
        for case in found[:count]
    ]
    left = len(found) - len(rows)
    rest = words.count(
        "{n} more is on the executive page and in `quiebra alerts list`.",
        "{n} more are on the executive page and in `quiebra alerts list`.",
        n=left,
    )
    return "\n\n".join([head, markdown_table(rows), *([rest] if left else [])])


def format_interval(figures: Mapping[str, Any], name: str, words: Words, decimals: int = 0) -> str:
    """Return a share with its interval, as percentages."""
    low, high = figures["interval"].get(name, (None, None))
    value = words.percent(figures[name], decimals)
    return (
        value
        if low is None or figures[name] is None
        else words("{value} ({low} to {high})", value=value, low=words.percent(low, decimals), high=words.percent(high, decimals))
    )


def budget_table(judged: Mapping[str, Any], words: Words = DEFAULT_WORDS) -> str:
    """Return a Markdown table of budgets of companies under alert: the thresholds that keep to each, and the alerts'
    performance."""
    rows = [
        {
            words("budget"): words.percent(b["budget"], 0),
            words("under alert"): words.percent(b["under_alert"], 1),
            words("seen coming"): format_interval(b, "recall", words),
            words("under alert at the last evaluation"): format_interval(b, "recall_last", words),
            words("right"): format_interval(b, "precision", words),
            words("false alarms a year"): words.number(b["false_alarms_a_year"]),
            words("lead, years"): words.number(b["lead_years"], 1),
            words("proposed: riskiest"): words.number(b["riskiest"], 2),
            words("or PD from"): words.percent(b["pd_12m"], 1),
        }
        for b in judged["budgets"]
    ]
    return markdown_table(rows)


def explain_judgement(judged: Mapping[str, Any], words: Words = DEFAULT_WORDS) -> str:
    """Return an explanation of the back-test's figures."""
    years = words.count("{n} year", "{n} years", n=judged["horizon_years"])
    return words(
        "Judged from {first} to {last} on {failures}. Seen coming: under alert within {years} before the failure. Right: "
        "alerts whose company failed within {years}. Lead: median time from the first such alert to the failure.",
        first=words.date(judged["from"]),
        last=words.date(judged["to"]),
        years=years,
        failures=words.count("{n} failure", "{n} failures", n=judged["any"]["failures"]),
    )


def rule_table(judged: Mapping[str, Any], words: Words = DEFAULT_WORDS) -> str:
    """Return a Markdown table of the performance of each company rule's alerts, and of all rules together."""
    named = {words("any of them"): judged["any"], **{words(name): figures for name, figures in judged["by_rule"].items()}}
    rows = [
        {
            words("rule"): name,
            words("alerts"): words.number(f["alerts"]),
            words("under alert"): words.percent(f["under_alert"], 1),
            words("seen coming"): format_interval(f, "recall", words),
            words("right"): format_interval(f, "precision", words),
            words("false alarms a year"): words.number(f["false_alarms_a_year"]),
            words("lead, years"): words.number(f["lead_years"], 1),
            words("cost"): words.number(f["cost"], 1),
        }
        for name, f in named.items()
    ]
    return markdown_table(rows)


def cost_sentence(judged: Mapping[str, Any], words: Words = DEFAULT_WORDS) -> str:
    """Return an explanation of the cost of alerts."""
    return words.count(
        "Cost: failures not seen coming, at {n} false alarm each, and wrong alerts, a hundred companies and year.",
        "Cost: failures not seen coming, at {n} false alarms each, and wrong alerts, a hundred companies and year.",
        n=judged["miss_cost"],
    )
