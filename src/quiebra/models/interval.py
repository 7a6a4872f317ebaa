"""How far a PD can be off: the calibration's own uncertainty, and how much failure rates differ from year to year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

PRIOR_YEARS, PRIOR_SPREAD = 2.0, 0.25
"""Before years are seen their failures are taken to differ by a quarter, with the weight of two years."""
FEW = 20.0
"""Failures at which the doubt that there is without any has fallen to a quarter."""
FEW_FAILURES = 50
"""Below this many failures learnt from or judged, pages say how little figures rest on."""
YEARS_APART = 0.7
"""Log-odds by which years differ where nothing is known of them: about as the failure rates of rated companies have worldwide."""


@dataclass(frozen=True)
class Spread:
    """Standard error of log-odds: sqrt(x' covariance x + year²), x = (1, blended log-odds before calibration).

    fitted_on: out-of-time failures that it was estimated on; 0: too few, so that it is assumed.
    """

    covariance: list[list[float]]
    year: float
    fitted_on: int = 0

    def standard_error(self, blended: np.ndarray) -> np.ndarray:
        x = np.column_stack([np.ones(len(blended)), blended])
        own = np.einsum("ij,jk,ik->i", x, np.array(self.covariance), x)
        return np.sqrt(own + self.year**2)


def fit_spread(blended: np.ndarray, log_odds: np.ndarray, failed: np.ndarray, company: np.ndarray, year: np.ndarray) -> Spread:
    """Estimate the spread on out-of-time rows: log-odds before and after calibration, 0/1 outcomes, company and fiscal year.

    The covariance of intercept and slope counts a company's years as one (Liang and Zeger, 1986). The spread of years is a
    random effect by moments: what is left of (observed − expected)² over years after the sampling of failures is taken off.
    """
    pd = expit(log_odds)
    x = np.column_stack([np.ones(len(pd)), blended])
    bread = np.linalg.pinv((x * (pd * (1 - pd))[:, None]).T @ x)
    _, member = np.unique(company, return_inverse=True)
    scores = np.zeros((member.max() + 1, 2))
    np.add.at(scores, member, x * (failed - pd)[:, None])
    covariance = bread @ (scores.T @ scores) @ bread
    _, when = np.unique(year, return_inverse=True)
    observed, expected = np.bincount(when, failed), np.bincount(when, pd)
    prior, failures = PRIOR_YEARS * expected.mean() ** 2, int(failed.sum())
    excess = float(np.sum((observed - expected) ** 2 - expected)) + prior * _prior_variance(failures)
    variance = max(excess, 0.0) / float(np.sum(expected**2) + prior)
    return Spread(covariance.tolist(), float(np.sqrt(variance)), failures)


def _prior_variance(failures: int) -> float:
    """Return the variance of a level's error before years are looked at: as between unknown years without failures, and soon as
    PRIOR_SPREAD says."""
    doubt = (FEW / (FEW + failures)) ** 2
    return PRIOR_SPREAD**2 + (YEARS_APART**2 - PRIOR_SPREAD**2) * doubt


def level_trust(spread: Spread, centre: float, years: int) -> float:
    """Return how much of a measured shift of level to believe, 0 to 1: the prior's variance over itself and the evidence's.

    Rows of one year share its luck, so that many failures in few years say little about the years to come.
    """
    own = float(spread.standard_error(np.array([centre]))[0] ** 2 - spread.year**2)
    prior = _prior_variance(spread.fitted_on)
    return prior / (prior + own + spread.year**2 / years)


def assumed_spread(failures: float) -> Spread:
    """Return what is assumed where there are too few out-of-time failures to judge: years as far apart as unknown ones, and a
    base rate learnt from so many failures, whose logarithm has a variance of 1 / (failures + ½)."""
    return Spread([[1 / (failures + 0.5), 0.0], [0.0, 0.0]], YEARS_APART)


def error_within(pd: np.ndarray, high: np.ndarray, confidence: float) -> np.ndarray:
    """Return the standard error of log-odds that the upper of `bounds` was made with."""
    return (logit(high) - logit(pd)) / ndtri((1 + confidence) / 2)


def bounds(log_odds: np.ndarray, standard_error: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper PD at a confidence."""
    width = ndtri((1 + confidence) / 2) * standard_error
    return expit(log_odds - width), expit(log_odds + width)
