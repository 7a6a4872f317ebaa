"""Alerts judged on failures: by hand on a few companies, without a look ahead, and on real companies."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quiebra.alerts.backtest import ReplayData, evaluation_dates, judge_alerts, measures_by_date, replay_rules, scores_at
from quiebra.params import Params
from quiebra.params.operations import BackTest, Rule
from quiebra.risk import FinishedRun
from quiebra.validation.comparison import Bootstrap
from quiebra.workspace import Workspace

GRADES = {"A": 0.05, "B": 1.0}
OPTIONS = BackTest(horizon_years=2, budgets=[0.1], miss_cost=10.0)
ONCE = Bootstrap(30, 0.9, 1)
RULES = {"high": Rule.model_validate({"measure": "pd_12m", "raise": 0.1, "clear": 0.1})}


def row(company: str, year: int, pd: float) -> dict:
    return {
        "company_id": company,
        "fiscal_year": year,
        "available_at": dt.date(year + 1, 4, 10),
        "period_end": dt.date(year, 12, 31),
        **{f"pd_{12 * n}m": min(1.0, n * pd) for n in range(1, 6)},
        "rating": "A" if pd <= 0.05 else "B",
        **{f"{z}{end}": v for z in ("altman_z", "altman_z1983", "altman_z1995") for end, v in (("", 1.0), ("_zone", "grey"))},
    }


@pytest.fixture
def few() -> ReplayData:
    """Four companies: one whose failure is announced two years before, one whose is not, one false alarm, one at rest."""
    pds = {"warned": [0.01, 0.2, 0.3], "missed": [0.01, 0.01, 0.01], "false": [0.01, 0.2, 0.01], "calm": [0.01, 0.01, 0.01]}
    scores = pl.DataFrame([row(name, 2010 + i, pd) for name, values in pds.items() for i, pd in enumerate(values)])
    events = pl.DataFrame({"company_id": ["warned", "missed"], "event_date": [dt.date(2013, 10, 1), dt.date(2013, 10, 1)]})
    companies = pl.DataFrame({"company_id": list(pds), "sector": ["C"] * 4})
    return ReplayData(scores, events, companies, GRADES, 24)


def seen(past: ReplayData) -> pl.DataFrame:
    return replay_rules(measures_by_date(past, evaluation_dates(past, 2010, 2012)), RULES, GRADES)


def test_figures_by_hand(few: ReplayData) -> None:
    assert evaluation_dates(few, 2010, 2012) == [dt.date(year, 4, 30) for year in (2011, 2012, 2013)]
    f = judge_alerts(seen(few), few.events, ["high"], dt.date(2011, 4, 30), OPTIONS, ONCE)
    assert (f["failures"], f["seen_coming"], f["alerts"], f["evaluations"]) == (2, 1, 2, 3)
    assert f["under_alert"] == pytest.approx(3 / 12)
    assert f["recall"] == f["recall_last"] == 0.5
    assert f["lead_years"] == pytest.approx((dt.date(2013, 10, 1) - dt.date(2012, 4, 30)).days / 365.25, abs=1e-6)
    # one of the alerts of April 2012 was right within two years already; of the other nothing is known, so neither counts
    assert (f["precision"], f["false_alarms_a_year"]) == (None, 0.0)
    assert f["cost"] == pytest.approx(100 * 1 * 10 / (12 / 3 * 3), rel=0.01)
    later = pl.DataFrame([row(name, 2013, 0.01) for name in ("false", "calm")])
    f = judge_alerts(
        replay_rules(
            measures_by_date(
                ReplayData(pl.concat([few.scores, later]), few.events, few.companies, GRADES, 24),
                [*evaluation_dates(few, 2010, 2012), dt.date(2014, 4, 30)],
            ),
            RULES,
            GRADES,
        ),
        few.events,
        ["high"],
        dt.date(2011, 4, 30),
        OPTIONS,
        ONCE,
    )
    assert (f["alerts"], f["precision"]) == (2, 0.5)
    assert f["false_alarms_a_year"] == pytest.approx(1 / 2, rel=0.01)  # raised in the years to April 2011 and 2012
    assert f["cost"] == pytest.approx(100 * (1 * 10 / (14 / 4 * 4) + 1 / (8 / 2 * 2)), rel=0.01)


def test_an_alert_that_closed_before_the_failure_was_seen_coming_but_is_not_live_at_the_end(few: ReplayData) -> None:
    past = ReplayData(
        pl.concat(
            [
                few.scores.filter(pl.col("company_id") != "false"),
                pl.DataFrame([row("false", 2010 + i, pd) for i, pd in enumerate([0.01, 0.2, 0.01])]),
            ]
        ),
        pl.concat([few.events, pl.DataFrame({"company_id": ["false"], "event_date": [dt.date(2013, 11, 1)]})]),
        few.companies,
        GRADES,
        24,
    )
    f = judge_alerts(seen(past), past.events, ["high"], dt.date(2011, 4, 30), OPTIONS, ONCE)
    assert (f["failures"], f["recall"], f["recall_last"]) == (3, pytest.approx(2 / 3, abs=1e-6), pytest.approx(1 / 3, abs=1e-6))


def test_a_portfolio_of_the_past_holds_only_what_was_known(few: ReplayData) -> None:
    assert scores_at(few, dt.date(2011, 4, 9)).is_empty()
    assert scores_at(few, dt.date(2012, 4, 30))["fiscal_year"].unique().to_list() == [2011]
    assert set(scores_at(few, dt.date(2013, 12, 1))["company_id"]) == {"false", "calm"}  # the others had failed
    assert scores_at(few, dt.date(2016, 1, 1)).is_empty()  # too old


def test_the_future_changes_nothing_that_was_seen_before_it(finished: Path, params: Params) -> None:
    run = FinishedRun(Workspace(finished))
    ends = run.statements.select("company_id", "fiscal_year", "available_at", "period_end")
    history = run.history.join(ends, on=["company_id", "fiscal_year", "available_at"])
    events = run.panel("events")
    middle = int(history["fiscal_year"].median())  # type: ignore[arg-type]
    dates = evaluation_dates(
        ReplayData(history, events, run.companies, params.score.grades, 24), int(history["fiscal_year"].min()), middle
    )
    later = history["available_at"] > dates[-1]
    rng = np.random.default_rng(5)
    pds = [name for name in history.columns if name.startswith("pd_")]
    order = rng.permutation(later.sum())
    shuffled = pl.concat(
        [
            history.filter(~later),
            pl.concat([history.filter(later).drop(pds), history.filter(later).select(pds)[order]], how="horizontal").select(
                history.columns
            ),
        ]
    )
    moved = events.with_columns(
        event_date=pl.when(pl.col("event_date") > dates[-1])
        .then(pl.col("event_date").dt.offset_by("7mo"))
        .otherwise("event_date")
    )
    assert not shuffled.equals(history)
    rules = {n: r.resolved(params.score.watch_from) for n, r in params.alerts.rules.items() if r.kind == "company"}

    def alerts(scores: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
        past = ReplayData(scores, failures, run.companies, params.score.grades, 24)
        return replay_rules(measures_by_date(past, dates), rules, params.score.grades)

    assert alerts(history, events).equals(alerts(shuffled, moved))
    assert alerts(history, events)["rule"].n_unique() > 4


def test_a_larger_budget_finds_no_less(finished: Path, params: Params) -> None:
    found = json.loads((finished / "data/alerts/back_test.json").read_text())
    recalls = [r["recall"] for r in found["curve"]]
    assert recalls == sorted(recalls)
    for r in [*found["curve"], *found["budgets"]]:
        assert r["under_alert"] == pytest.approx(r["budget"], abs=0.02)
        assert r["recall_last"] <= r["recall"]
    for r in found["budgets"]:
        low, high = r["interval"]["recall"]
        assert low <= r["recall"] <= high
    assert list(found["by_rule"]) == sorted(name for name, rule in params.alerts.rules.items() if rule.kind == "company")


def test_the_proposed_thresholds_keep_the_budget(finished: Path, params: Params) -> None:
    run = FinishedRun(Workspace(finished))
    for r in json.loads((finished / "data/alerts/back_test.json").read_text())["budgets"]:
        ends = run.statements.select("company_id", "fiscal_year", "available_at", "period_end")
        past = ReplayData(
            run.history.join(ends, on=["company_id", "fiscal_year", "available_at"]),
            run.panel("events"),
            run.companies,
            params.score.grades,
            24,
        )
        last = scores_at(past, dt.date.fromisoformat(json.loads((finished / "data/alerts/back_test.json").read_text())["to"]))
        assert (last["pd_12m"] >= r["pd_12m"]).mean() == pytest.approx(r["budget"], abs=0.01)
