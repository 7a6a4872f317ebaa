"""Figures of the company page: a company of the run, or one whose statement the user types in."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from quiebra.alerts import descriptions as wording
from quiebra.alerts.cases import group_into_cases
from quiebra.alerts.sentences import alert_sentence
from quiebra.canonical import conform_to_schema, latest_year, statement_schema
from quiebra.errors import LocalisedMessage, PanelError
from quiebra.feature_engineering import OWN_FEATURES, feature_table
from quiebra.items import ITEMS, VERSION_KEYS
from quiebra.models import reasons
from quiebra.risk import score_statements, scored_company
from quiebra.risk.scored_company import ScoredCompany, reason_texts
from quiebra.risk.shocks import ShockEngine, lever_tornado, levers_without_item, smallest_changes
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.table_rows import match_rows
from quiebra.text.words import Words, translatable

ENTERED_ID = "typed in"
"""The id of a company whose statement was typed in."""
TORNADO_STEPS = {"revenue": 0.10, "margin": 0.02, "leverage": 0.05, "rates": 0.01, "market_value": 0.20}
"""Levers of the tornado chart → size of the change, up and down."""


def find_companies(view: FinishedRunView, text: str, count: int = 12) -> list[tuple[str, str]]:
    """Return (id, label) of companies whose name or id contains the text; those that start with it first."""
    wanted = text.strip().lower()
    if not wanted:
        return []
    table = view.scores.select("company_id", "name", "sector")
    table = table.filter(match_rows(table, wanted))
    starts = pl.any_horizontal(
        pl.col(n).str.to_lowercase().str.starts_with(wanted).fill_null(False) for n in ("company_id", "name")
    )
    rows = table.with_columns(starts=starts).sort("starts", "name", descending=[True, False]).head(count)
    return [(i, _called(i, name, sector)) for i, name, sector in rows.select("company_id", "name", "sector").iter_rows()]


def _called(company_id: str, name: str, sector: str | None) -> str:
    return " · ".join(dict.fromkeys(part for part in (name, company_id, sector) if part))


def riskiest_company(view: FinishedRunView) -> str:
    return str(view.scores.sort("pd_12m", "company_id", descending=[True, False])["company_id"][0])


def load_company(view: FinishedRunView, company_id: str) -> ScoredCompany:
    """Return a company of the run with its shock engine. PanelError if there is none with that id."""
    return replace(scored_company.load_company(view, company_id), shock_engine=view.shock_engine)


def sector_medians(view: FinishedRunView, sector: str | None) -> dict[str, float | None]:
    """Return the median statement of a sector's current companies (None: of all), rounded to three significant digits;
    totals are at least their current parts."""
    latest = view.statements.join(view.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi")
    if sector is not None:
        latest = latest.join(view.companies.filter(pl.col("sector") == sector).select("company_id"), on="company_id", how="semi")
    medians = latest.select(pl.col(item.name).median() for item in ITEMS).row(0, named=True)
    rounded = {name: None if v is None else float(f"{v:.3g}") for name, v in medians.items()}
    for large, small in (("total_assets", "current_assets"), ("total_liabilities", "current_liabilities")):
        whole, part = rounded[large], rounded[small]
        if whole is not None and part is not None:
            rounded[large] = max(whole, part)
    return rounded


def statement_faults(items: Mapping[str, float | None]) -> dict[str, str]:
    """Return item → fault, by the rules of the data contract for single fields (English; the page translates it)."""
    found = {}
    for item in ITEMS:
        value = items.get(item.name)
        if value is None:
            continue
        if not math.isfinite(value) or abs(value) > 1e9:
            found[item.name] = translatable("No company has this much: amounts are in millions.")
        elif value < 0 and not item.signed:
            found[item.name] = translatable("This cannot be negative.")
    assets = items.get("total_assets")
    if not assets or assets <= 0:
        found["total_assets"] = translatable("Total assets must be above zero.")
    for small, large, text in (
        ("current_assets", "total_assets", translatable("More than total assets.")),
        ("current_liabilities", "total_liabilities", translatable("More than total liabilities.")),
        ("cash", "total_assets", translatable("More than total assets.")),
    ):
        a, b = items.get(small), items.get(large)
        if a is not None and b is not None and a > b * 1.0001 and small not in found:
            found[small] = text
    return found


def score_statement(view: FinishedRunView, name: str, sector: str | None, items: Mapping[str, float | None]) -> ScoredCompany:
    """Score a typed-in statement as of the run's date; amounts in millions. PanelError if it cannot be used."""
    if wrong := statement_faults(items):
        raise PanelError(
            "{list}",
            list=[LocalisedMessage("{item}: {text}", {"item": i, "text": LocalisedMessage(text)}) for i, text in wrong.items()],
        )
    year = latest_year(view.scores["fiscal_year"])
    record = {
        "company_id": ENTERED_ID,
        "fiscal_year": year,
        "period_end": dt.date(year, 12, 31),
        "available_at": view.as_of,
        "currency": view.source["currency"],
        "source": "typed",
        **items,
    }
    statements = conform_to_schema(pl.DataFrame([record], infer_schema_length=None), statement_schema(OWN_FEATURES))
    companies = pl.DataFrame(
        {"company_id": [ENTERED_ID], "sector": [sector]}, schema={"company_id": pl.String, "sector": pl.String}
    )
    features = feature_table(statements, companies, view.shock_peers)
    score = score_statements(view.model, features, view.params.score)
    parts, start = view.model.explain(features)
    why = reasons(view.model, features, view.params.score.reasons, view.peer_ranks, statements, parts.to_numpy())
    engine = ShockEngine(view.model, statements, companies, view.shock_peers, statements.select(VERSION_KEYS), view.params.score)
    return ScoredCompany(
        ENTERED_ID,
        name or ENTERED_ID,
        sector,
        score.row(0, named=True),
        float(start[0]),
        parts.row(0, named=True),
        *reason_texts(why),
        statements.row(0, named=True),
        features,
        engine,
    )


def decisions_on_company(view: FinishedRunView, company_id: str, words: Words) -> list[str]:
    """Return sentences on analysts' decisions and open alerts on a company."""
    standing = view.decisions
    if not standing.answered:
        return [words("The database does not answer: alerts and analysts' grades are not shown.")]
    found = wording.analyst_decision_sentences(company_id, standing.overrides.to_dicts(), standing.watched.to_dicts(), words)
    alerts = standing.alerts.filter(pl.col("subject") == company_id).to_dicts()
    if alerts:
        (case,) = group_into_cases(alerts, view.company_facts)
        listed = "; ".join(alert_sentence(alert, words, list(view.params.score.grades), case.fact) for alert in case.alerts)
        found.append(words.count("{n} alert stands: {list}.", "{n} alerts stand: {list}.", n=len(alerts), list=listed))
        found.append(words("First: {step}.", step=case.step(words)))
    return found


LEVER_WORDS = {
    "revenue": translatable("Revenue ± 10 %"),
    "margin": translatable("Margin ± 2 points"),
    "leverage": translatable("Debt ± 5 % of assets"),
    "rates": translatable("Rates ± 100 basis points"),
    "market_value": translatable("Market value ± 20 %"),
}


def _shock_engine(subject: ScoredCompany) -> ShockEngine:
    if subject.shock_engine is None:
        raise ValueError(f"'{subject.company_id}' was loaded without what scores it under shocks")
    return subject.shock_engine


def lever_effects(subject: ScoredCompany, words: Words) -> list[tuple[str, float, float, float]]:
    """Return (label, PD with the lever lowered, PD now, PD with the lever raised), widest range first, without levers of no
    effect."""
    table = lever_tornado(_shock_engine(subject), subject.company_id, TORNADO_STEPS)
    rows = table.filter(pl.col("swing") > 1e-6).select("lever", "pd_down", "pd_now", "pd_up").iter_rows()
    return [(words(LEVER_WORDS[lever]), down, now, up) for lever, down, now, up in rows]


HALVING_SENTENCES = {
    "liabilities_to_assets": translatable("Liabilities from {now} to {then} of assets would halve the PD, to {pd}."),
    "ebitda_to_assets": translatable("EBITDA from {now} to {then} of assets would halve the PD, to {pd}."),
    "ebit_to_assets": translatable("EBIT from {now} to {then} of assets would halve the PD, to {pd}."),
    "net_income_to_assets": translatable("Net income from {now} to {then} of assets would halve the PD, to {pd}."),
}
"""Changed ratio → sentence."""
UNKNOWN_LEVER_SENTENCES = {
    "revenue": translatable("What a change of revenue would do cannot be worked out: the statement has no revenue."),
    "margin": translatable("What a better margin would do cannot be worked out: the statement has no revenue."),
    "rates": translatable("What a change of rates would do cannot be worked out: the statement has no long-term debt."),
    "market_value": translatable("What a change of market value would do cannot be worked out: there is none."),
}
"""Lever → sentence if the statement lacks the item that the lever needs."""


def halving_sentences(subject: ScoredCompany, words: Words) -> list[str]:
    """Return sentences on the smallest single changes that halve the PD by the model, and on those that cannot be computed."""
    said = []
    found = smallest_changes(_shock_engine(subject), subject.company_id, steps=12).select("ratio", "now", "then", "pd_12m")
    for ratio, now, then, pd in found.iter_rows():
        ends = next(e for d in range(4) if len(set(e := (words.percent(now, d), words.percent(then, d)))) > 1 or d == 3)
        said.append(words(HALVING_SENTENCES[ratio], now=ends[0], then=ends[1], pd=words.percent(pd)))
    return said + [
        words(UNKNOWN_LEVER_SENTENCES[lever]) for lever in levers_without_item(_shock_engine(subject), subject.company_id)
    ]
