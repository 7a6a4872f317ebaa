"""Read a user's own firm-years (CSV, Parquet or Excel), with column mapping, units and currency from params."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

import polars as pl

from quiebra.canonical import (
    COMPANY_SCHEMA,
    EVENT_SCHEMA,
    FILING_COLUMNS,
    FIRST_DAY,
    LAST_DAY,
    MACRO_SCHEMA,
    STATEMENT_SCHEMA,
    Source,
    SourceInfo,
    conform_to_schema,
)
from quiebra.errors import LocalisedMessage, SourceError, closest_name
from quiebra.items import ITEM_NAMES
from quiebra.params import Table
from quiebra.provenance import file_sha256
from quiebra.sources.cells import (
    ROW_COLUMN,
    Kind,
    RawTable,
    cast_columns,
    cast_with_faults,
    rename_to_known_names,
    require_columns,
    text_column,
    without_folder,
)
from quiebra.sources.currency import resolve_currency, unit_doubts
from quiebra.sources.events import first_events, read_failures
from quiebra.sources.reading import read_file

REQUIRED = ("company_id", "fiscal_year", "total_assets", "total_liabilities")
DESCRIPTIVE = ("name", "country", "region", "sector")
DATE_COLUMNS = ("period_end", "available_at", "event_date")
COLUMNS_WITH_NA_MARKS = ("region", "sector", "currency")
"""Columns in which a mark such as ``NA`` is a missing value; elsewhere a company or a country may be called NA."""
KNOWN_COLUMNS = (*REQUIRED[:2], "currency", *DESCRIPTIVE, *DATE_COLUMNS, *ITEM_NAMES)
MAX_YEAR_GAP = 5
COLUMN_TYPES = {"fiscal_year": pl.Int32, **dict.fromkeys(DATE_COLUMNS, pl.Date), **dict.fromkeys(ITEM_NAMES, pl.Float64)}


def load(path: Path, options: Table, failures: Path | None = None) -> Source:
    """Read firm-years, and the failures in the same rows (``event_date``, empty for companies that did not fail).

    Amounts are multiplied by ``options.units`` to give millions. A missing ``period_end`` is set to 31 December of the fiscal
    year, a missing ``available_at`` to ``filing_lag_days`` after it. failures: file of failures, which takes the place of
    ``event_date`` for the companies in it. Raise SourceError; see `quiebra.sources.reading`.
    """
    statements, notes = read_statements(path, options)
    events, warnings = first_events(statements)
    if failures is not None:
        others = read_failures(failures)
        events = pl.concat([events.join(others, on="company_id", how="anti"), others]).sort("company_id")
        warnings += _unknown_failures(others, statements)
    versions = ["company_id", "fiscal_year", "period_end", "available_at"]
    latest = statements.sort(*versions, *DESCRIPTIVE).group_by("company_id", maintain_order=True)
    companies = latest.agg(pl.col(name).drop_nulls().last() for name in DESCRIPTIVE)
    first, last = _span(statements, path)
    guessed = map(without_folder, notes)
    info = SourceInfo(
        source="table",
        title=options.title or path.stem,
        simulated=False,
        currency=options.currency,
        first_label_year=first,
        outcomes_through=options.outcomes_through or last - 1,
        as_of=_latest_date(statements, last, options.filing_lag_days),
        sha256=file_sha256(path),
        notes=f"Read from {path.name}; amounts times {options.units} are millions of {options.currency}.",
        assumed_lag_days=options.filing_lag_days if statements["assumed"].any() else None,
    )
    return Source(
        info,
        conform_to_schema(companies, COMPANY_SCHEMA),
        conform_to_schema(statements, STATEMENT_SCHEMA),
        conform_to_schema(events, EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        (*guessed, *unit_doubts(statements, options.units), *warnings),
    )


def _unknown_failures(failures: pl.DataFrame, statements: pl.DataFrame) -> list[LocalisedMessage]:
    strange = failures.join(statements, on="company_id", how="anti")
    if strange.is_empty():
        return []
    values = {"n": strange.height, "all": failures.height, "example": strange["company_id"][0]}
    return [LocalisedMessage("failures of companies that have no statements: {n} of {all}, such as {example}", values)]


def required_headers(options: Table) -> frozenset[str]:
    """Return the names in the file of the columns that it must have."""
    return frozenset(options.columns.get(name, name) for name in REQUIRED)


def read_statements(path: Path, options: Table, learnt: str | None = None) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return the file's firm-years in canonical names and types, in millions, and notes on how the file was read.

    learnt: currency of the panel behind the model that will score them; see `quiebra.sources.currency.resolve_currency`.
    """
    table = canonical_columns(read_file(path, options, wanted=[required_headers(options)]), options, whole=learnt is None)
    return _in_millions(cast_columns(table, COLUMN_TYPES), options, path, learnt), table.notes


def canonical_statements(
    table: RawTable, options: Table, learnt: str | None = None, beside: Mapping[str, Kind] = MappingProxyType({})
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the firm-years of a table as `read_statements` does, with ``row``, and the values that do not fit.

    beside: further numeric columns, with their types, that are read where the file has them.
    Values that do not fit: row, column, value, company_id and fiscal_year. Their rows are not among the firm-years, unless the
        column is in ``beside``. Raise SourceError where the file as a whole is wrong.
    """
    table = canonical_columns(table, options, whole=learnt is None)
    kinds = {**COLUMN_TYPES, **{name: kind for name, kind in beside.items() if name in table.columns}}
    done, faults = cast_with_faults(table, kinds)
    rows = _in_millions(done, options, table.path, learnt).with_columns(row=pl.col(ROW_COLUMN))
    faults = faults.join(rows.select("row", "company_id", "fiscal_year"), on="row", how="left", maintain_order="left")
    left_out = faults.filter(pl.col("column").is_in(list(COLUMN_TYPES)))["row"]
    return rows.filter(~pl.col("row").is_in(left_out.implode())), faults


def canonical_columns(table: RawTable, options: Table, *, whole: bool = True) -> RawTable:
    """Return a file's columns under their canonical names; canonical columns it lacks are null, other columns are kept.

    whole: all columns mapped in params must be present, as in data to train on; otherwise only the required ones must, and a note
        lists the others that are absent.
    """
    unknown = [name for name in options.columns if name not in KNOWN_COLUMNS]
    if unknown:
        close = closest_name(unknown[0], KNOWN_COLUMNS)
        near = LocalisedMessage(" (did you mean '{near}'?)", {"near": close}) if close else ""
        raise SourceError("ingest.table.columns: '{name}' is not a canonical name{near}", name=unknown[0], near=near)
    table = rename_to_known_names(
        table, [*options.columns.values(), *(name for name in KNOWN_COLUMNS if name not in options.columns)]
    )
    mapped = {our: their for our, their in options.columns.items() if whole or our in REQUIRED or their in table.columns}
    require_columns(table, mapped.values())
    if absent := [their for our, their in options.columns.items() if our not in mapped]:
        note = LocalisedMessage(
            "{path}: columns that params map are not there and count as missing: {columns}",
            {"path": table.path, "columns": ", ".join(absent)},
        )
        table.notes.append(note)
    theirs = {*mapped.values(), *FILING_COLUMNS}
    frame = table.frame.select(
        *(pl.col(their).alias(our) for our, their in mapped.items()),
        *(name for name in table.frame.columns if name not in theirs and name not in mapped),
    )
    table = table.with_frame(frame)
    require_columns(table, REQUIRED)
    table = table.with_frame(frame.with_columns(pl.lit(None).alias(name) for name in KNOWN_COLUMNS if name not in frame.columns))
    texts = [
        text_column(table, name, marks=name in COLUMNS_WITH_NA_MARKS).alias(name)
        for name in ("company_id", "currency", *DESCRIPTIVE)
    ]
    return table.with_frame(table.frame.with_columns(texts))


def _in_millions(frame: pl.DataFrame, options: Table, path: Path, learnt: str | None) -> pl.DataFrame:
    return resolve_currency(_with_dates(frame, options), options.currency, path, learnt).with_columns(
        *(pl.col(name) * options.units for name in ITEM_NAMES),
        source=pl.lit("table"),
    )


def _with_dates(frame: pl.DataFrame, options: Table) -> pl.DataFrame:
    plausible = pl.col("fiscal_year").is_between(1, 9998)
    year_end = pl.date(pl.when(plausible).then(pl.col("fiscal_year")), 12, 31)
    frame = frame.with_columns(period_end=pl.col("period_end").fill_null(year_end))
    day = pl.col("period_end")
    lagged = pl.when(day.is_between(FIRST_DAY, LAST_DAY)).then(day + pl.duration(days=options.filing_lag_days))
    assumed = pl.col("available_at").is_null()  # no lag is added to an implausible period_end: such a row is quarantined
    return frame.with_columns(available_at=pl.col("available_at").fill_null(lagged).fill_null(day), assumed=assumed)


def _span(statements: pl.DataFrame, path: Path) -> tuple[int, int]:
    """Return the first and last fiscal year of the file, without years that are probably mistakes.

    These are years with under 1 % of the rows of the year with most, and years at either end that are more than
    `MAX_YEAR_GAP` from the next and have fewer rows than that year.
    """
    counts = statements.filter(pl.col("fiscal_year").is_between(1900, 2200))["fiscal_year"].value_counts()
    if counts.is_empty():
        raise SourceError("{path}: column 'fiscal_year' holds no year between 1900 and 2200: fill it in", path=path)
    most = cast("int", counts["count"].max())
    likely = counts.filter(pl.col("count") >= 0.01 * most).sort("fiscal_year").rows()
    for end, beside in ((-1, -2), (0, 1)):
        while len(likely) > 1 and likely[end][1] < most and abs(likely[end][0] - likely[beside][0]) > MAX_YEAR_GAP:
            del likely[end]
    return likely[0][0], likely[-1][0]


def _latest_date(statements: pl.DataFrame, last_year: int, lag_days: int) -> dt.date:
    """Return the latest available_at of the statements up to the last year.

    Dates more than a year (or the assumed lag, if longer) after the end of the following year are taken for mistakes.
    """
    limit = dt.date(last_year + 1, 12, 31) + dt.timedelta(days=max(365, lag_days))
    plausible = statements.filter((pl.col("fiscal_year") <= last_year) & (pl.col("available_at") <= limit))
    latest = plausible["available_at"].max()
    return latest if isinstance(latest, dt.date) else dt.date(last_year + 1, 12, 31)
