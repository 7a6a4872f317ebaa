"""Checks that an estimator's predictions come from its training rows and from each row's own values alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from quiebra.errors import LeakageError

TOLERANCE = 1e-7
"""Largest difference of a PD that counts as none: libraries' sums over many rows differ in the last digits."""


def refuse_other_rows(predict: Callable[[pd.DataFrame], np.ndarray], rows: pd.DataFrame, pds: np.ndarray, name: str) -> None:
    """Raise LeakageError where the PD of a row changes with the rows that are predicted with it.

    pds: what ``predict`` gave for all rows. Parts of them are predicted again: the first half, every third row, and one row.
    """
    for part in (slice(0, len(rows) // 2), slice(0, None, 3), slice(len(rows) - 1, None)):
        some = rows.iloc[part]
        if len(some) and not _same(predict(some.reset_index(drop=True)), pds[part]):
            raise LeakageError(
                f"{name} is refused: its PD of a company changes with the other companies that it predicts. Fit what it needs "
                "of other rows (means, ranks, bounds) in fit, and predict each row from its own values."
            )


def refuse_memory(first: np.ndarray, again: np.ndarray, year: int, name: str) -> None:
    """Raise LeakageError where two fresh copies of an estimator, fitted on the same rows before and after others, differ."""
    if not _same(first, again):
        raise LeakageError(
            f"{name} is refused: fitted twice on the rows for fiscal year {year}, before and after other years, it predicts "
            f"otherwise (by up to {np.nanmax(np.abs(first - again)):.2g}). It keeps something between fits, or is random: give "
            "it a random_state."
        )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=TOLERANCE, equal_nan=True)
