"""Judge one score, or two on the same rows, with bootstrap intervals clustered by company."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from quiebra.params import Validate
from quiebra.validation.bootstrap import Figures, firm_bootstrap
from quiebra.validation.metrics import SCORE_FIGURES, RankedOutcomes

MIN_FAILURES_TO_TEST = 5
"""Fewest failures for which a group or grade is judged: with one failure an interval reflects only which survivors are drawn."""


@dataclass(frozen=True)
class Bootstrap:
    """Options of the bootstrap: number of resamples of whole companies, confidence level and seed."""

    resamples: int
    confidence: float
    seed: int

    @classmethod
    def of(cls, options: Validate, seed: int) -> Bootstrap:
        return cls(options.bootstrap, options.confidence, seed)


def judge_score(rows: pl.DataFrame, score: str, how: Bootstrap) -> dict[str, Any]:
    """Return every figure of a score, rows, events, and ``interval`` with [low, high] of each figure, as plain JSON values.

    rows: company_id, failed (0 or 1), the score (never missing), and fiscal_year where there are several: rows are then ranked by
        `add_year_rank`. Without rows only the counts are returned.
    """
    if rows.is_empty():
        return {"rows": 0, "events": 0}
    ranked = _ranked(rows, score)
    return {"events": int(rows["failed"].sum()), **_with_intervals(rows, ranked.figures, how)}


def judge_difference(rows: pl.DataFrame, left: str, right: str, how: Bootstrap) -> dict[str, Any]:
    """Return the figures of one score less those of another, on the same rows and resamples; see `judge_score`."""
    if rows.is_empty():
        return {"rows": 0}
    one, two = (_ranked(rows, name) for name in (left, right))

    def difference(weight: np.ndarray) -> Figures:
        a, b = one.figures(weight), two.figures(weight)
        return {name: a[name] - b[name] for name in SCORE_FIGURES}

    return _with_intervals(rows, difference, how)


def add_year_rank(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """Return rows with SCORE_place, the score's rank within its fiscal year: near 0 for the safest, near 1 for the riskiest.

    Each year's scores come from a different model, so that only scores of one year are comparable: PDs that are all too high in
    one year do not worsen the ranking. Ties share their mean rank. Rows that already have places, being a subset of a year, keep
    them.
    """
    name = f"{score}_place"
    if name in rows.columns or "fiscal_year" not in rows.columns:
        return rows
    return rows.with_columns(((pl.col(score).rank() - 0.5) / pl.col(score).count()).over("fiscal_year").alias(name))


def _ranked(rows: pl.DataFrame, score: str) -> RankedOutcomes:
    placed, name = add_year_rank(rows, score), f"{score}_place"
    place = placed[name].to_numpy() if name in placed.columns else None
    return RankedOutcomes.rank(placed["failed"].to_numpy(), placed[score].to_numpy(), place)


def _with_intervals(rows: pl.DataFrame, figures: Callable[[np.ndarray], Figures], how: Bootstrap) -> dict[str, Any]:
    found = figures(np.ones(rows.height))
    intervals = firm_bootstrap(
        rows["company_id"].to_numpy(), figures, resamples=how.resamples, confidence=how.confidence, seed=how.seed
    )
    return {
        **{name: round_figure(value) for name, value in found.items()},
        "rows": rows.height,
        "interval": {name: [round_figure(low), round_figure(high)] for name, (low, high) in intervals.items()},
    }


def round_figure(value: float) -> float | None:
    """Return a figure rounded to six decimals; None where it is not finite."""
    return round(value, 6) if math.isfinite(value) else None
