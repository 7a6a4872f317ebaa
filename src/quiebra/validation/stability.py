"""Stability: how far scores and features have moved from those that a model was made on."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.features import AGES, years_back

FLOOR = 1e-4
"""Least share of a bin, so that an empty one does not count without end."""
FEWEST = 50
"""Rows on either side from which a feature is compared."""


def psi(before: np.ndarray, now: np.ndarray, bins: int = 10) -> float:
    """Return the population stability index of ``now`` against ``before``: Σ (now − before) ln(now / before) over shares of bins.

    Bins are ``before``'s quantiles; a value that fills one alone, such as a constant, is a bin of its own, and so are missing
    values (NaN). By custom below 0.1 little has moved, above 0.25 much has. Source: Siddiqi (2006). NaN where either is empty.

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
    """Return the upper ends of bins. A value that many rows share has an end just below it too, parting lower ones from it."""
    if not len(known):
        return np.zeros(0)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    shared = [edge for edge in edges if np.mean(known == edge) >= 1 / bins and (known == edge).sum() > 1]
    return np.unique(np.r_[edges, np.nextafter(shared, -np.inf)])


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    counts = np.bincount(np.searchsorted(edges, values[there], side="left"), minlength=len(edges) + 1)
    return np.maximum(np.append(counts, (~there).sum()) / len(values), FLOOR)


def feature_stability(before: pl.DataFrame, now: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return feature and csi (its population stability index), most moved first.

    A young panel moves by itself what looks back: each year more companies have the years before. Such a feature is compared
    among rows that have as many years of statements (``years_published`` says how many), and is missing where either side has
    fewer than 50 of them; so is what counts years itself.
    """
    back, rows = years_back(), []
    sides: dict[int, tuple[pl.DataFrame, pl.DataFrame]] = {0: (before, now)}
    for name in names:
        years = back.get(name, 0)
        if years not in sides:
            sides[years] = tuple(side.filter(pl.col("years_published") >= years) for side in (before, now))  # type: ignore[assignment]
        few = years > 0 and min(side.height for side in sides[years]) < FEWEST
        index = np.nan if name in AGES or few else psi(*(side[name].fill_null(np.nan).to_numpy() for side in sides[years]))
        rows.append((name, float(index) if np.isfinite(index) else None))
    table = pl.DataFrame(rows, schema={"feature": pl.String, "csi": pl.Float64}, orient="row")
    return table.sort("csi", "feature", descending=[True, False], nulls_last=True)
