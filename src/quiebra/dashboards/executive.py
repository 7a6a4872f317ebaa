"""The executive page in figures: plain functions over the finished run."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra import risk
from quiebra.alerts.cases import cases
from quiebra.alerts.wording import STATES, overdue
from quiebra.dashboards.base import Base
from quiebra.dashboards.markup import Kpi, Markup
from quiebra.errors import StoreError
from quiebra.risk.subject import few_failures
from quiebra.settings import database_url
from quiebra.store import connect, earlier_month
from quiebra.validation.monitoring import lights
from quiebra.words import Words

STANDING = {
    "company_id": pl.String, "known": pl.Boolean, "name": pl.String, "severity": pl.String, "what": pl.String,
    "alerts": pl.String, "step": pl.String, "state": pl.String, "raised_on": pl.Date, "owner": pl.String,
}  # fmt: skip


def kpis(base: Base, words: Words) -> list[Kpi]:
    """Return the figures at the top: companies, PDs, loss, watch list, alarms, changes on month and year."""
    scores, losses, then = base.scores, base.losses, base.before
    alarms = sum(light.status == "alarm" for light in lights(base.findings))
    now, ago = scores["pd_12m"].mean(), then["pd_12m"].mean()
    month, standing = month_before(base), base.standing.alerts
    return [
        Kpi(words("Companies"), words.number(scores.height), words("as of {date}", date=words.date(base.run["as_of"]))),
        Kpi(words("Mean PD, one year"), words.percent(now), *_change(now, ago, _range(scores, words), words)),
        Kpi(words("Change on the month"),
            words.points_between(month, now) + (" pp" if month is not None else ""),
            words("against the run before") if month is not None else words("no run of an earlier month")),
        Kpi(words("Median PD"), words.percent(losses["pd"]["median"]), words("half the companies are below")),
        Kpi(words("PD weighted by exposure"), words.percent(losses["pd"]["weighted"]), words("riskiest tenth {pd}",
            pd=words.percent(losses["pd"]["tail"], 1))),
        Kpi(words("Expected loss"), words.number(losses["expected_loss"], 1),
            words("{share} of the exposure", share=words.percent(losses["expected_loss"] / losses["exposure"]))),
        Kpi(words("On the watch list"), words.percent(scores["watch"].mean(), 1), words.count("{n} company", "{n} companies",
            n=scores["watch"].sum())),
        Kpi(words("Alerts open"), words.number(standing.height if base.standing.answered else None),
            words("{high} of high severity; {alarms}", alarms=words.count("{n} model alarm", "{n} model alarms", n=alarms),
                  high=words.number(standing.filter(pl.col("severity") == "high").height if base.standing.answered else None))),
    ]  # fmt: skip


def _range(scores: pl.DataFrame, words: Words) -> str:
    """Return the interval of the mean PD: what each PD's interval covers moves all companies together."""
    low, high = (words.percent(scores[f"pd_12m_{end}"].mean()) for end in ("low", "high"))  # type: ignore[arg-type]
    return words("{low} to {high}", low=low, high=high)


def _change(now: Any, ago: Any, interval: str, words: Words) -> tuple[str, str]:
    if ago is None:
        return interval, ""
    change = words("{change} pp on the year", change=words.points_between(ago, now))
    return f"{interval}; {change}", "up" if now > ago else "down"


def month_before(base: Base) -> float | None:
    """Return the mean PD of the latest published run of an earlier month, from the same source; None where there is none."""
    try:
        return earlier_month(connect(database_url(base.workspace.root)), base.run["data"]["source"], base.run["as_of"])
    except StoreError:  # a database that is down hides one figure, not the page
        return None


def lead(base: Base, words: Words) -> Markup:
    """Return the sentence that a hurried reader needs, as HTML."""
    scores, then = base.scores, base.before["pd_12m"].mean()
    now = scores["pd_12m"].mean()
    moved = "" if then is None else words(" (a year ago {pd})", pd=words.percent(then))  # type: ignore[arg-type]
    riskiest = risk.watch_list(scores, 3)["name"].to_list()
    named = words.markup(" The riskiest are {names}.", names=", ".join(riskiest)) if riskiest else ""
    first = words(
        "Of {companies}, some {failures} expected to fail within a year: the mean PD is <strong>{pd}</strong>{moved}.",
        companies=words.count("{n} company", "{n} companies", n=scores.height),
        failures=words.count("<strong>{n}</strong> is", "<strong>{n}</strong> are", n=scores["pd_12m"].sum()),
        pd=words.percent(now), moved=moved,  # type: ignore[arg-type]
    )  # fmt: skip
    return Markup(f"<p class='q-lead'>{first}{named}</p>")


def grade_counts(base: Base, words: Words) -> dict[str, dict[str, int]]:
    """Return companies by grade a year ago and now."""
    grades = list(base.params.score.grades)
    tables = {words("a year ago"): base.before, words("now"): base.scores}
    return {name: {g: int((table["rating"] == g).sum()) for g in grades} for name, table in tables.items()}


def migration(base: Base) -> pl.DataFrame:
    return risk.migration(base.before, base.scores, base.params.score.grades)


def groups(base: Base, by: str) -> pl.DataFrame:
    """Return companies, mean PD and watch share by sector or region; empty where no company has one."""
    return risk.by_group(base.scores, base.companies, by)


def movers(base: Base, words: Words) -> pl.DataFrame:
    """Return the companies of a year ago and now, those whose PD rose most first: name, grades, PDs and reasons in the reader's
    language."""
    rows = base.beside(risk.movers(base.before, base.scores))
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


def alerts(base: Base, words: Words) -> pl.DataFrame:
    """Return the alerts that stand by what they are of, in the order to look at them: company_id, whether it is ``known``, name
    (of whom), severity, what (the most telling alert), alerts (how many), step (what to do first), state, raised_on and owner."""
    names, grades = dict(base.scores.select("company_id", "name").iter_rows()), list(base.params.score.grades)
    rows = [
        (case.first["subject"], case.first["subject"] in names, case.named(words, names), case.severity,
         case.headline(words, grades), case.counted(words), case.step(words),
         ", ".join(words(STATES[state]) for state in case.each("state")), case.since, ", ".join(case.each("owner")) or None)
        for case in cases(base.standing.alerts.to_dicts(), base.facts, base.run["run_id"])
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=STANDING, orient="row")


def late(base: Base, words: Words) -> str:
    """Return the sentence on reviews that are overdue; empty where there are none."""
    names = dict(base.scores.select("company_id", "name").iter_rows())
    return overdue(base.standing.alerts.to_dicts(), base.standing.watched.to_dicts(), names, words)


def health(base: Base, words: Words) -> str:
    """Return the model's health in one line."""
    w = base.metrics["walk_forward"]
    state = (
        words("no gate failed")
        if not base.metrics["failed_gates"]
        else words.count("{n} gate failed", "{n} gates failed", n=len(base.metrics["failed_gates"]))
    )
    said = words(
        "AUC {auc} over {years}, riskiest tenth holds {tenth} of failures, "
        "mean PD / observed {ratio}; {state}; model is {status}.",
        auc=words.number(w["auc"], 3), years=w["test_years"], tenth=words.percent(w["top_decile_capture"], 0),
        ratio=words.number(w["pd_over_observed"], 2), state=state, status=words(base.published["status"]),
    )  # fmt: skip
    return " ".join(filter(None, [said, few_failures(base, words)]))
