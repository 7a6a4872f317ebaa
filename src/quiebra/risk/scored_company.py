"""One scored company of a finished run: score, contributions, reasons, statement, and warnings on its data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from quiebra.errors import PanelError
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.altman import ALTMAN_SCORES, ALTMAN_ZONES
from quiebra.feature_engineering.labels_es import concept_label, spanish_label
from quiebra.items import ITEMS, VERSION_KEYS
from quiebra.models.interval import FEW_FAILURES
from quiebra.models.reasons import ALTMAN_LABELS, LOWERS, MISSING_VALUE, RAISES, features_by_concept
from quiebra.models.term import PD_COLUMNS
from quiebra.panels.identities import IDENTITIES
from quiebra.risk.finished_run import FinishedRun
from quiebra.risk.shocks import ShockEngine
from quiebra.text.words import Words, translatable, with_full_stop
from quiebra.validation.monitoring import uncompared_features

BLIND_SHARE = 0.4
"""Above this missing share of the features that the model relies on, a score has a warning."""


@dataclass(frozen=True)
class ScoredCompany:
    """A scored company, with the engine that scores it under shocks.

    score: its row of the scores. parts: feature → effect on the log-odds, starting from base_log_odds. reasons, strengths, gaps:
        text by language, strongest first. shock_engine: of this company or of all; None where shocks are not needed.
    """

    company_id: str
    name: str
    sector: str | None
    score: dict[str, Any]
    base_log_odds: float
    parts: dict[str, float]
    reasons: list[dict[str, str]]
    strengths: list[dict[str, str]]
    gaps: list[dict[str, str]]
    statement: dict[str, Any]
    features: pl.DataFrame
    shock_engine: ShockEngine | None = None


def load_company(run: FinishedRun, company_id: str) -> ScoredCompany:
    """Return a company from the run's files; raise PanelError where no company with that id was scored."""
    rows = run.scores.filter(pl.col("company_id") == company_id)
    if rows.is_empty():
        raise PanelError("no company with the id '{company}' was scored: search by name or id", company=company_id)
    score = rows.row(0, named=True)
    mine = pl.col("company_id") == company_id
    parts = run.contributions.filter(mine).drop("company_id").row(0, named=True)
    at = {name: score[name] for name in VERSION_KEYS}
    exactly = [pl.col(name) == value for name, value in at.items()]
    statement = run.statements.filter(*exactly).row(0, named=True)
    features = run.features.filter(*exactly)
    start = parts.pop("base")
    why = reason_texts(run.reasons.filter(mine))
    return ScoredCompany(company_id, score["name"], score["sector"], score, start, parts, *why, statement, features)


def reason_texts(why: pl.DataFrame) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
    """Return what raises a company's risk, what lowers it, and what is not known, each as texts by language."""
    raises, lowers, gaps = (
        [{"en": en, "es": es} for en, es in why.filter(pl.col("kind") == kind).sort("rank").select("text", "text_es").iter_rows()]
        for kind in (RAISES, LOWERS, MISSING_VALUE)
    )
    return raises, lowers, gaps


def reasons_by_heading(subject: ScoredCompany, words: Words) -> list[tuple[str, list[str]]]:
    """Return the reasons under their headings (raises the PD, lowers it, not known); headings without a sentence are left out."""
    parts = (
        (words("Raises its PD"), subject.reasons),
        (words("Lowers its PD"), subject.strengths),
        (words("Not known, though it counts"), subject.gaps),
    )
    return [(title, [with_full_stop(text[words.language]) for text in texts]) for title, texts in parts if texts]


def pd_term_structure(score: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]]:
    """Return PDs of one to five years, and the low and high of each."""
    pds, low, high = ([score[f"{column}{end}"] for column in PD_COLUMNS] for end in ("", "_low", "_high"))
    return pds, low, high


def score_steps(subject: ScoredCompany, words: Words, count: int = 7) -> list[tuple[str, float]]:
    """Return the strongest concepts' effects on the log-odds, and that of all others; with the base they add up to the score."""
    totals = [
        (concept_label(c, words.language), sum(subject.parts.get(f, 0.0) for f in names))
        for c, names in features_by_concept().items()
    ]
    totals.sort(key=lambda pair: -abs(pair[1]))
    shown = [(name[0].upper() + name[1:], effect) for name, effect in totals[:count] if abs(effect) >= 0.005]
    rest = sum(subject.parts.values()) - sum(effect for _, effect in shown)
    return [*shown, (words("others"), rest)] if abs(rest) >= 0.005 else shown


def feature_words(name: str, words: Words) -> str:
    """Return the label of a feature or score in the language."""
    if words.language == "es":
        return spanish_label(name)
    return ALTMAN_LABELS.get(name) or FEATURES_BY_NAME[name].label


UNCOMPARED_FEATURES_NOTE = translatable(
    "Not compared, since they count years or too few companies have as many years of statements as they look back: {names}."
)


def uncompared_sentence(findings: pl.DataFrame, words: Words) -> str:
    """Return the sentence on features whose drift could not be judged; empty where all could."""
    names = uncompared_features(findings)
    if not names:
        return ""
    shown = ", ".join(feature_words(name, words) for name in names[:3])
    return words(
        UNCOMPARED_FEATURES_NOTE, names=shown if len(names) <= 3 else words("{first} and {n} more", first=shown, n=len(names) - 3)
    )


def altman_rows(subject: ScoredCompany) -> list[tuple[str, float | None, str | None, tuple[float, float]]]:
    """Return name, value, zone and bounds (distress below, safe above) of the three Altman scores."""
    return [(name, subject.score[name], subject.score[f"{name}_zone"], ALTMAN_ZONES[name]) for name in ALTMAN_SCORES]


def blend_parts(run: FinishedRun, subject: ScoredCompany) -> dict[str, float | None]:
    """Return the model's PD, Altman's PD (None without a score), the model's weight, and the calibrated PD of both."""
    score = subject.score
    fitted = run.model_record["scorers"][score["scorer"]]["blend"]
    odds = {name: score[f"log_odds_{name}"] for name in ("model", "altman")}
    chances = {name: None if v is None or math.isnan(v) else 1 / (1 + math.exp(-v)) for name, v in odds.items()}
    weight = 1.0 if chances["altman"] is None else fitted["weight"]
    return {**chances, "weight": weight, "pd": score["pd_12m"]}


def pd_history(run: FinishedRun, subject: ScoredCompany) -> pl.DataFrame:
    """Return fiscal_year, pd_12m with low and high, and rating: scores given at the time, and today's."""
    columns = ["fiscal_year", "pd_12m", "pd_12m_low", "pd_12m_high", "rating"]
    now = pl.DataFrame([{name: subject.score[name] for name in columns}])
    past = run.history.filter(pl.col("company_id") == subject.company_id).select(columns)
    past = past.filter(pl.col("fiscal_year") < now["fiscal_year"][0])
    return pl.concat([past, now.cast(past.schema)]).sort("fiscal_year")


def peer_pds(run: FinishedRun, sector: str | None) -> pl.Series:
    """Return the PDs of the sector's companies; of all companies where the sector is unknown."""
    table = run.scores if sector is None else run.scores.filter(pl.col("sector") == sector)
    return table["pd_12m"] if table.height else run.scores["pd_12m"]


def grade_bounds(grades: Mapping[str, float], rating: str) -> tuple[float, float]:
    """Return the lower and upper PD of a grade."""
    names = list(grades)
    place = names.index(rating)
    return (0.0 if place == 0 else grades[names[place - 1]]), grades[rating]


IDENTITY_WORDS = {
    "ebitda = ebit + depreciation_amortization": translatable("EBITDA is not EBIT plus depreciation and amortization"),
    "gross_profit = revenue - cost_of_goods_sold": translatable("gross profit is not revenue less cost of goods sold"),
    "current_assets <= total_assets": translatable("current assets are above total assets"),
    "current_liabilities <= total_liabilities": translatable("current liabilities are above total liabilities"),
    "cash + receivables + inventory <= current_assets": translatable("cash, receivables and inventory are above current assets"),
    "long_term_debt <= total_liabilities": translatable("long-term debt is above total liabilities"),
}


def few_failures_sentence(run: FinishedRun, words: Words) -> str:
    """Return the sentence on PDs whose level is based on few failures, with the possible error; empty where there were many."""
    failures = int(run.model_record["card"]["failures"])
    if failures >= FEW_FAILURES:
        return ""
    times = float(cast("float", (run.scores["pd_12m_high"] / run.scores["pd_12m"]).median()))
    return words(
        "The model learnt from {n} failures only: the level of all PDs can be {times} times as high, or as low, by their "
        "interval of {confidence}.",
        n=failures,
        times=words.number(times, 1),
        confidence=words.percent(run.model_record["confidence"], 0),
    )


def own_figures_sentence(run: FinishedRun, words: Words) -> str:
    """Return the sentence on how good the model is for the scored companies alone, where others taught it too; else empty."""
    own = run.own_figures
    if own is None:
        return ""
    low, high = own["interval"]["auc"]
    values = {
        "source": own["group"],
        "auc": words.percent(own["auc"], 1),
        "low": words.percent(low, 1),
        "high": words.percent(high, 1),
        "tenth": words.percent(own["top_decile_capture"], 0),
        "ratio": words.number(own["pd_over_observed"], 2),
        "failures": words.count("{n} failure", "{n} failures", n=own["events"]),
    }
    return words(
        "Figures and gates are of all sources, monitoring of the scored companies; of those of {source} alone, on "
        "{failures}: {auc} of pairs ({low} to {high}), {tenth} in the riskiest tenth, mean PD {ratio} times the observed rate.",
        **values,
    )


def data_flags(run: FinishedRun, subject: ScoredCompany, words: Words) -> list[str]:
    """Return warnings on the data behind the score."""
    found = []
    missing = [item.label for item in ITEMS if subject.statement[item.name] is None]
    if missing:
        found.append(words("Missing in the statement: {items}.", items=", ".join(words(name) for name in missing)))
    if few := few_failures_sentence(run, words):
        found.append(few)
    blind = float(run.model.blind_share(subject.features)[0])
    if blind > BLIND_SHARE:
        found.append(words("The model lacks {share} of what it relies on: do not trust this PD.", share=words.percent(blind, 0)))
    months = (run.as_of - subject.statement["period_end"]).days / 30.44
    if months > 18:
        found.append(words.count("The statement is {n} month old.", "The statement is {n} months old.", n=months))
    row = pl.DataFrame([subject.statement], infer_schema_length=None)
    for name, identity in IDENTITIES.items():
        if row.select(identity.broken).item():
            found.append(words("The statement does not add up: {rule}.", rule=words(IDENTITY_WORDS[name])))
    if subject.score["scorer"] == "accounting" and "market" in run.model_record["scorers"]:
        found.append(words("Without a market value, the model that uses accounts alone has scored it."))
    return found
