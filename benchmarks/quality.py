"""The benchmark table: our scores against what others would do, on the same rows of the American panel, paired."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from baselines import BASELINES, walk_baselines

from quiebra.models import Chain, PdModel, walk
from quiebra.panel import Panel, label, outlook
from quiebra.params import Params
from quiebra.risk import with_grades
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.calibration import by_grade, coverage
from quiebra.validation.metrics import FIGURES, Judged

YEARS = list(range(2012, 2018))
KEYS = ["company_id", "fiscal_year"]


def walked(panel: Panel, features: pl.DataFrame, params: Params, **train: Any) -> Chain:
    """Return the chain with the given parameters of training changed."""
    return walk(
        features, panel.statements, panel.events, first_year=panel.info.first_label_year, as_of=panel.info.as_of,
        train=params.train.model_copy(update=train), labels=params.labels, run=params.run,
    )  # fmt: skip


def benchmark_table(panel: Panel, features: pl.DataFrame, chain: Chain, params: Params) -> dict[str, Any]:
    """Return the figures of every contender with intervals, and ours minus each of the others on the same rows and resamples."""
    labels = label(panel.statements, panel.events, window_months=params.labels.window_months)
    others = walk_baselines(
        features, labels.select(*KEYS, "available_at", "failed"), years=YEARS, first_year=panel.info.first_label_year,
        embargo=params.train.embargo_years,
    )  # fmt: skip
    ours = {"ours": "pd_12m", "ours, model without Altman": "pd_model", "ours, accounts only": "pd_accounting",
            "Altman Z": "pd_altman"}  # fmt: skip
    judged = chain.history.join(labels.select(*KEYS, "failed"), on=KEYS).join(others, on=KEYS).sort(KEYS)
    judged = judged.filter(pl.all_horizontal(pl.col(*ours.values()).is_not_null()))
    columns = {**ours, **{name: name for name in BASELINES}}
    return {
        "rows": judged.height, "events": int(judged["failed"].sum()),
        "figures": {name: judge(judged, column, params) for name, column in columns.items()},
        "ours minus": {name: paired(judged, "pd_12m", column, params) for name, column in columns.items() if name != "ours"},
    }  # fmt: skip


def other_ways(panel: Panel, features: pl.DataFrame, chain: Chain, params: Params) -> dict[str, Any]:
    """Return ours with an embargo of two years, on a single split, over five years, calibrated by grade and by interval."""
    labels = label(panel.statements, panel.events, window_months=params.labels.window_months)
    two = walked(panel, features, params, embargo_years=2)
    split = [2015, 2016, 2017]
    once = replace(chain.model, scorers=chain.scorers[split[0]])
    rows = features.filter(pl.col("fiscal_year").is_in(split)).sort(KEYS)
    single = pl.concat([rows.select(KEYS), PdModel.predict(once, rows)], how="horizontal")
    known = outlook(labels, panel.info.outcomes_through, exits_survive=params.labels.alive_exits == "survived")
    five = chain.history.join(known.filter(pl.col("years_known") >= 5), on=KEYS)
    five = five.with_columns(failed=(pl.col("years_to_failure") <= 5).fill_null(False).cast(pl.Int8))
    scored = with_grades(chain.history, params.score).join(labels.select(*KEYS, "failed"), on=KEYS)
    recent = scored.filter(pl.col("fiscal_year").is_in(YEARS))
    grades = by_grade(recent, list(params.score.grades), 0.95)
    later = scored.filter(pl.col("fiscal_year") >= YEARS[0] - 2)
    pooled = two.history.filter(pl.col("fiscal_year").is_in(YEARS))
    judged = [table.join(labels.select(*KEYS, "failed"), on=KEYS) for table in (pooled, single)]
    return {
        "embargo of two years": judge(judged[0], "pd_12m", params),
        "single split 2015-17": judge(judged[1], "pd_12m", params),
        f"five years, {five['fiscal_year'].min()}-{five['fiscal_year'].max()}": judge(five, "pd_60m", params),
        "by grade": grades.with_columns(pl.selectors.float().round(6)).to_dicts(),
        "coverage of 90 % intervals": held(recent, params),
        f"coverage from {YEARS[0] - 2}": held(later, params),
    }  # fmt: skip


def held(rows: pl.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return how often the intervals on PDs held, by grade."""
    return coverage(rows, params.train.interval).with_columns(pl.col("covered").round(4)).to_dicts()


def judge(rows: pl.DataFrame, score: str, params: Params) -> dict[str, Any]:
    """Return figures, rows, events and intervals from resampling whole companies."""
    ranked = Judged.rank(rows["failed"].to_numpy(), rows[score].to_numpy())
    intervals = firm_bootstrap(rows["company_id"].to_numpy(), ranked.figures, **_settings(params))
    found = {name: round(value, 6) for name, value in ranked.figures().items()}
    spans = {name: [round(low, 6), round(high, 6)] for name, (low, high) in intervals.items()}
    return {**found, "rows": rows.height, "events": int(rows["failed"].sum()), "interval": spans}


def paired(rows: pl.DataFrame, left: str, right: str, params: Params) -> dict[str, Any]:
    """Return the differences of all figures on the same rows, with intervals from the same resamples."""
    one, two = (Judged.rank(rows["failed"].to_numpy(), rows[name].to_numpy()) for name in (left, right))

    def difference(weight: np.ndarray) -> dict[str, float]:
        a, b = one.figures(weight), two.figures(weight)
        return {name: a[name] - b[name] for name in FIGURES}

    intervals = firm_bootstrap(rows["company_id"].to_numpy(), difference, **_settings(params))
    found = difference(np.ones(rows.height))
    return {name: {"difference": round(found[name], 6), "interval": [round(v, 6) for v in intervals[name]]} for name in FIGURES}


def _settings(params: Params) -> dict[str, Any]:
    options = params.validate_
    return {"resamples": options.bootstrap, "confidence": options.confidence, "seed": params.run.seed}
