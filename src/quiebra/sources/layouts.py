"""Tables that are not one row a company and year, turned into that.

Wide ones, as databases of accounts export them, have a column for each item and year; those of accounting programs have a line
for each item, and a column for each year of one company. A year is part of a column's name: ``Total assets 2022``, or ``Last
avail. yr`` and ``Year - 1`` in English and Spanish, which count from the last available year, itself a column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import ROW_COLUMN, RawTable, blank_missing_marks, normalised_name

YEAR_COLUMN = "fiscal_year"
MAX_COLUMNS_OF_LINES = 4
"""Most columns beside the years in a file of lines: their names, codes, notes."""
YEAR = re.compile(r"(?<!\d)(?:\d{1,2}[/.-]\d{1,2}[/.-])?((?:19|20)\d\d)(?:[/.-]\d{1,2}[/.-]\d{1,2})?(?!\d)")
TWO_YEARS = re.compile(r"(?<!\d)((?:19|20)\d\d)\s*[-/]\s*((?:19|20)?\d\d)(?!\d|[-/])")
"""A fiscal year over two calendar years: 2021/22."""
CLASSIFICATION = re.compile(r"\b(cnae|nace|sic|naics|isic|iae|code|c[óo]digo)\b", re.IGNORECASE)
"""Names of classifications, which have the year of their version."""
LAST_YEAR = re.compile(
    r"(?:[úu]lt(?:imo|\.)?\s*a[ñn]o\s*disp(?:onible)?|last\s*avail(?:able)?\.?\s*(?:yr|year))\.?", re.IGNORECASE
)
YEARS_BACK = re.compile(r"(?:\b(?:year|yr|año|ano|ejercicio)|\bn)\s*[-\u2212\u2013]\s*(\d{1,2})\b", re.IGNORECASE)


@dataclass(frozen=True)
class YearOfColumn:
    """The part of a column's name that tells its year: the year itself, or years before the last available one."""

    base: str
    year: int | None = None
    back: int | None = None


def year_of_column(name: str) -> YearOfColumn | None:
    """Return the year that a column's name tells, and the name without it; None where it tells none.

    >>> year_of_column("Total assets th EUR 2022")
    YearOfColumn(base='Total assets th EUR', year=2022, back=None)
    >>> year_of_column("Ventas Año - 1")
    YearOfColumn(base='Ventas', year=None, back=1)
    """
    for span in TWO_YEARS.finditer(name):
        if (int(span[1]) + 1) % 100 == int(span[2]) % 100:
            return YearOfColumn(" ".join(f"{name[: span.start()]} {name[span.end() :]}".split()), year=int(span[1]) + 1)
    for pattern in (YEARS_BACK, LAST_YEAR, YEAR):
        if found := pattern.search(name):
            base = " ".join(f"{name[: found.start()]} {name[found.end() :]}".split())
            if pattern is YEAR:
                return YearOfColumn(base, year=int(found[1]))
            return YearOfColumn(base, back=int(found[1]) if pattern is YEARS_BACK else 0)
    return None


def to_rows(table: RawTable, layout: str, period_end_names: Iterable[str] = ()) -> RawTable:
    """Return a table of any layout (params ``ingest.table.layout``) as one row a company and year; see `to_long`."""
    if layout == "wide":
        return to_long(table, period_end_names)
    return transpose_lines(table) if layout == "lines" else table


def has_lines(table: RawTable) -> bool:
    """Return whether a table has lines of text beside nothing but columns of years."""
    others = [column for column in table.columns if (of := year_of_column(column)) is None or of.year is None]
    years = [column for column in table.columns if column not in others]
    texts = [column for column in others if _is_text(table.frame[column])]
    bases = {of.base for column in years if (of := year_of_column(column))}
    return len(bases) == 1 and len(others) <= MAX_COLUMNS_OF_LINES and len(texts) > 0


def transpose_lines(table: RawTable) -> RawTable:
    """Return a table of one company's accounts, a line for each item, with a row for each year and the lines as columns.

    The name of a line is in the first column of text. Where names repeat, the first line with one has it; others get a number.
    The company is called as its file, without the year. SourceError where no column's name is a year.
    """
    years = {column: of for column in table.columns if (of := year_of_column(column)) and of.year is not None}
    if not years:
        raise SourceError("{path}: no column's name has a year, as in 'Total assets 2022': is its layout long?", path=table.path)
    base = _amounts(of.base for of in years.values())
    years = {column: of for column, of in years.items() if of.base == base}
    if len({of.year for of in years.values()}) < len(years):
        raise SourceError("{path}: two columns are of one year: rename or remove one", path=table.path)
    texts = [column for column in table.columns if column not in years and _is_text(table.frame[column])]
    if not texts:
        raise SourceError("{path}: no column has the names of its lines", path=table.path)
    lines = table.frame.filter(pl.col(texts[0]).str.strip_chars() != "")
    names: list[str] = []
    for name in lines[texts[0]].str.strip_chars():
        again = names.count(name) + sum(other.startswith(f"{name} #") for other in names)
        names.append(f"{name} #{again + 1}" if again else name)
    columns = {name: [lines[column][at] for column in years] for at, name in enumerate(names)}
    mixed = {name: [_text(value) for value in cells] for name, cells in columns.items()}
    company = _company_of(table.path.name, {str(of.year) for of in years.values()})
    frame = pl.DataFrame(mixed, schema=dict.fromkeys(mixed, pl.String)).with_columns(
        pl.Series(YEAR_COLUMN, [of.year for of in years.values()], dtype=pl.Int64),
        pl.lit(company).alias("company_id"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW_COLUMN),
    )
    return table.with_frame(frame)


def _amounts(bases: Iterable[str]) -> str:
    """Return what the names of the columns of amounts have beside the year: nothing, or what most have, but no share or note."""
    counts = Counter(base for base in bases if not re.search(r"%|\bnota|\bnote|\bc[óo]d", base, re.IGNORECASE))
    return "" if "" in counts or not counts else counts.most_common(1)[0][0]


def _company_of(file: str, years: set[str]) -> str:
    """Return a file's name without its ending, and without a year at its end that is one of the file's own."""
    stem = re.sub(r"\.(csv\.gz|csv|parquet|xls[xmb]?|ods)$", "", file, flags=re.IGNORECASE)
    bare = re.sub(r"[\s_-]*(\d{4})$", lambda found: "" if found[1] in years else found[0], stem)
    return bare.strip(" _-") or stem


def _text(value: object) -> str | None:
    """Return a cell as text; a number that is not whole has an exponent, so that its point is that of decimals."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.17e}"
    return None if value is None else str(value)


def _is_text(column: pl.Series) -> bool:
    """Return whether most cells of a column have letters."""
    if column.dtype != pl.String:
        return False
    cells = column.str.strip_chars().drop_nulls()
    cells = cells.filter(cells != "")
    return len(cells) > 0 and 2 * int(cells.str.contains(r"\p{L}{3}").sum()) > len(cells)


def is_wide(columns: Iterable[str]) -> bool:
    """Return whether the same name is there for several years."""
    return any(count > 1 for count in Counter(of.base for of in _columns_of_years(columns).values()).values())


def _columns_of_years(columns: Iterable[str]) -> dict[str, YearOfColumn]:
    """Return the columns that are of one year. Where names are there for several years, those there for one (``CNAE 2009``) are
    names as they are."""
    told = {column: of for column in columns if (of := year_of_column(column)) and of.base and not CLASSIFICATION.search(of.base)}
    counts = Counter(of.base for of in told.values())
    least = min(2, max(counts.values(), default=0))
    return {column: of for column, of in told.items() if counts[of.base] >= least}


def to_long(table: RawTable, period_end_names: Iterable[str] = ()) -> RawTable:
    """Return a table with one row a company and year, under the names without their years, and with `YEAR_COLUMN`.

    Years of which a row has nothing are left out; a row's number is that of the row in the file.
    period_end_names: names of the column with the date of the accounts, which tells the last available year where no other does.
    SourceError where no column has a year, or years count from the last available one and no column says which that is.
    """
    told = _columns_of_years(table.columns)
    if not told:
        raise SourceError("{path}: no column's name has a year, as in 'Total assets 2022': is its layout long?", path=table.path)
    _refuse_doubles(table, told)
    frame = blank_missing_marks(table.frame, _texts(table.frame, told), table.format.missing)
    frame, last = _last_year(table.with_frame(frame), told, period_end_names)
    kept = [column for column in table.columns if column not in told and column != last]
    alike = {of.base: frame.schema[column] for column, of in told.items()}
    mixed = {of.base for column, of in told.items() if frame.schema[column] != alike[of.base]}
    pieces = []
    for mark in dict.fromkeys((of.year, of.back) for of in told.values()):
        here = {of.base: column for column, of in told.items() if (of.year, of.back) == mark}
        year = pl.lit(mark[0], pl.Int64) if mark[0] is not None else pl.col("(last year)") - mark[1]
        values = [(_as_text(frame, column) if base in mixed else pl.col(column)).alias(base) for base, column in here.items()]
        known = pl.any_horizontal(pl.col(column).is_not_null() for column in here.values())
        pieces.append(frame.filter(known).select(*kept, ROW_COLUMN, *values, year.alias(YEAR_COLUMN)))
    long = pl.concat(pieces, how="diagonal").sort(ROW_COLUMN, YEAR_COLUMN, maintain_order=True)
    if (empty := frame.filter(~pl.col(ROW_COLUMN).is_in(long[ROW_COLUMN].implode()))).height:
        text = "{path}: rows of the file without anything in any year, which are left out: {n}, the first of them row {row}"
        table.notes.append(LocalisedMessage(text, {"path": table.path, "n": empty.height, "row": empty[ROW_COLUMN][0]}))
    note = LocalisedMessage(
        "{path}: columns of single years ({columns}) are read as rows: {rows}, of {companies} rows in the file",
        {"path": table.path, "columns": len(told), "rows": long.height, "companies": table.frame.height},
    )
    table.notes.append(note)
    return table.with_frame(long)


def _refuse_doubles(table: RawTable, told: Mapping[str, YearOfColumn]) -> None:
    """Raise SourceError where two columns are the same item of the same year, or one is the year itself."""
    if YEAR_COLUMN in (normalised_name(column) for column in table.columns) or YEAR_COLUMN in table.columns:
        raise SourceError(
            "{path}: it has a column '{column}' beside columns for single years: is its layout long?",
            path=table.path,
            column=YEAR_COLUMN,
        )
    seen: dict[tuple[str, int | None, int | None], str] = {}
    for column, of in told.items():
        key = (of.base, of.year, of.back)
        if key in seen or of.base in table.columns or of.base == ROW_COLUMN:
            raise SourceError(
                "{path}: columns '{column}' and '{other}' are the same item of one year: rename or remove one",
                path=table.path,
                column=seen.get(key, of.base),
                other=column,
            )
        seen[key] = column


def _texts(frame: pl.DataFrame, told: Mapping[str, YearOfColumn]) -> list[str]:
    return [column for column in told if frame.schema[column] == pl.String]


def _as_text(frame: pl.DataFrame, column: str) -> pl.Expr:
    """Return a column as text; numbers that are not whole have an exponent, so that their point is that of decimals."""
    if not frame.schema[column].is_numeric():
        return pl.col(column).cast(pl.String)
    return pl.col(column).cast(pl.Float64).map_elements(_text, return_dtype=pl.String)


def _last_year(
    table: RawTable, told: Mapping[str, YearOfColumn], period_end_names: Iterable[str]
) -> tuple[pl.DataFrame, str | None]:
    """Return the frame with ``(last year)`` where columns count from it, and the column that tells it."""
    frame = table.frame
    if all(of.back is None for of in told.values()):
        return frame, None
    last = {column: of.base for column in table.columns if (of := year_of_column(column)) and of.back == 0}
    ends = {normalised_name(name) for name in period_end_names}
    named = [column for column, base in last.items() if not base]
    dated = [column for column, base in last.items() if normalised_name(base) in ends]
    column = next((name for name in (*named, *dated) if name in frame.columns), None)
    if column is None:
        raise SourceError(
            "{path}: its columns count from the last available year, and no column says which year that is: export 'Last avail. "
            "year' or the closing date as well",
            path=table.path,
        )
    text = pl.col(column).cast(pl.String).str.extract(r"(?:^|\D)((?:19|20)\d\d)(?:\D|$)").cast(pl.Int64)
    with_year = frame.with_columns(text.alias("(last year)"))
    if (unread := with_year.filter(pl.col("(last year)").is_null() & pl.col(column).is_not_null())).height:
        raise SourceError(
            "{path}: column '{column}' must hold the last year, as 2022 or 2022-12-31, but row {row} has {value}",
            path=table.path,
            column=column,
            row=unread[ROW_COLUMN][0],
            value=unread[column][0],
        )
    return with_year, column if column in named else None
