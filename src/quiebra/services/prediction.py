"""Score companies whose statements another system sends: many at once, each as if it came alone."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from quiebra.canonical import EVENT_SCHEMA, conform_to_schema, statement_schema
from quiebra.errors import LocalisedFigure, LocalisedMessage, PanelError, QuiebraError
from quiebra.feature_engineering import OWN_FEATURES, feature_table
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.feature_engineering.matrix import to_columns
from quiebra.items import ITEM_NAMES, ITEMS, VERSION_KEYS
from quiebra.models import reasons
from quiebra.models.term import PD_COLUMNS
from quiebra.panels.doubts import RULE_MEANINGS
from quiebra.panels.identities import IDENTITIES
from quiebra.panels.quarantine import blank_negatives, split_quarantine
from quiebra.risk import score_statements
from quiebra.risk.scored_company import BLIND_SHARE, IDENTITY_WORDS
from quiebra.services.loaded_model import LoadedModel
from quiebra.sources.currency import UNIT_FACTORS, format_plain, in_millions
from quiebra.sources.derived_items import derive_items
from quiebra.sources.table import with_dates
from quiebra.text.words import LANGUAGES, Words

DECIMALS = 6
"""Decimals of the figures of an answer, as of those of a file of scores."""
ITEM_LABELS = {item.name: item.label for item in ITEMS}
TOO_LARGE = "total assets of {own} million are more than ten times those of any company of the panel: are the units right?"
TOO_SMALL = "total assets of {own} million are less than a tenth of those of any company of the panel: are the units right?"
TWO_CURRENCIES = (
    "amounts in {own} are not joined with a history in {currency}: send them in {currency}, or leave use_history away"
)
UNSIGNED = [item.name for item in ITEMS if not item.signed]
STATEMENT_COLUMNS = ("fiscal_year", "period_end", "available_at", *ITEM_NAMES)


@dataclass(frozen=True)
class CompanyStatements:
    """Statements of one company, as another system sends them.

    rows: fiscal_year, period_end, available_at, items and own features, each of which may be absent or None. sector, name: None:
    those of the panel. currency: None: that of the panel. units: millions that one unit of the amounts is. as_of: statements
    published later are left out; None: none is. use_history: join the panel's statements of the company.
    """

    company_id: str
    rows: Sequence[Mapping[str, Any]]
    name: str | None = None
    sector: str | None = None
    currency: str | None = None
    units: float = 1.0
    as_of: dt.date | None = None
    use_history: bool = False


Prediction = dict[str, Any]
"""An answer in JSON's types; texts are objects with one text by language."""


def predict(loaded: LoadedModel, asked: Sequence[CompanyStatements]) -> list[Prediction | QuiebraError]:
    """Score each company's latest statement with the model in charge, whatever the other companies are.

    Return one answer a company, in the given order: its scores to six decimals, what it was scored by, reasons and notes; or a
    PanelError with the reason where none of its statements can be scored.
    """
    places = [f"{place:06d}" for place in range(len(asked))]
    notes = _Notes()
    asked = _without_mixtures(loaded, asked, places, notes)
    given = _published(_frame(loaded, asked, places), asked, places, notes)
    _note_unknown(asked, places, notes)
    kept, aside = split_quarantine(given, pl.DataFrame(schema=EVENT_SCHEMA))
    _note_rules(aside, notes)
    if kept.is_empty():
        return [_nothing_left(company, notes.of(place)) for company, place in zip(asked, places, strict=True)]
    kept = kept.sort(VERSION_KEYS)
    _note_negatives(kept, notes)
    usable = blank_negatives(kept)[0]
    versions = usable.unique("company_id", keep="last", maintain_order=True)
    sectors = pl.DataFrame({"company_id": places, "sector": _sectors(loaded, asked)}, schema_overrides={"sector": pl.String})
    statements = usable[list(statement_schema(OWN_FEATURES))]
    features = feature_table(statements, sectors, loaded.peers, versions[VERSION_KEYS])
    _note_doubts(loaded, asked, versions, features, notes)
    answers = _answers(loaded, features, versions)
    years: dict[str, set[int]] = defaultdict(set)
    for place, year in usable[["company_id", "fiscal_year"]].iter_rows():
        years[place].add(year)
    banners = [_in_all_languages(note) for note in loaded.banners()]
    names = _names(loaded, asked)
    found: list[Prediction | QuiebraError] = []
    for company, place, name, sector in zip(asked, places, names, sectors["sector"], strict=True):
        if place not in answers:
            found.append(_nothing_left(company, notes.of(place)))
            continue
        who = {"company_id": company.company_id, "name": name, "sector": sector}
        said = [*banners, *(_in_all_languages(note) for note in notes.of(place))]
        found.append({**who, **answers[place], "years_used": sorted(years[place]), "notes": said})
    return found


def _without_mixtures(
    loaded: LoadedModel, asked: Sequence[CompanyStatements], places: Sequence[str], notes: _Notes
) -> list[CompanyStatements]:
    """Return what is asked without the statements of who would join amounts in two currencies, which is noted."""
    kept = []
    for place, company in zip(places, asked, strict=True):
        if company.use_history and company.currency not in (None, loaded.currency):
            values = {"own": company.currency, "currency": loaded.currency}
            notes.add(place, LocalisedMessage(TWO_CURRENCIES, values))
            company = replace(company, rows=(), use_history=False)
        kept.append(company)
    return kept


def _frame(loaded: LoadedModel, asked: Sequence[CompanyStatements], places: Sequence[str]) -> pl.DataFrame:
    """Return the statements of all companies in canonical columns and millions, with the place of each in ``company_id``."""
    own = list(OWN_FEATURES)
    rows = [(place, company, row) for place, company in zip(places, asked, strict=True) for row in company.rows]
    names = [*ITEM_NAMES, *own]
    values = np.array([[row.get(name) for name in names] for _, _, row in rows], dtype=float).reshape(len(rows), len(names))
    for at, (_, company, _) in enumerate(rows):
        if company.units != 1.0:
            values[at, : len(ITEM_NAMES)] = in_millions(values[at, : len(ITEM_NAMES)], company.units)
    schema = {name: pl.Int32 if name == "fiscal_year" else pl.Date for name in STATEMENT_COLUMNS[:3]}
    columns: dict[str, pl.Series] = {"company_id": pl.Series([place for place, _, _ in rows], dtype=pl.String)}
    columns |= {name: pl.Series([row.get(name) for _, _, row in rows], dtype=kind) for name, kind in schema.items()}
    columns["currency"] = pl.Series([company.currency or loaded.currency for _, company, _ in rows], dtype=pl.String)
    columns["source"] = pl.repeat("table", len(rows), eager=True)
    frame = with_dates(pl.DataFrame(columns).hstack(to_columns(values, names)), loaded.table.filing_lag_days)
    frame = derive_items(frame)[0] if loaded.derived else frame
    frame = conform_to_schema(frame, statement_schema(own))
    if not any(company.use_history for company in asked):
        return frame
    return pl.concat([frame, _history(loaded, asked, places).join(frame, on=VERSION_KEYS, how="anti", maintain_order="left")])


def _history(loaded: LoadedModel, asked: Sequence[CompanyStatements], places: Sequence[str]) -> pl.DataFrame:
    """Return the panel's statements of the companies that ask for them, but for the versions that they send themselves."""
    wanted = [(place, company.company_id) for place, company in zip(places, asked, strict=True) if company.use_history]
    joined = pl.DataFrame(wanted, schema={"place": pl.String, "company_id": pl.String}, orient="row")
    stored = loaded.statements.join(joined, on="company_id").with_columns(company_id="place")
    return conform_to_schema(stored, statement_schema(OWN_FEATURES))


def _published(frame: pl.DataFrame, asked: Sequence[CompanyStatements], places: Sequence[str], notes: _Notes) -> pl.DataFrame:
    """Return the statements that were published by the date that their company asks about."""
    until = {place: company.as_of for place, company in zip(places, asked, strict=True) if company.as_of is not None}
    if not until:
        return frame
    dated = frame.select(until=pl.col("company_id").replace_strict(until, default=None, return_dtype=pl.Date))
    late = (frame["available_at"] > dated["until"]).fill_null(False)
    for place, year in frame.filter(late).select("company_id", "fiscal_year").unique(maintain_order=True).iter_rows():
        values = {"year": _year(year), "as_of": str(until[place])}
        notes.add(place, LocalisedMessage("the statement of {year} was not published by {as_of} and is left out", values))
    return frame.filter(~late)


@dataclass
class _Notes:
    """Notes on companies, by their place."""

    found: dict[str, list[LocalisedMessage]] = field(default_factory=lambda: defaultdict(list))

    def add(self, place: str, note: LocalisedMessage) -> None:
        self.found[place].append(note)

    def of(self, place: str) -> list[LocalisedMessage]:
        return self.found.get(place, [])


def _note_unknown(asked: Sequence[CompanyStatements], places: Sequence[str], notes: _Notes) -> None:
    known = {*STATEMENT_COLUMNS, *OWN_FEATURES}
    for place, company in zip(places, asked, strict=True):
        for name in sorted({name for row in company.rows for name in row} - known):
            notes.add(place, LocalisedMessage("the model knows no feature '{name}': it is left out", {"name": name}))


def _year(year: int | None) -> str:
    return "?" if year is None else str(year)


def _nothing_left(company: CompanyStatements, notes: Sequence[LocalisedMessage]) -> PanelError:
    why = [*notes] or [LocalisedMessage("the panel has no statement of it")]
    return PanelError("no statement of '{company}' can be scored: {list}", company=company.company_id, list=why)


def _note_rules(aside: pl.DataFrame, notes: _Notes) -> None:
    for place, year, rule in aside[["company_id", "fiscal_year", "rule"]].iter_rows():
        values = {"year": _year(year), "rule": RULE_MEANINGS[rule]}
        notes.add(place, LocalisedMessage("the statement of {year} is left out: {rule}", values))


def _note_negatives(kept: pl.DataFrame, notes: _Notes) -> None:
    amounts = kept[UNSIGNED].to_numpy()
    for row, column in zip(*np.nonzero(amounts < 0), strict=True):
        place, year = kept["company_id"][int(row)], kept["fiscal_year"][int(row)]
        values = {"item": LocalisedMessage(ITEM_LABELS[UNSIGNED[column]]), "year": _year(year)}
        notes.add(place, LocalisedMessage("the negative value of {item} in {year} is taken as missing", values))


def _note_doubts(
    loaded: LoadedModel, asked: Sequence[CompanyStatements], versions: pl.DataFrame, features: pl.DataFrame, notes: _Notes
) -> None:
    """Note what makes a score less to be trusted: gaps, identities, age, another currency or unit, an unknown sector."""
    blind = dict(zip(features["company_id"], loaded.model.blind_share(features), strict=True))
    broken = versions.select("company_id", *(rule.broken.fill_null(False).alias(name) for name, rule in IDENTITIES.items()))
    for row in broken.filter(pl.any_horizontal(pl.exclude("company_id"))).iter_rows(named=True):
        for name in (name for name in IDENTITIES if row[name]):
            rule = LocalisedMessage(IDENTITY_WORDS[name])
            notes.add(row["company_id"], LocalisedMessage("The statement does not add up: {rule}.", {"rule": rule}))
    for place, ends, assets in versions[["company_id", "period_end", "total_assets"]].iter_rows():
        for note in _doubts(loaded, asked[int(place)], blind[place], ends, assets):
            notes.add(place, note)


def _doubts(
    loaded: LoadedModel, company: CompanyStatements, blind: float, ends: dt.date, assets: float
) -> Iterator[LocalisedMessage]:
    as_of, months = company.as_of or loaded.as_of, loaded.score.max_age_months
    if ends > dt.datetime.now(dt.UTC).date():
        yield LocalisedMessage("its accounts end on {date}, which is still to come", {"date": str(ends)})
    if blind > BLIND_SHARE:
        text = "The model lacks {share} % of what it relies on: do not trust this PD."
        yield LocalisedMessage(text, {"share": LocalisedFigure(100 * blind)})
    if company.currency not in (None, loaded.currency):
        text = "amounts are in {own}, and the model learnt from amounts in {currency}: sizes are not alike"
        yield LocalisedMessage(text, {"own": company.currency, "currency": loaded.currency})
    if _months(ends, as_of) > months:
        text = "its latest accounts end on {date}, more than {months} months before {as_of}"
        yield LocalisedMessage(text, {"date": str(ends), "months": months, "as_of": str(as_of)})
    if company.sector is not None and loaded.sectors and company.sector not in loaded.sectors:
        text = "the model knows no sector '{sector}': compared with all companies"
        yield LocalisedMessage(text, {"sector": company.sector})
    if (times := _other_unit(assets, loaded.latest_assets.get(company.company_id))) is not None:
        text = "total assets are about {times} times those of the panel for this company: are the units right?"
        yield LocalisedMessage(text, {"times": format_plain(times)})
    elif not loaded.asset_range[0] / 10 <= assets <= 10 * loaded.asset_range[1]:
        text = TOO_LARGE if assets > loaded.asset_range[1] else TOO_SMALL
        yield LocalisedMessage(text, {"own": LocalisedFigure(assets, 0 if assets >= 100 else 6)})


def _months(earlier: dt.date, later: dt.date) -> int:
    return 12 * (later.year - earlier.year) + later.month - earlier.month - (later.day < earlier.day)


def _other_unit(assets: float, known: float | None) -> float | None:
    """Return the power of ten that these are of the known assets, about, where it looks like another unit."""
    if not known:
        return None
    return next((1 / factor for factor in UNIT_FACTORS if 0.5 < assets / known * factor < 2), None)


def _sectors(loaded: LoadedModel, asked: Iterable[CompanyStatements]) -> list[str | None]:
    return [company.sector or loaded.known.get(company.company_id, (None, None))[1] for company in asked]


def _names(loaded: LoadedModel, asked: Iterable[CompanyStatements]) -> list[str | None]:
    return [company.name or loaded.known.get(company.company_id, (None, None))[0] for company in asked]


def _answers(loaded: LoadedModel, features: pl.DataFrame, versions: pl.DataFrame) -> dict[str, Prediction]:
    """Return the scores and reasons of each place."""
    scores = score_statements(loaded.model, features, loaded.score)
    why = reasons(loaded.model, features, loaded.score.reasons, loaded.compared, versions)
    said = reason_records(why)
    names = ("fiscal_year", "period_end", "available_at", "currency")
    told = {place: dict(zip(names, values, strict=True)) for place, *values in versions[["company_id", *names]].iter_rows()}
    until = loaded.peers_until(versions["available_at"])
    found = {}
    for row in scores.iter_rows(named=True):
        place = row["company_id"]
        scored = {name: value if name in ("fiscal_year", "currency") else str(value) for name, value in told[place].items()}
        weight = loaded.model.scorers[row["scorer"]].blend.weight
        model = {**loaded.reference(), "peers_until": until.get(told[place]["available_at"])}
        found[place] = {"scored": scored, **score_record(row, weight), "reasons": said.get(place, []), "model": model}
    return found


def score_record(row: Mapping[str, Any], weight: float) -> dict[str, Any]:
    """Return a row of scores as it is answered: PDs with intervals, grade, Altman's scores, and the parts of the blend.

    row: from `quiebra.risk.score_statements`. weight: of the model in the blend.
    """
    pds = {name: round(row[name], DECIMALS) for column in PD_COLUMNS for name in (column, f"{column}_low", f"{column}_high")}
    altman = {name: {"value": _rounded(row[name]), "zone": row[f"{name}_zone"]} for name in ALTMAN_SCORES}
    model, by_altman = row["log_odds_model"], row["log_odds_altman"]
    share = 1.0 if by_altman is None else round(weight, DECIMALS)
    blend = {"pd_model": _pd(model), "pd_altman": _pd(by_altman), "model_weight": share}
    return {**pds, **{name: row[name] for name in ("rating", "watch", "scorer")}, "altman": altman, "blend": blend}


def _pd(log_odds: float | None) -> float | None:
    return None if log_odds is None else round(1 / (1 + math.exp(-log_odds)), DECIMALS)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, DECIMALS)


def reason_records(why: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the reasons of each company, what raises its risk first; why: from `quiebra.models.reasons`."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    columns = ("kind", "code", "concept", "feature", "value", "typical", "effect", "text", "text_es")
    figures = (pl.col(name).round(DECIMALS) for name in ("value", "typical", "effect"))
    rounded = why.select("company_id", *columns).with_columns(pl.when(each.is_finite()).then(each) for each in figures)
    for company, *values, english, spanish in rounded.iter_rows():
        found[company].append({**dict(zip(columns, values, strict=False)), "text": {"en": english, "es": spanish}})
    return found


def _in_all_languages(note: LocalisedMessage) -> dict[str, str]:
    return {language: Words(language).say(note) for language in LANGUAGES}
