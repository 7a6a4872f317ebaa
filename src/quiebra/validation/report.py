"""The validation of a chain of yearly models: pooled, by year, against Altman, by tenth of risk, and both ways of censoring."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from quiebra.errors import TrainingError
from quiebra.params import Validate
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.calibration import brier_parts, by_grade, coverage, hosmer_lemeshow, spiegelhalter
from quiebra.validation.metrics import Judged
from quiebra.validation.stability import psi

DEFAULT_TEST_YEARS, FAILURES_TO_TEST = 6, 5
SCORES = {"blend": "pd_12m", "model": "pd_model", "altman": "pd_altman"}


def years_to_judge(history: pl.DataFrame, outcomes_through: int, options: Validate) -> list[int]:
    """Return the fiscal years to judge: scored, with known outcomes, within params; by default the last six."""
    scored = sorted(set(history["fiscal_year"].to_list()))
    last = min(options.last_test_year or outcomes_through, outcomes_through)
    first = options.first_test_year or last - DEFAULT_TEST_YEARS + 1
    years = [year for year in scored if first <= year <= last]
    if not years:
        raise TrainingError(
            f"no fiscal year can be judged: {scored[0]}-{scored[-1]} are scored, outcomes are known through {outcomes_through}, "
            f"and validate asks for {first}-{last}. Change validate.first_test_year, or give more years."
        )
    return years


def validation_report(
    history: pl.DataFrame, labels: pl.DataFrame, years: list[int], options: Validate, seed: int
) -> dict[str, Any]:
    """Return all quality figures, as plain JSON values, with intervals.

    history: out-of-time scores (see `quiebra.models.Chain`). labels: all outcomes known by now (`quiebra.panel.label`).
    walk_forward pools the years; ``interval`` beside the figures holds [low, high] of each.
    """
    judged = (
        history.filter(pl.col("fiscal_year").is_in(years))
        .join(labels.select("company_id", "fiscal_year", "failed", "outcome"), on=["company_id", "fiscal_year"])
        .sort("company_id", "fiscal_year")
    )
    if not 0 < judged["failed"].sum() < judged.height:
        raise TrainingError(
            f"fiscal years {years[0]}-{years[-1]} have {judged['failed'].sum()} failures in {judged.height} scored rows: quality "
            "cannot be judged. Give more event dates, or other test years (validate.first_test_year)."
        )
    settings = {"resamples": options.bootstrap, "confidence": options.confidence, "seed": seed}
    proven = judged.filter(pl.col("outcome") != "exited")
    return {
        "walk_forward": {"test_years": f"{years[0]}-{years[-1]}", **_judge(judged, "pd_12m", settings)},
        "without_alive_exits": _judge(proven, "pd_12m", settings),
        "model_alone": _judge(judged, "pd_model", settings),
        "altman_alone": _judge(judged.filter(pl.col("pd_altman").is_not_null()), "pd_altman", settings),
        "blend_minus_altman": _paired(judged.filter(pl.col("pd_altman").is_not_null()), "pd_12m", "pd_altman", settings),
        "blend_minus_model": _paired(judged, "pd_12m", "pd_model", settings),
        "by_year": {str(y): _judge(judged.filter(pl.col("fiscal_year") == y), "pd_12m", settings) for y in years},
        "confidence": options.confidence,
    }


def calibration_report(judged: pl.DataFrame, grades: list[str], options: Validate, interval: float) -> dict[str, Any]:
    """Return calibration of one-year PDs over the judged years, as plain JSON values: by grade, classical tests, and coverage.

    judged: out-of-time scores with rating, pd_12m and its interval at ``interval``, fiscal_year, company_id and failed.
    grades_inside: share of the grades with five failures or more whose mean PD lies in Jeffreys' interval; missing without any.
    """
    failed, pd = judged["failed"].to_numpy().astype(float), judged["pd_12m"].to_numpy()
    table = by_grade(judged, grades, options.confidence)
    tested = table.filter(pl.col("failures") >= FAILURES_TO_TEST)
    held = coverage(judged, interval)
    return {
        "by_grade": table.with_columns(pl.selectors.float().round(8)).to_dicts(),
        "grades_inside": _round(float(tested["inside"].mean())) if tested.height else None,  # type: ignore[arg-type]
        "hosmer_lemeshow": dict(zip(("statistic", "p"), map(_round, hosmer_lemeshow(failed, pd)), strict=True)),
        "spiegelhalter": dict(zip(("z", "p"), map(_round, spiegelhalter(failed, pd)), strict=True)),
        "brier_parts": {name: round(value, 10) for name, value in brier_parts(failed, pd).items()},
        "interval": interval,
        "coverage": held.with_columns(pl.col("covered").round(6)).to_dicts(),
        "interval_coverage": _round(held["covered"][-1]),
    }


def score_stability(judged: pl.DataFrame) -> float | None:
    """Return the PSI of the last judged year's PDs against those of the years before; missing with one year."""
    last = pl.col("fiscal_year") == pl.col("fiscal_year").max()
    before, now = (judged.filter(rows)["pd_12m"].to_numpy() for rows in (~last, last))
    return _round(psi(before, now))


def risk_tenths(history: pl.DataFrame, labels: pl.DataFrame, years: list[int]) -> pl.DataFrame:
    """Return tenth (1 safest), rows, failures, mean PD and observed rate over the judged years."""
    judged = history.filter(pl.col("fiscal_year").is_in(years)).join(
        labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"]
    )
    tenth = (pl.col("pd_12m").rank("ordinal") * 10 / pl.len()).ceil().clip(1, 10).cast(pl.Int32)
    return (
        judged.sort("company_id", "fiscal_year")
        .group_by(tenth=tenth)
        .agg(rows=pl.len(), failures=pl.col("failed").sum(), mean_pd=pl.col("pd_12m").mean(), observed=pl.col("failed").mean())
        .sort("tenth")
        .with_columns(pl.col("mean_pd", "observed").round(8))
    )


def _judge(rows: pl.DataFrame, score: str, settings: dict[str, Any]) -> dict[str, Any]:
    if rows.is_empty():
        return {"rows": 0, "events": 0}
    failed, pd = rows["failed"].to_numpy(), rows[score].to_numpy()
    judged = Judged.rank(failed, pd)
    intervals = firm_bootstrap(rows["company_id"].to_numpy(), judged.figures, **settings)
    return {
        **_rounded(judged.figures()),
        "rows": rows.height,
        "events": int(failed.sum()),
        "interval": {name: [_round(low), _round(high)] for name, (low, high) in intervals.items()},
    }


def _paired(rows: pl.DataFrame, left: str, right: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Judge the difference of two scores on the same rows and the same resamples."""
    if rows.is_empty():
        return {"rows": 0}
    failed = rows["failed"].to_numpy()
    a, b = (Judged.rank(failed, rows[name].to_numpy()) for name in (left, right))

    def difference(weight: np.ndarray) -> dict[str, float]:
        one, two = a.figures(weight), b.figures(weight)
        return {name: one[name] - two[name] for name in ("auc", "average_precision", "brier")}

    intervals = firm_bootstrap(rows["company_id"].to_numpy(), difference, **settings)
    return {
        **_rounded(difference(np.ones(rows.height))),
        "rows": rows.height,
        "interval": {name: [_round(low), _round(high)] for name, (low, high) in intervals.items()},
    }


def _round(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _rounded(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _round(value) for name, value in values.items()}
