"""Canonical tables of services that give accounts by ticker, as they stand today and without the day of publication.

A row is a fiscal year, taken as public ``filing_lag_days`` after its end. Failures come from the user's file alone, since leaving
the exchange is no failure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
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

COMPANIES = "companies/"
"""Folder of the store, with a folder for each ticker."""
LISTS = "lists/"
MILLION = 1e6


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
    """Return a JSON object; None where a body is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


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
    statements, lineage = _statements(read.fields, service, options)
    events = pl.DataFrame(schema=EVENT_SCHEMA) if failures is None else read_failures(failures)
    as_of = max(dt.date.fromisoformat(answer.at[:10]) for name in names_read(store, options) if (answer := store.answer(name)))
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
        conform_to_schema(statements, STATEMENT_SCHEMA),
        conform_to_schema(events, EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        (*read.warnings, *_notes(service, statements, store, options), *unknown_failures(events, statements)),
        lineage=lineage,
    )


def _statements(fields: pl.DataFrame, service: MarketSource, options: MarketService) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return statements, and their lineage (`LINEAGE_SCHEMA`)."""
    end = pl.col("period_end")
    items = [ladder.item for ladder in service.ladders]
    values = item_values(fields, service.ladders).with_columns(
        (pl.col(items) / MILLION).round(6),
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


def _notes(
    service: MarketSource, statements: pl.DataFrame, store: RawStore, options: MarketService
) -> Iterator[LocalisedMessage]:
    have = set(statements["company_id"])
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
    others = statements.filter(pl.col("currency") != options.currency)
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
