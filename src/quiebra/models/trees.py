"""Gradient-boosted trees for the hazards, fitted on firm-years without class weights or resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from quiebra.errors import TrainingError
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.matrix import to_matrix
from quiebra.params import Train

if TYPE_CHECKING:  # XGBoost takes two seconds to import, and most commands do not need it
    import xgboost as xgb

MIN_FAILURES_TO_TRAIN = 5
"""Fewest failures that trees are fitted on."""


@dataclass(frozen=True)
class TreeTarget:
    """Target of the trees, by row. share: of the row's periods that ended in failure. periods: their number, its weight."""

    share: np.ndarray
    periods: np.ndarray

    @property
    def failures(self) -> float:
        return float((self.share * self.periods).sum())

    @property
    def rate(self) -> float:
        return self.failures / float(self.periods.sum())


def design_matrix(table: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """Return the inputs, rows × names, as float32; missing and non-finite values are NaN, which the trees handle."""
    with np.errstate(over="ignore"):
        matrix = to_matrix(table, names).astype(np.float32)
    matrix[~np.isfinite(matrix)] = np.nan
    return matrix


def fit_trees(
    inputs: np.ndarray,
    target: TreeTarget,
    names: tuple[str, ...],
    train: Train,
    *,
    trees: int,
    seed: int,
    threads: int,
    signs: Sequence[int] | None = None,
) -> xgb.Booster:
    """Fit the log-odds of failure in one period. inputs: rows × names.

    With ``train.monotone`` an input with a sign is constrained to it. signs: +1, -1 or 0 by name; None: those of the features.
    Raise TrainingError where there are fewer than five failures, or only failures.
    """
    import xgboost as xgb

    if target.failures < MIN_FAILURES_TO_TRAIN or target.rate >= 1:
        raise TrainingError(
            f"too few failures ({target.failures:.0f} in {len(inputs)} rows): "
            f"trees need {MIN_FAILURES_TO_TRAIN} and some survivors"
        )
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": train.max_bins,
        "max_depth": train.max_depth,
        "learning_rate": train.learning_rate,
        "subsample": train.subsample,
        "colsample_bytree": train.feature_share,
        "min_child_weight": _least_weight(train.min_child_weight, target),
        "reg_lambda": train.l2,
        "seed": seed,
        "nthread": threads,
        "base_score": target.rate,
    }
    if train.monotone:
        settings["monotone_constraints"] = tuple(signs or (FEATURES_BY_NAME[name].sign for name in names))
    data = xgb.QuantileDMatrix(inputs, target.share, weight=target.periods, nthread=threads, max_bin=train.max_bins)
    booster = xgb.train(settings, data, num_boost_round=trees)
    booster.feature_names = list(names)  # given to the data, they would be read again for every tree
    return booster


def _least_weight(asked: float, target: TreeTarget) -> float:
    """Return the minimum child weight, capped at a tenth of the sample's total, so that small panels can be split."""
    return float(min(asked, 0.1 * target.periods.sum() * target.rate * (1 - target.rate)))


def log_odds(booster: xgb.Booster, inputs: np.ndarray) -> np.ndarray:
    """Return the log-odds of failure in one period, by row."""
    return booster.inplace_predict(inputs, predict_type="margin").astype(np.float64)
