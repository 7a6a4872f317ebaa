"""From an Altman score to a probability of default: a logistic fit inside the training window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from quiebra.models.blend import logistic

LINKED = ("altman_z", "altman_z1995")
"""In order of preference: Z where there is a market value, Z″ where there is not."""


@dataclass(frozen=True)
class Line:
    """Log-odds = intercept + slope × score, with the score held within [low, high]; a higher score is never riskier."""

    intercept: float
    slope: float
    low: float
    high: float

    def log_odds(self, score: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * np.clip(score, self.low, self.high)


def fit_links(table: pl.DataFrame, failed: np.ndarray) -> dict[str, Line]:
    """Fit a line for each Altman score; one that is never there, or never with a failure, has none."""
    lines = {}
    for name in LINKED:
        score = table[name].to_numpy()
        seen = np.isfinite(score)
        if not 0 < failed[seen].sum() < seen.sum():
            continue
        low, high = np.quantile(score[seen], [0.01, 0.99])
        intercept, fall = logistic(-np.clip(score[seen], low, high)[:, None], failed[seen])
        lines[name] = Line(float(intercept), -float(fall), float(low), float(high))
    return lines


def altman_log_odds(table: pl.DataFrame, lines: dict[str, Line]) -> np.ndarray:
    """Return log-odds of failure from the first Altman score there is; NaN where there is none."""
    result = np.full(len(table), np.nan)
    for name in LINKED:
        if name in lines:
            result = np.where(np.isnan(result), lines[name].log_odds(table[name].to_numpy()), result)
    return result
