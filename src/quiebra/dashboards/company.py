"""The company page in figures: one company of the base, or one whose statement the reader types in."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from quiebra.canonical import STATEMENTS, conform
from quiebra.dashboards.base import Base
from quiebra.dashboards.rows import matching
from quiebra.errors import PanelError, Said
from quiebra.features import FEATURES_BY_NAME, feature_table
from quiebra.features.altman import SCORES, ZONES
from quiebra.features.spanish import CONCEPTS, label
from quiebra.items import ITEMS
from quiebra.models import reasons
from quiebra.models.reasons import ALTMAN_WORDS, concepts
from quiebra.models.term import COLUMNS
from quiebra.panel.quality import IDENTITIES, TOLERANCE
from quiebra.risk import score_statements
from quiebra.risk.shocks import KEYS, Desk, hints, tornado
from quiebra.scoring import BLIND
from quiebra.words import Words, mark

TYPED = "typed in"
"""The id of a company whose statement was typed in."""
LEVERS = {"revenue": 0.10, "margin": 0.02, "leverage": 0.05, "rates": 0.01, "market_value": 0.20}
"""Levers of the tornado and how far each is moved, either way."""


@dataclass(frozen=True)
class Subject:
    """A scored company: its score, what made it, its statement, and the desk that scores it under shocks.

    score: a row of the scores. parts: feature → effect on the log-odds; base: the log-odds they start from. reasons: text by
    language, strongest first. desk: of this company alone or of all.
    """

    company_id: str
    name: str
    sector: str | None
    score: dict[str, Any]
    base: float
    parts: dict[str, float]
    reasons: list[dict[str, str]]
    statement: dict[str, Any]
    features: pl.DataFrame
    desk: Desk


def find(base: Base, text: str, count: int = 12) -> list[tuple[str, str]]:
    """Return (id, words) of companies whose name or id holds the text; those that start with it come first."""
    wanted = text.strip().lower()
    if not wanted:
        return []
    table = base.scores.select("company_id", "name", "sector")
    table = table.filter(matching(table, wanted))
    starts = pl.any_horizontal(
        pl.col(n).str.to_lowercase().str.starts_with(wanted).fill_null(False) for n in ("company_id", "name")
    )
    rows = table.with_columns(starts=starts).sort("starts", "name", descending=[True, False]).head(count)
    return [(i, _called(i, name, sector)) for i, name, sector in rows.select("company_id", "name", "sector").iter_rows()]


def _called(company_id: str, name: str, sector: str | None) -> str:
    return " · ".join(dict.fromkeys(part for part in (name, company_id, sector) if part))


def riskiest(base: Base) -> str:
    return base.scores.sort("pd_12m", "company_id", descending=[True, False])["company_id"][0]


def known(base: Base, company_id: str) -> Subject:
    """Return a company of the base from the run's files. PanelError where there is none with that id."""
    rows = base.scores.filter(pl.col("company_id") == company_id)
    if rows.is_empty():
        raise PanelError("no company with the id '{company}' was scored: search by name or id", company=company_id)
    score = rows.row(0, named=True)
    mine = pl.col("company_id") == company_id
    parts = base.contributions.filter(mine).drop("company_id").row(0, named=True)
    words = base.reasons.filter(mine & (pl.col("effect") > 0)).sort("rank")
    at = {name: score[name] for name in KEYS}
    exactly = [pl.col(name) == value for name, value in at.items()]
    statement = base.statements.filter(*exactly).row(0, named=True)
    features = base.features.filter(*exactly)
    start = parts.pop("base")
    return Subject(company_id, score["name"], score["sector"], score, start, parts, _texts(words), statement, features, base.desk)


def _texts(why: pl.DataFrame) -> list[dict[str, str]]:
    return [{"en": en, "es": es} for en, es in why.select("text", "text_es").iter_rows()]


def defaults(base: Base, sector: str | None) -> dict[str, float | None]:
    """Return the median statement of a sector's current companies (all where it is None), to two significant places or so."""
    latest = base.statements.join(base.scores.select(KEYS), on=KEYS, how="semi")
    if sector is not None:
        latest = latest.join(base.companies.filter(pl.col("sector") == sector).select("company_id"), on="company_id", how="semi")
    medians = latest.select(pl.col(item.name).median() for item in ITEMS).row(0, named=True)
    rounded = {name: None if v is None else float(f"{v:.3g}") for name, v in medians.items()}
    for large, small in (("total_assets", "current_assets"), ("total_liabilities", "current_liabilities")):
        if rounded[large] is not None and rounded[small] is not None:
            rounded[large] = max(rounded[large], rounded[small])  # type: ignore[type-var]
    return rounded


def faults(items: Mapping[str, float | None]) -> dict[str, str]:
    """Return item → what is wrong with it (English; the page translates): the rules of the contract, field by field."""
    found = {}
    for item in ITEMS:
        value = items.get(item.name)
        if value is None:
            continue
        if not math.isfinite(value) or abs(value) > 1e9:
            found[item.name] = mark("No company has this much: amounts are in millions.")
        elif value < 0 and not item.signed:
            found[item.name] = mark("This cannot be negative.")
    assets = items.get("total_assets")
    if not assets or assets <= 0:
        found["total_assets"] = mark("Total assets must be above zero.")
    for small, large, text in (
        ("current_assets", "total_assets", mark("More than total assets.")),
        ("current_liabilities", "total_liabilities", mark("More than total liabilities.")),
        ("cash", "total_assets", mark("More than total assets.")),
    ):
        a, b = items.get(small), items.get(large)
        if a is not None and b is not None and a > b * 1.0001 and small not in found:
            found[small] = text
    return found


def typed(base: Base, name: str, sector: str | None, items: Mapping[str, float | None]) -> Subject:
    """Score a statement that was typed in, as of the run's date; amounts in millions. PanelError where it cannot be used."""
    if wrong := faults(items):
        raise PanelError("{list}", list=[Said("{item}: {text}", {"item": i, "text": Said(text)}) for i, text in wrong.items()])
    year = int(base.scores["fiscal_year"].max())  # type: ignore[arg-type]
    record = {
        "company_id": TYPED, "fiscal_year": year, "period_end": dt.date(year, 12, 31), "available_at": base.as_of,
        "currency": base.source["currency"], "source": "typed", **items,
    }  # fmt: skip
    statements = conform(pl.DataFrame([record], infer_schema_length=None), STATEMENTS)
    companies = pl.DataFrame({"company_id": [TYPED], "sector": [sector]}, schema={"company_id": pl.String, "sector": pl.String})
    features = feature_table(statements, companies, base.peers)
    score = score_statements(base.model, features, base.params.score)
    parts, start = base.model.explain(features)
    why = reasons(base.model, features, base.params.score.reasons).filter(pl.col("effect") > 0)
    desk = Desk(base.model, statements, companies, base.peers, statements.select(KEYS), base.params.score)
    return Subject(
        TYPED, name or TYPED, sector, score.row(0, named=True), float(start[0]), parts.row(0, named=True), _texts(why),
        statements.row(0, named=True), features, desk,
    )  # fmt: skip


def terms(score: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]]:
    """Return PDs of one to five years, and the low and high of each."""
    return tuple([score[f"{column}{end}"] for column in COLUMNS] for end in ("", "_low", "_high"))  # type: ignore[return-value]


def steps(subject: Subject, words: Words, count: int = 7) -> list[tuple[str, float]]:
    """Return the strongest concepts' effects on the log-odds, and the others in one; with the base they add up to the score."""
    place = 1 if words.language == "es" else 0
    totals = [(CONCEPTS[c][place], sum(subject.parts.get(f, 0.0) for f in names)) for c, names in concepts().items()]
    totals.sort(key=lambda pair: -abs(pair[1]))
    shown = [(name[0].upper() + name[1:], effect) for name, effect in totals[:count] if abs(effect) >= 0.005]
    rest = sum(subject.parts.values()) - sum(effect for _, effect in shown)
    return [*shown, (words("others"), rest)] if abs(rest) >= 0.005 else shown


def feature_words(name: str, words: Words) -> str:
    """Return a feature's or score's words in the language."""
    if words.language == "es":
        return label(name)
    return ALTMAN_WORDS.get(name) or FEATURES_BY_NAME[name].label


def altman(subject: Subject) -> list[tuple[str, float | None, str | None, tuple[float, float]]]:
    """Return name, value, zone and bounds (distress below, safe above) of the three Altman scores."""
    return [(name, subject.score[name], subject.score[f"{name}_zone"], ZONES[name]) for name in SCORES]


def blend(base: Base, subject: Subject) -> dict[str, float | None]:
    """Return the model's PD, Altman's PD (missing without a score), the weight of the model, and the calibrated PD of both."""
    score = subject.score
    fitted = base.model_record["scorers"][score["scorer"]]["blend"]
    odds = {name: score[f"log_odds_{name}"] for name in ("model", "altman")}
    chances = {name: None if v is None or math.isnan(v) else 1 / (1 + math.exp(-v)) for name, v in odds.items()}
    weight = 1.0 if chances["altman"] is None else fitted["weight"]
    return {**chances, "weight": weight, "pd": score["pd_12m"]}


def history(base: Base, subject: Subject) -> pl.DataFrame:
    """Return fiscal_year, pd_12m with low and high, and rating: what was said at the time, and today's."""
    columns = ["fiscal_year", "pd_12m", "pd_12m_low", "pd_12m_high", "rating"]
    now = pl.DataFrame([{name: subject.score[name] for name in columns}])
    past = base.history.filter(pl.col("company_id") == subject.company_id).select(columns)
    past = past.filter(pl.col("fiscal_year") < now["fiscal_year"][0])
    return pl.concat([past, now.cast(dict(past.schema))]).sort("fiscal_year")  # type: ignore[arg-type]


def peer_pds(base: Base, sector: str | None) -> pl.Series:
    """Return the PDs of the sector's companies; of all where the sector is unknown."""
    table = base.scores if sector is None else base.scores.filter(pl.col("sector") == sector)
    return table["pd_12m"] if table.height else base.scores["pd_12m"]


def grade_bounds(base: Base, rating: str) -> tuple[float, float]:
    """Return the PDs between which a grade lies."""
    grades = base.params.score.grades
    names = list(grades)
    place = names.index(rating)
    return (0.0 if place == 0 else grades[names[place - 1]]), grades[rating]


LEVER_WORDS = {
    "revenue": mark("Revenue ± 10 %"), "margin": mark("Margin ± 2 points"), "leverage": mark("Debt ± 5 % of assets"),
    "rates": mark("Rates ± 100 basis points"),
    "market_value": mark("Market value ± 20 %"),
}  # fmt: skip


def what_moves(subject: Subject, words: Words) -> list[tuple[str, float, float, float]]:
    """Return each lever in words with the PD where it is lowered, now and where it is raised; widest first, without idle ones."""
    table = tornado(subject.desk, subject.company_id, LEVERS)
    rows = table.filter(pl.col("swing") > 1e-6).select("lever", "pd_down", "pd_now", "pd_up").iter_rows()
    return [(words(LEVER_WORDS[lever]), down, now, up) for lever, down, now, up in rows]


def halving(subject: Subject, words: Words) -> list[str]:
    """Return sentences: the least change of one thing that halves the PD, by the model."""
    said = {
        "leverage": words(
            "Liabilities from {now} to {then} of assets would halve the PD, to {pd}.", now="{now}", then="{then}", pd="{pd}"
        ),
        "margin": words(
            "EBITDA from {now} to {then} of assets would halve the PD, to {pd}.", now="{now}", then="{then}", pd="{pd}"
        ),
    }
    return [
        said[lever].format(now=words.percent(now, 0), then=words.percent(then, 0), pd=words.percent(pd))
        for lever, now, then, pd in hints(subject.desk, subject.company_id, steps=12)
        .select("lever", "now", "then", "pd_12m")
        .iter_rows()
    ]


IDENTITY_WORDS = {
    "ebitda = ebit + depreciation_amortization": mark("EBITDA is not EBIT plus depreciation and amortization"),
    "gross_profit = revenue - cost_of_goods_sold": mark("gross profit is not revenue less cost of goods sold"),
    "current_assets <= total_assets": mark("current assets are above total assets"),
    "current_liabilities <= total_liabilities": mark("current liabilities are above total liabilities"),
}


def flags(base: Base, subject: Subject, words: Words) -> list[str]:
    """Return what a reader should know about the data behind the score."""
    found = []
    missing = [item.label for item in ITEMS if subject.statement[item.name] is None]
    if missing:
        found.append(words("Missing in the statement: {items}.", items=", ".join(words(name) for name in missing)))
    blind = float(base.model.blind_share(subject.features)[0])
    if blind > BLIND:
        found.append(words("The model lacks {share} of what it relies on: do not trust this PD.", share=words.percent(blind, 0)))
    months = (base.as_of - subject.statement["period_end"]).days / 30.44
    if months > 18:
        found.append(words("The statement is {n} months old.", n=words.number(months)))
    row = pl.DataFrame([subject.statement], infer_schema_length=None)
    for name, (left, right) in IDENTITIES.items():
        gap = row.select((left.cast(pl.Float64) - right.cast(pl.Float64)).abs() > TOLERANCE * pl.col("total_assets")).item()
        if gap:
            found.append(words("The statement does not add up: {rule}.", rule=words(IDENTITY_WORDS[name])))
    if subject.score["scorer"] == "accounting" and "market" in base.model_record["scorers"]:
        found.append(words("Without a market value, the model that uses accounts alone has scored it."))
    return found
