"""From a finished run to alerts: its figures against the rules, the back-test of the rules, and where analysts stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Engine

from quiebra.alerts.analysts import outcomes, overrides, watched
from quiebra.alerts.backtest import Past, back_test
from quiebra.alerts.measures import company_measures, earlier, model_measures, portfolio_measures
from quiebra.alerts.rules import found, unknown_sectors
from quiebra.alerts.states import Run, Settled, alerts, former_rules, settle
from quiebra.params import Score
from quiebra.params.operations import Alerts, Rule
from quiebra.provenance import digest
from quiebra.risk.runs import FinishedRun
from quiebra.validation.judging import Resampling

KEYS = ["company_id", "fiscal_year", "available_at"]


def evaluate(engine: Engine, run: FinishedRun, options: Alerts, score: Score) -> Settled:
    """Raise, keep and close alerts by what the finished run says; see `quiebra.alerts.states.settle`."""
    scored, rules = {*run.scores["company_id"]}, rules_of(options, score)
    before = [hits(engine, run, former, score) for former in former_rules(engine, rules, which(run).source)]
    now = hits(engine, run, rules, score)
    return settle(engine, now, rules, which(run), scored, pl.concat(before) if before else None)


def rules_of(options: Alerts, score: Score) -> dict[str, Rule]:
    """Return the rules of params with their grades named."""
    return {name: rule.resolved(score.watch_from) for name, rule in options.rules.items()}


def unknown_rule_sectors(run: FinishedRun, options: Alerts) -> list[dict[str, Any]]:
    """Return the sectors that rules name and no scored company has; see `quiebra.alerts.rules.unknown_sectors`."""
    return unknown_sectors(options.rules, set(run.scores["sector"].drop_nulls()))


def which(run: FinishedRun) -> Run:
    return Run(run.run["run_id"], run.run["data"]["source"], run.as_of, run.run["model_sha256"][:12])


def hits(engine: Engine, run: FinishedRun, rules: Mapping[str, Rule], score: Score) -> pl.DataFrame:
    """Return who is at a rule's threshold or beyond; see `quiebra.alerts.rules.found`."""
    now = run.dated(run.scores.select(pl.exclude("name", "sector", "region")))
    today = now.select(KEYS).join(run.features, on=KEYS, how="left", maintain_order="left")
    now = now.with_columns(blind_share=run.model.blind_share(today))
    companies = company_measures(now, earlier(run.history, now), run.companies, score.grades, run.as_of)
    on_watch = {*run.scores.filter("watch")["company_id"], *watched(engine, which(run).source)["company_id"]}
    return found(
        rules,
        score.grades,
        {
            "company": companies,
            "portfolio": portfolio_measures(run.losses, run.shares, run.as_of),
            "model": model_measures(run.findings),
        },
        {"portfolio": set(run.shares["company_id"]), "watch_list": on_watch},
    )


def judged(run: FinishedRun, options: Alerts, score: Score, how: Resampling) -> dict[str, Any]:
    """Return the back-test of the rules over the years that validation judged; see `quiebra.alerts.backtest.back_test`."""
    first, last = map(int, run.metrics["walk_forward"]["test_years"].split("-"))
    past = Past(run.dated(run.history), run.panel("events"), run.companies, score.grades, score.max_age_months)
    return back_test(past, rules_of(options, score), first, last, options.back_test, how)


def standing(engine: Engine, run: FinishedRun, score: Score) -> dict[str, Any]:
    """Return what reports show of the database as plain JSON values: alerts that are not closed, the analysts' watch list,
    overrides in force, and what became of all of them."""
    source, everything = which(run).source, overrides(engine, which(run).source, past=True)
    return {
        "alerts": _rows(alerts(engine, source).drop("changed_at")),
        "watched": _rows(watched(engine, source)),
        "overrides": _rows(overrides(engine, source)),
        "outcomes": _rows(outcomes(everything, run.panel("events"), run.as_of, score.grades)),
    }


def decisions(engine: Engine, source: str) -> str:
    """Return a hash of what people decided: it differs where reports would show another standing than before."""
    live = alerts(engine, source).select("alert_id", "state", "owner", "note", "review_on")
    return digest([_rows(table) for table in (live, watched(engine, source), overrides(engine, source))])


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in row.items()}
        for row in table.to_dicts()
    ]
