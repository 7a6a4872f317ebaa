"""Blend the model's and Altman's log-odds, and calibrate the blend, on out-of-time outcomes of earlier years."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

MIN_FAILURES_TO_CALIBRATE = 10
"""Fewest out-of-time failures to fit weight and calibration on; with fewer the model's log-odds are used unchanged."""
MAX_STEPS, TOLERANCE = 50, 1e-10


@dataclass(frozen=True)
class Blend:
    """PD = expit(intercept + slope × (weight × model + (1 − weight) × altman)), all in log-odds.

    Where the Altman score is missing, the model's log-odds replace it. fitted_on: out-of-time failures used; 0: not fitted.
    """

    weight: float
    intercept: float
    slope: float
    fitted_on: int

    def log_odds(self, model: np.ndarray, altman: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * self.mixed(model, altman)

    def mixed(self, model: np.ndarray, altman: np.ndarray) -> np.ndarray:
        """Return the blended log-odds before calibration."""
        weight = self.weights(altman)
        mixed: np.ndarray = weight * model + (1 - weight) * np.nan_to_num(altman)
        return mixed

    def with_level(self, trust: float, centre: float) -> Blend:
        """Return the blend with its shift at the blended log-odds ``centre`` multiplied by ``trust``, and the same slope."""
        shift = self.intercept + (self.slope - 1) * centre
        return replace(self, intercept=self.intercept - (1 - trust) * shift)

    def weights(self, altman: np.ndarray) -> np.ndarray:
        """Return the model's weight for each row: 1 where the Altman score is missing."""
        return np.where(np.isnan(altman), 1.0, self.weight)


def fit_blend(
    model: np.ndarray, altman: np.ndarray, failed: np.ndarray, weight: float | None, times: np.ndarray | None = None
) -> Blend:
    """Fit weight (unless given), intercept and slope by maximum likelihood, with no coefficient below zero.

    All arrays hold out-of-time rows of years with known outcomes: log-odds of model and Altman, and 0/1 outcomes.
    times: frequency weight of each row; None: 1. This is Platt (1999) scaling of the blend; with too few failures it is the
        identity.
    """
    failures = int(failed.sum())
    if failures < MIN_FAILURES_TO_CALIBRATE or failures == len(failed):
        return Blend(weight=1.0 if weight is None else weight, intercept=0.0, slope=1.0, fitted_on=0)
    altman = np.where(np.isnan(altman), model, altman)
    parts = (model, altman) if weight is None else (weight * model + (1 - weight) * altman,)
    intercept, *slopes = fit_logistic(np.column_stack(parts), failed, times)
    slope = float(sum(slopes))
    share = weight if weight is not None else (float(slopes[0]) / slope if slope > 0 else 1.0)
    return Blend(weight=share, intercept=float(intercept), slope=slope, fitted_on=failures)


def fit_logistic(inputs: np.ndarray, failed: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Return intercept and non-negative coefficients of an unpenalised logistic regression of 0/1 outcomes on rows × columns.

    Maximum likelihood by Newton's method; while a coefficient is negative, the most negative one is set to zero.
    times: frequency weight of each row; None: 1.
    """
    kept, times = list(range(inputs.shape[1])), np.ones(len(failed)) if times is None else times
    while True:
        beta = _newton(np.column_stack([np.ones(len(failed)), inputs[:, kept]]), failed, times)
        if not kept or beta[1:].min() >= 0:
            break
        kept.pop(int(np.argmin(beta[1:])))
    result = np.zeros(1 + inputs.shape[1])
    result[[0, *(1 + column for column in kept)]] = beta
    return result


def _newton(x: np.ndarray, failed: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Maximise the likelihood. Steps that do not raise it are halved; with separable outcomes coefficients stay finite."""
    beta = np.zeros(x.shape[1])
    rate = np.average(failed, weights=times)
    beta[0] = np.log(rate / (1 - rate))
    loss = _loss(x, failed, times, beta)
    for _ in range(MAX_STEPS):
        p = expit(x @ beta)
        step = np.linalg.lstsq((x * (times * p * (1 - p))[:, None]).T @ x, x.T @ (times * (failed - p)), rcond=None)[0]
        share = 1.0
        while (after := _loss(x, failed, times, beta + share * step)) > loss and share > 1e-6:
            share /= 2
        if loss - after < TOLERANCE * abs(loss):
            return beta
        beta, loss = beta + share * step, after
    return beta


def _loss(x: np.ndarray, failed: np.ndarray, times: np.ndarray, beta: np.ndarray) -> float:
    eta = x @ beta
    return float(np.sum(times * (np.logaddexp(0, eta) - failed * eta)))
