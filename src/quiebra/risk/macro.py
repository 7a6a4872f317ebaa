"""Macro series as known on a date, and the satellite model that relates them to failure rates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from quiebra.errors import TrainingError
from quiebra.models.term import PD_COLUMNS

MIN_SATELLITE_YEARS = 5
MIN_SHARE_OF_OBSERVATIONS = 0.75
"""A year's mean needs at least this share of the observations of the series' fullest years."""
PRIOR_SPREAD = 0.5
"""Prior standard deviation of a slope: one standard deviation of a series moves log-odds by half a unit either way."""


def macro_state(macro: pl.DataFrame, dates: list[dt.date]) -> pl.DataFrame:
    """Return date and one column per series: its latest observation published by each date, as last revised by then."""
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
    """Return series, year and value, the mean over the calendar year, as last revised.

    A year with fewer than `MIN_SHARE_OF_OBSERVATIONS` of the observations of the series' fullest years is left out, since part
    of a year can be seasonal.
    """
    latest = macro.sort("series", "date", "available_at").unique(["series", "date"], keep="last", maintain_order=True)
    value = pl.col("value")
    years = latest.group_by("series", year=pl.col("date").dt.year()).agg(value.mean().round(9), n=value.count())
    whole = pl.col("n") >= MIN_SHARE_OF_OBSERVATIONS * pl.col("n").max().over("series")
    return years.filter(whole).select("series", "year", "value").sort("series", "year")


def outcome_years(judged: pl.DataFrame, macro: pl.DataFrame, series: Mapping[str, str]) -> pl.DataFrame:
    """Return fiscal_year, observed, expected and one column per series, as `fit_satellite` needs them.

    judged: out-of-time fiscal_year, pd_12m and failed. macro: the panel's.
    series: name → ``level``, the mean of the values dated in the year of the outcomes, or ``change``, that less the mean of the
        year before; null where it cannot be computed (see `yearly_means`).
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
    """Shift of log-odds = intercept + Σ slope × (series − mean) / scale.

    coefficients: intercept first. covariance: of the coefficients; it includes the spread between years.
    """

    series: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Satellite:
        """Return the satellite from the values that `plain` returned."""
        return cls(tuple(plain["series"]), *(np.array(plain[f.name]) for f in fields(cls) if f.name != "series"))

    def plain(self) -> dict[str, list[Any]]:
        """Return it as lists for JSON."""
        return {f.name: np.round(getattr(self, f.name), 12).tolist() for f in fields(self) if f.name != "series"} | {
            "series": list(self.series)
        }

    def state(self, moves: Mapping[str, float]) -> dict[str, float]:
        """Return each series' value after moves (in standard deviations from its mean); without a move, its mean."""
        places = zip(self.series, self.mean, self.scale, strict=True)
        return {name: float(mean + moves.get(name, 0.0) * scale) for name, mean, scale in places}

    def shift(self, state: dict[str, float]) -> tuple[float, float]:
        """Return the shift of log-odds in a state of the economy, relative to an average state, and its standard error."""
        x = np.array([0.0, *((state[name] - m) / s for name, m, s in zip(self.series, self.mean, self.scale, strict=True))])
        return float(x @ self.coefficients), float(np.sqrt(x @ self.covariance @ x))


def fit_satellite(years: pl.DataFrame, series: tuple[str, ...]) -> Satellite:
    """Fit a normal regression of ln(observed / expected failures) on macro series, over years.

    years: one row per fiscal year with observed and expected failures (out of time) and the series. Years are weighted by
        expected failures and the spread between years; a prior of half a unit of log-odds shrinks slopes to zero, so that few
        years do not establish a relation. Raise TrainingError with fewer than five years.
    """
    table = years.drop_nulls(["observed", "expected", *series])
    if table.height < MIN_SATELLITE_YEARS:
        raise TrainingError(
            f"too few years ({table.height}) have both failures and {', '.join(series)}: a relation needs {MIN_SATELLITE_YEARS}"
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


def shift_pds(scores: pl.DataFrame, shifts: list[float]) -> pl.DataFrame:
    """Return the scores with pd_12m … pd_60m shifted: the hazard of year k has ``shifts[k − 1]`` added to its log-odds.

    There is one shift per horizon. PDs stay cumulative and never decrease with the horizon.
    """
    pds = scores.select(PD_COLUMNS).to_numpy()
    survival = np.column_stack([np.ones(len(pds)), 1 - pds])
    hazards = np.clip(1 - survival[:, 1:] / survival[:, :-1], 1e-12, 1 - 1e-12)
    moved = 1 - np.cumprod(1 - expit(logit(hazards) + np.asarray(shifts)), axis=1)
    return scores.with_columns(pl.Series(name, moved[:, place]) for place, name in enumerate(PD_COLUMNS))
