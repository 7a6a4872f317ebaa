"""Describe alerts in the reader's language: a rule's measure, its value and its threshold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from quiebra.params.operations import STATUSES
from quiebra.text.words import Words, translatable

MEASURE_LABELS = {
    "pd_12m": translatable("one-year PD"),
    "pd_60m": translatable("five-year PD"),
    "pd_rise": translatable("rise of the PD"),
    "pd_times": translatable("PD against the earlier statement"),
    "notches": translatable("grades lost"),
    "grade": translatable("grade"),
    "peers": translatable("PD against its sector"),
    "riskiest": translatable("companies with a lower PD"),
    "inversion": translatable("first year against later ones"),
    "zone": translatable("Altman zones lost"),
    "statement_months": translatable("age of the statement"),
    "blind": translatable("data missing"),
    "expected_loss": translatable("expected loss of the exposure"),
    "shortfall": translatable("loss of the worst years, of the exposure"),
    "largest_share": translatable("largest exposure"),
    "sector_hhi": translatable("concentration by sector"),
    "drift": translatable("state of the model"),
}
MONITORED_LABELS = {
    "score_psi": translatable("Stability of PDs"),
    "feature_csi": translatable("Stability of features"),
    "features_alarmed": translatable("Share of features in alarm"),
    "auc_shortfall": translatable("Ranking against promise"),
    "pd_over_observed": translatable("PD against failures seen"),
    "importance_correlation": translatable("What the model looks at"),
}
"""Labels of the monitoring measures; see `quiebra.validation.monitoring`."""
MULTIPLE_MEASURES = ("pd_times", "peers", "inversion")
COUNT_MEASURES = ("notches", "zone")
WATCH_LEVELS = {1: translatable("watch"), 2: translatable("close watch"), 3: translatable("exit")}
"""Labels of the levels of the analysts' watch list."""
SEVERITY_LABELS = {"low": translatable("low"), "medium": translatable("medium"), "high": translatable("high")}
STATE_LABELS = {"open": translatable("open"), "acknowledged": translatable("acknowledged"), "closed": translatable("closed")}


def format_measure(measure: str, value: float | None, words: Words, grades: Sequence[str]) -> str:
    """Return a measure's value formatted with its unit; grades and statuses by name."""
    if value is None:
        return words.number(None)
    if measure == "grade":
        return grades[int(value)] if 0 <= value < len(grades) else words.number(value)
    if measure == "drift":
        return words(STATUSES[int(value)])
    if measure in MULTIPLE_MEASURES:
        return words("{n} times", n=words.number(value, 1))
    if measure == "statement_months":
        return words.count("{n} month", "{n} months", n=value)
    if measure in COUNT_MEASURES:
        return words.number(value)
    return words.number(value, 2) if measure == "sector_hhi" else words.percent(value, 1)


def alert_subject(alert: Mapping[str, Any], words: Words, names: Mapping[str, str]) -> str:
    """Return the name of an alert's subject: a company, the portfolio, or a monitoring measure.

    names: company_id → name.
    """
    if alert["kind"] == "company":
        return names.get(alert["subject"]) or alert["subject"]
    return words("portfolio") if alert["kind"] == "portfolio" else words(MONITORED_LABELS.get(alert["subject"], alert["subject"]))


def alert_in_figures(alert: Mapping[str, Any], words: Words, grades: Sequence[str]) -> str:
    """Return an alert's rule, value and threshold: ``high PD: one-year PD 12.3 % (from 10.0 % on)``."""
    measure = str(alert["measure"])
    return words(
        "{rule}: {measure} {value} (from {threshold} on)",
        rule=words(str(alert["rule"])),
        measure=words(MEASURE_LABELS[measure]),
        value=format_measure(measure, alert["value"], words, grades),
        threshold=format_measure(measure, alert["threshold"], words, grades),
    )


def analyst_decision_sentences(
    company_id: str, overrides: Iterable[Mapping[str, Any]], watched: Iterable[Mapping[str, Any]], words: Words
) -> list[str]:
    """Return sentences on analysts' decisions about a company: its override and its watch-list entry.

    overrides, watched: rows of `quiebra.alerts.analyst_decisions`; dates may be ISO text.
    """
    grades = [
        words(
            "Analysts grade it {grade}, until {date}: {reason} ({author}, approved by {approver}).",
            grade=o["rating"],
            date=words.short(o["expires_on"]),
            reason=o["reason"],
            author=o["author"],
            approver=o["approver"],
        )
        for o in overrides
        if o["company_id"] == company_id
    ]
    places = [
        words(
            "On the analysts' watch list ({level}): {reason} ({who}; look again {date}).",
            level=words(WATCH_LEVELS[w["level"]]),
            reason=w["reason"],
            who=w["who"],
            date=words.short(w["review_on"]),
        )
        for w in watched
        if w["company_id"] == company_id
    ]
    return [*grades, *places]


def unknown_sector_sentences(standing: Mapping[str, Any], words: Words) -> list[str]:
    """Return a warning for each sector that a rule names and no scored company has.

    standing: output of the alerts stage; one of an earlier version has no such list and gives no warning.
    """
    near = translatable(" (did you mean '{near}'?)")
    return [
        words(
            "Alert rule '{rule}': no scored company has the sector '{sector}'{near}, so that the rule raises nothing there.",
            rule=words(row["rule"]),
            sector=row["sector"],
            near=words(near, near=row["near"]) if row["near"] else "",
        )
        for row in standing.get("unknown_sectors", [])
    ]


MAX_OVERDUE_NAMED = 6
"""Overdue reviews listed by name; the rest is only counted."""


def overdue_reviews(
    alerts: Iterable[Mapping[str, Any]],
    watched: Iterable[Mapping[str, Any]],
    names: Mapping[str, str],
    words: Words,
    written: Callable[[str], str] = str,
) -> str:
    """Return one sentence on overdue reviews of alerts and watched companies, the oldest first; empty if there are none.

    alerts, watched: rows of `quiebra.alerts.lifecycle.list_alerts` and `quiebra.alerts.analyst_decisions.watch_list_entries`;
    dates may be ISO text. names: company_id → name. written: formats a name for the output, such as by escaping its markup.
    """
    of_alerts = ((row["review_on"], alert_subject(row, words, names)) for row in alerts)
    of_list = ((row["review_on"], names.get(row["company_id"]) or row["company_id"]) for row in watched)
    today = dt.date.today().isoformat()
    due = sorted({(str(day), who) for day, who in (*of_alerts, *of_list) if day is not None and str(day) < today})
    if not due:
        return ""
    said = [f"{written(who)} ({words.short(day)})" for day, who in due[:MAX_OVERDUE_NAMED]]
    more = words(" and {n} more", n=len(due) - MAX_OVERDUE_NAMED) if len(due) > MAX_OVERDUE_NAMED else ""
    return words("Reviews that are overdue: {names}{more}.", names=", ".join(said), more=more)
