"""Reading a person's file: CSV (plain or gzip), Parquet or Excel, with errors that say where and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from quiebra.errors import Said, SourceError, closest

WANTED = {pl.Float64: Said("a number"), pl.Int32: Said("a whole number"), pl.Date: Said("a date (YYYY-MM-DD)")}
Kind = pl.DataType | type[pl.DataType]
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None", ".", "-")


def read_file(path: Path, sheet: str | None = None) -> pl.DataFrame:
    """Read a table by its ending. CSV columns come as text, so that nothing is guessed.

    Raises SourceError: no such file, 0 bytes, no rows, not UTF-8, an unknown ending, or a damaged file.
    """
    if not path.is_file():
        raise SourceError("no file at {path}: check the path in params.yaml (relative to the workspace)", path=path)
    if path.stat().st_size == 0:
        raise SourceError("{path} is empty (0 bytes): export it again", path=path)
    frame = _parse(path, sheet)
    if frame.is_empty():
        raise SourceError("{path} has a header but no rows: export it again with its data", path=path)
    names = [name.strip() for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError("{path} has the column '{column}' twice: rename or remove one", path=path, column=twice[0])
    frame.columns = names
    return frame


def _parse(path: Path, sheet: str | None) -> pl.DataFrame:
    name = path.name.lower()
    try:
        if name.endswith((".csv", ".csv.gz")):
            content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            return _parse_csv(content, path)
        if name.endswith(".parquet"):
            return pl.read_parquet(path)
        if name.endswith((".xlsx", ".xls", ".xlsb", ".ods")):
            return pl.read_excel(path, sheet_name=sheet) if sheet else pl.read_excel(path)
    except SourceError:
        raise
    except Exception as error:  # the parsers raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kind = path.suffix.lstrip(".")
        raise SourceError("{path} cannot be read as {kind}: {reason}", path=path, kind=kind, reason=reason) from error
    raise SourceError("{path}: unknown kind of file; use .csv, .csv.gz, .parquet or .xlsx", path=path)


def _parse_csv(content: bytes, path: Path) -> pl.DataFrame:
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
    return pl.read_csv(text.encode(), separator=separator, infer_schema=False, null_values=list(MISSING))


def require(frame: pl.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise SourceError naming every missing column and the nearest one that is there."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        near = ((name, closest(name, frame.columns)) for name in missing)
        columns = [
            Said("'{name}' (did you mean '{near}'?)", {"name": name, "near": close}) if close else f"'{name}'"
            for name, close in near
        ]
        there = ", ".join(frame.columns[:30])
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
    """Cast columns as `cast` does, and return every value that does not fit: row (the header is row 1), column and value.

    Such a value is missing in the table. SourceError where a whole column is of another kind.
    """
    for name, kind in kinds.items():
        if not _fits(frame[name].dtype, kind):
            raise SourceError(
                "{path}: column '{column}' must hold {wanted}, but its type is {kind}: change it in the file",
                path=path, column=name, wanted=WANTED[kind], kind=frame[name].dtype,
            )
    done = frame.with_columns(_as(frame, name, kind) for name, kind in kinds.items())
    faults = [pl.DataFrame(schema={"row": pl.Int64, "column": pl.String, "value": pl.String})]
    for name in kinds:
        given = frame[name].is_not_nan().fill_null(False) if frame[name].dtype.is_float() else frame[name].is_not_null()
        rows = (done[name].is_null() & given).arg_true()
        if len(rows):
            values = [repr(value) for value in frame[name].gather(rows)]
            faults.append(pl.DataFrame({"row": rows.cast(pl.Int64) + 2, "column": [name] * len(rows), "value": values}))
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
