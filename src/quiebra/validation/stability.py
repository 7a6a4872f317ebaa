"""Stability: how far scores and features have moved from those that a model was trained on."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.feature_engineering import AGE_FEATURES, feature_lookback

MIN_BIN_SHARE = 1e-4
"""Least share of a bin, so that an empty one does not make the index infinite."""
MIN_ROWS_PER_SIDE = 50
"""Fewest rows on each side for which a feature that looks back is compared."""


def psi(before: np.ndarray, now: np.ndarray, bins: int = 10) -> float:
    """Return the population stability index of ``now`` against ``before``: Σ (now − before) ln(now / before) over shares of bins.

    Bins are quantiles of ``before``; a value that fills one alone, such as a constant, has its own bin, and so have missing
    values (NaN). By convention, below 0.1 is a small change, above 0.25 a large one. NaN where either array is empty.
    Source: Siddiqi (2006).

    >>> round(psi(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]), bins=2), 6)
    0.0
    >>> psi(np.zeros(100), np.full(100, -1.0)) > 0.25
    True
    """
    if not len(before) or not len(now):
        return float("nan")
    edges = _edges(before[np.isfinite(before)], bins)
    shares = [_shares(values, edges) for values in (before, now)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _edges(known: np.ndarray, bins: int) -> np.ndarray:
    """Return the upper edges of bins; a value shared by many rows has another edge just below it, so that it has its own bin."""
    if not len(known):
        return np.zeros(0)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    shared = [edge for edge in edges if np.mean(known == edge) >= 1 / bins and (known == edge).sum() > 1]
    return np.unique(np.r_[edges, np.nextafter(shared, -np.inf)])


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    counts = np.bincount(np.searchsorted(edges, values[there], side="left"), minlength=len(edges) + 1)
    return np.maximum(np.append(counts, (~there).sum()) / len(values), MIN_BIN_SHARE)


def feature_stability(before: pl.DataFrame, now: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return feature and csi (its population stability index), most changed first.

    Features that look back drift by themselves in a young panel, as each year more companies have earlier years. Such a feature
    is compared only among rows with enough years of statements (``years_published``); it is null where either side has fewer than
    50 of them. Features that count years are always null.
    """
    back, rows = feature_lookback(), []
    sides: dict[int, tuple[pl.DataFrame, pl.DataFrame]] = {0: (before, now)}
    for name in names:
        years = back.get(name, 0)
        if years not in sides:
            old = pl.col("years_published") >= years
            sides[years] = before.filter(old), now.filter(old)
        few = years > 0 and min(side.height for side in sides[years]) < MIN_ROWS_PER_SIDE
        index = np.nan
        if name not in AGE_FEATURES and not few:
            then, today = (side[name].fill_null(np.nan).to_numpy() for side in sides[years])
            index = psi(then, today)
        rows.append((name, float(index) if np.isfinite(index) else None))
    table = pl.DataFrame(rows, schema={"feature": pl.String, "csi": pl.Float64}, orient="row")
    return table.sort("csi", "feature", descending=[True, False], nulls_last=True)
