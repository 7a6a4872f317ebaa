"""Apply alert rules to measures and compare the hits with existing alerts; needs no database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from quiebra.errors import closest_name
from quiebra.params.operations import Rule

HIT_SCHEMA = {
    "rule": pl.String,
    "measure": pl.String,
    "kind": pl.String,
    "subject": pl.String,
    "cause": pl.String,
    "severity": pl.String,
    "value": pl.Float64,
    "threshold": pl.Float64,
    "broken": pl.Boolean,
}
"""Columns of rule hits: subjects at or above ``clear``; ``broken``: at or above ``raise``."""
EXISTING_ALERT_SCHEMA = {
    "alert_id": pl.String,
    "rule": pl.String,
    "subject": pl.String,
    "cause": pl.String,
    "seen_cause": pl.String,
    "state": pl.String,
    "closed_on": pl.Date,
}
"""Columns of existing alerts that `compare_hits` reads."""


def find_hits(
    rules: Mapping[str, Rule],
    grades: Mapping[str, float],
    measures: Mapping[str, pl.DataFrame],
    members: Mapping[str, set[str]] | None = None,
) -> pl.DataFrame:
    """Return the subjects at or above the ``clear`` threshold of a rule (`HIT_SCHEMA`).

    measures: kind of subject → one row per subject; see `quiebra.alerts.measures`. members: ids of the companies in the
    ``portfolio`` and on the ``watch_list``, for rules limited to those.
    """
    parts = [pl.DataFrame(schema=HIT_SCHEMA)]
    for name, rule in rules.items():
        high, low = rule.thresholds(grades)
        table = measures[rule.kind]
        subject = "company_id" if rule.kind == "company" else "subject"
        if rule.kind == "company":
            table = table.filter(_in_scope(rule, members or {}))
        table = table.with_columns(pl.col(rule.measure).fill_nan(None))
        near = pl.col(rule.measure) >= low
        if rule.kind == "model":  # an alert is not closed while monitoring has too few data for the measure
            near |= pl.col(rule.measure).is_null()
        rows = table.filter(near)
        parts.append(
            rows.select(
                pl.lit(name).alias("rule"),
                pl.lit(rule.measure).alias("measure"),
                pl.lit(rule.kind).alias("kind"),
                pl.col(subject).alias("subject"),
                "cause",
                pl.lit(rule.severity).alias("severity"),
                pl.col(rule.measure).alias("value"),
                pl.lit(high).alias("threshold"),
                (pl.col(rule.measure) >= high).fill_null(False).alias("broken"),
            )
        )
    return pl.concat(parts).sort("rule", "subject")


def _in_scope(rule: Rule, members: Mapping[str, set[str]]) -> pl.Expr:
    scope = pl.col("pd_12m") >= rule.pd_from
    if rule.companies != "all":
        scope &= pl.col("company_id").is_in(sorted(members.get(rule.companies, set())))
    if rule.sectors is not None:
        scope &= pl.col("sector").is_in(rule.sectors).fill_null(False)
    return scope


def unknown_sectors(rules: Mapping[str, Rule], known: Collection[str]) -> list[dict[str, str | None]]:
    """Return rule, sector and near (the most similar known sector, if any) for each sector that a rule names and is not known.

    Such a rule is valid for another panel and never fires on this one.
    """
    return [
        {"rule": name, "sector": sector, "near": closest_name(sector, known)}
        for name, rule in rules.items()
        for sector in rule.sectors or ()
        if sector not in known
    ]


@dataclass(frozen=True)
class AlertChange:
    """Changes of one evaluation: raised (rows of `HIT_SCHEMA`), kept (alert_id, value, cause), closed (alert_id) and reopened (as
    kept)."""

    raised: pl.DataFrame
    kept: pl.DataFrame
    closed: pl.DataFrame
    reopened: pl.DataFrame


def compare_hits(
    hits: pl.DataFrame,
    alerts: pl.DataFrame,
    rules: Mapping[str, Rule],
    as_of: dt.date,
    by_rule: Collection[str] = (),
    by_model: Collection[str] = (),
) -> AlertChange:
    """Compare rule hits with existing alerts (`EXISTING_ALERT_SCHEMA`), open and closed, and return the changes.

    - An alert that is not closed is kept while its subject is at or above ``clear``. Otherwise it is closed, also if the subject
      is not measured any more or the rule is gone.
    - An alert closed because its rule was changed or removed (ids in ``by_rule``) is reopened by a new hit of a rule of that
      name; one closed because another model came in charge (``by_model``), by a new hit on the same cause.
    - A broken rule raises an alert, unless one on it is not closed or reopened, or one was raised or last seen on the same cause,
      or the last one was closed less than the rule's cool-down ago; closings of ``by_rule`` and ``by_model`` start no cool-down.
    """
    keys = ["rule", "subject"]
    live = alerts.filter(pl.col("state") != "closed")
    kept = live.drop("cause").join(hits.select(*keys, "value", "cause"), on=keys)
    closed = live.join(hits, on=keys, how="anti")
    by_other = pl.col("alert_id").is_in(list(by_model))
    no_real_closing = pl.col("alert_id").is_in(list(by_rule)) | by_other
    latest = alerts.join(live, on=keys, how="anti").sort("closed_on", "alert_id").unique(keys, keep="last")
    back = latest.filter(no_real_closing).rename({"cause": "raised_for"}).join(hits.select(*keys, "value", "cause"), on=keys)
    same = (pl.col("cause") == pl.col("raised_for")) | (pl.col("cause") == pl.col("seen_cause"))
    reopened = back.filter(~by_other | same)
    broken = hits.filter("broken").join(live, on=keys, how="anti").join(reopened, on=keys, how="anti")
    for cause in ("cause", "seen_cause"):
        broken = broken.join(alerts, left_on=[*keys, "cause"], right_on=[*keys, cause], how="anti")
    cooling = alerts.filter(~no_real_closing).drop_nulls("closed_on").group_by(keys).agg(last=pl.col("closed_on").max())
    days = pl.DataFrame(
        {"rule": list(rules), "days": [rule.cool_down_days for rule in rules.values()]},
        schema={"rule": pl.String, "days": pl.Int64},
    )
    cooling = cooling.join(days, on="rule").filter((pl.lit(as_of) - pl.col("last")).dt.total_days() < pl.col("days"))
    return AlertChange(
        broken.join(cooling, on=keys, how="anti").sort(keys),
        kept.select("alert_id", "value", "cause").sort("alert_id"),
        closed.select("alert_id").sort("alert_id"),
        reopened.select("alert_id", "value", "cause").sort("alert_id"),
    )
