"""Discrimination and calibration metrics with row weights, so that bootstrap resamples need no copies.

The weighted forms equal scikit-learn's up to rounding (a test checks this). Ranking once and reusing the order for all resamples
is tens of times faster than calling scikit-learn for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCORE_FIGURES = ("auc", "average_precision", "top_decile_capture", "ks", "brier", "pd_over_observed")


@dataclass(frozen=True)
class RankedOutcomes:
    """Outcomes and scores sorted once, riskiest first. tie_end: for each row, the index of the last row of its group of ties."""

    order: np.ndarray
    failed: np.ndarray
    pd: np.ndarray
    tie_end: np.ndarray

    @classmethod
    def rank(cls, failed: np.ndarray, pd: np.ndarray, place: np.ndarray | None = None) -> RankedOutcomes:
        """Rank 0/1 outcomes by PD; arrays of one length, without missing values. Ties stay in the given order.

        place: values to rank by instead of the PD, larger for riskier; see `quiebra.validation.comparison.add_year_rank`.
        """
        by = pd if place is None else place
        order = np.argsort(-by, kind="stable")
        ranked = by[order]
        ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
        tie_end = np.repeat(ends, np.diff(np.r_[-1, ends]))
        return cls(order, failed[order].astype(float), pd[order], tie_end)

    def figures(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return AUC, average precision, riskiest-tenth share, KS, Brier score and mean PD over the observed rate.

        weight: non-negative row weights, in the order passed to `rank` (None: ones). Figures that need both outcomes are NaN
            without them.
        """
        w = np.ones(len(self.pd)) if weight is None else weight[self.order]
        total, bad = w.sum(), w * self.failed
        if total <= 0:
            return dict.fromkeys(SCORE_FIGURES, np.nan)
        brier = float(np.sum(w * (self.pd - self.failed) ** 2) / total)
        if not 0 < bad.sum() < total:
            return {**dict.fromkeys(SCORE_FIGURES, np.nan), "brier": brier}
        return {
            "auc": self._auc(w, bad),
            "average_precision": self._average_precision(w, bad),
            "top_decile_capture": self._top_share(w, bad, 0.1),
            "ks": self._ks(w, bad),
            "brier": brier,
            "pd_over_observed": float(np.sum(w * self.pd) / bad.sum()),
        }

    def _auc(self, w: np.ndarray, bad: np.ndarray) -> float:
        """Return the weight of correctly ranked pairs, ties counting half (Mann-Whitney)."""
        good = w - bad
        through = np.cumsum(good)[self.tie_end]
        tied = through - np.r_[0.0, through][_starts(self.tie_end)]
        above = through - tied
        return float(1 - np.sum(bad * (above + tied / 2)) / (bad.sum() * good.sum()))

    def _ks(self, w: np.ndarray, bad: np.ndarray) -> float:
        """Return the largest gap between the score's distributions among failures and among survivors (Kolmogorov-Smirnov)."""
        good = w - bad
        gap = (np.cumsum(bad) / bad.sum() - np.cumsum(good) / good.sum())[self.tie_end]
        return float(np.abs(gap).max())

    def _average_precision(self, w: np.ndarray, bad: np.ndarray) -> float:
        """Return the precision at each failure's score, averaged over failures."""
        caught, seen = np.cumsum(bad)[self.tie_end], np.cumsum(w)[self.tie_end]
        precision = np.divide(caught, seen, out=np.zeros_like(caught), where=seen > 0)
        return float(np.sum(bad * precision) / bad.sum())

    def _top_share(self, w: np.ndarray, bad: np.ndarray, share: float) -> float:
        """Return the share of failures in the riskiest ``share`` of rows (by weight), rounded up to whole rows.

        Of rows with the same score that lie across the limit the same part counts, whichever comes first.
        """
        limit = np.ceil(share * w.sum() - 1e-9)
        through = np.cumsum(w)[self.tie_end]
        before = np.r_[0.0, np.cumsum(w)][_starts(self.tie_end)]
        inside = np.clip(limit - before, 0, through - before)
        group = through - before
        return float(np.sum(np.divide(inside, group, out=np.zeros_like(w), where=group > 0) * bad) / bad.sum())


def _starts(tie_end: np.ndarray) -> np.ndarray:
    """Return, for each row, the index (into an array with a leading zero) of the value before its group of ties."""
    first = np.r_[True, tie_end[1:] != tie_end[:-1]]
    starts = np.flatnonzero(first)
    return np.repeat(starts, np.diff(np.r_[starts, len(tie_end)]))


def score_figures(failed: np.ndarray, pd: np.ndarray) -> dict[str, float]:
    """Return all figures of unweighted rows; see `RankedOutcomes.figures`.

    >>> import numpy as np
    >>> score_figures(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))["auc"]
    0.75
    """
    return RankedOutcomes.rank(failed, pd).figures()
