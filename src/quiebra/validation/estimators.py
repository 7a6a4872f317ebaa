"""Scikit-learn estimators of the benchmark table: a logistic regression on ratios, and boosted trees as in published work."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


class Winsorizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Clip each column to quantiles of the rows that it was fitted on; missing values stay missing.

    low, high: the quantiles, as shares.
    """

    def __init__(self, low: float = 0.01, high: float = 0.99) -> None:
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> Self:
        values = np.asarray(X, dtype=float)
        self.low_, self.high_ = np.nanquantile(values, [self.low, self.high], axis=0)
        self.n_features_in_ = values.shape[1]
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        return self

    def transform(self, X: Any) -> np.ndarray:
        clipped: np.ndarray = np.clip(np.asarray(X, dtype=float), self.low_, self.high_)
        return clipped


def ratio_logit() -> Pipeline:
    """Return a logistic regression on ratios winsorised at the 1st and 99th percentiles of the training rows; a missing ratio is
    set to their median."""
    return make_pipeline(
        Winsorizer(), SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=1e6, max_iter=1000)
    )


def published_boosting(signs: tuple[int, ...]) -> HistGradientBoostingClassifier:
    """Return boosted trees as in published work: 279 trees of 7 leaves, learning rate 0.02, 200 rows a leaf, monotone.

    signs: +1 where a higher ratio is never safer, -1 never riskier, 0 not certain; in the order of the ratios.
    """
    return HistGradientBoostingClassifier(
        max_leaf_nodes=7,
        learning_rate=0.02,
        max_iter=279,
        min_samples_leaf=200,
        early_stopping=False,
        random_state=1,
        monotonic_cst=list(signs),
    )
