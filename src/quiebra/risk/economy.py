"""Drivers of yearly failure rates: macro series, the spread between years (estimated or stated), or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import chdtri, expit, logit, ndtri

from quiebra.errors import ParamsError
from quiebra.params.stress import BadYear, Stress
from quiebra.risk.macro import MIN_SATELLITE_YEARS, Satellite, fit_satellite, outcome_years
from quiebra.text.words import Words, translatable

MIN_FAILURES_FOR_ECONOMY = 20
"""Fewest failures, over all years, to estimate the spread between years or a relation to macro series."""
MAX_YEAR_SPREAD = 5.0
"""Largest spread between years considered, in log-odds."""
TOO_FEW_YEARS = translatable("outcomes of {n} fiscal years are known, and {least} are needed")
TOO_FEW_FAILURES = translatable("{n} companies failed in the years that were scored before, and {least} are needed")
NO_SPREAD_REASON = translatable("failure rates of the {n} fiscal years known have not differed by more than chance")


@dataclass(frozen=True)
class Scenario:
    """A shift of the log-odds of failure within a year, with its interval; None where the error is unknown or nothing moves."""

    shift: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the interval; the shift itself where there is none."""
        return (self.shift if self.low is None else self.low), (self.shift if self.high is None else self.high)


@dataclass(frozen=True)
class YearSpread:
    """Standard deviation between years of the log-odds of failure, beyond what the scores explain.

    low, high: its interval; None where the spread is stated. rate, source: failure rate of a bad year that a stated spread is
        computed from, and the source of that rate.
    """

    value: float
    low: float | None = None
    high: float | None = None
    rate: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class Economy:
    """What drives yearly failure rates: a satellite model, a spread between years, or neither; then no scenario can be shown.

    reason: why nothing could be estimated, as an English template; numbers: its values. confidence: of the intervals.
    """

    satellite: Satellite | None
    spread: YearSpread | None
    reason: str | None
    numbers: dict[str, int]
    confidence: float

    @property
    def levers(self) -> list[str]:
        """What scenarios can move: the macro series, or ``years``; empty where nothing is known."""
        return list(self.satellite.series) if self.satellite else ["years"] if self.spread else []

    def scenario(self, moves: Mapping[str, float]) -> Scenario:
        """Return the effect of moves, in standard deviations.

        Moves are of a series' yearly values, or of ``years`` (the spread between years); others have no effect.
        """
        if self.satellite:
            shift, error = self.satellite.shift(self.satellite.state(moves))
            width = float(ndtri((1 + self.confidence) / 2)) * error
            return Scenario(shift, shift - width, shift + width) if error else Scenario(shift)
        move, spread = moves.get("years", 0.0), self.spread
        if spread is None or not move:
            return Scenario(0.0)
        if spread.low is None or spread.high is None:
            return Scenario(move * spread.value)
        low, high = sorted((move * spread.low, move * spread.high))
        return Scenario(move * spread.value, low, high)

    def about(self, words: Words) -> str:
        """Return one or two sentences on what scenarios are based on, or why there are none."""
        if self.satellite:
            return words("Scenarios move macro series that the failures of past years were related to.")
        reason = words(self.reason or "", **self.numbers)
        if self.spread is None:
            return words(
                "No scenario is shown, since what a worse economy does cannot be estimated here: {reason}. The failure rate of a "
                "bad year can be stated, with its source, in stress.bad_year.",
                reason=reason,
            )
        if self.spread.source is None:
            ends = (self.spread.value, self.spread.low, self.spread.high)
            times, low, high = (
                words.number(float(np.exp(cast("float", end))), 1) for end in ends
            )  # an estimated spread has both bounds
            return words(
                "Scenarios move the failure rate by how much years have differed: in a bad year, one in six, {times} times as "
                "many companies fail ({low} to {high}).",
                times=times,
                low=low,
                high=high,
            )
        stated = words(
            "Scenarios rest on a stated figure: in a bad year, one in six, {rate} of companies fail (source: {source}). Its "
            "error is not known.",
            rate=words.percent(self.spread.rate),
            source=self.spread.source,
        )
        return stated if self.reason is None else stated + " " + words("It cannot be estimated here: {reason}.", reason=reason)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "satellite": self.satellite.plain() if self.satellite else None,
            "spread": asdict(self.spread) if self.spread else None,
            "reason": self.reason,
            "numbers": self.numbers,
            "confidence": self.confidence,
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Economy:
        """Return the economy from the values that `plain` returned."""
        satellite, spread = plain["satellite"], plain["spread"]
        return cls(
            Satellite.of(satellite) if satellite else None,
            YearSpread(**spread) if spread else None,
            plain["reason"],
            plain["numbers"],
            plain["confidence"],
        )


def fit_economy(
    judged: pl.DataFrame, macro: pl.DataFrame, options: Stress, pds: np.ndarray, confidence: float
) -> tuple[Economy, pl.DataFrame]:
    """Return the fitted economy, and the years that it was fitted on (see `quiebra.risk.macro.outcome_years`).

    judged: out-of-time fiscal_year, pd_12m and failed of the years with known outcomes. pds: today's one-year PDs. The macro
        series of ``options.macro`` are tried first; then a stated bad year; then the estimated spread between years.
    """
    years = outcome_years(judged, macro, options.macro)
    with_series = years.drop_nulls(list(options.macro))
    if options.macro and _too_few(with_series) is None:
        return Economy(fit_satellite(with_series, tuple(options.macro)), None, None, {}, confidence), years
    found = _too_few(years)
    spread = None if found else fit_year_spread(years, confidence)
    if spread is not None and not spread.value:
        spread, found = None, (NO_SPREAD_REASON, {"n": years.height})
    reason, numbers = found or (None, {})
    if options.bad_year is not None:
        spread = stated_spread(options.bad_year, pds)
    return Economy(None, spread, reason, numbers, confidence), years


def _too_few(years: pl.DataFrame) -> tuple[str, dict[str, int]] | None:
    failures = int(years["observed"].sum()) if years.height else 0
    if years.height < MIN_SATELLITE_YEARS:
        return TOO_FEW_YEARS, {"n": years.height, "least": MIN_SATELLITE_YEARS}
    return (TOO_FEW_FAILURES, {"n": failures, "least": MIN_FAILURES_FOR_ECONOMY}) if failures < MIN_FAILURES_FOR_ECONOMY else None


def fit_year_spread(years: pl.DataFrame, confidence: float) -> YearSpread:
    """Estimate the spread between years from their ln(observed / expected failures), less sampling variance.

    years: observed and expected, one row per year. The estimate is where the weighted squares about their mean equal their
        degrees of freedom (Paule and Mandel, 1982), zero where chance explains them; the interval is where they equal the
        quantiles of chi-squared (Q-profile; Viechtbauer, 2007).
    """
    observed, expected = (years[name].to_numpy().astype(float) for name in ("observed", "expected"))
    y, sampling = np.log((observed + 0.5) / (expected + 0.5)), 1 / (expected + 0.5)
    degrees = len(y) - 1

    def squares(spread: float) -> float:
        weight = 1 / (sampling + spread**2)
        return float(np.sum(weight * (y - np.average(y, weights=weight)) ** 2))

    def where(level: float) -> float:
        if squares(0.0) <= level:
            return 0.0
        return (
            MAX_YEAR_SPREAD
            if squares(MAX_YEAR_SPREAD) >= level
            else float(brentq(lambda s: squares(s) - level, 0.0, MAX_YEAR_SPREAD))
        )

    tail = (1 - confidence) / 2
    value, low, high = (round(where(float(level)), 9) for level in (degrees, chdtri(degrees, tail), chdtri(degrees, 1 - tail)))
    return YearSpread(value, low, high)


def stated_spread(bad_year: BadYear, pds: np.ndarray) -> YearSpread:
    """Return the spread whose shift of log-odds brings the mean of today's PDs to the failure rate of a stated bad year.

    Raise ParamsError where that rate is not above their mean.
    """
    mean = float(pds.mean())
    if bad_year.rate <= mean:
        raise ParamsError(
            "stress.bad_year.rate is {rate}, and today's mean PD is {mean}: in a bad year more companies fail",
            rate=bad_year.rate,
            mean=round(mean, 6),
        )
    shift = brentq(lambda s: float(expit(logit(pds) + s).mean()) - bad_year.rate, 0.0, 50.0)
    return YearSpread(round(float(shift), 9), None, None, bad_year.rate, bad_year.source)
