"""Logistic regression from an Altman score to the log-odds of failure, fitted on the training window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_score_used
from quiebra.models.blend import fit_logistic


@dataclass(frozen=True)
class AltmanLink:
    """Log-odds = intercept + slope × score, with the score clipped to [low, high]; a higher score is never riskier."""

    intercept: float
    slope: float
    low: float
    high: float

    def log_odds(self, score: np.ndarray) -> np.ndarray:
        line: np.ndarray = self.intercept + self.slope * np.clip(score, self.low, self.high)
        return line


def fit_altman_links(table: pl.DataFrame, failed: np.ndarray, *, market: bool) -> dict[str, AltmanLink]:
    """Fit a link for each Altman score on the companies that it is used for; a score without failures there gets none.

    failed: 0/1 outcomes. market: whether the companies have market values; see
        `quiebra.feature_engineering.altman.altman_score_used`.
    """
    used = table.select(altman_score_used(market=market)).to_series().to_numpy()
    lines = {}
    for name in ALTMAN_SCORES:
        score = table[name].to_numpy()
        seen = np.isfinite(score) & (used == name)
        if not 0 < failed[seen].sum() < seen.sum():
            continue
        low, high = np.quantile(score[seen], [0.01, 0.99])
        intercept, fall = fit_logistic(-np.clip(score[seen], low, high)[:, None], failed[seen])
        lines[name] = AltmanLink(float(intercept), -float(fall), float(low), float(high))
    return lines


def altman_log_odds(table: pl.DataFrame, lines: dict[str, AltmanLink], *, market: bool) -> np.ndarray:
    """Return log-odds of failure from the score used for each company's type; NaN where the score or its link is missing."""
    used = table.select(altman_score_used(market=market)).to_series().to_numpy()
    result = np.full(len(table), np.nan)
    for name, line in lines.items():
        result = np.where(used == name, line.log_odds(table[name].to_numpy()), result)
    return result
