"""From an Altman score to a probability of default: a logistic fit inside the training window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from quiebra.features.altman import SCORES, score_used
from quiebra.models.blend import logistic


@dataclass(frozen=True)
class Line:
    """Log-odds = intercept + slope × score, with the score held within [low, high]; a higher score is never riskier."""

    intercept: float
    slope: float
    low: float
    high: float

    def log_odds(self, score: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * np.clip(score, self.low, self.high)


def fit_links(table: pl.DataFrame, failed: np.ndarray, *, market: bool) -> dict[str, Line]:
    """Fit a line for each Altman score on the companies that it is used for; one without failures there has none."""
    used = table.select(score_used(market=market)).to_series().to_numpy()
    lines = {}
    for name in SCORES:
        score = table[name].to_numpy()
        seen = np.isfinite(score) & (used == name)
        if not 0 < failed[seen].sum() < seen.sum():
            continue
        low, high = np.quantile(score[seen], [0.01, 0.99])
        intercept, fall = logistic(-np.clip(score[seen], low, high)[:, None], failed[seen])
        lines[name] = Line(float(intercept), -float(fall), float(low), float(high))
    return lines


def altman_log_odds(table: pl.DataFrame, lines: dict[str, Line], *, market: bool) -> np.ndarray:
    """Return log-odds of failure from the score that is used for each company's type; NaN where it or its line is missing."""
    used = table.select(score_used(market=market)).to_series().to_numpy()
    result = np.full(len(table), np.nan)
    for name, line in lines.items():
        result = np.where(used == name, line.log_odds(table[name].to_numpy()), result)
    return result
