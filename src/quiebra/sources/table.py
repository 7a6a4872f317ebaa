"""A user's own firm-years: CSV, Parquet or Excel, with a column mapping, units and currency in params."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from quiebra.canonical import COMPANIES, EVENTS, FIRST_DAY, LAST_DAY, MACRO, STATEMENTS, Source, SourceInfo, conform
from quiebra.errors import Said, SourceError, closest
from quiebra.items import ITEM_NAMES
from quiebra.params import Table
from quiebra.provenance import sha256
from quiebra.sources.amounts import about_units, with_currency
from quiebra.sources.cells import ROW, Kind, RawTable, as_text, cast, cast_rows, rename_to_known_names, require, without_folder
from quiebra.sources.events import events_of
from quiebra.sources.reading import read_file

REQUIRED = ("company_id", "fiscal_year", "total_assets", "total_liabilities")
DESCRIPTIVE = ("name", "country", "region", "sector")
DATES = ("period_end", "available_at", "event_date")
GROUPS = ("region", "sector", "currency")
"""Where a mark of a missing value is no name; a company, or a country, may be called NA."""
KNOWN = (*REQUIRED[:2], "currency", *DESCRIPTIVE, *DATES, *ITEM_NAMES)
MOST_YEARS_APART = 5
KINDS = {"fiscal_year": pl.Int32, **dict.fromkeys(DATES, pl.Date), **dict.fromkeys(ITEM_NAMES, pl.Float64)}


def load(path: Path, options: Table) -> Source:
    """Read firm-years and the event dates in the same rows (``event_date``, empty for companies that did not fail).

    Amounts times ``options.units`` are millions. Missing ``period_end`` is 31 December of the fiscal year; missing
    ``available_at`` is ``filing_lag_days`` after it. Raises SourceError: see `quiebra.sources.reading`.
    """
    statements, notes = statements_from(path, options)
    events, warnings = events_of(statements)
    versions = ["company_id", "fiscal_year", "period_end", "available_at"]
    latest = statements.sort(*versions, *DESCRIPTIVE).group_by("company_id", maintain_order=True)
    companies = latest.agg(pl.col(name).drop_nulls().last() for name in DESCRIPTIVE)
    first, last = _span(statements, path)
    guessed = map(without_folder, notes)
    info = SourceInfo(
        source="table", title=path.stem, simulated=False, currency=options.currency,
        first_label_year=first,
        outcomes_through=options.outcomes_through or last - 1,
        as_of=_latest_date(statements, last, options.filing_lag_days), sha256=sha256(path),
        notes=f"Read from {path.name}; amounts times {options.units} are millions of {options.currency}.",
        assumed_lag_days=options.filing_lag_days if statements["assumed"].any() else None,
    )  # fmt: skip
    return Source(
        info,
        conform(companies, COMPANIES),
        conform(statements, STATEMENTS),
        conform(events, EVENTS),
        pl.DataFrame(schema=MACRO),
        (*guessed, *about_units(statements, options.units), *warnings),
    )


def header_names(options: Table) -> frozenset[str]:
    """Return what the columns that a file must have are called in it."""
    return frozenset(options.columns.get(name, name) for name in REQUIRED)


def statements_from(path: Path, options: Table, learnt: str | None = None) -> tuple[pl.DataFrame, list[Said]]:
    """Return the file's firm-years in canonical names, types and millions, with the descriptive columns it has; and what was
    guessed in reading them.

    learnt: the currency of the panel behind the model that will score them; see `quiebra.sources.amounts.with_currency`.
    """
    table = named(read_file(path, options, wanted=[header_names(options)]), options, whole=learnt is None)
    return _in_millions(cast(table, KINDS), options, path, learnt), table.notes


def statement_rows(
    table: RawTable, options: Table, learnt: str | None = None, beside: Mapping[str, Kind] = MappingProxyType({})
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a file's firm-years (table: as read) as `statements_from` does, with ``row`` (as in the file), and the values
    that do not fit (row, column, value, company_id, fiscal_year). A row with such a value is not among the firm-years, unless
    it is in a column of ``beside``: other numbers that are wanted where the file has them.

    SourceError where the file as a whole is wrong.
    """
    table = named(table, options, whole=learnt is None)
    kinds = {**KINDS, **{name: kind for name, kind in beside.items() if name in table.columns}}
    done, faults = cast_rows(table, kinds)
    rows = _in_millions(done, options, table.path, learnt).with_columns(row=pl.col(ROW))
    faults = faults.join(rows.select("row", "company_id", "fiscal_year"), on="row", how="left", maintain_order="left")
    left_out = faults.filter(pl.col("column").is_in(list(KINDS)))["row"]
    return rows.filter(~pl.col("row").is_in(left_out.implode())), faults


def named(table: RawTable, options: Table, *, whole: bool = True) -> RawTable:
    """Return a file's columns under their canonical names, those that it lacks as missing; other columns stay.

    whole: all columns that params map must be there, as in what a model is to learn from; else those needed, and it is said which
    others are not.
    """
    unknown = [name for name in options.columns if name not in KNOWN]
    if unknown:
        close = closest(unknown[0], KNOWN)
        near = Said(" (did you mean '{near}'?)", {"near": close}) if close else ""
        raise SourceError("ingest.table.columns: '{name}' is not a canonical name{near}", name=unknown[0], near=near)
    table = rename_to_known_names(table, [*options.columns.values(), *(name for name in KNOWN if name not in options.columns)])
    mapped = {our: their for our, their in options.columns.items() if whole or our in REQUIRED or their in table.columns}
    require(table, mapped.values())
    if absent := [their for our, their in options.columns.items() if our not in mapped]:
        note = Said("{path}: columns that params map are not there and count as missing: {columns}",
                    {"path": table.path, "columns": ", ".join(absent)})  # fmt: skip
        table.notes.append(note)
    theirs = set(mapped.values())
    frame = table.frame.select(
        *(pl.col(their).alias(our) for our, their in mapped.items()),
        *(name for name in table.frame.columns if name not in theirs and name not in mapped),
    )
    table = table.with_frame(frame)
    require(table, REQUIRED)
    table = table.with_frame(frame.with_columns(pl.lit(None).alias(name) for name in KNOWN if name not in frame.columns))
    texts = [as_text(table, name, marks=name in GROUPS).alias(name) for name in ("company_id", "currency", *DESCRIPTIVE)]
    return table.with_frame(table.frame.with_columns(texts))


def _in_millions(frame: pl.DataFrame, options: Table, path: Path, learnt: str | None) -> pl.DataFrame:
    return with_currency(_with_dates(frame, options), options.currency, path, learnt).with_columns(
        *(pl.col(name) * options.units for name in ITEM_NAMES),
        source=pl.lit("table"),
    )


def _with_dates(frame: pl.DataFrame, options: Table) -> pl.DataFrame:
    plausible = pl.col("fiscal_year").is_between(1, 9998)
    year_end = pl.date(pl.when(plausible).then(pl.col("fiscal_year")), 12, 31)
    frame = frame.with_columns(period_end=pl.col("period_end").fill_null(year_end))
    day = pl.col("period_end")
    lagged = pl.when(day.is_between(FIRST_DAY, LAST_DAY)).then(day + pl.duration(days=options.filing_lag_days))
    assumed = pl.col("available_at").is_null()  # from a day that is none nothing is worked out: the row goes to quarantine
    return frame.with_columns(available_at=pl.col("available_at").fill_null(lagged).fill_null(day), assumed=assumed)


def _span(statements: pl.DataFrame, path: Path) -> tuple[int, int]:
    """Return first and last fiscal year of the file. Years with hardly any rows (under 1 % of the fullest) are mistakes, and so
    are those at an end that lie more than `MOST_YEARS_APART` from the next and have fewer rows than the fullest."""
    counts = statements.filter(pl.col("fiscal_year").is_between(1900, 2200))["fiscal_year"].value_counts()
    if counts.is_empty():
        raise SourceError("{path}: column 'fiscal_year' holds no year between 1900 and 2200: fill it in", path=path)
    most = counts["count"].max()
    likely = counts.filter(pl.col("count") >= 0.01 * most).sort("fiscal_year").rows()
    for end, beside in ((-1, -2), (0, 1)):
        while len(likely) > 1 and likely[end][1] < most and abs(likely[end][0] - likely[beside][0]) > MOST_YEARS_APART:
            del likely[end]
    return likely[0][0], likely[-1][0]


def _latest_date(statements: pl.DataFrame, last_year: int, lag_days: int) -> dt.date:
    """Return the last day on which a statement of the last year or before came out; two years late, or later than the assumed lag
    allows, is a mistake."""
    limit = dt.date(last_year + 1, 12, 31) + dt.timedelta(days=max(365, lag_days))
    plausible = statements.filter((pl.col("fiscal_year") <= last_year) & (pl.col("available_at") <= limit))
    latest = plausible["available_at"].max()
    return latest if isinstance(latest, dt.date) else dt.date(last_year + 1, 12, 31)
