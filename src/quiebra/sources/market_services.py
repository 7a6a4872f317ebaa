"""Canonical tables of services that give accounts by ticker, as they stand today and without the day of publication.

A row is a fiscal year, taken as public ``filing_lag_days`` after its end. Failures come from the user's file alone, since leaving
the exchange is no failure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.canonical import (
    COMPANY_SCHEMA,
    EVENT_SCHEMA,
    LINEAGE_SCHEMA,
    MACRO_SCHEMA,
    STATEMENT_SCHEMA,
    Source,
    SourceInfo,
    conform_to_schema,
    earliest_year,
)
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params import MarketService
from quiebra.sources.events import read_failures, unknown_failures
from quiebra.sources.fiscal_years import fiscal_year, outcomes_through
from quiebra.sources.item_ladders import ItemLadder, item_values, with_derived
from quiebra.sources.raw_store import RawStore
from quiebra.sources.slips import assets_slipped

COMPANIES = "companies/"
"""Folder of the store, with a folder for each ticker."""
LISTS = "lists/"
MILLION = 1e6
SHORTEST_YEAR = 330
"""Days between the ends of two fiscal years; fewer are a part of a year."""


@dataclass(frozen=True)
class MarketSource:
    """A service. name: of ``ingest.sources`` and of `quiebra fetch`. answers: about a company, in the order of asking. is_empty:
    whether the body of the first one says that the service has nothing; then no other is asked for."""

    name: str
    title: str
    notes: str
    answers: tuple[str, ...]
    is_empty: Callable[[bytes], bool]
    ladders: Sequence[ItemLadder]


@dataclass(frozen=True)
class MarketTables:
    """What the answers of a service say.

    fields: company_id (ticker), period_end, currency, and a column for each field in units of currency; ``market_value`` in
    millions, ``market_value_rule`` and ``market_value_date`` where the service has it. companies: `COMPANY_SCHEMA`.
    """

    fields: pl.DataFrame
    companies: pl.DataFrame
    warnings: Sequence[LocalisedMessage] = ()


def company_answer(symbol: str, name: str) -> str:
    """Return the name in the store of an answer about a company."""
    return f"{COMPANIES}{symbol}/{name}"


def is_without_data(store: RawStore, service: MarketSource, symbol: str) -> bool:
    """Return whether the service was asked about a company, and has nothing of it."""
    name = company_answer(symbol, service.answers[0])
    return name in store and (not store.path(name).is_file() or service.is_empty(store.read(name)))


def parse_object(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None where a body is none, is too deep, or has text that is none."""
    try:
        content = json.loads(body)
        if b"\\ud" in body.lower():  # half a character
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def require_company(said: object, symbol: str, path: Path) -> None:
    """Raise SourceError where an answer is about another ticker than the one that was asked for, whatever its signs."""
    plain = [re.sub(r"[^A-Z0-9]", "", str(each).upper()) for each in (said, symbol)]
    if said and plain[0] != plain[1]:
        raise SourceError(
            "{path} is about {other}: name that ticker in place of {symbol}, or delete the file and fetch it again",
            path=path,
            other=str(said),
            symbol=symbol,
        )


def names_read(store: RawStore, options: MarketService) -> list[str]:
    """Return the answers that a run reads: those about the companies that params name, and lists."""
    return sorted([*store.names(LISTS), *(name for each in options.symbols for name in store.names(company_answer(each, "")))])


def build_source(
    service: MarketSource, read: MarketTables, store: RawStore, options: MarketService, failures: Path | None
) -> Source:
    """Return the canonical tables. failures: the user's file of failures. SourceError where no accounts were fetched."""
    if read.fields.is_empty():
        raise SourceError(
            "no accounts of the companies of ingest.{service}.symbols in {folder}: `quiebra fetch {service}` gets them",
            service=service.name,
            folder=store.folder,
        )
    as_of = max(dt.date.fromisoformat(answer.at[:10]) for name in names_read(store, options) if (answer := store.answer(name)))
    ended = read.fields.filter((pl.col("period_end") <= as_of).fill_null(True))
    statements, lineage = _statements(ended, service, options)
    faults = statements.select(_fault()).to_series()
    events = pl.DataFrame(schema=EVENT_SCHEMA) if failures is None else read_failures(failures)
    info = SourceInfo(
        source=service.name,
        title=service.title,
        simulated=False,
        currency=options.currency,
        first_label_year=earliest_year(statements["fiscal_year"]) if statements["fiscal_year"].count() else as_of.year,
        outcomes_through=outcomes_through(as_of),
        as_of=as_of,
        sha256=_hash(store, options, failures),
        notes=service.notes,
        assumed_lag_days=options.filing_lag_days,
    )
    return Source(
        info,
        conform_to_schema(read.companies, COMPANY_SCHEMA),
        conform_to_schema(statements.filter(faults.is_null()), STATEMENT_SCHEMA),
        conform_to_schema(events, EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        (*read.warnings, *_notes(service, read.fields, ended, store, options), *unknown_failures(events, statements)),
        set_aside=conform_to_schema(
            statements.with_columns(rule=faults).filter(faults.is_not_null()), {**STATEMENT_SCHEMA, "rule": pl.String}
        ),
        lineage=lineage,
    )


def _fault() -> pl.Expr:
    """Return the rule that a row breaks: it ends too soon after the one before, since services do not tell a short fiscal year
    from a whole one, or its scale slipped; or null."""
    whole = pl.when(pl.col("total_assets").is_not_null()).then("period_end")
    before = whole.shift().forward_fill().over("company_id", order_by="period_end")
    short = ((whole - before).dt.total_days() < SHORTEST_YEAR).fill_null(False)
    return pl.when(short).then(pl.lit("not_a_year")).when(assets_slipped()).then(pl.lit("scale_slip"))


def _statements(fields: pl.DataFrame, service: MarketSource, options: MarketService) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return statements, and their lineage (`LINEAGE_SCHEMA`)."""
    end = pl.col("period_end")
    items = [ladder.item for ladder in service.ladders]
    values = item_values(fields, service.ladders).with_columns(
        *(_in_millions(item) for item in items),
        pl.col("currency").fill_null(options.currency),
        fiscal_year=fiscal_year(end),
        available_at=end + pl.duration(days=options.filing_lag_days),
        source=pl.lit(service.name),
    )
    statements, worked_out = with_derived(values.sort("company_id", "period_end"))
    told = [
        values.select(
            *("company_id", "fiscal_year", "period_end", "available_at"),
            item=pl.lit(item),
            value=pl.col(item),
            rule=pl.col(f"{item}_rule"),
        ).filter(pl.col("value").is_not_null())
        for item in (*items, *(["market_value"] if "market_value" in values.columns else []))
    ]
    lineage = pl.concat([*(conform_to_schema(table, LINEAGE_SCHEMA) for table in told), worked_out])
    return statements, lineage.sort("company_id", "period_end", "item")


def _in_millions(item: str) -> pl.Expr:
    amount = (pl.col(item) / MILLION).round(6)
    return pl.when(amount == 0).then(0.0).otherwise(amount).alias(item)  # a zero has no sign


def _notes(
    service: MarketSource, fields: pl.DataFrame, ended: pl.DataFrame, store: RawStore, options: MarketService
) -> Iterator[LocalisedMessage]:
    """Yield what is missing. fields: all accounts. ended: those of fiscal years that are over."""
    have = set(fields["company_id"])
    lacking = [each for each in options.symbols if each not in have]
    left = [each for each in lacking if company_answer(each, service.answers[0]) not in store]
    if left:
        yield LocalisedMessage(
            "companies that were not fetched yet: {n} of {all}, such as {example}; `quiebra fetch {service}` goes on",
            {"n": len(left), "all": len(options.symbols), "example": left[0], "service": service.name},
        )
    if none := [each for each in lacking if each not in left]:
        yield LocalisedMessage(
            "companies of which the service has no accounts, such as dead tickers: {n} of {all}, such as {example}",
            {"n": len(none), "all": len(options.symbols), "example": none[0]},
        )
    if early := fields.height - ended.height:
        yield LocalisedMessage("accounts of fiscal years that had not ended when they were fetched, left out: {n}", {"n": early})
    if without := ended["currency"].null_count():
        yield LocalisedMessage(
            "accounts of which the service does not say the currency, taken as {currency}: {n}",
            {"n": without, "currency": options.currency},
        )
    others = ended.filter(pl.col("currency") != options.currency).sort("company_id", "period_end")
    if others.height:
        yield LocalisedMessage(
            "accounts in another currency than {currency}, which are set aside: {n}, such as those of {example} ({other})",
            {
                "currency": options.currency,
                "n": others.height,
                "example": others["company_id"][0],
                "other": others["currency"][0],
            },
        )


def _hash(store: RawStore, options: MarketService, failures: Path | None) -> str:
    """Return a hash over what was read: the hashes of the store's files."""
    told = hashlib.sha256()
    for name in names_read(store, options):
        answer = store.answer(name)
        told.update(f"{name} {answer.sha256 if answer else ''}\n".encode())
    if failures is not None:
        told.update(failures.read_bytes())
    return told.hexdigest()
