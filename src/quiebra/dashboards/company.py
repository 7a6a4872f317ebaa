"""The company page in figures: one company of the base, or one whose statement the reader types in."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from quiebra.alerts import wording
from quiebra.alerts.cases import cases
from quiebra.alerts.plain import sentence
from quiebra.canonical import STATEMENTS, conform
from quiebra.dashboards.base import Base
from quiebra.dashboards.rows import matching
from quiebra.errors import PanelError, Said
from quiebra.features import feature_table
from quiebra.items import ITEMS
from quiebra.models import reasons
from quiebra.risk import score_statements
from quiebra.risk import subject as of_base
from quiebra.risk.shocks import KEYS, Desk, hints, tornado, without_item
from quiebra.risk.subject import Subject, texts
from quiebra.words import Words, mark

TYPED = "typed in"
"""The id of a company whose statement was typed in."""
LEVERS = {"revenue": 0.10, "margin": 0.02, "leverage": 0.05, "rates": 0.01, "market_value": 0.20}
"""Levers of the tornado and how far each is moved, either way."""


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
    """Return a company of the base, with the desk that scores it under shocks; see `quiebra.risk.subject.known`."""
    return replace(of_base.known(base, company_id), desk=base.desk)


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
    features = feature_table(statements, companies, base.ranked)
    score = score_statements(base.model, features, base.params.score)
    parts, start = base.model.explain(features)
    why = reasons(base.model, features, base.params.score.reasons, base.compared, statements)
    desk = Desk(base.model, statements, companies, base.ranked, statements.select(KEYS), base.params.score)
    return Subject(
        TYPED, name or TYPED, sector, score.row(0, named=True), float(start[0]), parts.row(0, named=True), *texts(why),
        statements.row(0, named=True), features, desk,
    )  # fmt: skip


def decided(base: Base, company_id: str, words: Words) -> list[str]:
    """Return what analysts decided on a company and the alerts that stand on it, in sentences."""
    standing = base.standing
    if not standing.answered:
        return [words("The database does not answer: alerts and analysts' grades are not shown.")]
    found = wording.decided(company_id, standing.overrides.to_dicts(), standing.watched.to_dicts(), words)
    alerts = standing.alerts.filter(pl.col("subject") == company_id).to_dicts()
    if alerts:
        (case,) = cases(alerts, base.facts)
        listed = "; ".join(sentence(alert, words, list(base.params.score.grades), case.fact) for alert in case.alerts)
        found.append(words.count("{n} alert stands: {list}.", "{n} alerts stand: {list}.", n=len(alerts), list=listed))
        found.append(words("First: {step}.", step=case.step(words)))
    return found


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


HALVED = {
    "liabilities_to_assets": mark("Liabilities from {now} to {then} of assets would halve the PD, to {pd}."),
    "ebitda_to_assets": mark("EBITDA from {now} to {then} of assets would halve the PD, to {pd}."),
    "ebit_to_assets": mark("EBIT from {now} to {then} of assets would halve the PD, to {pd}."),
    "net_income_to_assets": mark("Net income from {now} to {then} of assets would halve the PD, to {pd}."),
}
"""Ratio that shows a change → what is said of it."""
UNKNOWN = {
    "revenue": mark("What a change of revenue would do cannot be worked out: the statement has no revenue."),
    "margin": mark("What a better margin would do cannot be worked out: the statement has no revenue."),
    "rates": mark("What a change of rates would do cannot be worked out: the statement has no long-term debt."),
    "market_value": mark("What a change of market value would do cannot be worked out: there is none."),
}
"""Lever → what is said where the statement lacks the item that it needs."""


def halving(subject: Subject, words: Words) -> list[str]:
    """Return sentences: the least change of one thing that halves the PD, by the model, and what could not be worked out."""
    said = []
    found = hints(subject.desk, subject.company_id, steps=12).select("ratio", "now", "then", "pd_12m")
    for ratio, now, then, pd in found.iter_rows():
        ends = next(e for d in range(4) if len(set(e := (words.percent(now, d), words.percent(then, d)))) > 1 or d == 3)
        said.append(words(HALVED[ratio], now=ends[0], then=ends[1], pd=words.percent(pd)))
    return said + [words(UNKNOWN[lever]) for lever in without_item(subject.desk, subject.company_id)]
