"""Judge one score, or two on the same rows, with bootstrap intervals clustered by company."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from quiebra.params import Validate
from quiebra.validation.bootstrap import Figures, percentile_intervals, resample_figures
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


@dataclass(frozen=True)
class ResampledScore:
    """A score's figures on some rows, and on each bootstrap resample of them: computed once, judged alone and against others."""

    rows: int
    events: int
    figures: Figures
    draws: list[Figures]
    confidence: float

    @classmethod
    def resample(cls, rows: pl.DataFrame, score: str, how: Bootstrap) -> ResampledScore:
        """Compute the figures; see `judge_score` for the rows."""
        events = int(rows["failed"].sum())
        if rows.is_empty():
            return cls(0, events, {}, [], how.confidence)
        compute = _ranked(rows, score).figures
        draws = resample_figures(rows["company_id"].to_numpy(), compute, resamples=how.resamples, seed=how.seed)
        return cls(rows.height, events, compute(np.ones(rows.height)), draws, how.confidence)

    def judge(self) -> dict[str, Any]:
        """Return every figure, rows, events, and ``interval`` with [low, high] of each figure, as plain JSON values."""
        return {"rows": 0, "events": 0} if self.rows == 0 else {"events": self.events, **self._with_intervals()}

    def judge_against(self, other: ResampledScore) -> dict[str, Any]:
        """Return this score's figures less another's, with intervals; both have the same rows and resamples."""
        if self.rows == 0:
            return {"rows": 0}
        draws = [_difference(a, b) for a, b in zip(self.draws, other.draws, strict=True)]
        return replace(self, figures=_difference(self.figures, other.figures), draws=draws)._with_intervals()

    def _with_intervals(self) -> dict[str, Any]:
        intervals = percentile_intervals(self.draws, self.confidence)
        return {
            **{name: round_figure(value) for name, value in self.figures.items()},
            "rows": self.rows,
            "interval": {name: [round_figure(low), round_figure(high)] for name, (low, high) in intervals.items()},
        }


def _difference(one: Figures, other: Figures) -> Figures:
    return {name: one[name] - other[name] for name in SCORE_FIGURES}


def judge_score(rows: pl.DataFrame, score: str, how: Bootstrap) -> dict[str, Any]:
    """Return every figure of a score with its interval; see `ResampledScore.judge`.

    rows: company_id, failed (0 or 1), the score (never missing), and fiscal_year where there are several: rows are then ranked by
        `add_year_rank`. Without rows only the counts are returned.
    """
    return ResampledScore.resample(rows, score, how).judge()


def add_year_rank(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """Return rows with SCORE_place, the score's rank within its fiscal year: near 0 for the safest, near 1 for the riskiest.

    Each year's scores come from a different model, so that only scores of one year are comparable: PDs that are all too high in
    one year do not worsen the ranking. Ties share their mean rank. Rows that already have places, being a subset of a year, keep
    them.
    """
    name = f"{score}_place"
    if name in rows.columns or "fiscal_year" not in rows.columns:
        return rows
    ranks = rows.select(rank=pl.col(score).rank().over("fiscal_year") - 0.5, count=pl.len().over("fiscal_year"))
    # numpy divides exactly: equal places of two years, such as those of a score that is the same for all, stay equal
    return rows.with_columns(pl.Series(name, ranks["rank"].to_numpy() / ranks["count"].to_numpy()))


def _ranked(rows: pl.DataFrame, score: str) -> RankedOutcomes:
    placed, name = add_year_rank(rows, score), f"{score}_place"
    place = placed[name].to_numpy() if name in placed.columns else None
    return RankedOutcomes.rank(placed["failed"].to_numpy(), placed[score].to_numpy(), place)


def round_figure(value: float) -> float | None:
    """Return a figure rounded to six decimals; None where it is not finite."""
    return round(value, 6) if math.isfinite(value) else None
