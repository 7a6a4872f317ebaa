"""Judging scores: one alone, or two on the same rows, with intervals from resampling whole companies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from quiebra.params import Validate
from quiebra.validation.bootstrap import Figures, firm_bootstrap
from quiebra.validation.metrics import FIGURES, Judged

FAILURES_TO_TEST = 5
"""Below this many failures no group or grade is judged: resampling one failure gives an interval of its survivors' luck alone."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: how many resamples of whole companies, at which confidence, from which seed."""

    resamples: int
    confidence: float
    seed: int

    @classmethod
    def of(cls, options: Validate, seed: int) -> Resampling:
        return cls(options.bootstrap, options.confidence, seed)


def judge(rows: pl.DataFrame, score: str, how: Resampling) -> dict[str, Any]:
    """Return every figure of a score, rows, events, and ``interval`` with [low, high] of each, as plain JSON values.

    rows: company_id, failed (0 or 1), the score, which must not be missing, and fiscal_year where the rows are of several: they
    are ranked by `with_place`. Without rows only their count is given.
    """
    if rows.is_empty():
        return {"rows": 0, "events": 0}
    ranked = _ranked(rows, score)
    return {"events": int(rows["failed"].sum()), **_with_intervals(rows, ranked.figures, how)}


def paired(rows: pl.DataFrame, left: str, right: str, how: Resampling) -> dict[str, Any]:
    """Return the figures of one score less those of another, on the same rows and the same resamples; see `judge`."""
    if rows.is_empty():
        return {"rows": 0}
    one, two = (_ranked(rows, name) for name in (left, right))

    def difference(weight: np.ndarray) -> Figures:
        a, b = one.figures(weight), two.figures(weight)
        return {name: a[name] - b[name] for name in FIGURES}

    return _with_intervals(rows, difference, how)


def with_place(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """Return rows with SCORE_place: where the score lies among those of its fiscal year, above 0 for the safest and below 1.

    Each year's scores come from a model of their own, so that only those of a year can be compared: a model whose PDs were all
    too high in one year ranks none the worse for it. Ties share their middle. Rows that have places already, since they are some
    of a year's, keep them.
    """
    name = f"{score}_place"
    if name in rows.columns or "fiscal_year" not in rows.columns:
        return rows
    return rows.with_columns(((pl.col(score).rank() - 0.5) / pl.col(score).count()).over("fiscal_year").alias(name))


def _ranked(rows: pl.DataFrame, score: str) -> Judged:
    placed, name = with_place(rows, score), f"{score}_place"
    place = placed[name].to_numpy() if name in placed.columns else None
    return Judged.rank(placed["failed"].to_numpy(), placed[score].to_numpy(), place)


def _with_intervals(rows: pl.DataFrame, figures: Callable[[np.ndarray], Figures], how: Resampling) -> dict[str, Any]:
    found = figures(np.ones(rows.height))
    intervals = firm_bootstrap(
        rows["company_id"].to_numpy(), figures, resamples=how.resamples, confidence=how.confidence, seed=how.seed
    )
    return {
        **{name: rounded(value) for name, value in found.items()},
        "rows": rows.height,
        "interval": {name: [rounded(low), rounded(high)] for name, (low, high) in intervals.items()},
    }


def rounded(value: float) -> float | None:
    """Return a figure as it is written: six decimals, missing where it is not a number."""
    return round(value, 6) if math.isfinite(value) else None
