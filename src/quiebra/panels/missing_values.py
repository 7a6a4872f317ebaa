"""How well missing market values alone rank failures: a source that drops them where companies fail gives the outcome away."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quiebra.errors import LocalisedMessage
from quiebra.panels.labels import label_outcomes

ITEM = "market_value"
RESAMPLES, SEED = 200, 1
CONFIDENCE = 0.95
LARGEST_SOUND_AUC = 0.55
"""AUC of missing values that a sound panel may have: companies with and without a listing fail at different rates."""


def missing_value_auc(statements: pl.DataFrame, events: pl.DataFrame, window_months: int) -> dict[str, Any]:
    """Return the AUC within fiscal years of "the market value is missing" for failure within a year, as plain JSON values.

    Keys: auc, low and high (interval from resampling whole companies), failures. 0.5 is no information; auc, low and high are
    None without failures, or where the item is missing everywhere or nowhere.
    """
    outcomes = label_outcomes(statements, events, window_months=window_months).select(
        "company_id", "fiscal_year", "available_at", "failed"
    )
    rows = outcomes.join(
        statements.select("company_id", "fiscal_year", "available_at", missing=pl.col(ITEM).is_null()),
        on=["company_id", "fiscal_year", "available_at"],
    )
    failures, missing = int(rows["failed"].sum()), int(rows["missing"].sum())
    if not 0 < failures < rows.height or not 0 < missing < rows.height:
        return {"auc": None, "low": None, "high": None, "failures": failures}
    company = rows["company_id"].rank("dense").to_numpy().astype(int) - 1
    year = rows["fiscal_year"].rank("dense").to_numpy().astype(int) - 1
    flags = rows["failed"].to_numpy().astype(bool), rows["missing"].to_numpy()
    draws = np.random.default_rng(SEED)
    weights = [
        np.bincount(draws.integers(0, company.max() + 1, company.max() + 1), minlength=company.max() + 1)
        for _ in range(RESAMPLES)
    ]
    found = [_auc(year, *flags, weight[company]) for weight in weights]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    whole = _auc(year, *flags, np.ones(rows.height))
    return {"auc": round(whole, 6), "low": round(float(low), 6), "high": round(float(high), 6), "failures": failures}


def _auc(year: np.ndarray, failed: np.ndarray, missing: np.ndarray, weight: np.ndarray) -> float:
    """Return the AUC of the flag in each year, averaged over failures; NaN without failures or survivors of one year."""
    count = year.max() + 1

    def total(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(year, weights=weight * chosen, minlength=count)

    bad, good = total(failed), total(~failed)
    both = (bad > 0) & (good > 0)
    if not both.any():
        return float("nan")
    gap = total(failed & missing)[both] / bad[both] - total(~failed & missing)[both] / good[both]
    return float(np.average(0.5 + gap / 2, weights=bad[both]))


def missing_value_doubts(found: dict[str, Any]) -> list[LocalisedMessage]:
    """Return a warning where missing market values point to failures, beyond what chance and sound panels give."""
    if found["low"] is None or found["low"] <= LARGEST_SOUND_AUC:
        return []
    text = (
        "market values are missing where companies fail (AUC of missing ones alone {auc}, {low} to {high}): the source gives the "
        "outcome away. Take market values known on the day of publication, or leave them out"
    )
    return [LocalisedMessage(text, {name: f"{found[name]:.2f}" for name in ("auc", "low", "high")})]
