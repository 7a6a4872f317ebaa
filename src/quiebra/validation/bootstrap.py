"""Bootstrap intervals clustered by company, since a company's years are not independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Figures = dict[str, float]


def firm_bootstrap(
    company: np.ndarray, compute: Callable[[np.ndarray], Figures], *, resamples: int, confidence: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return a percentile interval for each figure that ``compute(weights)`` returns.

    company: id of each row. Companies are drawn with replacement; a row's weight is how often its company was drawn. Resamples
        where a figure is NaN (no failure drawn) do not count for it; a figure that is always NaN has (NaN, NaN).
    Source: Efron and Tibshirani (1993), with the cluster as the unit.
    """
    rng = np.random.default_rng(seed)
    _, member = np.unique(company, return_inverse=True)
    firms = member.max() + 1
    draws = [compute(np.bincount(rng.integers(0, firms, firms), minlength=firms)[member].astype(float)) for _ in range(resamples)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = {}
    for name in draws[0]:
        values = np.array([draw[name] for draw in draws])
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, tails) if len(values) else (np.nan, np.nan)
        intervals[name] = (float(low), float(high))
    return intervals
