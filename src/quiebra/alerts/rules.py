"""Alert rules: who breaks which, and what that makes of the alerts that there are. Nothing here knows of a database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from quiebra.errors import closest
from quiebra.params.operations import Rule

FOUND = {
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
"""Columns of what rules find: who is at ``clear`` or beyond; ``broken``: at ``raise`` or beyond."""
ALERTS = {
    "alert_id": pl.String,
    "rule": pl.String,
    "subject": pl.String,
    "cause": pl.String,
    "seen_cause": pl.String,
    "state": pl.String,
    "closed_on": pl.Date,
}
"""What a change of alerts needs to know of those that there are."""


def found(
    rules: Mapping[str, Rule],
    grades: Mapping[str, float],
    measures: Mapping[str, pl.DataFrame],
    members: Mapping[str, set[str]] | None = None,
) -> pl.DataFrame:
    """Return who is at the ``clear`` threshold of a rule or beyond; see `FOUND`.

    measures: kind of subject → one row a subject; see `quiebra.alerts.measures`. members: ids of the companies in the
    ``portfolio`` and on the ``watch_list``, for rules on those alone.
    """
    parts = [pl.DataFrame(schema=FOUND)]
    for name, rule in rules.items():
        high, low = rule.thresholds(grades)
        table = measures[rule.kind]
        subject = "company_id" if rule.kind == "company" else "subject"
        if rule.kind == "company":
            table = table.filter(_in_scope(rule, members or {}))
        table = table.with_columns(pl.col(rule.measure).fill_nan(None))
        near = pl.col(rule.measure) >= low
        if rule.kind == "model":  # what monitoring cannot say yet closes no alert
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
    """Return rule, sector and near (the known sector that looks most like it), for each sector that a rule names and that is not
    known: the rule is right for a panel that has it, and never fires on this one."""
    return [
        {"rule": name, "sector": sector, "near": closest(sector, known)}
        for name, rule in rules.items()
        for sector in rule.sectors or ()
        if sector not in known
    ]


@dataclass(frozen=True)
class Change:
    """What one evaluation does to the alerts: raised (rows of `FOUND`), kept (alert_id, value, cause), closed (alert_id) and
    reopened (as kept)."""

    raised: pl.DataFrame
    kept: pl.DataFrame
    closed: pl.DataFrame
    reopened: pl.DataFrame


def change(
    hits: pl.DataFrame, alerts: pl.DataFrame, rules: Mapping[str, Rule], as_of: dt.date, by_rule: Collection[str] = (),
    by_model: Collection[str] = (),
) -> Change:  # fmt: skip
    """Compare what rules found with the alerts that there are (`ALERTS`), open and closed.

    An alert that is not closed stays while its subject is at ``clear`` or beyond, and closes otherwise, also where the subject
    is no longer looked at, or the rule is gone. One that closed since its rule was changed or taken away (ids in ``by_rule``)
    opens again once a rule of that name holds it again; one that closed since another model was in charge (``by_model``), once
    its rule holds it again on the same cause. A broken rule raises an alert, unless one is open on it, or one was
    raised or stood on the same cause already, or the last one on it was closed (not so) less than its cool-down ago.
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
    return Change(
        broken.join(cooling, on=keys, how="anti").sort(keys),
        kept.select("alert_id", "value", "cause").sort("alert_id"),
        closed.select("alert_id").sort("alert_id"),
        reopened.select("alert_id", "value", "cause").sort("alert_id"),
    )
