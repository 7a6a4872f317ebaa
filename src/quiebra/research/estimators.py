"""Estimators of our own: the champion's kind of trees, and an adapter of survival models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.models.trees import TreeTarget, fit_trees, log_odds
from quiebra.params import Train, load_params
from quiebra.workspace import Workspace


class BoostedTrees(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gradient-boosted trees as the champion's for the first year, without Altman and calibration.

    Parameters as in `train` of params.yaml, whose values `boosted_trees` takes. With ``monotone``, features of the feature table
    are held to the sign that economics is sure of, and your own to that in ``signs``: +1 where a higher value is never safer, -1
    where it is never riskier.
    """

    def __init__(
        self,
        trees: int = 250,
        max_depth: int = 3,
        learning_rate: float = 0.035,
        subsample: float = 0.7,
        feature_share: float = 0.3,
        min_child_weight: float = 3.0,
        l2: float = 5.0,
        max_bins: int = 128,
        monotone: bool = True,
        signs: Mapping[str, int] | None = None,
        seed: int = 1,
    ) -> None:
        self.trees = trees
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.subsample = subsample
        self.feature_share = feature_share
        self.min_child_weight = min_child_weight
        self.l2 = l2
        self.max_bins = max_bins
        self.monotone = monotone
        self.signs = signs
        self.seed = seed

    def fit(self, X: Any, y: Any) -> Self:
        names = tuple(_columns(X))
        known = {name: FEATURES_BY_NAME[name].sign for name in names if name in FEATURES_BY_NAME}
        signs = {**dict.fromkeys(names, 0), **known, **(self.signs or {})}
        train = Train.model_construct(**{name: value for name, value in self.get_params().items() if name in Train.model_fields})
        target = TreeTarget(np.asarray(y, dtype=np.float64), np.ones(len(X)))
        self.booster_ = fit_trees(
            _matrix(X), target, names, train, trees=self.trees, seed=self.seed, threads=1, signs=[signs[name] for name in names]
        )
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        pds = expit(log_odds(self.booster_, _matrix(X)))
        return np.column_stack([1 - pds, pds])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return (self.predict_proba(X)[:, 1] >= 0.5).astype(int)


def boosted_trees(workspace: str | Path | None = None, **changes: Any) -> BoostedTrees:
    """Return `BoostedTrees` with the parameters of the workspace's params.yaml, and changes to them."""
    train = load_params(Workspace.find(workspace)).train.model_dump()
    shared = {name: train[name] for name in BoostedTrees().get_params() if name in train}
    return BoostedTrees(**{**shared, **changes})


class SurvivalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Adapter of a survival regression of lifelines: a classifier whose PD is the chance not to survive the first year.

    A firm-year's duration is the number of years to its failure, or for which its outcome is known.
    fitter: such as ``lifelines.WeibullAFTFitter(penalizer=0.1)``; each fit takes a copy.
    prepare: a scikit-learn transformer that the inputs pass first, as lifelines takes no missing value; None: none.
    """

    def __init__(self, fitter: Any, prepare: Any = None) -> None:
        self.fitter = fitter
        self.prepare = prepare

    def fit(self, X: pd.DataFrame, y: Any, outcomes: pd.DataFrame) -> Self:
        failed = outcomes["years_to_failure"].notna().to_numpy()
        years = np.where(failed, outcomes["years_to_failure"], outcomes["years_known"]).astype(float)
        self.prepare_ = None if self.prepare is None else clone(self.prepare).fit(X, y)
        table = self._prepared(X).assign(duration=years, failed=failed.astype(int))
        self.fitter_ = copy.deepcopy(self.fitter).fit(table, duration_col="duration", event_col="failed")
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        survival = self.fitter_.predict_survival_function(self._prepared(X), times=[1.0]).to_numpy()[0]
        return np.column_stack([survival, 1 - survival])

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        values = X if self.prepare_ is None else self.prepare_.transform(X)
        return pd.DataFrame(np.asarray(values, dtype=float), columns=_columns(X))


def _columns(X: Any) -> list[str]:
    """Return the names of the inputs; of an array, as a pipeline's steps give, those of scikit-learn: x0, x1, ..."""
    return list(X.columns) if isinstance(X, pd.DataFrame) else [f"x{place}" for place in range(np.shape(X)[1])]


def _matrix(X: pd.DataFrame) -> np.ndarray:
    return np.asarray(X, dtype=np.float32)
