"""The benchmark table: our scores against what others would do, on the same rows of the American panel, paired."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import lightgbm
import polars as pl

from quiebra.models import ModelChain, PdModel, walk_forward
from quiebra.panels import Panel, label_outcomes
from quiebra.params import Params
from quiebra.risk import add_grades
from quiebra.validation.calibration import calibration_by_grade, interval_coverage
from quiebra.validation.challengers import CHALLENGERS, SIX_RATIO_SIGNS, SIX_RATIOS, compare_challengers, walk_challengers
from quiebra.validation.comparison import Bootstrap, judge_score
from quiebra.validation.details import figures_by_horizon

YEARS = list(range(2012, 2018))
KEYS = ["company_id", "fiscal_year"]


def walked(panel: Panel, features: pl.DataFrame, params: Params, **train: Any) -> ModelChain:
    """Return the chain with the given parameters of training changed."""
    return walk_forward(
        features,
        panel.statements,
        panel.events,
        first_year=panel.info.first_label_year,
        as_of=panel.info.as_of,
        train=params.train.model_copy(update=train),
        labels=params.labels,
        run=params.run,
    )


def six_ratio_lightgbm() -> lightgbm.LGBMClassifier:
    """The field's public benchmark on this panel."""
    return lightgbm.LGBMClassifier(
        num_leaves=7,
        learning_rate=0.02,
        n_estimators=279,
        min_child_samples=200,
        monotone_constraints=list(SIX_RATIO_SIGNS),
        random_state=1,
        n_jobs=2,
        verbose=-1,
    )


CONTENDERS = {
    "LightGBM, six ratios": (SIX_RATIOS, six_ratio_lightgbm),
    **{name: challenger for name, challenger in CHALLENGERS.items() if not name.startswith("boosted trees")},
}


def benchmark_table(panel: Panel, features: pl.DataFrame, chain: ModelChain, params: Params) -> dict[str, Any]:
    """Return the figures of every contender with intervals, and ours minus each of the others on the same rows and resamples."""
    labels = label_outcomes(panel.statements, panel.events, window_months=params.labels.window_months)
    others = walk_challengers(
        features,
        panel.statements,
        panel.events,
        years=YEARS,
        first_year=panel.info.first_label_year,
        embargo=params.train.embargo_years,
        labels=params.labels,
        challengers=CONTENDERS,
    )
    return compare_challengers(chain.history.join(labels.select(*KEYS, "failed"), on=KEYS), others, how(params))


def other_ways(panel: Panel, features: pl.DataFrame, chain: ModelChain, params: Params) -> dict[str, Any]:
    """Return ours with an embargo of two years, on a single split, over five years, calibrated by grade and by interval."""
    labels = label_outcomes(panel.statements, panel.events, window_months=params.labels.window_months)
    two = walked(panel, features, params, embargo_years=2)
    split = [2015, 2016, 2017]
    once = replace(chain.model, scorers=chain.scorers[split[0]])
    rows = features.filter(pl.col("fiscal_year").is_in(split)).sort(KEYS)
    single = pl.concat([rows.select(KEYS), PdModel.predict(once, rows)], how="horizontal")
    survive = params.labels.alive_exits == "survived"
    by_horizon = figures_by_horizon(chain.history, labels, panel.info.outcomes_through, survive, how(params))
    scored = add_grades(chain.history, params.score).join(labels.select(*KEYS, "failed"), on=KEYS)
    recent = scored.filter(pl.col("fiscal_year").is_in(YEARS))
    grades = calibration_by_grade(recent, list(params.score.grades), 0.95)
    fitted = [year for year, scorers in chain.scorers.items() if scorers["accounting"].spread.fitted_on]
    known = scored.filter(pl.col("fiscal_year").is_in(fitted) & (pl.col("fiscal_year") <= panel.info.outcomes_through))
    pooled = two.history.filter(pl.col("fiscal_year").is_in(YEARS))
    judged = [table.join(labels.select(*KEYS, "failed"), on=KEYS) for table in (pooled, single)]
    return {
        "embargo of two years": judge_score(judged[0], "pd_12m", how(params)),
        "single split 2015-17": judge_score(judged[1], "pd_12m", how(params)),
        **{f"within {row['years']} years": row for row in by_horizon if row["years"] > 1},
        "by grade": grades.with_columns(pl.selectors.float().round(6)).to_dicts(),
        "coverage of 90 % intervals": held(recent, params),
        f"coverage, {known['fiscal_year'].min()}-{known['fiscal_year'].max()}": held(known, params),
    }


def held(rows: pl.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return how often the intervals on PDs held, by grade."""
    return interval_coverage(rows, params.train.interval).with_columns(pl.col("covered").round(4)).to_dicts()


def how(params: Params) -> Bootstrap:
    return Bootstrap.of(params.validate_, params.run.seed)
