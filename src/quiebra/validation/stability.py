"""Stability: how far scores and features have moved from those that a model was made on."""

from __future__ import annotations

import numpy as np
import polars as pl

FLOOR = 1e-4
"""Least share of a bin, so that an empty one does not count without end."""


def psi(before: np.ndarray, now: np.ndarray, bins: int = 10) -> float:
    """Return the population stability index of ``now`` against ``before``: Σ (now − before) ln(now / before) over shares of bins.

    Bins are ``before``'s quantiles; missing values (NaN) are a bin of their own. By custom below 0.1 little has moved, above
    0.25 much has. Source: Siddiqi (2006). NaN where either is empty.

    >>> round(psi(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]), bins=2), 6)
    0.0
    """
    if not len(before) or not len(now):
        return float("nan")
    known = before[np.isfinite(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.zeros(0)
    shares = [_shares(values, edges) for values in (before, now)]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    counts = np.bincount(np.searchsorted(edges, values[there], side="left"), minlength=len(edges) + 1)
    return np.maximum(np.append(counts, (~there).sum()) / len(values), FLOOR)


def feature_stability(before: pl.DataFrame, now: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return feature and csi (its population stability index), most moved first."""
    rows = [(name, psi(*(table[name].fill_null(np.nan).to_numpy() for table in (before, now)))) for name in names]
    table = pl.DataFrame(rows, schema={"feature": pl.String, "csi": pl.Float64}, orient="row")
    return table.sort("csi", "feature", descending=[True, False])
