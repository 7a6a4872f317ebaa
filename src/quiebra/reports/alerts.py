"""Alerts that stand, and how alerts were judged, in words and tables: for reports and the stage's notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quiebra.alerts.cases import ORDER, Case, subjects
from quiebra.alerts.wording import SEVERITY
from quiebra.reports.tables import ENGLISH, table
from quiebra.words import Words


def standing(found: Sequence[Case], words: Words, names: Mapping[str, str], grades: Sequence[str], count: int) -> str:
    """Return how many alerts stand, and a row for each of the first ``count`` companies (or whatever else they are of).

    names: company_id → name.
    """
    head = words(
        "{alerts} on {subjects}, {high} of high severity. {order}",
        alerts=words.count("{n} alert stands", "{n} alerts stand", n=sum(len(case.alerts) for case in found)),
        subjects=subjects(found, words),
        high=words.number(sum(alert["severity"] == "high" for case in found for alert in case.alerts)), order=words(ORDER),
    )  # fmt: skip
    owned = any(case.each("owner") for case in found[:count])
    owner = lambda case: {words("owner"): ", ".join(case.each("owner")) or None} if owned else {}  # noqa: E731
    rows = [
        {
            words("of"): case.named(words, names), words("what"): case.headline(words, grades),
            words("alerts"): words("{severity}: {alerts}, since {date}", severity=words(SEVERITY[case.severity]),
                                   alerts=case.counted(words), date=words.short(case.since)),
            words("first step"): case.step(words), **owner(case),
        }
        for case in found[:count]
    ]  # fmt: skip
    left = len(found) - len(rows)
    rest = words.count("{n} more is on the executive page and in `quiebra alerts list`.",
                       "{n} more are on the executive page and in `quiebra alerts list`.", n=left)  # fmt: skip
    return "\n\n".join([head, table(rows), *([rest] if left else [])])


def shown(figures: Mapping[str, Any], name: str, words: Words, decimals: int = 0) -> str:
    """Return a share with its interval, as a percentage."""
    low, high = figures["interval"].get(name, (None, None))
    value = words.percent(figures[name], decimals)
    return value if low is None or figures[name] is None else words("{value} ({low} to {high})", value=value,
        low=words.percent(low, decimals), high=words.percent(high, decimals))  # fmt: skip


def budgets(judged: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return, for each budget of companies under alert, the thresholds that keep it and how alerts did, as a Markdown table."""
    rows = [
        {
            words("budget"): words.percent(b["budget"], 0), words("under alert"): words.percent(b["under_alert"], 1),
            words("seen coming"): shown(b, "recall", words), words("under alert at the last evaluation"): shown(b, "recall_last", words),
            words("right"): shown(b, "precision", words), words("false alarms a year"): words.number(b["false_alarms_a_year"]),
            words("lead, years"): words.number(b["lead_years"], 1),
            words("proposed: riskiest"): words.number(b["riskiest"], 2), words("or PD from"): words.percent(b["pd_12m"], 1),
        }
        for b in judged["budgets"]
    ]  # fmt: skip
    return table(rows)


def explained(judged: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return what the figures of the judgement mean."""
    years = words.count("{n} year", "{n} years", n=judged["horizon_years"])
    return words(
        "Judged from {first} to {last} on {failures}. Seen coming: under alert within {years} before the failure. Right: "
        "alerts whose company failed within {years}. Lead: median time from the first such alert to the failure.",
        first=words.date(judged["from"]), last=words.date(judged["to"]), years=years,
        failures=words.count("{n} failure", "{n} failures", n=judged["any"]["failures"]),
    )  # fmt: skip


def by_rule(judged: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return how alerts of each rule on companies did, and of all together, as a Markdown table."""
    named = {words("any of them"): judged["any"], **{words(name): figures for name, figures in judged["by_rule"].items()}}
    rows = [
        {
            words("rule"): name, words("alerts"): words.number(f["alerts"]), words("under alert"): words.percent(f["under_alert"], 1),
            words("seen coming"): shown(f, "recall", words), words("right"): shown(f, "precision", words),
            words("false alarms a year"): words.number(f["false_alarms_a_year"]), words("lead, years"): words.number(f["lead_years"], 1),
            words("cost"): words.number(f["cost"], 1),
        }
        for name, f in named.items()
    ]  # fmt: skip
    return table(rows)


def cost(judged: Mapping[str, Any], words: Words = ENGLISH) -> str:
    """Return what the cost of alerts is."""
    return words.count(
        "Cost: failures not seen coming, at {n} false alarm each, and wrong alerts, a hundred companies and year.",
        "Cost: failures not seen coming, at {n} false alarms each, and wrong alerts, a hundred companies and year.",
        n=judged["miss_cost"],
    )
