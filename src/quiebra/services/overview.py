"""Figures of the executive page, from the finished run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from quiebra import risk
from quiebra.alerts.cases import group_into_cases
from quiebra.alerts.descriptions import STATE_LABELS, overdue_reviews
from quiebra.canonical import mean_value
from quiebra.environment import database_url
from quiebra.errors import StoreError
from quiebra.risk.scored_company import few_failures_sentence, own_figures_sentence
from quiebra.services.finished_run import FinishedRunView
from quiebra.store import connect, earlier_month_pd
from quiebra.text.words import Words
from quiebra.validation.monitoring import monitoring_lights

OPEN_ALERTS_SCHEMA = {
    "company_id": pl.String,
    "known": pl.Boolean,
    "name": pl.String,
    "severity": pl.String,
    "what": pl.String,
    "alerts": pl.String,
    "step": pl.String,
    "state": pl.String,
    "raised_on": pl.Date,
    "owner": pl.String,
}


@dataclass(frozen=True)
class Kpi:
    """A formatted figure with its title and a note; ``trend``: ``up`` or ``down`` in risk, or empty."""

    title: str
    value: str
    note: str = ""
    trend: str = ""


def headline_figures(view: FinishedRunView, words: Words) -> list[Kpi]:
    """Return the page's key figures: companies, PDs, expected loss, watch list, alerts, changes on month and year."""
    scores, losses, then = view.scores, view.losses, view.before
    alarms = sum(light.status == "alarm" for light in monitoring_lights(view.findings))
    now, ago = mean_value(scores["pd_12m"]), mean_value(then["pd_12m"])
    month, standing = previous_month_pd(view), view.decisions.alerts
    return [
        Kpi(words("Companies"), words.number(scores.height), words("as of {date}", date=words.date(view.run["as_of"]))),
        Kpi(words("Mean PD, one year"), words.percent(now), *_change(now, ago, _range(scores, words), words)),
        Kpi(
            words("Change on the month"),
            words.points_between(month, now) + (" pp" if month is not None else ""),
            words("against the run before") if month is not None else words("no run of an earlier month"),
        ),
        Kpi(words("Median PD"), words.percent(losses["pd"]["median"]), words("half the companies are below")),
        Kpi(
            words("PD weighted by exposure"),
            words.percent(losses["pd"]["weighted"]),
            words("riskiest tenth {pd}", pd=words.percent(losses["pd"]["tail"], 1)),
        ),
        Kpi(
            words("Expected loss"),
            words.number(losses["expected_loss"], 1),
            words(
                "{share} of an exposure of {total}",
                share=words.percent(losses["expected_loss"] / losses["exposure"]),
                total=words.number(losses["exposure"], 1),
            ),
        ),
        Kpi(
            words("On the watch list"),
            words.percent(mean_value(scores["watch"]), 1),
            words.count("{n} company", "{n} companies", n=int(scores["watch"].sum())),
        ),
        Kpi(
            words("Alerts open"),
            words.number(standing.height if view.decisions.answered else None),
            words(
                "{high} of high severity; {alarms}",
                alarms=words.count("{n} model alarm", "{n} model alarms", n=alarms),
                high=words.number(standing.filter(pl.col("severity") == "high").height if view.decisions.answered else None),
            ),
        ),
    ]


def _range(scores: pl.DataFrame, words: Words) -> str:
    """Return the interval of the mean PD: the means of the low and high ends, as their error is common to all companies."""
    low, high = (words.percent(mean_value(scores[f"pd_12m_{end}"])) for end in ("low", "high"))
    return words("{low} to {high}", low=low, high=high)


def _change(now: Any, ago: Any, interval: str, words: Words) -> tuple[str, str]:
    if ago is None:
        return interval, ""
    change = words("{change} pp on the year", change=words.points_between(ago, now))
    return f"{interval}; {change}", "up" if now > ago else "down"


def previous_month_pd(view: FinishedRunView) -> float | None:
    """Return the mean PD of the same source's latest published run of an earlier month; None if there is none, or the database
    does not answer."""
    try:
        return earlier_month_pd(
            connect(database_url(view.workspace.root)), view.run["data"]["source"], view.run["as_of"], view.scores["company_id"]
        )
    except StoreError:  # a database that is down hides one figure, not the page
        return None


def grade_counts(view: FinishedRunView, words: Words) -> dict[str, dict[str, int]]:
    """Return the number of companies per grade, a year ago and now."""
    grades = list(view.params.score.grades)
    tables = {words("a year ago"): view.before, words("now"): view.scores}
    return {name: {g: int((table["rating"] == g).sum()) for g in grades} for name, table in tables.items()}


def grade_migration(view: FinishedRunView) -> pl.DataFrame:
    return risk.migration(view.before, view.scores, view.params.score.grades)


def pds_by(view: FinishedRunView, by: str) -> pl.DataFrame:
    """Return companies, mean PD and watch share per sector or region; empty if no company has one."""
    return risk.pds_by_group(view.scores, view.companies, by)


def movers_table(view: FinishedRunView, words: Words) -> pl.DataFrame:
    """Return companies scored both a year ago and now, largest rise of the PD first: name, grades, PDs, and reasons in the
    reader's language."""
    rows = view.with_overrides(risk.top_movers(view.before, view.scores))
    why = "reasons_es" if words.language == "es" else "reasons"
    return rows.select(
        "company_id",
        "name",
        "sector",
        "rating_before",
        "rating",
        "analyst",
        "pd_before",
        "pd_12m",
        ratio=pl.col("pd_12m") / pl.col("pd_before"),
        why=why,
    )


def open_alerts(view: FinishedRunView, words: Words) -> pl.DataFrame:
    """Return open alerts, one row per subject, sorted by urgency.

    Columns: company_id, known (it is a scored company), name, severity, what (the most informative alert), alerts (their number),
    step (to take first), state, raised_on and owner.
    """
    names, grades = dict(view.scores.select("company_id", "name").iter_rows()), list(view.params.score.grades)
    rows = [
        (
            case.first["subject"],
            case.first["subject"] in names,
            case.named(words, names),
            case.severity,
            case.headline(words, grades),
            case.counted(words),
            case.step(words),
            ", ".join(words(STATE_LABELS[state]) for state in case.each("state")),
            case.since,
            ", ".join(case.each("owner")) or None,
        )
        for case in group_into_cases(view.decisions.alerts.to_dicts(), view.company_facts, view.run["run_id"])
    ]
    return pl.DataFrame(rows, schema=OPEN_ALERTS_SCHEMA, orient="row")


def overdue_sentence(view: FinishedRunView, words: Words) -> str:
    """Return the sentence on overdue reviews; empty if there are none."""
    names = dict(view.scores.select("company_id", "name").iter_rows())
    return overdue_reviews(view.decisions.alerts.to_dicts(), view.decisions.watched.to_dicts(), names, words)


def health_sentence(view: FinishedRunView, words: Words) -> str:
    """Return the model's health in one line."""
    w = view.metrics["walk_forward"]
    state = (
        words("no gate failed")
        if not view.metrics["failed_gates"]
        else words.count("{n} gate failed", "{n} gates failed", n=len(view.metrics["failed_gates"]))
    )
    said = words(
        "AUC {auc} over {years}, riskiest tenth holds {tenth} of failures, "
        "mean PD / observed {ratio}; {state}; model is {status}.",
        auc=words.number(w["auc"], 3),
        years=w["test_years"],
        tenth=words.percent(w["top_decile_capture"], 0),
        ratio=words.number(w["pd_over_observed"], 2),
        state=state,
        status=words(view.published["status"]),
    )
    return " ".join(filter(None, [said, own_figures_sentence(view, words), few_failures_sentence(view, words)]))
