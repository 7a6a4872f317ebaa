"""What moves the failure rates of whole years: macro series, or how much years differ, estimated or stated; or nothing known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import chdtri, expit, logit, ndtri

from quiebra.errors import ParamsError
from quiebra.params import Stress
from quiebra.params.stress import BadYear
from quiebra.risk.macro import MIN_YEARS, Satellite, fit_satellite, outcome_years
from quiebra.words import Words, mark

MIN_FAILURES = 20
"""Fewest failures, over all years, from which anything is said about how years differ."""
WIDEST = 5.0
"""Log-odds by which years can differ at most."""
TOO_FEW_YEARS = mark("outcomes of {n} fiscal years are known, and {least} are needed")
TOO_FEW_FAILURES = mark("{n} companies failed in the years that were scored before, and {least} are needed")
ALIKE = mark("failure rates of the {n} fiscal years known have not differed by more than chance")


@dataclass(frozen=True)
class Scenario:
    """A shift of the log-odds of failure within a year, and both ends of its interval; None where its error is not known, or
    nothing is moved."""

    shift: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, or the shift itself where there are none."""
        return (self.shift if self.low is None else self.low), (self.shift if self.high is None else self.high)


@dataclass(frozen=True)
class YearSpread:
    """Standard deviation between years of the log-odds of failure, beyond what scores explain. low, high: its interval, None
    where it is stated. rate, source: the failure rate of a bad year that it was worked out from, and where that is from."""

    value: float
    low: float | None = None
    high: float | None = None
    rate: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class Economy:
    """At most one of satellite and spread; without either no scenario can be shown. reason: why nothing could be estimated, in
    English, with the numbers to be put into it. confidence: of the intervals."""

    satellite: Satellite | None
    spread: YearSpread | None
    reason: str | None
    numbers: dict[str, int]
    confidence: float

    @property
    def levers(self) -> list[str]:
        """What scenarios move: the macro series, or ``years``; nothing where nothing is known."""
        return list(self.satellite.series) if self.satellite else ["years"] if self.spread else []

    def scenario(self, moves: Mapping[str, float]) -> Scenario:
        """Return what moves of the economy do: of its series, in standard deviations of their yearly values, or of ``years``, in
        standard deviations between years. Moves of other things do nothing."""
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
        """Return in a sentence or two what scenarios rest on, or why there are none."""
        if self.satellite:
            return words("Scenarios move macro series that the failures of past years were related to.")
        reason = words(self.reason or "", **self.numbers)
        if self.spread is None:
            return words(
                "No scenario is shown, since what a worse economy does cannot be estimated here: {reason}. The failure rate of a "
                "bad year can be stated, with its source, in stress.bad_year.", reason=reason,
            )  # fmt: skip
        if self.spread.source is None:
            ends = (self.spread.value, self.spread.low, self.spread.high)
            times, low, high = (words.number(float(np.exp(end)), 1) for end in ends)  # type: ignore[arg-type]
            return words(
                "Scenarios move the failure rate by how much years have differed: in a bad year, one in six, {times} times as "
                "many companies fail ({low} to {high}).", times=times, low=low, high=high,
            )  # fmt: skip
        stated = words(
            "Scenarios rest on a stated figure: in a bad year, one in six, {rate} of companies fail (source: {source}). Its "
            "error is not known.", rate=words.percent(self.spread.rate), source=self.spread.source,
        )  # fmt: skip
        return stated if self.reason is None else stated + " " + words("It cannot be estimated here: {reason}.", reason=reason)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "satellite": self.satellite.plain() if self.satellite else None,
            "spread": asdict(self.spread) if self.spread else None,
            "reason": self.reason, "numbers": self.numbers, "confidence": self.confidence,
        }  # fmt: skip

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Economy:
        """Return the economy that `plain` wrote down."""
        satellite, spread = plain["satellite"], plain["spread"]
        return cls(
            Satellite.of(satellite) if satellite else None, YearSpread(**spread) if spread else None, plain["reason"],
            plain["numbers"], plain["confidence"],
        )  # fmt: skip


def fit_economy(
    judged: pl.DataFrame, macro: pl.DataFrame, options: Stress, pds: np.ndarray, confidence: float
) -> tuple[Economy, pl.DataFrame]:
    """Return what is known about the economy, and the years that it was learnt from (see `quiebra.risk.macro.outcome_years`).

    judged: out-of-time fiscal_year, pd_12m and failed of the years with known outcomes. pds: today's one-year PDs. The series of
    ``options.macro`` come first; where they cannot be related to failures, a stated bad year; then how much years differed.
    """
    years = outcome_years(judged, macro, options.macro)
    with_series = years.drop_nulls(list(options.macro))
    if options.macro and _too_few(with_series) is None:
        return Economy(fit_satellite(with_series, tuple(options.macro)), None, None, {}, confidence), years
    found = _too_few(years)
    spread = None if found else fit_year_spread(years, confidence)
    if spread is not None and not spread.value:
        spread, found = None, (ALIKE, {"n": years.height})
    reason, numbers = found or (None, {})
    if options.bad_year is not None:
        spread = stated_spread(options.bad_year, pds)
    return Economy(None, spread, reason, numbers, confidence), years


def _too_few(years: pl.DataFrame) -> tuple[str, dict[str, int]] | None:
    failures = int(years["observed"].sum()) if years.height else 0
    if years.height < MIN_YEARS:
        return TOO_FEW_YEARS, {"n": years.height, "least": MIN_YEARS}
    return (TOO_FEW_FAILURES, {"n": failures, "least": MIN_FAILURES}) if failures < MIN_FAILURES else None


def fit_year_spread(years: pl.DataFrame, confidence: float) -> YearSpread:
    """Estimate how much years differ from their ln(observed / expected failures), less what the chance of counting explains.

    years: observed and expected, one row a year. The value is where the weighted squares about their mean equal their degrees of
    freedom (Paule and Mandel, 1982), zero where chance explains them; its interval is where they equal the quantiles of
    chi-squared (the Q-profile of Viechtbauer, 2007).
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
        return WIDEST if squares(WIDEST) >= level else float(brentq(lambda s: squares(s) - level, 0.0, WIDEST))

    tail = (1 - confidence) / 2
    value, low, high = (round(where(level), 9) for level in (degrees, chdtri(degrees, tail), chdtri(degrees, 1 - tail)))
    return YearSpread(value, low, high)


def stated_spread(bad_year: BadYear, pds: np.ndarray) -> YearSpread:
    """Return the shift of log-odds that brings the mean of today's PDs to the failure rate of a bad year. ParamsError where that
    is not above their mean."""
    mean = float(pds.mean())
    if bad_year.rate <= mean:
        raise ParamsError(
            "stress.bad_year.rate is {rate}, and today's mean PD is {mean}: in a bad year more companies fail",
            rate=bad_year.rate, mean=round(mean, 6),
        )  # fmt: skip
    shift = brentq(lambda s: float(expit(logit(pds) + s).mean()) - bad_year.rate, 0.0, 50.0)
    return YearSpread(round(float(shift), 9), None, None, bad_year.rate, bad_year.source)
