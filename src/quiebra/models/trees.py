"""The trees behind every hazard: gradient boosting on firm-years, without class weights or resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from quiebra.errors import TrainingError
from quiebra.features import FEATURES_BY_NAME
from quiebra.params import Train

if TYPE_CHECKING:  # XGBoost takes two seconds to import, and most commands score nothing
    import xgboost as xgb

MIN_FAILURES = 5
"""Fewest failures that trees are fitted on."""


@dataclass(frozen=True)
class Target:
    """What trees learn. share: of a row's periods that ended in failure, 0 to 1; periods: how many there were (its weight)."""

    share: np.ndarray
    periods: np.ndarray

    @property
    def failures(self) -> float:
        return float((self.share * self.periods).sum())

    @property
    def rate(self) -> float:
        return self.failures / float(self.periods.sum())


def design(table: pl.DataFrame, names: tuple[str, ...]) -> np.ndarray:
    """Return the inputs, rows × names, float32; missing and non-finite values are NaN, which the trees handle."""
    matrix = table.select(names).cast(pl.Float32).to_numpy()
    return np.where(np.isfinite(matrix), matrix, np.float32(np.nan))


def fit_trees(
    inputs: np.ndarray, target: Target, names: tuple[str, ...], train: Train, *, trees: int, seed: int, threads: int
) -> xgb.Booster:
    """Fit the log-odds of failure in one period. Inputs: rows × names.

    A feature of whose sign economics is sure is held to it (``train.monotone``).
    Raises TrainingError where there are fewer than five failures, or only failures.
    """
    import xgboost as xgb

    if target.failures < MIN_FAILURES or target.rate >= 1:
        raise TrainingError(
            f"too few failures ({target.failures:.0f} in {len(inputs)} rows): trees need {MIN_FAILURES} and some survivors"
        )
    settings = {
        "objective": "binary:logistic", "tree_method": "hist", "max_bin": train.max_bins, "max_depth": train.max_depth,
        "learning_rate": train.learning_rate, "subsample": train.subsample, "colsample_bytree": train.feature_share,
        "min_child_weight": _least_weight(train.min_child_weight, target), "reg_lambda": train.l2, "seed": seed,
        "nthread": threads, "base_score": target.rate,
    }  # fmt: skip
    if train.monotone:
        settings["monotone_constraints"] = tuple(FEATURES_BY_NAME[name].sign for name in names)
    data = xgb.QuantileDMatrix(
        inputs, target.share, weight=target.periods, feature_names=list(names), nthread=threads, max_bin=train.max_bins
    )
    return xgb.train(settings, data, num_boost_round=trees)


def _least_weight(asked: float, target: Target) -> float:
    """Keep leaves possible on small panels: no more than a tenth of the information that the sample holds."""
    return float(min(asked, 0.1 * target.periods.sum() * target.rate * (1 - target.rate)))


def margin(booster: xgb.Booster, inputs: np.ndarray) -> np.ndarray:
    """Return the log-odds of failure in a period, one a row."""
    return booster.inplace_predict(inputs, predict_type="margin").astype(np.float64)


def contributions(booster: xgb.Booster, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exact tree SHAP values: rows × features in log-odds, and the base; they add up to `margin`."""
    import xgboost as xgb

    data = xgb.DMatrix(inputs, feature_names=booster.feature_names, nthread=1 if len(inputs) < 1000 else 0)
    values = booster.predict(data, pred_contribs=True).astype(np.float64)
    return values[:, :-1], values[:, -1]
