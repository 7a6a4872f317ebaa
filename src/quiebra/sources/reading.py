"""Reading a person's file: CSV (plain or gzip), Parquet or Excel, with errors that say where and what to do."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile

import polars as pl

from quiebra.errors import Said, SourceError, closest

WANTED = {pl.Float64: Said("a number"), pl.Int32: Said("a whole number"), pl.Date: Said("a date (YYYY-MM-DD)")}
Kind = pl.DataType | type[pl.DataType]
ROW = "(row)"
"""Column of what was read: the row in the file; the header is row 1."""
MOST_CELLS = 50_000_000
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", ".", "-")


def read_file(path: Path, sheet: str | None = None) -> pl.DataFrame:
    """Read a table by its ending, with each row's place in the file (`ROW`, the last column); empty rows are passed over.

    CSV columns come as text, so that nothing is guessed; where the separator is ``;`` a decimal comma is read as such. Raises
    SourceError: no such file, 0 bytes, no rows, not UTF-8, a row with more cells than the header, an unknown ending, or a damaged
    file.
    """
    frame, long = read_rows(path, sheet)
    if long:
        raise SourceError(
            "{path}: row {row} has more cells than the header ({count} such row(s)). Put text with separators in quotes.",
            path=path, row=long[0], count=len(long),
        )  # fmt: skip
    return frame


def read_rows(path: Path, sheet: str | None = None) -> tuple[pl.DataFrame, list[int]]:
    """Read a table as `read_file` does, but leave out rows with more cells than the header, and return which those are."""
    if not path.is_file():
        raise SourceError("no file at {path}: check the path in params.yaml (relative to the workspace)", path=path)
    if path.stat().st_size == 0:
        raise SourceError("{path} is empty (0 bytes): export it again", path=path)
    frame, long = _parse(path, sheet)
    names = [name.strip() for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError("{path} has the column '{column}' twice: rename or remove one", path=path, column=twice[0])
    frame.columns = names
    filled = pl.any_horizontal(pl.all().is_not_null()) & ~pl.int_range(2, pl.len() + 2).is_in(long)
    frame = frame.with_columns(pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias(ROW)).filter(
        frame.select(filled).to_series()
    )
    if frame.is_empty() and not long:
        raise SourceError("{path} has a header but no rows: export it again with its data", path=path)
    return frame, long


def _parse(path: Path, sheet: str | None) -> tuple[pl.DataFrame, list[int]]:
    name = path.name.lower()
    try:
        if name.endswith((".csv", ".csv.gz")):
            content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            return _parse_csv(content, path)
        if name.endswith(".parquet"):
            return pl.read_parquet(path), []
        if name.endswith((".xlsx", ".xls", ".xlsb", ".ods")):
            if name.endswith(".xlsx"):
                _refuse_far_cells(path)
            which = {"sheet_name": sheet} if sheet else {}
            return pl.read_excel(path, infer_schema_length=None, drop_empty_rows=False, **which), []
    except SourceError:
        raise
    except Exception as error:  # the parsers raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = path.suffix.lstrip(".")
        raise SourceError("{path} cannot be read as {kind}: {reason}", path=path, kind=kind, reason=reason) from error
    raise SourceError("{path}: unknown kind of file; use .csv, .csv.gz, .parquet or .xlsx", path=path)


def _refuse_far_cells(path: Path) -> None:
    """Raise SourceError where a workbook's cells lie so far apart that all between them would not fit into memory."""
    for part in ZipFile(path).infolist():
        if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", part.filename):
            continue
        columns, last, rest = set(), 0, b""
        with ZipFile(path).open(part) as sheet:
            while piece := sheet.read(1 << 20):
                found = re.findall(rb'\br="([A-Z]{1,3})(\d{1,7})"', rest + piece)
                columns.update(column for column, _ in found)
                last = max(last, int(found[-1][1]) if found else 0, *(int(row) for _, row in found[:1]))
                rest = piece[-40:]
        width = max((_column(name) for name in columns), default=0)
        if width * last > MOST_CELLS:
            raise SourceError(
                "{path} has cells as far as row {row} and column {column}, most of them empty: delete what lies beyond the table",
                path=path, row=last, column=width,
            )  # fmt: skip


def _column(name: bytes) -> int:
    """Return the number of a column: 1 for A, 27 for AA."""
    number = 0
    for letter in name:
        number = number * 26 + letter - 64
    return number


def _parse_csv(content: bytes, path: Path) -> tuple[pl.DataFrame, list[int]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"0x{content[error.start]:02x}"
        raise SourceError(
            "{path} is not UTF-8: byte {byte} on line {line}. Save it as 'CSV UTF-8'.", path=path, byte=byte, line=line
        ) from error
    if "\0" in text:
        raise SourceError("{path} is not a text file: it holds NUL bytes. Save it as 'CSV UTF-8'.", path=path)
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    read = {"separator": separator, "infer_schema": False, "null_values": list(MISSING)}
    long: list[int] = []
    try:
        frame = pl.read_csv(text.encode(), **read)
    except pl.exceptions.ComputeError:  # rows with more cells than the header, as a rule: then which?
        rows = csv.reader(io.StringIO(text), delimiter=separator)
        width = len(next(rows))
        long = [place for place, row in enumerate(rows, 2) if len(row) > width]
        if not long:
            raise
        frame = pl.read_csv(text.encode(), truncate_ragged_lines=True, **read)
    return (_with_points(frame) if separator == ";" else frame), long


COMMA = r"^\s*[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+\s*$"
NUMBER = r"^\s*[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?\s*$"


def _with_points(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose numbers have decimal commas, and points between thousands, with decimal points; one that has no
    decimal comma as it is."""
    if not any(column.str.contains(COMMA).any() for column in frame):
        return frame
    numbers = [c.name for c in frame if c.str.contains(NUMBER).sum() * 2 > c.count()]
    plain = pl.col(numbers).str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return frame.with_columns(pl.when(pl.col(numbers).str.contains(NUMBER)).then(plain).otherwise(pl.col(numbers)))


def require(frame: pl.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise SourceError naming every missing column and the nearest one that is there."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        near = ((name, closest(name, frame.columns)) for name in missing)
        columns = [
            Said("'{name}' (did you mean '{near}'?)", {"name": name, "near": close}) if close else f"'{name}'"
            for name, close in near
        ]
        there = ", ".join(name for name in frame.columns[:30] if name != ROW)
        raise SourceError("{path} lacks the column(s) {columns}; it has {there}", path=path, columns=columns, there=there)


def cast(frame: pl.DataFrame, kinds: Mapping[str, Kind], path: Path) -> pl.DataFrame:
    """Cast columns, with SourceError naming the column, the row (the header is row 1) and the value that does not fit.

    Missing stays missing; NaN becomes missing; infinities stay, for the contract to quarantine.
    """
    done, faults = cast_rows(frame, kinds, path)
    for row, column, value, count in faults.group_by("column", maintain_order=True).agg(
        pl.col("row").first(), pl.col("value").first(), pl.len()
    ).select("row", "column", "value", "len").iter_rows():  # fmt: skip
        raise SourceError(
            "{path}: column '{column}' must hold {wanted}, but row {row} has {value} ({count} such value(s)). "
            "Correct them, or leave the cells empty.",
            path=path, column=column, wanted=WANTED[kinds[column]], row=row, value=value, count=count,
        )
    return done


def cast_rows(frame: pl.DataFrame, kinds: Mapping[str, Kind], path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cast columns as `cast` does, and return every value that does not fit: row (as `ROW` says), column and value.

    Such a value is missing in the table. SourceError where a whole column is of another kind.
    """
    for name, kind in kinds.items():
        if not _fits(frame[name].dtype, kind):
            raise SourceError(
                "{path}: column '{column}' must hold {wanted}, but its type is {kind}: change it in the file",
                path=path, column=name, wanted=WANTED[kind], kind=frame[name].dtype,
            )
    done = frame.with_columns(_as(frame, name, kind) for name, kind in kinds.items())
    faults, places = [pl.DataFrame(schema={"row": pl.Int64, "column": pl.String, "value": pl.String})], frame[ROW]
    for name in kinds:
        given = frame[name].is_not_nan().fill_null(False) if frame[name].dtype.is_float() else frame[name].is_not_null()
        rows = (done[name].is_null() & given).arg_true()
        if len(rows):
            values = [repr(value) for value in frame[name].gather(rows)]
            faults.append(pl.DataFrame({"row": places.gather(rows), "column": [name] * len(rows), "value": values}))
    return done, pl.concat(faults)


def _fits(found: pl.DataType, wanted: Kind) -> bool:
    """Whether a column of one type can be read as another without guessing: dates are not numbers, nor the reverse."""
    if found in (pl.String, pl.Null):
        return True
    return found in (pl.Date, pl.Datetime) if wanted == pl.Date else found.is_numeric()


def as_text(name: str, frame: pl.DataFrame) -> pl.Expr:
    """Return a column as stripped text: whole numbers without a decimal point, NaN as missing."""
    column = pl.col(name)
    if frame[name].dtype.is_float():
        column = column.fill_nan(None)
        whole = (column == column.floor()).fill_null(False)
        return pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))
    return column.cast(pl.String, strict=False).str.strip_chars()


def _as(frame: pl.DataFrame, name: str, kind: Kind) -> pl.Expr:
    column = pl.col(name)
    if frame[name].dtype == pl.String:
        column = column.str.strip_chars()
        if kind == pl.Date:
            return column.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if kind == pl.Int32:
            whole = column.cast(pl.Float64, strict=False)
            return pl.when(whole == whole.floor()).then(whole).cast(kind, strict=False)
    if kind == pl.Int32 and frame[name].dtype.is_float():
        return pl.when(column == column.floor()).then(column).cast(kind, strict=False)
    cast_ = column.cast(kind, strict=False)
    return cast_.fill_nan(None) if kind == pl.Float64 else cast_
