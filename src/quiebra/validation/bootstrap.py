"""Bootstrap intervals clustered by company, since a company's years are not independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Figures = dict[str, float]


def firm_bootstrap(
    company: np.ndarray, compute: Callable[[np.ndarray], Figures], *, resamples: int, confidence: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return a percentile interval for each figure that ``compute(weights)`` returns; see `resample_figures` and
    `percentile_intervals`."""
    return percentile_intervals(resample_figures(company, compute, resamples=resamples, seed=seed), confidence)


def resample_figures(
    company: np.ndarray, compute: Callable[[np.ndarray], Figures], *, resamples: int, seed: int
) -> list[Figures]:
    """Return the figures that ``compute(weights)`` gives on each resample; the same companies and seed give the same resamples.

    company: id of each row. Companies are drawn with replacement; a row's weight is how often its company was drawn.
    Source: Efron and Tibshirani (1993), with the cluster as the unit.
    """
    rng = np.random.default_rng(seed)
    _, member = np.unique(company, return_inverse=True)
    firms = member.max() + 1
    return [compute(np.bincount(rng.integers(0, firms, firms), minlength=firms)[member].astype(float)) for _ in range(resamples)]


def percentile_intervals(draws: list[Figures], confidence: float) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each figure over its resamples.

    Resamples where a figure is NaN (no failure drawn) do not count for it; a figure that is always NaN has (NaN, NaN).
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = {}
    for name in draws[0]:
        values = np.array([draw[name] for draw in draws])
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, tails) if len(values) else (np.nan, np.nan)
        intervals[name] = (float(low), float(high))
    return intervals
