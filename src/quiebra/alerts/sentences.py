"""Write an alert as a plain sentence without its rule's arithmetic, and name the first step to take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quiebra.alerts.measures import earlier_scores
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.params.operations import STATUSES
from quiebra.risk.finished_run import FinishedRun
from quiebra.text.words import Words, translatable

FIRST_STEPS = {
    "pd_12m": translatable("review its limit and collateral"),
    "pd_60m": translatable("review what is lent to it for long"),
    "pd_rise": translatable("find out what its latest accounts changed"),
    "pd_times": translatable("find out what its latest accounts changed"),
    "notches": translatable("find out what its latest accounts changed"),
    "grade": translatable("confirm the grade, or put it on the analysts' list"),
    "peers": translatable("compare it with its sector"),
    "riskiest": translatable("review its limit and collateral"),
    "inversion": translatable("ask how it will pay what falls due"),
    "zone": translatable("find out what its latest accounts changed"),
    "statement_months": translatable("ask for newer accounts"),
    "blind": translatable("ask for the missing figures"),
    "expected_loss": translatable("look at the companies that add most to it"),
    "shortfall": translatable("look at the companies that add most to bad years"),
    "largest_share": translatable("cover or reduce the largest exposure"),
    "sector_hhi": translatable("look at the largest sectors"),
    "drift": translatable("read the validation report before relying on new scores"),
}
"""Measure → recommended first step for an alert on it."""
MEASURES_BY_INFORMATION = (
    "pd_times",
    "pd_rise",
    "pd_12m",
    "inversion",
    "notches",
    "peers",
    "riskiest",
    "pd_60m",
    "grade",
    "zone",
    "blind",
    "statement_months",
)
"""Company measures, the most informative for a reader first."""


@dataclass(frozen=True)
class CompanyFacts:
    """A company's figures now and at its previous statement, ``years`` fiscal years earlier; None if there is none.

    zones: now and before. exposure: None if the portfolio does not hold the company.
    """

    pd: float
    rating: str
    pd_before: float | None = None
    rating_before: str | None = None
    years: int | None = None
    zones: tuple[str, str] | None = None
    exposure: float | None = None

    @property
    def at_risk(self) -> float:
        """PD times exposure; 0 without an exposure."""
        return self.pd * (self.exposure or 0.0)


def company_facts(run: FinishedRun) -> dict[str, CompanyFacts]:
    """Return company_id → its figures, for the scored companies of a finished run."""
    zones = [f"{name}_zone" for name in ALTMAN_SCORES]
    now = run.scores.select("company_id", "fiscal_year", "pd_12m", "rating", *zones)
    before = earlier_scores(run.history, now).select(
        "company_id", year_before="fiscal_year", pd_before="pd_12m", rating_before="rating", **{f"{z}_before": z for z in zones}
    )
    both = now.join(before, on="company_id", how="left").join(
        run.portfolio_losses.select("company_id", "exposure"), on="company_id", how="left", maintain_order="left"
    )
    return {row["company_id"]: _fact(row) for row in both.iter_rows(named=True)}


def _fact(row: Mapping[str, Any]) -> CompanyFacts:
    pairs = ((row[f"{name}_zone"], row[f"{name}_zone_before"]) for name in ALTMAN_SCORES)
    year = row["year_before"]
    return CompanyFacts(
        row["pd_12m"],
        row["rating"],
        row["pd_before"],
        row["rating_before"],
        None if year is None else row["fiscal_year"] - year,
        next((pair for pair in pairs if None not in pair), None),
        row["exposure"],
    )


def alert_sentence(alert: Mapping[str, Any], words: Words, grades: Sequence[str], fact: CompanyFacts | None = None) -> str:
    """Return an alert's statement on its subject as part of a sentence: ``PD has tripled in a year, from 4.0 % to 13 %``.

    fact: the company's figures; without it, or where it lacks the measure's earlier value, that value is left out.
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
        "pd_12m": translatable("PD is {share} within a year"),
        "pd_60m": translatable("PD is {share} within five years"),
        "pd_rise": translatable("PD has risen by {points} points since the accounts before"),
        "pd_times": translatable("PD is {times} times that of the accounts before"),
        "grade": translatable("graded {grade}"),
        "peers": translatable("PD is {times} times the median of its sector"),
        "riskiest": translatable("riskier than {percent} of companies"),
        "inversion": translatable("failure is {times} times as likely within the first year as in a later one"),
        "blind": translatable("{percent} of what the model relies on is missing"),
        "expected_loss": translatable("expected loss is {share} of the exposure"),
        "shortfall": translatable("{share} of the exposure is lost in bad years, on average"),
        "largest_share": translatable("one company is {percent} of the exposure"),
        "sector_hhi": translatable("exposures lie in few sectors (index {index})"),
        "drift": translatable("monitoring says: {status}"),
    }
    place = int(value) if measure in ("grade", "drift") else 0
    named = {
        "grade": grades[place] if measure == "grade" and 0 <= place < len(grades) else words.number(value),
        "status": words(STATUSES[place]) if measure == "drift" else "",
    }
    return words(
        texts[measure],
        share=format_share(value, words),
        percent=_percent(measure, value, words),
        points=words.significant(100 * value),
        times=_times(value, words),
        index=words.number(value, 2),
        **named,
    )


def format_share(value: float | None, words: Words) -> str:
    """Return a PD or loss as a percentage with as many decimals as its size needs: 13 %, 4.0 %, 0.25 %."""
    return words.percent(value, 2 if value is None or abs(value) < 0.01 else 1 if abs(value) < 0.0995 else 0)


def _percent(measure: str, value: float, words: Words) -> str:
    """Return a share without decimals. "riskiest" below 1 is not rounded up to 100 %, as no company is riskier than itself."""
    if measure == "riskiest" and 0.995 <= value < 1:
        return words.percent(math.floor(1000 * value) / 1000, 1)
    return words.percent(value, 0)


def _times(value: float, words: Words) -> str:
    return words.number(value, 0 if value >= 10 else 1)


def _span(fact: CompanyFacts, words: Words) -> str:
    return (
        words("in a year")
        if fact.years == 1
        else words("in two years")
        if fact.years == 2
        else words("since the accounts before")
    )


def _moved(measure: str, value: float, words: Words, fact: CompanyFacts) -> str:
    """Return the rise of the PD, as a whole multiple (doubled, tripled, quadrupled) if it is near one."""
    times = fact.pd / fact.pd_before if fact.pd_before else 0.0
    known = {
        2: translatable("PD has doubled {span}, from {before} to {now}"),
        3: translatable("PD has tripled {span}, from {before} to {now}"),
        4: translatable("PD has quadrupled {span}, from {before} to {now}"),
    }
    whole = round(times)
    fits = abs(times - whole) <= 0.3 and whole in known
    if measure == "pd_times" and not fits:
        text = translatable("PD is {times} times what it was {span}: {before} then, {now} now")
    else:
        text = known[whole] if fits else translatable("PD has risen {span}, from {before} to {now}")
    span = _ago(fact, words) if text.startswith("PD is") else _span(fact, words)
    return words(
        text, span=span, before=format_share(fact.pd_before, words), now=format_share(fact.pd, words), times=_times(times, words)
    )


def _ago(fact: CompanyFacts, words: Words) -> str:
    return words("a year ago") if fact.years == 1 else words("two years ago") if fact.years == 2 else words("before")


def _downgraded(value: float, words: Words, fact: CompanyFacts | None) -> str:
    if fact is None or fact.rating_before is None:
        return words.count("{n} grade lost since the accounts before", "{n} grades lost since the accounts before", n=value)
    return words.count(
        "{n} grade lost {span}, from {before} to {now}",
        "{n} grades lost {span}, from {before} to {now}",
        n=value,
        span=_span(fact, words),
        before=fact.rating_before,
        now=fact.rating,
    )


def _zone(words: Words, fact: CompanyFacts | None) -> str:
    if fact is None or fact.zones is None:
        return words("Altman's zone is worse than in the accounts before")
    now, before = (words(zone) for zone in fact.zones)
    return words("Altman's zone is worse {span}: {before} then, {now} now", span=_than(fact, words), before=before, now=now)


def _than(fact: CompanyFacts, words: Words) -> str:
    return (
        words("than a year ago") if fact.years == 1 else words("than two years ago") if fact.years == 2 else words("than before")
    )


__all__ = ["FIRST_STEPS", "MEASURES_BY_INFORMATION", "CompanyFacts", "alert_sentence", "company_facts", "format_share"]
