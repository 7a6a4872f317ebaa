"""Read a user's own firm-years (CSV, Parquet or Excel; a file or a folder of them) into canonical tables, as params say."""

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
    OwnColumn,
    Source,
    SourceInfo,
    conform_to_schema,
    statement_schema,
)
from quiebra.errors import LocalisedMessage, SourceError, closest_name
from quiebra.items import ITEM_NAMES
from quiebra.params import Table
from quiebra.provenance import file_sha256, json_sha256
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
from quiebra.sources.column_names import NAMES, currencies_in, in_thousands, match_known_names, says_whole_units
from quiebra.sources.currency import in_millions, resolve_currency, unit_doubts
from quiebra.sources.derived_items import EXPENSES, HELPER_COLUMNS, Derivation, derive_items
from quiebra.sources.events import first_events, read_failures, unknown_failures
from quiebra.sources.fiscal_years import fiscal_year
from quiebra.sources.layouts import YEAR, to_rows
from quiebra.sources.reading import TABLE_FILES, read_file

REQUIRED = ("company_id", "fiscal_year", "total_assets", "total_liabilities")
STANDS_FOR = {
    "fiscal_year": (("period_end",),),
    "total_liabilities": (("equity",), ("current_liabilities", "non_current_liabilities")),
}
"""Required column → other columns that it follows from."""
DESCRIPTIVE = ("name", "country", "region", "sector")
TEXT_COLUMNS = ("currency", *DESCRIPTIVE, "status", "consolidation")
DATE_COLUMNS = ("period_end", "available_at", "event_date", "status_date")
COLUMNS_WITH_NA_MARKS = ("region", "sector", "currency", "status", "consolidation")
"""Columns in which a mark such as ``NA`` is a missing value; elsewhere a company or a country may be called NA."""
NUMBER_COLUMNS = (*ITEM_NAMES, *HELPER_COLUMNS, "months")
KNOWN_COLUMNS = (*REQUIRED[:2], *TEXT_COLUMNS, *DATE_COLUMNS, *NUMBER_COLUMNS)
RESERVED_NAMES = (
    *STATEMENT_SCHEMA,
    *("rule", "row", "assumed", "failed", "outcome", "years_to_failure", "years_known", "base", "exposure", "lgd", "scorer"),
)
"""Names of columns beside a person's own, here and in the tables of the stages."""
MAX_YEAR_GAP = 5
BALANCE_TOLERANCE = 0.02
"""Share of total assets by which a balance may miss: minority interests and rounding."""
MONTHS_OF_A_YEAR = (11, 13)
"""Fewest and most months of accounts that count as a year's."""
COLUMN_TYPES = {"fiscal_year": pl.Int32, **dict.fromkeys(DATE_COLUMNS, pl.Date), **dict.fromkeys(NUMBER_COLUMNS, pl.Float64)}


def load(path: Path, options: Table, failures: Path | None = None) -> Source:
    """Read firm-years, and the failures in the same rows (``event_date`` or ``status``, empty for companies that did not fail).

    Amounts are multiplied by ``options.units`` to give millions. A missing ``period_end`` is set to 31 December of the fiscal
    year, a missing ``available_at`` to ``filing_lag_days`` after it. failures: file of failures, which takes the place of
    ``event_date`` for the companies in it. Raise SourceError; see `quiebra.sources.reading`.
    """
    read, notes = _read(path, options)
    statements, derived = derive_items(read.filter(pl.col("rule").is_null()))
    events, warnings = first_events(statements, options.statuses)
    if failures is not None:
        others = read_failures(failures)
        events = pl.concat([events.join(others, on="company_id", how="anti"), others]).sort("company_id")
        warnings += unknown_failures(others, statements)
    versions = ["company_id", "fiscal_year", "period_end", "available_at"]
    latest = statements.sort(*versions, *DESCRIPTIVE).group_by("company_id", maintain_order=True)
    companies = latest.agg(pl.col(name).drop_nulls().last() for name in DESCRIPTIVE)
    first, last = _span(statements, path)
    info = SourceInfo(
        source="table",
        title=options.title or path.stem,
        simulated=False,
        currency=options.currency,
        first_label_year=first,
        outcomes_through=options.outcomes_through or last - 1,
        as_of=_latest_date(statements, last, options.filing_lag_days),
        sha256=_hash(path),
        notes=_reading_in_words(path, options, derived),
        own_columns=own_columns(options),
        assumed_lag_days=options.filing_lag_days if statements["assumed"].any() else None,
    )
    schema = statement_schema(options.features)
    return Source(
        info,
        conform_to_schema(companies, COMPANY_SCHEMA),
        conform_to_schema(statements, schema),
        conform_to_schema(events, EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        (*map(without_folder, notes), *unit_doubts(statements, options.units), *warnings, *_balance_doubts(read, path)),
        set_aside=conform_to_schema(read.filter(pl.col("rule").is_not_null()), {**schema, "rule": pl.String}),
    )


def own_columns(options: Table) -> tuple[OwnColumn, ...]:
    """Return the columns that params make features."""
    return tuple(
        OwnColumn(name, feature.label, feature.label_es or feature.label, feature.sign)
        for name, feature in options.features.items()
    )


def _balance_doubts(rows: pl.DataFrame, path: Path) -> list[LocalisedMessage]:
    """Return a warning on rows whose liabilities and equity are not their assets.

    SourceError where they are most: then a column is something else, such as the sum of liabilities and equity.
    """
    gap = (pl.col("total_liabilities") + pl.col("equity") - pl.col("total_assets")).abs() / pl.col("total_assets")
    off = rows.select(off=gap > BALANCE_TOLERANCE).to_series().drop_nulls()
    count = int(off.sum())
    if 2 * count > len(off):
        raise SourceError(
            "{path}: total_liabilities and equity do not add up to total_assets in {n} of {all} rows: one of the columns is "
            "something else, such as the sum of liabilities and equity. Correct ingest.table.columns, or leave out what you are "
            "not sure of.",
            path=path,
            n=count,
            all=len(off),
        )
    text = "rows whose total_liabilities and equity do not add up to total_assets: {n} of {all}"
    return [LocalisedMessage(text, {"n": count, "all": len(off)})] if count > 0.02 * len(off) else []


def table_files(path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, or the tables in a folder, by name."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.name.lower().endswith(TABLE_FILES) and file.name[0] not in ".~")


def _hash(path: Path) -> str:
    files = table_files(path)
    return file_sha256(path) if files == [path] else json_sha256({file.name: file_sha256(file) for file in files})


def _reading_in_words(path: Path, options: Table, derived: Mapping[Derivation, pl.Series]) -> str:
    said = f"Read from {path.name}; amounts times {options.units} are millions of {options.currency}."
    if options.preset:
        said += f" Columns by the preset '{options.preset}', which was made from documentation."
    if derived:
        rules = (f"{each.item} = {each.rule} ({rows.sum():,} rows)" for each, rows in derived.items())
        said += f" Worked out where missing: {'; '.join(rules)}."
    return said


def required_headers(options: Table) -> frozenset[str]:
    """Return the names in the file of the columns that it must have."""
    return frozenset(options.columns.get(name, name) for name in REQUIRED)


def read_statements(
    path: Path, options: Table, learnt: str | None = None, *, derive: bool = True
) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return the firm-years of a file or folder in canonical names and types, in millions, and notes on how they were read.

    ``rule``: why a row is to be set aside; null: it is not. derive: fill in items that follow from others.
    learnt: currency of the panel behind the model that will score them; see `quiebra.sources.currency.resolve_currency`.
    """
    rows, notes = _read(path, options, learnt)
    return derive_items(rows)[0] if derive else rows, notes


def _read(path: Path, options: Table, learnt: str | None = None) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    wanted = [required_headers(options)] if options.layout == "long" and not options.preset else []
    if not table_files(path):
        raise SourceError("{path} is a folder without a table: put .csv, .csv.gz, .parquet or .xlsx files into it", path=path)
    tables = [read_file(file, options, wanted=wanted) for file in table_files(path)]
    columns = [canonical_columns(table, options, whole=learnt is None) for table in tables]
    kinds = column_types(options)
    notes = [said for table in tables for said in _unit_doubts_of_names(table, options)]
    frames = [cast_columns(table, kinds).select(*_canonical_names(options)) for table in columns]
    rows = _in_millions(pl.concat(frames), options, path, learnt)
    return rows, [*(note for table in columns for note in table.notes), *{str(said): said for said in notes}.values()]


def _unit_doubts_of_names(table: RawTable, options: Table) -> list[LocalisedMessage]:
    """Return warnings where the names of a file's columns say another currency, or other multiples of it, than params."""
    named = currencies_in(table.columns)
    said = []
    if named and options.currency not in named:
        values = {"path": table.path, "found": ", ".join(sorted(named)), "currency": options.currency}
        said.append(LocalisedMessage("{path}: its columns' names say {found}, and ingest.table.currency is {currency}", values))
    thousands = in_thousands(table.columns)
    if (thousands and options.units == 1.0) or (says_whole_units(table.columns) and options.units in (0.001, 1.0)):
        unit = LocalisedMessage("thousands") if thousands else LocalisedMessage("single units")
        values = {"path": table.path, "found": unit, "units": options.units}
        said.append(LocalisedMessage("{path}: its columns' names say {found}, and ingest.table.units is {units}", values))
    return said


def canonical_statements(
    table: RawTable,
    options: Table,
    learnt: str | None = None,
    beside: Mapping[str, Kind] = MappingProxyType({}),
    *,
    derive: bool = True,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the firm-years of a table as `read_statements` does, with ``row``, and the values that do not fit.

    beside: further numeric columns, with their types, that are read where the file has them.
    Values that do not fit: row, column, value, company_id and fiscal_year. Their rows are not among the firm-years, unless the
        column is in ``beside``. Raise SourceError where the file as a whole is wrong.
    """
    table = canonical_columns(table, options, whole=learnt is None)
    needed = column_types(options)
    kinds = {**needed, **{name: kind for name, kind in beside.items() if name in table.columns}}
    done, faults = cast_with_faults(table, kinds)
    rows = _in_millions(done, options, table.path, learnt)
    rows = (derive_items(rows)[0] if derive else rows).with_columns(row=pl.col(ROW_COLUMN))
    of_row = rows.select("row", "company_id", "fiscal_year").unique("row", keep="last", maintain_order=True)
    faults = faults.join(of_row, on="row", how="left", maintain_order="left")
    left_out = faults.filter(pl.col("column").is_in(list(needed)))["row"]
    return rows.filter(~pl.col("row").is_in(left_out.implode())), faults


def column_types(options: Table) -> dict[str, Kind]:
    """Return the canonical columns that are not text, with their types; those of ``options.features`` among them."""
    return {**COLUMN_TYPES, **dict.fromkeys(options.features, pl.Float64)}


def _canonical_names(options: Table) -> list[str]:
    return [*KNOWN_COLUMNS, *options.features]


def canonical_columns(table: RawTable, options: Table, *, whole: bool = True) -> RawTable:
    """Return a file's columns under their canonical names; canonical columns it lacks are null, other columns are kept.

    whole: all columns mapped in params must be present, as in data to train on; otherwise only the required ones must, and a note
        lists the others that are absent.
    """
    known = _canonical_names(options)
    unknown = [name for name in options.columns if name not in known]
    if unknown:
        close = closest_name(unknown[0], known)
        near = LocalisedMessage(" (did you mean '{near}'?)", {"near": close}) if close else ""
        raise SourceError("ingest.table.columns: '{name}' is not a canonical name{near}", name=unknown[0], near=near)
    if taken := [name for name in options.features if name in (*KNOWN_COLUMNS, *RESERVED_NAMES)]:
        raise SourceError("ingest.table.features: '{name}' is the name of a column of ours: choose another", name=taken[0])
    table = to_rows(table, options.layout, [options.columns.get("period_end", "period_end"), *NAMES["period_end"]])
    columns = {**_preset_columns(table, options), **options.columns}
    table = rename_to_known_names(table, [*columns.values(), *(name for name in known if name not in columns)])
    required = [*_required(table, columns, options), *(options.features if whole else ())]
    if lacking := [name for name in options.features if not whole and columns.get(name, name) not in table.columns]:
        text = "{path}: features of your own that are not there and count as missing: {columns}; the model learnt from them"
        table.notes.append(LocalisedMessage(text, {"path": table.path, "columns": ", ".join(lacking)}))
    mapped = {our: their for our, their in columns.items() if whole or our in required or their in table.columns}
    require_columns(table, mapped.values())
    if absent := [their for our, their in columns.items() if our not in mapped]:
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
    require_columns(table, required)
    table = table.with_frame(frame.with_columns(pl.lit(None).alias(name) for name in known if name not in frame.columns))
    texts = [text_column(table, name, marks=name in COLUMNS_WITH_NA_MARKS).alias(name) for name in ("company_id", *TEXT_COLUMNS)]
    coded = [_coded(table, name, feature.values) for name, feature in options.features.items() if feature.values]
    return _with_file_year(table.with_frame(table.frame.with_columns(*texts, *coded)))


def _coded(table: RawTable, name: str, values: Mapping[str, float]) -> pl.Series:
    """Return a column as the numbers that its texts stand for, whatever their case. SourceError for a text without a number."""
    plain = {text.strip().casefold(): value for text, value in values.items()}
    cells = table.frame.select(text_column(table, name, marks=True).str.to_lowercase().alias(name)).to_series()
    if unknown := cells.drop_nulls().filter(~cells.drop_nulls().is_in(list(plain))).unique(maintain_order=True).to_list():
        raise SourceError(
            "{path}: '{value}' in column '{column}' has no number in ingest.table.features.{column}.values (such texts: {count})",
            path=table.path,
            value=unknown[0],
            column=name,
            count=len(unknown),
        )
    return cells.replace_strict(plain, return_dtype=pl.Float64)


def _preset_columns(table: RawTable, options: Table) -> dict[str, str]:
    """Return the columns that a preset finds by their names, canonical name first; none without a preset."""
    if options.preset is None:
        return {}
    taken = set(options.columns.values())
    matches = match_known_names([column for column in table.columns if column not in taken])
    return {match.canonical: match.column for match in matches if match.canonical not in options.columns}


def _required(table: RawTable, columns: Mapping[str, str], options: Table) -> list[str]:
    """Return the required columns of a table: all, but those that follow from others that it has."""
    there = {*table.columns, *(our for our, their in columns.items() if their in table.columns)}
    stands = {name for name, others in STANDS_FOR.items() if any(there.issuperset(each) for each in others)}
    if YEAR.search(table.path.stem):
        stands.add("fiscal_year")
    if options.features and not there.intersection((*ITEM_NAMES, *HELPER_COLUMNS)):  # a table of ratios
        stands |= {"total_assets", "total_liabilities"}
    return [name for name in REQUIRED if name in there or name not in stands]


def _with_file_year(table: RawTable) -> RawTable:
    """Return a table without fiscal years and period ends with the year that its file's name tells."""
    empty = table.frame.select(pl.col("fiscal_year", "period_end").is_null().all()).row(0)
    found = YEAR.findall(table.path.stem)
    if not all(empty) or len(set(found)) != 1:
        return table
    note = LocalisedMessage("{path}: the fiscal year is that of the file's name, {year}", {"path": table.path, "year": found[0]})
    table.notes.append(note)
    return table.with_frame(table.frame.with_columns(pl.lit(int(found[0]), pl.Int64).alias("fiscal_year")))


def _in_millions(frame: pl.DataFrame, options: Table, path: Path, learnt: str | None) -> pl.DataFrame:
    signs = dict.fromkeys(EXPENSES, -1.0) if options.negative_expenses else {}
    amounts = [name for name in (*ITEM_NAMES, *HELPER_COLUMNS) if name != "share_price"]
    dated = with_dates(frame, options.filing_lag_days)
    ruled = dated.with_columns(rule=pl.coalesce(_not_a_year(), _other_basis(dated)))
    return resolve_currency(ruled, options.currency, path, learnt).with_columns(
        *(in_millions(pl.col(name), options.units) * signs.get(name, 1.0) for name in amounts),
        source=pl.lit("table"),
    )


def _not_a_year() -> pl.Expr:
    return pl.when(~pl.col("months").is_between(*MONTHS_OF_A_YEAR)).then(pl.lit("not_a_year"))


def _other_basis(frame: pl.DataFrame) -> pl.Expr:
    """Return ``other_basis`` for accounts of another basis than that of most years of the company, consolidated on a tie."""
    said = pl.col("consolidation").str.to_lowercase()
    alone = said.str.contains(r"^\s*(u|n|i|lf|no |sin )|individual|unconsol|company|separate")
    group = said.str.contains(r"^\s*c(\d|onsol|$)|consolid|^group|^grupo")
    consolidated = pl.when(alone).then(False).when(group).then(True)
    years = pl.col("fiscal_year")
    more = years.filter(consolidated).n_unique().over("company_id") >= years.filter(~consolidated).n_unique().over("company_id")
    return pl.when(consolidated != more).then(pl.lit("other_basis"))


def with_dates(frame: pl.DataFrame, filing_lag_days: int) -> pl.DataFrame:
    """Return firm-years with missing fiscal years, period ends and dates of publication filled in from each other.

    assumed: whether the date of publication is that of the period's end and ``filing_lag_days``.
    """
    year = pl.col("fiscal_year").fill_null(fiscal_year(pl.col("period_end")))
    day = pl.col("period_end").fill_null(pl.date(pl.when(year.is_between(1, 9998)).then(year), 12, 31))
    lagged = pl.when(day.is_between(FIRST_DAY, LAST_DAY)).then(day + pl.duration(days=filing_lag_days))
    assumed = pl.col("available_at").is_null()  # no lag is added to an implausible period_end: such a row is quarantined
    published = pl.col("available_at").fill_null(lagged).fill_null(day)
    return frame.with_columns(fiscal_year=year, period_end=day, available_at=published, assumed=assumed)


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
