"""PD intervals: uncertainty of the calibration, and the spread of failure rates between years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

PRIOR_WEIGHT_YEARS, PRIOR_SPREAD = 2.0, 0.25
"""Prior on the spread between years: a standard deviation of a quarter in log-odds, with the weight of two years."""
FAILURES_TO_QUARTER_PRIOR = 20.0
"""Failures at which the extra prior variance, which applies in full without failures, has fallen to a quarter."""
FEW_FAILURES = 50
"""Below this many failures trained on or judged, pages warn that figures rest on few."""
UNKNOWN_YEAR_SPREAD = 0.7
"""Spread between years in log-odds where nothing is known: about that of the failure rates of rated companies worldwide."""


@dataclass(frozen=True)
class PdUncertainty:
    """Standard error of log-odds: sqrt(x' covariance x + year²), x = (1, blended log-odds before calibration).

    fitted_on: out-of-time failures that it was estimated on; 0: too few, so that it is assumed.
    """

    covariance: list[list[float]]
    year: float
    fitted_on: int = 0

    def standard_error(self, blended: np.ndarray) -> np.ndarray:
        x = np.column_stack([np.ones(len(blended)), blended])
        own = np.einsum("ij,jk,ik->i", x, np.array(self.covariance), x)
        error: np.ndarray = np.sqrt(own + self.year**2)
        return error


def fit_uncertainty(
    blended: np.ndarray, log_odds: np.ndarray, failed: np.ndarray, company: np.ndarray, year: np.ndarray
) -> PdUncertainty:
    """Estimate the uncertainty on out-of-time rows: log-odds before and after calibration, 0/1 outcomes, company and fiscal year.

    The covariance of intercept and slope is clustered by company (Liang and Zeger, 1986). The spread between years is a random
    effect estimated by moments: (observed − expected)², summed over years, less the sampling variance of failures.
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
    prior, failures = PRIOR_WEIGHT_YEARS * expected.mean() ** 2, int(failed.sum())
    excess = float(np.sum((observed - expected) ** 2 - expected)) + prior * _prior_variance(failures)
    variance = max(excess, 0.0) / float(np.sum(expected**2) + prior)
    return PdUncertainty(covariance.tolist(), float(np.sqrt(variance)), failures)


def _prior_variance(failures: int) -> float:
    """Return the prior variance of the level's error: from YEARS_APART² without failures, it soon falls to PRIOR_SPREAD²."""
    doubt = (FAILURES_TO_QUARTER_PRIOR / (FAILURES_TO_QUARTER_PRIOR + failures)) ** 2
    return PRIOR_SPREAD**2 + (UNKNOWN_YEAR_SPREAD**2 - PRIOR_SPREAD**2) * doubt


def level_shrinkage(spread: PdUncertainty, centre: float, years: int) -> float:
    """Return how much of a measured shift of level to apply, from 0 to 1: the prior's share of the total variance.

    Rows of one year share that year's shock, so that many failures in few years say little about later years.
    """
    own = float(spread.standard_error(np.array([centre]))[0] ** 2 - spread.year**2)
    prior = _prior_variance(spread.fitted_on)
    return prior / (prior + own + spread.year**2 / years)


def assumed_uncertainty(failures: float) -> PdUncertainty:
    """Return the uncertainty assumed where there are too few out-of-time failures to estimate it.

    Spread between years: YEARS_APART. The log of a base rate learnt from that many failures has a variance of 1 / (failures + ½).
    """
    return PdUncertainty([[1 / (failures + 0.5), 0.0], [0.0, 0.0]], UNKNOWN_YEAR_SPREAD)


def error_from_bound(pd: np.ndarray, high: np.ndarray, confidence: float) -> np.ndarray:
    """Return the standard error of log-odds that the upper bound of `pd_interval` was computed with."""
    return (logit(high) - logit(pd)) / ndtri((1 + confidence) / 2)


def pd_interval(log_odds: np.ndarray, standard_error: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper PD at a confidence level."""
    width = ndtri((1 + confidence) / 2) * standard_error
    return expit(log_odds - width), expit(log_odds + width)
