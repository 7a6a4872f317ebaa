"""The one-year hazard model: gradient-boosted trees on firm-years, without class weights or resampling."""

from __future__ import annotations

import numpy as np
import polars as pl
import xgboost as xgb

from quiebra.errors import TrainingError
from quiebra.features import FEATURES_BY_NAME
from quiebra.params import Train

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES_BY_NAME)
MIN_FAILURES = 5
"""Fewest failures a model is fitted on."""


def design(table: pl.DataFrame) -> np.ndarray:
    """Return the model's inputs, rows × features, float32; missing and non-finite values are NaN, which the trees handle."""
    matrix = table.select(pl.col(name).cast(pl.Float32) for name in FEATURE_NAMES).to_numpy()
    return np.where(np.isfinite(matrix), matrix, np.float32(np.nan)).astype(np.float32)


def fit_hazard(inputs: np.ndarray, failed: np.ndarray, train: Train, *, seed: int, threads: int, years: str) -> xgb.Booster:
    """Fit the trees. ``failed``: 0/1 a row. ``years`` says in an error which fiscal years were learnt from.

    Raises TrainingError where there are fewer than five failures, or only failures.
    """
    failures = int(failed.sum())
    if failures < MIN_FAILURES or failures == len(failed):
        raise TrainingError(
            f"a model needs at least {MIN_FAILURES} failures and some survivors, but fiscal years {years} have {failures} "
            f"failure(s) in {len(failed)} rows: give event dates (or more of them), or set train.first_year earlier"
        )
    settings = {
        "objective": "binary:logistic", "tree_method": "hist", "max_bin": 128, "max_depth": train.max_depth,
        "learning_rate": train.learning_rate, "subsample": train.subsample, "colsample_bytree": train.feature_share,
        "min_child_weight": _least_weight(train.min_child_weight, failed), "reg_lambda": train.l2, "seed": seed,
        "nthread": threads, "base_score": float(failed.mean()),
    }  # fmt: skip
    data = xgb.DMatrix(inputs, failed, feature_names=list(FEATURE_NAMES), nthread=threads)
    return xgb.train(settings, data, num_boost_round=train.trees)


def _least_weight(asked: float, failed: np.ndarray) -> float:
    """Keep leaves possible on small panels: no more than a tenth of the information that the sample holds."""
    rate = failed.mean()
    return float(min(asked, 0.1 * len(failed) * rate * (1 - rate)))


def _data(booster: xgb.Booster, inputs: np.ndarray) -> xgb.DMatrix:
    return xgb.DMatrix(inputs, feature_names=booster.feature_names, nthread=1 if len(inputs) < 1000 else 0)


def margin(booster: xgb.Booster, inputs: np.ndarray) -> np.ndarray:
    """Return the log-odds of failure within a year, one a row."""
    return booster.predict(_data(booster, inputs), output_margin=True).astype(np.float64)


def contributions(booster: xgb.Booster, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exact tree SHAP values: rows × features in log-odds, and the base; they add up to `margin`."""
    values = booster.predict(_data(booster, inputs), pred_contribs=True).astype(np.float64)
    return values[:, :-1], values[:, -1]
