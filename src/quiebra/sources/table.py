"""A user's own firm-years: CSV, Parquet or Excel, with a column mapping, units and currency in params."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from quiebra.canonical import COMPANIES, EVENTS, MACRO, STATEMENTS, Source, SourceInfo, conform
from quiebra.errors import Said, SourceError, closest
from quiebra.items import ITEM_NAMES
from quiebra.params import Table
from quiebra.provenance import sha256
from quiebra.sources.cells import ROW, Kind, RawTable, as_text, cast, cast_rows, require
from quiebra.sources.reading import read_file

REQUIRED = ("company_id", "fiscal_year", "total_assets", "total_liabilities")
DESCRIPTIVE = ("name", "country", "region", "sector")
DATES = ("period_end", "available_at", "event_date")
GROUPS = ("region", "sector")
"""Where a mark of a missing value is no name; a company, or a country, may be called NA."""
KNOWN = (*REQUIRED[:2], *DESCRIPTIVE, *DATES, *ITEM_NAMES)
KINDS = {"fiscal_year": pl.Int32, **dict.fromkeys(DATES, pl.Date), **dict.fromkeys(ITEM_NAMES, pl.Float64)}


def load(path: Path, options: Table) -> Source:
    """Read firm-years and the event dates in the same rows (``event_date``, empty for companies that did not fail).

    Amounts times ``options.units`` are millions. Missing ``period_end`` is 31 December of the fiscal year; missing
    ``available_at`` is ``filing_lag_days`` after it. Raises SourceError: see `quiebra.sources.reading`.
    """
    statements, notes = statements_from(path, options)
    events = (
        statements.filter(pl.col("event_date").is_not_null())
        .group_by("company_id")
        .agg(pl.col("event_date").min())
        .with_columns(kind=pl.lit("bankruptcy"), source=pl.lit("table"))
    )
    latest = statements.sort("company_id", "fiscal_year").group_by("company_id", maintain_order=True)
    companies = latest.agg(pl.col(name).drop_nulls().last() for name in DESCRIPTIVE)
    first, last = _span(statements, path)
    said = f"Read from {path.name}; amounts times {options.units} are millions of {options.currency}."
    info = SourceInfo(
        source="table", title=path.stem, simulated=False, currency=options.currency,
        first_label_year=first,
        outcomes_through=options.outcomes_through or last - 1,
        as_of=_latest_date(statements, last), sha256=sha256(path),
        notes=" ".join([said, *map(_sentence, notes)]),
    )  # fmt: skip
    return Source(
        info,
        conform(companies, COMPANIES),
        conform(statements, STATEMENTS),
        conform(events, EVENTS),
        pl.DataFrame(schema=MACRO),
    )


def _sentence(note: Said) -> str:
    values = {name: value.name if isinstance(value, Path) else value for name, value in note.values.items()}
    return f"{Said(note.text, values)}."


def header_names(options: Table) -> frozenset[str]:
    """Return what the columns that a file must have are called in it."""
    return frozenset(options.columns.get(name, name) for name in REQUIRED)


def statements_from(path: Path, options: Table) -> tuple[pl.DataFrame, tuple[Said, ...]]:
    """Return the file's firm-years in canonical names, types and millions, with the descriptive columns it has; and what was
    guessed in reading them."""
    table = named(read_file(path, options, wanted=[header_names(options)]), options)
    return _in_millions(cast(table, KINDS), options), table.notes


def statement_rows(
    table: RawTable, options: Table, beside: Mapping[str, Kind] = MappingProxyType({})
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a file's firm-years (table: as read) as `statements_from` does, with ``row`` (as in the file), and the values
    that do not fit (row, column, value, company_id, fiscal_year). A row with such a value is not among the firm-years.

    beside: other columns of numbers that are wanted, where the file has them. SourceError where the file as a whole is wrong.
    """
    table = named(table, options)
    kinds = {**KINDS, **{name: kind for name, kind in beside.items() if name in table.columns}}
    done, faults = cast_rows(table, kinds)
    rows = _in_millions(done, options).with_columns(row=pl.col(ROW))
    faults = faults.join(rows.select("row", "company_id", "fiscal_year"), on="row", how="left", maintain_order="left")
    return rows.filter(~pl.col("row").is_in(faults["row"].implode())), faults


def named(table: RawTable, options: Table) -> RawTable:
    """Return a file's columns under their canonical names, those that it lacks as missing; other columns stay."""
    unknown = [name for name in options.columns if name not in KNOWN]
    if unknown:
        close = closest(unknown[0], KNOWN)
        near = Said(" (did you mean '{near}'?)", {"near": close}) if close else ""
        raise SourceError("ingest.table.columns: '{name}' is not a canonical name{near}", name=unknown[0], near=near)
    require(table, options.columns.values())
    theirs = set(options.columns.values())
    frame = table.frame.select(
        *(pl.col(their).alias(our) for our, their in options.columns.items()),
        *(name for name in table.frame.columns if name not in theirs and name not in options.columns),
    )
    table = table.with_frame(frame)
    require(table, REQUIRED)
    table = table.with_frame(frame.with_columns(pl.lit(None).alias(name) for name in KNOWN if name not in frame.columns))
    texts = [as_text(table, name, marks=name in GROUPS).alias(name) for name in ("company_id", *DESCRIPTIVE)]
    return table.with_frame(table.frame.with_columns(texts))


def _in_millions(frame: pl.DataFrame, options: Table) -> pl.DataFrame:
    return _with_dates(frame, options).with_columns(
        *(pl.col(name) * options.units for name in ITEM_NAMES),
        currency=pl.lit(options.currency),
        source=pl.lit("table"),
    )


def _with_dates(frame: pl.DataFrame, options: Table) -> pl.DataFrame:
    plausible = pl.col("fiscal_year").is_between(1, 9998)
    year_end = pl.date(pl.when(plausible).then(pl.col("fiscal_year")), 12, 31)
    frame = frame.with_columns(period_end=pl.col("period_end").fill_null(year_end))
    dated = pl.col("period_end").dt.year().is_between(1900, 2200)  # others go to quarantine; a lag could lead beyond all dates
    lagged = pl.when(dated).then(pl.col("period_end")) + pl.duration(days=options.filing_lag_days)
    return frame.with_columns(available_at=pl.col("available_at").fill_null(lagged))


def _span(statements: pl.DataFrame, path: Path) -> tuple[int, int]:
    """Return first and last fiscal year of the file; years with hardly any rows (under 1 % of the fullest) are mistakes."""
    counts = statements.filter(pl.col("fiscal_year").is_between(1900, 2200))["fiscal_year"].value_counts()
    if counts.is_empty():
        raise SourceError("{path}: column 'fiscal_year' holds no year between 1900 and 2200: fill it in", path=path)
    years = counts.filter(pl.col("count") >= 0.01 * pl.col("count").max())["fiscal_year"]
    return int(years.min()), int(years.max())  # type: ignore[arg-type]


def _latest_date(statements: pl.DataFrame, last_year: int) -> dt.date:
    """Return the last day on which a statement of the last year or before came out; two years late is a mistake."""
    plausible = statements.filter(
        (pl.col("fiscal_year") <= last_year) & (pl.col("available_at") <= dt.date(last_year + 2, 12, 31))
    )
    latest = plausible["available_at"].max()
    return latest if isinstance(latest, dt.date) else dt.date(last_year + 1, 12, 31)
