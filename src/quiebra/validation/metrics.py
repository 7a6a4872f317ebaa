"""Figures of discrimination and calibration. Library functions where they exist; each takes weights, for resampling."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

FIGURES = ("auc", "average_precision", "top_decile_capture", "brier", "pd_over_observed")


def figures(failed: np.ndarray, pd: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    """Return AUC, average precision, riskiest-tenth share, Brier score and mean PD over observed rate.

    failed: 0/1; pd: probabilities; weight: non-negative row weights (None: ones). All of one length, none missing.
    A figure that needs both outcomes, or a failure, is NaN without them.
    """
    weight = np.ones(len(pd)) if weight is None else weight
    used = weight > 0
    failed, pd, weight = failed[used], pd[used], weight[used]
    observed = float(np.average(failed, weights=weight)) if len(failed) else np.nan
    if not 0 < observed < 1:
        brier = float(np.average((pd - failed) ** 2, weights=weight)) if len(failed) else np.nan
        return {**dict.fromkeys(FIGURES, np.nan), "brier": brier}
    return {
        "auc": float(roc_auc_score(failed, pd, sample_weight=weight)),
        "average_precision": float(average_precision_score(failed, pd, sample_weight=weight)),
        "top_decile_capture": top_share_capture(failed, pd, weight),
        "brier": float(brier_score_loss(failed, pd, sample_weight=weight)),
        "pd_over_observed": float(np.average(pd, weights=weight)) / observed,
    }


def top_share_capture(failed: np.ndarray, pd: np.ndarray, weight: np.ndarray, share: float = 0.1) -> float:
    """Return the share of all failures found among the riskiest ``share`` of rows (by weight, ties in the order given).

    >>> import numpy as np
    >>> top_share_capture(np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0]), np.linspace(1, 0, 10), np.ones(10))
    0.5
    """
    order = np.argsort(-pd, kind="stable")
    failed, weight = failed[order], weight[order]
    before = np.cumsum(weight) - weight
    limit = np.ceil(share * weight.sum() - 1e-9)
    inside = np.clip(limit - before, 0, weight)
    return float(np.sum(inside * failed) / np.sum(weight * failed))
