"""Checks that an estimator's predictions come from its training rows and from each row's own values alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from quiebra.errors import LeakageError

TOLERANCE = 1e-7
"""Largest difference of a PD that counts as none: libraries' sums over many rows differ in the last digits."""


def refuse_other_rows(predict: Callable[[pd.DataFrame], np.ndarray], rows: pd.DataFrame, pds: np.ndarray, name: str) -> None:
    """Raise LeakageError where the PDs of the first half of the rows change with the values of the second half.

    rows: in order of publication. pds: what ``predict`` gave for them.
    """
    half = len(rows) // 2
    poisoned = rows.copy()
    poisoned.iloc[half:] = -3 * rows.iloc[half:].to_numpy()[::-1] + 7
    if half and not np.allclose(predict(poisoned)[:half], pds[:half], rtol=0, atol=TOLERANCE, equal_nan=True):
        raise LeakageError(
            f"{name} is refused: its PD of a company changes with the values of companies that publish later. Fit what it needs "
            "of other rows (means, ranks, bounds) in fit, and predict each row from its own values."
        )


def refuse_memory(first: np.ndarray, again: np.ndarray, year: int, name: str) -> None:
    """Raise LeakageError where a fresh copy of the estimator, fitted on a year's training rows again after it had seen later
    years, predicts otherwise."""
    if not np.allclose(first, again, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise LeakageError(
            f"{name} is refused: fitted again on the rows of fiscal year {year} after it had seen later years, it predicts "
            f"otherwise (by up to {np.nanmax(np.abs(first - again)):.2g}). It keeps something between fits, or is random: give "
            "it a random_state."
        )
