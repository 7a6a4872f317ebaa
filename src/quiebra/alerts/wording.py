"""Alerts in words: what a rule looks at, and a figure beside its threshold, in the reader's language."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from quiebra.params.operations import STATUSES
from quiebra.words import Words, mark

MEASURES = {
    "pd_12m": mark("one-year PD"),
    "pd_60m": mark("five-year PD"),
    "pd_rise": mark("rise of the PD"),
    "pd_times": mark("PD against the earlier statement"),
    "notches": mark("grades lost"),
    "grade": mark("grade"),
    "peers": mark("PD against its sector"),
    "riskiest": mark("companies with a lower PD"),
    "inversion": mark("first year against later ones"),
    "zone": mark("Altman zones lost"),
    "statement_months": mark("age of the statement"),
    "blind": mark("data missing"),
    "expected_loss": mark("expected loss of the exposure"),
    "shortfall": mark("loss of the worst years, of the exposure"),
    "largest_share": mark("largest exposure"),
    "sector_hhi": mark("concentration by sector"),
    "drift": mark("state of the model"),
}
MONITORED = {
    "score_psi": mark("Stability of PDs"), "feature_csi": mark("Stability of features"),
    "features_alarmed": mark("Share of features in alarm"), "auc_shortfall": mark("Ranking against promise"),
    "pd_over_observed": mark("PD against failures seen"), "importance_correlation": mark("What the model looks at"),
}  # fmt: skip
"""What monitoring measures, see `quiebra.validation.monitoring`."""
TIMES = ("pd_times", "peers", "inversion")
COUNTS = ("notches", "zone")
LEVELS = {1: mark("watch"), 2: mark("close watch"), 3: mark("exit")}
"""Of the analysts' watch list."""
SEVERITY = {"low": mark("low"), "medium": mark("medium"), "high": mark("high")}
STATES = {"open": mark("open"), "acknowledged": mark("acknowledged"), "closed": mark("closed")}


def said(measure: str, value: float | None, words: Words, grades: Sequence[str]) -> str:
    """Return a measure's value as a reader writes it; a grade and a status by their names."""
    if value is None:
        return words.number(None)
    if measure == "grade":
        return grades[int(value)] if 0 <= value < len(grades) else words.number(value)
    if measure == "drift":
        return words(STATUSES[int(value)])
    if measure in TIMES:
        return words("{n} times", n=words.number(value, 1))
    if measure == "statement_months":
        return words.count("{n} month", "{n} months", n=value)
    if measure in COUNTS:
        return words.number(value)
    return words.number(value, 2) if measure == "sector_hhi" else words.percent(value, 1)


def subject(alert: Mapping[str, Any], words: Words, names: Mapping[str, str]) -> str:
    """Return what an alert is of: a company's name, the portfolio, or what monitoring measures. names: company_id → name."""
    if alert["kind"] == "company":
        return names.get(alert["subject"]) or alert["subject"]
    return words("portfolio") if alert["kind"] == "portfolio" else words(MONITORED.get(alert["subject"], alert["subject"]))


def in_figures(alert: Mapping[str, object], words: Words, grades: Sequence[str]) -> str:
    """Return an alert's rule, figure and threshold: ``high PD: one-year PD 12.3 % (from 10.0 % on)``."""
    measure = str(alert["measure"])
    return words(
        "{rule}: {measure} {value} (from {threshold} on)",
        rule=words(str(alert["rule"])),
        measure=words(MEASURES[measure]),
        value=said(measure, alert["value"], words, grades),  # type: ignore[arg-type]
        threshold=said(measure, alert["threshold"], words, grades),  # type: ignore[arg-type]
    )


def decided(
    company_id: str, overrides: Iterable[Mapping[str, Any]], watched: Iterable[Mapping[str, Any]], words: Words
) -> list[str]:
    """Return what analysts decided on a company, in sentences: their grade, and its place on their list.

    overrides, watched: rows as `quiebra.alerts.analysts` gives them; dates may be ISO text.
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
            level=words(LEVELS[w["level"]]),
            reason=w["reason"],
            who=w["who"],
            date=words.short(w["review_on"]),
        )
        for w in watched
        if w["company_id"] == company_id
    ]
    return [*grades, *places]


def unknown_sector_sentences(standing: Mapping[str, Any], words: Words) -> list[str]:
    """Return a sentence for each sector that a rule names and no scored company has. standing: what the stage wrote; one of an
    earlier version says nothing."""
    near = mark(" (did you mean '{near}'?)")
    return [
        words(
            "Alert rule '{rule}': no scored company has the sector '{sector}'{near}, so that the rule raises nothing there.",
            rule=words(row["rule"]), sector=row["sector"], near=words(near, near=row["near"]) if row["near"] else "",
        )
        for row in standing.get("unknown_sectors", [])
    ]  # fmt: skip


MOST_OVERDUE = 6
"""Reviews that are named; others are counted."""


def overdue(
    alerts: Iterable[Mapping[str, Any]], watched: Iterable[Mapping[str, Any]], names: Mapping[str, str], words: Words,
    written: Callable[[str], str] = str,
) -> str:  # fmt: skip
    """Return one sentence on the reviews of alerts and watched companies whose day has passed, the oldest first; empty where
    there are none.

    alerts, watched: rows of `quiebra.alerts.states.alerts` and `quiebra.alerts.analysts.watched`; dates may be ISO text.
    names: company_id → name. written: how a name is put where the sentence goes.
    """
    of_alerts = ((row["review_on"], subject(row, words, names)) for row in alerts)
    of_list = ((row["review_on"], names.get(row["company_id"]) or row["company_id"]) for row in watched)
    today = dt.date.today().isoformat()
    due = sorted({(str(day), who) for day, who in (*of_alerts, *of_list) if day is not None and str(day) < today})
    if not due:
        return ""
    said = [f"{written(who)} ({words.short(day)})" for day, who in due[:MOST_OVERDUE]]
    more = words(" and {n} more", n=len(due) - MOST_OVERDUE) if len(due) > MOST_OVERDUE else ""
    return words("Reviews that are overdue: {names}{more}.", names=", ".join(said), more=more)
