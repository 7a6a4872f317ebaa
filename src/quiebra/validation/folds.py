"""Yearly folds: each fiscal year is scored by a model that learnt only from outcomes known before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from quiebra.canonical import earliest_day
from quiebra.items import FIRM_YEAR_KEYS, VERSION_KEYS
from quiebra.panels.horizons import known_outcomes
from quiebra.params import Labels


@dataclass(frozen=True)
class YearFold:
    """A fiscal year and what could be learnt before it.

    known_at: the end of the year, or when its first statement was published. train: the firm-years whose outcome was known then:
        `VERSION_KEYS`, years_to_failure, years_known (see `quiebra.panels.horizons`) and the columns of the features. test: the
        year's statements as first published.
    """

    year: int
    known_at: dt.date
    train: pl.DataFrame
    test: pl.DataFrame

    @property
    def failed(self) -> np.ndarray:
        """1 where a row of ``train`` failed within a year, else 0."""
        return (self.train["years_to_failure"] == 1).fill_null(False).to_numpy().astype(int)


def yearly_folds(
    features: pl.DataFrame,
    statements: pl.DataFrame,
    events: pl.DataFrame,
    *,
    years: Iterable[int],
    first_year: int,
    embargo: int,
    labels: Labels,
) -> Iterator[YearFold]:
    """Yield a fold for each of the years that has statements; see `quiebra.models.walk_forward`, whose folds these are.

    Training rows are those of fiscal years first_year … year − 1 − embargo.
    """
    first = features.sort(VERSION_KEYS).unique(FIRM_YEAR_KEYS, keep="first", maintain_order=True)
    for year in years:
        test = first.filter(pl.col("fiscal_year") == year)
        if test.is_empty():
            continue
        known_at = min(dt.date(year, 12, 31), earliest_day(test["available_at"]))
        known = known_outcomes(statements, events, labels, known_at=known_at, last_year=year - 1 - embargo)
        known = known.filter((pl.col("fiscal_year") >= first_year) & (pl.col("years_known") >= 1))
        outcomes = known.select(*VERSION_KEYS, "years_to_failure", "years_known")
        yield YearFold(year, known_at, outcomes.join(features, on=VERSION_KEYS, maintain_order="left"), test)
