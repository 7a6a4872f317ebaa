"""Validation figures of a model chain: pooled, by year, against Altman, by decile of risk, and without censored exits."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl

from quiebra.errors import TrainingError
from quiebra.params import Validate
from quiebra.validation.calibration import brier_parts, calibration_by_grade, hosmer_lemeshow, interval_coverage, spiegelhalter
from quiebra.validation.comparison import (
    MIN_FAILURES_TO_TEST,
    Bootstrap,
    ResampledScore,
    add_year_rank,
    judge_score,
    round_figure,
)
from quiebra.validation.stability import psi

DEFAULT_TEST_YEARS = 6
SCORES = {"blend": "pd_12m", "model": "pd_model", "altman": "pd_altman"}


def years_to_judge(history: pl.DataFrame, outcomes_through: int, options: Validate) -> list[int]:
    """Return the fiscal years to judge: scored, with known outcomes, and within params; by default the last six."""
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

    history: out-of-time scores (see `quiebra.models.ModelChain`). labels: all outcomes known by now
    (`quiebra.panels.label_outcomes`).
    walk_forward pools the years; ``interval`` in each set of figures holds [low, high] of each figure.
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
    how, judged = Bootstrap.of(options, seed), add_year_rank(judged, "pd_12m")
    proven, with_altman = judged.filter(pl.col("outcome") != "exited"), judged.filter(pl.col("pd_altman").is_not_null())
    blend, model = (ResampledScore.resample(judged, name, how) for name in ("pd_12m", "pd_model"))
    altman = ResampledScore.resample(with_altman, "pd_altman", how)
    blend_with_altman = blend if with_altman.height == judged.height else ResampledScore.resample(with_altman, "pd_12m", how)
    return {
        "walk_forward": {"test_years": f"{years[0]}-{years[-1]}", **blend.judge()},
        "without_alive_exits": judge_score(proven, "pd_12m", how),
        "model_alone": model.judge(),
        "altman_alone": altman.judge(),
        "blend_minus_altman": blend_with_altman.judge_against(altman),
        "blend_minus_model": blend.judge_against(model),
        "altman_by_year": {str(y): judge_score(with_altman.filter(pl.col("fiscal_year") == y), "pd_altman", how) for y in years},
        "by_year": {str(y): judge_score(judged.filter(pl.col("fiscal_year") == y), "pd_12m", how) for y in years},
        "confidence": options.confidence,
    }


def calibration_report(judged: pl.DataFrame, grades: list[str], options: Validate, interval: float) -> dict[str, Any]:
    """Return calibration of one-year PDs over the judged years, as plain JSON values: by grade, classical tests, and coverage.

    judged: out-of-time scores with rating, pd_12m and its interval at confidence ``interval``, fiscal_year, company_id and
        failed.
    grades_inside: share of the grades with at least five failures whose mean PD lies in Jeffreys' interval; None without such
        grades.
    coverage_error: one standard error of the coverage if all cells were independent. Cells of one year are not quite, so that the
        true error is at least that.
    """
    failed, pd = judged["failed"].to_numpy().astype(float), judged["pd_12m"].to_numpy()
    table = calibration_by_grade(judged, grades, options.confidence)
    tested = table.filter(pl.col("failures") >= MIN_FAILURES_TO_TEST)
    held = interval_coverage(judged, interval)
    return {
        "by_grade": table.with_columns(pl.selectors.float().round(8)).to_dicts(),
        "grades_inside": round_figure(float(cast("float", tested["inside"].mean()))) if tested.height else None,
        "hosmer_lemeshow": dict(zip(("statistic", "p"), map(round_figure, hosmer_lemeshow(failed, pd)), strict=True)),
        "spiegelhalter": dict(zip(("z", "p"), map(round_figure, spiegelhalter(failed, pd)), strict=True)),
        "brier_parts": {name: round(value, 10) for name, value in brier_parts(failed, pd).items()},
        "interval": interval,
        "coverage": held.with_columns(pl.col("covered").round(6)).to_dicts(),
        "interval_coverage": round_figure(held["covered"][-1]),
        "coverage_error": round_figure(float(np.sqrt(interval * (1 - interval) / held["cells"][-1]))),
    }


def score_stability(judged: pl.DataFrame) -> float | None:
    """Return the PSI of the last judged year's PDs against those of the years before; None with one year."""
    last = pl.col("fiscal_year") == pl.col("fiscal_year").max()
    before, now = (judged.filter(rows)["pd_12m"].to_numpy() for rows in (~last, last))
    return round_figure(psi(before, now))


def risk_tenths(history: pl.DataFrame, labels: pl.DataFrame, years: list[int]) -> pl.DataFrame:
    """Return tenth (decile of risk, 1 the safest), rows, failures, mean_pd and observed (rate) over the judged years."""
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
