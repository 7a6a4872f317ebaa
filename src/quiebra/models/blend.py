"""Blending model and Altman on log-odds, and calibrating the blend, on out-of-time outcomes of earlier years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

MIN_FAILURES = 10
"""Fewest out-of-time failures that weight and calibration are fitted on; with fewer the model stands as it is."""


@dataclass(frozen=True)
class Blend:
    """PD = expit(intercept + slope × (weight × model + (1 − weight) × altman)), all in log-odds.

    Where there is no Altman score the model's log-odds stand in for it. ``fitted_on``: out-of-time failures used; 0: not fitted.
    """

    weight: float
    intercept: float
    slope: float
    fitted_on: int

    def log_odds(self, model: np.ndarray, altman: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * self.mixed(model, altman)

    def mixed(self, model: np.ndarray, altman: np.ndarray) -> np.ndarray:
        """Return the weighted log-odds before calibration."""
        weight = self.weights(altman)
        return weight * model + (1 - weight) * np.nan_to_num(altman)

    def weights(self, altman: np.ndarray) -> np.ndarray:
        """Return the model's weight for each row: 1 where Altman is missing."""
        return np.where(np.isnan(altman), 1.0, self.weight)


def fit_blend(model: np.ndarray, altman: np.ndarray, failed: np.ndarray, weight: float | None) -> Blend:
    """Fit weight (unless given), intercept and slope by maximum likelihood, with no coefficient below zero.

    All arrays hold out-of-time rows of years whose outcomes are known: log-odds of model and Altman, and 0/1 outcomes.
    Platt (1999) scaling of the blend; with too few failures it is the identity.
    """
    failures = int(failed.sum())
    if failures < MIN_FAILURES or failures == len(failed):
        return Blend(weight=1.0 if weight is None else weight, intercept=0.0, slope=1.0, fitted_on=0)
    altman = np.where(np.isnan(altman), model, altman)
    parts = (model, altman) if weight is None else (weight * model + (1 - weight) * altman,)
    intercept, *slopes = logistic(np.column_stack(parts), failed)
    slope = float(sum(slopes))
    share = weight if weight is not None else (float(slopes[0]) / slope if slope > 0 else 1.0)
    return Blend(weight=share, intercept=float(intercept), slope=slope, fitted_on=failures)


def logistic(inputs: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """Return intercept and non-negative coefficients of an unpenalised logistic regression of 0/1 outcomes on rows × columns."""

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        eta = beta[0] + inputs @ beta[1:]
        gap = expit(eta) - failed
        value = float(np.mean(np.logaddexp(0, eta) - failed * eta))
        return value, np.concatenate(([gap.mean()], inputs.T @ gap / len(failed)))

    start = np.concatenate(([0.0], np.full(inputs.shape[1], 1.0 / inputs.shape[1])))
    bounds = [(None, None)] + [(0, None)] * inputs.shape[1]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-9}).x
