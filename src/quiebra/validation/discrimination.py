"""Discrimination: how well scores rank failures above survivors, for all rows and by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra.validation.comparison import MIN_FAILURES_TO_TEST, Bootstrap, judge_score
from quiebra.validation.metrics import SCORE_FIGURES, RankedOutcomes

SIZES = ("small", "middle", "large")


def accuracy_ratio(auc: float | None) -> float | None:
    """Return the accuracy ratio (Gini coefficient) of an AUC, 2 AUC − 1: 0 for chance, 1 for a perfect ranking.

    Source: Engelmann, Hayden and Tasche (2003).
    """
    return None if auc is None else 2 * auc - 1


def cap_curve(failed: np.ndarray, pd: np.ndarray, place: np.ndarray | None = None, points: int = 100) -> pl.DataFrame:
    """Return the cumulative accuracy profile: share of companies, riskiest first, and the share of failures among them.

    place: see `quiebra.validation.metrics.RankedOutcomes.rank`. Ties are taken together. At most ``points`` + 1 rows, from (0, 0)
        to (1, 1). Source: Sobehart, Keenan and Stein (2000).
    """
    ranked = RankedOutcomes.rank(failed, pd, place)
    ends = np.unique(ranked.tie_end)
    caught = np.r_[0.0, np.cumsum(ranked.failed)[ends] / failed.sum()]
    seen = np.r_[0.0, (ends + 1) / len(pd)]
    wanted = np.unique(np.searchsorted(seen, np.linspace(0, 1, points + 1)).clip(0, len(seen) - 1))
    return pl.DataFrame({"companies": seen[wanted], "failures": caught[wanted]})


def size_group() -> pl.Expr:
    """Return the third of its fiscal year that a row's total assets are in: small, middle or large."""
    place = (pl.col("total_assets").rank("ordinal") / pl.col("total_assets").count()).over("fiscal_year")
    return (
        pl.when(place <= 1 / 3)
        .then(pl.lit(SIZES[0]))
        .when(place <= 2 / 3)
        .then(pl.lit(SIZES[1]))
        .when(place.is_not_null())
        .then(pl.lit(SIZES[2]))
    )


def figures_by_group(judged: pl.DataFrame, column: str, how: Bootstrap) -> list[dict[str, Any]]:
    """Return the figures of the blended score for each value of a column, in order; rows without a value are left out.

    Figures of groups with fewer than five failures are None.
    """
    groups = judged.filter(pl.col(column).is_not_null()).partition_by(column, as_dict=True)
    return [{"group": str(name), **_judged(rows, how)} for (name,), rows in sorted(groups.items(), key=_order)]


def _judged(rows: pl.DataFrame, how: Bootstrap) -> dict[str, Any]:
    found = judge_score(rows, "pd_12m", how)
    if found["events"] >= MIN_FAILURES_TO_TEST:
        return found
    return {**found, **dict.fromkeys(SCORE_FIGURES), "interval": {name: [None, None] for name in SCORE_FIGURES}}


def _order(item: tuple[Any, Any]) -> Any:
    (name,), _ = item
    return (SIZES.index(name), "") if name in SIZES else (len(SIZES), str(name))
