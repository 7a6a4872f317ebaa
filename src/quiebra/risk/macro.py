"""From the state of the economy to failures: macro series as they were known, and their relation to the failure rate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from quiebra.errors import TrainingError
from quiebra.models.term import COLUMNS

MIN_YEARS = 5
WHOLE = 0.75
"""Share of the observations of its fullest years from which on a series has a year's mean."""
PRIOR_SPREAD = 0.5
"""Before years are seen a typical move of a series is taken to move log-odds by half a unit either way."""


def macro_state(macro: pl.DataFrame, dates: list[dt.date]) -> pl.DataFrame:
    """Return date and one column a series: its latest observation published by each date, as last revised by then."""
    asked = pl.DataFrame({"date": dates}, schema={"date": pl.Date}).unique().sort("date")
    columns = [asked]
    for (name,), rows in macro.sort("series").group_by("series", maintain_order=True):
        values = [
            rows.filter(pl.col("available_at") <= date).sort("date", "available_at")["value"].tail(1).to_list() or [None]
            for date in asked["date"]
        ]
        columns.append(pl.DataFrame({str(name): pl.Series([value for (value,) in values], dtype=pl.Float64)}))
    return pl.concat(columns, how="horizontal")


def yearly_means(macro: pl.DataFrame) -> pl.DataFrame:
    """Return series, year and value, its mean over the calendar year, as last revised. A year is left out where it has fewer than
    `WHOLE` of the observations of the series' fullest years: months of a season are no year."""
    latest = macro.sort("series", "date", "available_at").unique(["series", "date"], keep="last", maintain_order=True)
    value = pl.col("value")
    years = latest.group_by("series", year=pl.col("date").dt.year()).agg(value.mean().round(9), n=value.count())
    whole = pl.col("n") >= WHOLE * pl.col("n").max().over("series")
    return years.filter(whole).select("series", "year", "value").sort("series", "year")


def outcome_years(judged: pl.DataFrame, macro: pl.DataFrame, series: dict[str, str]) -> pl.DataFrame:
    """Return fiscal_year, observed, expected and one column a series: what `fit_satellite` needs.

    judged: out-of-time fiscal_year, pd_12m and failed. macro: the panel's. series: name → ``level``, the mean of the values dated
    in the year that the outcomes fall in, or ``change``, that less the mean of the year before. Missing where there is none; see
    `yearly_means`.
    """
    counts = {"observed": pl.col("failed").sum(), "expected": pl.col("pd_12m").sum().round(9)}
    years = judged.sort("company_id").group_by("fiscal_year").agg(**counts)
    means = yearly_means(macro)
    for name, kind in series.items():
        own = means.filter(pl.col("series") == name).select("year", "value")
        before = own.select(pl.col("year") + 1, before="value")
        own = own.join(before, on="year", how="left")
        value = pl.col("value") if kind == "level" else pl.col("value") - pl.col("before")
        own = own.select((pl.col("year") - 1).alias("fiscal_year"), value.alias(name))
        years = years.join(own, on="fiscal_year", how="left")
    return years.sort("fiscal_year")


@dataclass(frozen=True)
class Satellite:
    """Shift of log-odds = intercept + Σ slope × (series − mean) / scale, in years like those it was fitted on.

    coefficients: intercept first. covariance: theirs, with the spread of years in it.
    """

    series: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Satellite:
        """Return the satellite that `plain` wrote down."""
        return cls(tuple(plain["series"]), *(np.array(plain[f.name]) for f in fields(cls) if f.name != "series"))

    def plain(self) -> dict[str, list[Any]]:
        """Return it as lists, to be written as JSON."""
        return {f.name: np.round(getattr(self, f.name), 12).tolist() for f in fields(self) if f.name != "series"} | {
            "series": list(self.series)
        }

    def state(self, moves: Mapping[str, float]) -> dict[str, float]:
        """Return each series' value after moves, in standard deviations from its mean; without one it is at its mean."""
        places = zip(self.series, self.mean, self.scale, strict=True)
        return {name: float(mean + moves.get(name, 0.0) * scale) for name, mean, scale in places}

    def shift(self, state: dict[str, float]) -> tuple[float, float]:
        """Return the shift of log-odds in a state of the economy and its standard error, both against an average state."""
        x = np.array([0.0, *((state[name] - m) / s for name, m, s in zip(self.series, self.mean, self.scale, strict=True))])
        return float(x @ self.coefficients), float(np.sqrt(x @ self.covariance @ x))


def fit_satellite(years: pl.DataFrame, series: tuple[str, ...]) -> Satellite:
    """Relate failures beyond those expected to macro series, over years: a normal regression of ln(observed / expected).

    years: one row a fiscal year with observed and expected failures (out of time) and the series. Each year weighs by its
    expected failures and by how much years differ; slopes are shrunk to zero by a prior of half a unit of log-odds, so that
    few years do not make a relation. Raises TrainingError with fewer than five years.
    """
    table = years.drop_nulls(["observed", "expected", *series])
    if table.height < MIN_YEARS:
        raise TrainingError(
            f"too few years ({table.height}) have both failures and {', '.join(series)}: a relation needs {MIN_YEARS}"
        )
    values = table.select(series).to_numpy()
    mean, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([np.ones(len(values)), (values - mean) / scale])
    observed, expected = table["observed"].to_numpy(), table["expected"].to_numpy()
    y = np.log((observed + 0.5) / (expected + 0.5))
    between = max(float(np.var(y) - np.mean(1 / (expected + 0.5))), 0.02)
    weight = 1 / (1 / (expected + 0.5) + between)
    precision = (x * weight[:, None]).T @ x + np.diag([0.0, *([1 / PRIOR_SPREAD**2] * len(series))])
    covariance = np.linalg.inv(precision)
    return Satellite(series, mean, scale, covariance @ (x.T @ (weight * y)), covariance)


def under_scenario(scores: pl.DataFrame, shifts: list[float]) -> pl.DataFrame:
    """Return the scores with pd_12m … pd_60m moved: the hazard of year k has its log-odds shifted by ``shifts[k − 1]``.

    One shift a horizon. PDs stay cumulative and never fall; an upper or lower path of shifts gives the band of a scenario.
    """
    pds = scores.select(COLUMNS).to_numpy()
    survival = np.column_stack([np.ones(len(pds)), 1 - pds])
    hazards = np.clip(1 - survival[:, 1:] / survival[:, :-1], 1e-12, 1 - 1e-12)
    moved = 1 - np.cumprod(1 - expit(logit(hazards) + np.asarray(shifts)), axis=1)
    return scores.with_columns(pl.Series(name, moved[:, place]) for place, name in enumerate(COLUMNS))
