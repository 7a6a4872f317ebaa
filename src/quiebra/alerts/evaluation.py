"""Evaluate a finished run: alert rules on its figures, the rules' back-test, and the open alerts and analysts' decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Engine

from quiebra.alerts.analyst_decisions import list_overrides, override_outcomes, watch_list_entries
from quiebra.alerts.backtest import ReplayData, back_test_rules
from quiebra.alerts.lifecycle import AlertCounts, EvaluatedRun, former_rules, list_alerts, update_alerts
from quiebra.alerts.measures import company_measures, earlier_scores, model_measures, portfolio_measures
from quiebra.alerts.rules import find_hits, unknown_sectors
from quiebra.items import VERSION_KEYS
from quiebra.params import Score
from quiebra.params.operations import Alerts, Rule
from quiebra.provenance import json_sha256
from quiebra.risk.finished_run import FinishedRun
from quiebra.validation.comparison import Bootstrap


def evaluate_rules(engine: Engine, run: FinishedRun, options: Alerts, score: Score) -> AlertCounts:
    """Raise, keep and close alerts by a finished run's figures; see `quiebra.alerts.lifecycle.update_alerts`."""
    scored, rules = {*run.scores["company_id"]}, resolve_rules(options, score)
    before = [run_hits(engine, run, former, score) for former in former_rules(engine, rules, evaluated_run(run).source)]
    now = run_hits(engine, run, rules, score)
    return update_alerts(engine, now, rules, evaluated_run(run), scored, pl.concat(before) if before else None)


def resolve_rules(options: Alerts, score: Score) -> dict[str, Rule]:
    """Return the rules of params with grade names filled in from ``score.watch_from``."""
    return {name: rule.resolved(score.watch_from) for name, rule in options.rules.items()}


def unknown_rule_sectors(run: FinishedRun, options: Alerts) -> list[dict[str, Any]]:
    """Return the sectors that rules name and no scored company has; see `quiebra.alerts.rules.unknown_sectors`."""
    return unknown_sectors(options.rules, set(run.scores["sector"].drop_nulls()))


def evaluated_run(run: FinishedRun) -> EvaluatedRun:
    return EvaluatedRun(run.run["run_id"], run.run["data"]["source"], run.as_of, run.run["model_sha256"][:12])


def current_measures(run: FinishedRun, score: Score) -> dict[str, pl.DataFrame]:
    """Return the measures that rules look at, by kind of subject: company, portfolio, model; see `quiebra.alerts.measures`."""
    now = run.with_period_end(run.scores.select(pl.exclude("name", "sector", "region")))
    today = now.select(VERSION_KEYS).join(run.features, on=VERSION_KEYS, how="left", maintain_order="left")
    now = now.with_columns(blind_share=run.model.blind_share(today))
    return {
        "company": company_measures(now, earlier_scores(run.history, now), run.companies, score.grades, run.as_of),
        "portfolio": portfolio_measures(run.losses, run.portfolio_losses, run.as_of),
        "model": model_measures(run.findings),
    }


def run_hits(engine: Engine, run: FinishedRun, rules: Mapping[str, Rule], score: Score) -> pl.DataFrame:
    """Return the subjects at or above a rule's ``clear`` threshold; see `quiebra.alerts.rules.find_hits`."""
    on_watch = {*run.scores.filter("watch")["company_id"], *watch_list_entries(engine, evaluated_run(run).source)["company_id"]}
    return find_hits(
        rules,
        score.grades,
        current_measures(run, score),
        {"portfolio": set(run.portfolio_losses["company_id"]), "watch_list": on_watch},
    )


def back_test_run(run: FinishedRun, options: Alerts, score: Score, how: Bootstrap) -> dict[str, Any]:
    """Return the rules' back-test over the walk-forward test years; see `quiebra.alerts.backtest.back_test_rules`."""
    first, last = map(int, run.metrics["walk_forward"]["test_years"].split("-"))
    past = ReplayData(run.with_period_end(run.history), run.panel("events"), run.companies, score.grades, score.max_age_months)
    return back_test_rules(past, resolve_rules(options, score), first, last, options.back_test, how)


def open_decisions(engine: Engine, run: FinishedRun, score: Score) -> dict[str, Any]:
    """Return the database's contents for reports as plain JSON values: alerts that are not closed, the analysts' watch list,
    overrides in force, and the outcomes of all overrides."""
    source, everything = evaluated_run(run).source, list_overrides(engine, evaluated_run(run).source, past=True)
    return {
        "alerts": _rows(list_alerts(engine, source).drop("changed_at")),
        "watched": _rows(watch_list_entries(engine, source)),
        "overrides": _rows(list_overrides(engine, source)),
        "outcomes": _rows(override_outcomes(everything, run.panel("events"), run.as_of, score.grades)),
    }


def decisions_hash(engine: Engine, source: str) -> str:
    """Return a hash of open alerts, watch list and overrides: it changes whenever reports would show other ones."""
    live = list_alerts(engine, source).select("alert_id", "state", "owner", "note", "review_on")
    return json_sha256([_rows(table) for table in (live, watch_list_entries(engine, source), list_overrides(engine, source))])


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in row.items()}
        for row in table.to_dicts()
    ]
