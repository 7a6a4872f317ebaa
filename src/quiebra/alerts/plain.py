"""An alert in plain words, without its rule's arithmetic, and what to do about it first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quiebra.alerts.measures import earlier
from quiebra.features.altman import SCORES
from quiebra.params.operations import STATUSES
from quiebra.risk.runs import FinishedRun
from quiebra.words import Words, mark

FIRST_STEPS = {
    "pd_12m": mark("review its limit and collateral"),
    "pd_60m": mark("review what is lent to it for long"),
    "pd_rise": mark("find out what its latest accounts changed"),
    "pd_times": mark("find out what its latest accounts changed"),
    "notches": mark("find out what its latest accounts changed"),
    "grade": mark("confirm the grade, or put it on the analysts' list"),
    "peers": mark("compare it with its sector"),
    "riskiest": mark("review its limit and collateral"),
    "inversion": mark("ask how it will pay what falls due"),
    "zone": mark("find out what its latest accounts changed"),
    "statement_months": mark("ask for newer accounts"),
    "blind": mark("ask for the missing figures"),
    "expected_loss": mark("look at the companies that add most to it"),
    "shortfall": mark("look at the companies that add most to bad years"),
    "largest_share": mark("cover or reduce the largest exposure"),
    "sector_hhi": mark("look at the largest sectors"),
    "drift": mark("read the validation report before relying on new scores"),
}
"""Measure → what to do first about an alert on it."""
TELLING = (
    "pd_times", "pd_rise", "pd_12m", "inversion", "notches", "peers", "riskiest", "pd_60m", "grade", "zone", "blind",
    "statement_months",
)  # fmt: skip
"""Measures of companies, those that tell a reader most first."""


@dataclass(frozen=True)
class Fact:
    """What a company's alerts are about, now and at its statement before, ``years`` fiscal years earlier; missing where there was
    none. exposure: missing where the portfolio does not hold it."""

    pd: float
    rating: str
    pd_before: float | None = None
    rating_before: str | None = None
    years: int | None = None
    zones: tuple[str, str] | None = None
    exposure: float | None = None

    @property
    def at_risk(self) -> float:
        """PD times exposure; nought without an exposure."""
        return self.pd * (self.exposure or 0.0)


def facts(run: FinishedRun) -> dict[str, Fact]:
    """Return company_id → what its alerts are about, of the scored companies of a finished run."""
    zones = [f"{name}_zone" for name in SCORES]
    now = run.scores.select("company_id", "fiscal_year", "pd_12m", "rating", *zones)
    before = earlier(run.history, now).select(
        "company_id", year_before="fiscal_year", pd_before="pd_12m", rating_before="rating", **{f"{z}_before": z for z in zones}
    )
    both = now.join(before, on="company_id", how="left").join(
        run.shares.select("company_id", "exposure"), on="company_id", how="left", maintain_order="left"
    )
    return {row["company_id"]: _fact(row) for row in both.iter_rows(named=True)}


def _fact(row: Mapping[str, Any]) -> Fact:
    pairs = ((row[f"{name}_zone"], row[f"{name}_zone_before"]) for name in SCORES)
    year = row["year_before"]
    return Fact(
        row["pd_12m"], row["rating"], row["pd_before"], row["rating_before"], None if year is None else row["fiscal_year"] - year,
        next((pair for pair in pairs if None not in pair), None), row["exposure"],
    )  # fmt: skip


def sentence(alert: Mapping[str, Any], words: Words, grades: Sequence[str], fact: Fact | None = None) -> str:
    """Return what an alert says of its subject, as a part of a sentence: ``PD has tripled in a year, from 4.0 % to 13 %``.

    fact: of the company; without it, or where it does not fit the alert's figure, what was before is left out.
    """
    measure, value = alert["measure"], alert["value"]
    if value is None:
        return words("it cannot be worked out now: {rule}", rule=words(alert["rule"]))
    if measure in ("pd_rise", "pd_times") and fact is not None and fact.pd_before is not None:
        return _moved(measure, value, words, fact)
    if measure == "notches":
        return _downgraded(value, words, fact)
    if measure == "zone":
        return _zone(words, fact)
    if measure == "statement_months":
        return words.count("its latest accounts are {n} month old", "its latest accounts are {n} months old", n=value)
    texts = {
        "pd_12m": mark("PD is {share} within a year"), "pd_60m": mark("PD is {share} within five years"),
        "pd_rise": mark("PD has risen by {points} points since the accounts before"),
        "pd_times": mark("PD is {times} times that of the accounts before"), "grade": mark("graded {grade}"),
        "peers": mark("PD is {times} times the median of its sector"),
        "riskiest": mark("riskier than {percent} of companies"),
        "inversion": mark("failure is {times} times as likely within the first year as in a later one"),
        "blind": mark("{percent} of what the model relies on is missing"),
        "expected_loss": mark("expected loss is {share} of the exposure"),
        "shortfall": mark("{share} of the exposure is lost in bad years, on average"),
        "largest_share": mark("one company is {percent} of the exposure"),
        "sector_hhi": mark("exposures lie in few sectors (index {index})"), "drift": mark("monitoring says: {status}"),
    }  # fmt: skip
    place = int(value) if measure in ("grade", "drift") else 0
    named = {
        "grade": grades[place] if measure == "grade" and 0 <= place < len(grades) else words.number(value),
        "status": words(STATUSES[place]) if measure == "drift" else "",
    }
    return words(
        texts[measure], share=share(value, words), percent=_percent(measure, value, words), points=words.significant(100 * value),
        times=_times(value, words), index=words.number(value, 2), **named,
    )  # fmt: skip


def share(value: float | None, words: Words) -> str:
    """Return a PD or a loss with as many decimals as say something: 13 %, 4.0 %, 0.25 %."""
    return words.percent(value, 2 if value is None or abs(value) < 0.01 else 1 if abs(value) < 0.0995 else 0)


def _percent(measure: str, value: float, words: Words) -> str:
    """Return a share without decimals; the riskiest company is not riskier than 100 % of companies, itself among them."""
    if measure == "riskiest" and 0.995 <= value < 1:
        return words.percent(math.floor(1000 * value) / 1000, 1)
    return words.percent(value, 0)


def _times(value: float, words: Words) -> str:
    return words.number(value, 0 if value >= 10 else 1)


def _span(fact: Fact, words: Words) -> str:
    return (
        words("in a year")
        if fact.years == 1
        else words("in two years")
        if fact.years == 2
        else words("since the accounts before")
    )


def _moved(measure: str, value: float, words: Words, fact: Fact) -> str:
    """Return how the PD rose, in the multiple that a reader would say."""
    times = fact.pd / fact.pd_before if fact.pd_before else 0.0
    known = {2: mark("PD has doubled {span}, from {before} to {now}"), 3: mark("PD has tripled {span}, from {before} to {now}"),
             4: mark("PD has quadrupled {span}, from {before} to {now}")}  # fmt: skip
    whole = round(times)
    fits = abs(times - whole) <= 0.3 and whole in known
    if measure == "pd_times" and not fits:
        text = mark("PD is {times} times what it was {span}: {before} then, {now} now")
    else:
        text = known[whole] if fits else mark("PD has risen {span}, from {before} to {now}")
    span = _ago(fact, words) if text.startswith("PD is") else _span(fact, words)
    return words(text, span=span, before=share(fact.pd_before, words), now=share(fact.pd, words), times=_times(times, words))


def _ago(fact: Fact, words: Words) -> str:
    return words("a year ago") if fact.years == 1 else words("two years ago") if fact.years == 2 else words("before")


def _downgraded(value: float, words: Words, fact: Fact | None) -> str:
    if fact is None or fact.rating_before is None:
        return words.count("{n} grade lost since the accounts before", "{n} grades lost since the accounts before", n=value)
    return words.count(
        "{n} grade lost {span}, from {before} to {now}", "{n} grades lost {span}, from {before} to {now}", n=value,
        span=_span(fact, words), before=fact.rating_before, now=fact.rating,
    )  # fmt: skip


def _zone(words: Words, fact: Fact | None) -> str:
    if fact is None or fact.zones is None:
        return words("Altman's zone is worse than in the accounts before")
    now, before = (words(zone) for zone in fact.zones)
    return words("Altman's zone is worse {span}: {before} then, {now} now", span=_than(fact, words), before=before, now=now)


def _than(fact: Fact, words: Words) -> str:
    return (
        words("than a year ago") if fact.years == 1 else words("than two years ago") if fact.years == 2 else words("than before")
    )


__all__ = ["FIRST_STEPS", "TELLING", "Fact", "facts", "sentence", "share"]
