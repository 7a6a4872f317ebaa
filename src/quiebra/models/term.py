"""The term structure: cumulative PDs of one to five years from the hazards of the first year and of later years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from quiebra.models.blend import MIN_FAILURES_TO_CALIBRATE, fit_logistic

HORIZON_YEARS = (1, 2, 3, 4, 5)
"""Horizons in years."""
PD_COLUMNS = tuple(f"pd_{12 * years}m" for years in HORIZON_YEARS)


def near_share(horizon: int, share: float, decay: float) -> float:
    """Return the weight of the first year's trees in the log-odds of year ``horizon``: share × decay^(horizon − 1)."""
    return share * decay ** (horizon - 1)


@dataclass(frozen=True)
class TermStructure:
    """Calibration of the hazards of years two to five: intercept + slope × log-odds. fitted_on: failures used; 0: not fitted."""

    intercept: float
    slope: float
    fitted_on: int

    def log_odds(self, mixed: np.ndarray) -> np.ndarray:
        return self.intercept + self.slope * mixed


def fit_term_structure(mixed: np.ndarray, failed: np.ndarray) -> TermStructure:
    """Fit on out-of-time pairs of firm-year and later year at risk: log-odds and 0/1 outcomes, with horizons pooled."""
    failures = int(failed.sum())
    if failures < MIN_FAILURES_TO_CALIBRATE or failures == len(failed):
        return TermStructure(0.0, 1.0, 0)
    intercept, slope = fit_logistic(mixed[:, None], failed)
    return TermStructure(float(intercept), float(slope), failures)


def cumulative_pds(first: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Return cumulative PDs, rows × horizons, from log-odds of the first year's hazard and of later ones (rows × horizons − 1).

    PD of h years = 1 − Π (1 − hazard of year k), k ≤ h: between 0 and 1 and never decreasing.
    """
    hazards = np.column_stack([expit(first), expit(later)])
    pds: np.ndarray = -np.expm1(np.cumsum(np.log1p(-hazards), axis=1))
    return pds
