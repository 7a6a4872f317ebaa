"""Convert the cells of a user's table to numbers, dates and names, with errors that name the place and the remedy."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from quiebra.errors import LocalisedMessage, SourceError, closest_name
from quiebra.params.file_format import FileFormat
from quiebra.sources import date_parsing as dates
from quiebra.sources import number_parsing as numbers

Kind = pl.DataType | type[pl.DataType]
TYPE_LABELS: dict[Kind, LocalisedMessage] = {
    pl.Float64: LocalisedMessage("a number"),
    pl.Int32: LocalisedMessage("a whole number"),
    pl.Date: LocalisedMessage("a date (YYYY-MM-DD)"),
}
ROW_COLUMN = "(row)"
"""Column added when a file is read: the row number in the file, counted from 1."""
EXCEL_NA_ERRORS = ("#N/A", "#N/D", "#NA", "#ND", "#NV", "#N/D!")
"""Excel's error value for "not available", in English, Spanish and German."""
MISSING_MARKS = (
    "",
    ".",
    "..",
    "...",
    "-",
    "--",
    "–",
    "—",
    "−",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "nd",
    "n/d",
    "ns",
    "n/s",
    "s/d",
    "n.d.",
    "n.d",
    "n.s.",
    "n.s",
    "n.a.",
    "n.a",
    "s.d.",
    "n. d.",
    "n. a.",
    "n. s.",
    *(error.lower() for error in EXCEL_NA_ERRORS),
)
"""Texts that stand for a missing amount or date, in lower case (case is ignored). A name or an identifier may be ``NA``."""
INVISIBLE_SIGNS = "[\u00ad\u200b-\u200f\u2060\ufeff]"
"""Invisible characters, removed from text: a company's id is the same with and without them."""
TEXT_COLUMNS = ("company_id", "currency", "name", "country", "region", "sector")
"""Columns whose points and commas are no evidence for the number format."""


@dataclass(frozen=True)
class RawTable:
    """A user's table as read, with cells not yet converted.

    frame: columns under the names in the file, and `ROW_COLUMN`. long: rows with more cells than the header; not in the frame.
    separator: of the cells of a CSV. epoch: day 0 of a workbook, whose numbers may be dates.
    notes: assumptions made in reading. All steps of reading append to the same list, so that the caller gets all of them.
    """

    path: Path
    frame: pl.DataFrame
    format: FileFormat = field(default_factory=FileFormat)
    separator: str | None = None
    epoch: dt.date | None = None
    long: tuple[int, ...] = ()
    notes: list[LocalisedMessage] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return [name for name in self.frame.columns if name != ROW_COLUMN]

    def with_frame(self, frame: pl.DataFrame) -> RawTable:
        return replace(self, frame=frame)


def normalised_name(name: str) -> str:
    """Return a column's name without differences of spelling: case, accents, blanks, ``_`` and ``-``."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(sign for sign in letters if not (sign.isspace() or sign in "_-" or unicodedata.combining(sign)))


def rename_to_known_names(table: RawTable, known: Iterable[str]) -> RawTable:
    """Return the table with columns renamed to the known names that they are spellings of (``Market Value`` to ``market_value``).

    A note lists the renamed columns. Raise SourceError where two columns are spellings of one name.
    """
    ways: dict[str, list[str]] = {}
    for column in table.columns:
        ways.setdefault(normalised_name(column), []).append(column)
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(known):
        columns = ways.get(normalised_name(name), [])
        if len(columns) > 1:
            one, other = ([name] if name in columns else columns[:1])[0], next(c for c in columns if c != name)
            raise SourceError(
                "{path} has the column '{column}' twice, once as '{other}': rename or remove one",
                path=table.path,
                column=one,
                other=other,
            )
        if columns and columns[0] != name and columns[0] not in renamed:
            renamed[columns[0]] = name
    if not renamed:
        return table
    pairs = [LocalisedMessage("'{column}' as {name}", {"column": column, "name": name}) for column, name in renamed.items()]
    note = LocalisedMessage(
        "{path}: columns are read under the names that they stand for: {columns}", {"path": table.path, "columns": pairs}
    )
    table.notes.append(note)
    return table.with_frame(table.frame.rename(renamed))


def without_folder(note: LocalisedMessage) -> LocalisedMessage:
    """Return a note with its file's name without the folder, so that what is stored does not depend on where the file is."""
    return LocalisedMessage(note.text, {**note.values, "path": Path(str(note.values["path"])).name})


def require_columns(table: RawTable, columns: Iterable[str]) -> None:
    """Raise SourceError naming every missing column and the most similar one present."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        near = ((name, closest_name(name, table.columns)) for name in missing)
        lacking = [
            LocalisedMessage("'{name}' (did you mean '{near}'?)", {"name": name, "near": close}) if close else f"'{name}'"
            for name, close in near
        ]
        there = ", ".join(table.columns[:30])
        raise SourceError("{path} lacks columns: {columns}; it has {there}", path=table.path, columns=lacking, there=there)


def cast_columns(table: RawTable, kinds: Mapping[str, Kind]) -> pl.DataFrame:
    """Return the frame with columns cast to numbers, integers and dates.

    Raise SourceError naming the column, the row and the first value that does not fit. Missing stays missing, NaN becomes
    missing, and infinities stay, for the data contract to quarantine.
    """
    done, faults = cast_with_faults(table, kinds)
    for row, column, value, count in (
        faults.group_by("column", maintain_order=True)
        .agg(pl.col("row").first(), pl.col("value").first(), pl.len())
        .select("row", "column", "value", "len")
        .iter_rows()
    ):
        raise SourceError(
            "{path}: column '{column}' must hold {wanted}, but row {row} has {value} (such values: {count}). "
            "Correct them, or leave the cells empty.",
            path=table.path,
            column=column,
            wanted=TYPE_LABELS[kinds[column]],
            row=row,
            value=value,
            count=count,
        )
    return done


def cast_with_faults(table: RawTable, kinds: Mapping[str, Kind]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the frame as `cast_columns` does, and every value that does not fit: row (see `ROW_COLUMN`), column and value.

    Such values are null in the frame. Pass all numeric columns in one call: one number format is inferred for all of them (see
    `quiebra.sources.number_parsing`). Raise SourceError where a whole column has another type, or its number or date format is
    ambiguous.
    """
    frame = table.frame
    for name, kind in kinds.items():
        if not _fits(frame.schema[name], kind, table.epoch is not None):
            raise SourceError(
                "{path}: column '{column}' must hold {wanted}, but its type is {kind}: change it in the file",
                path=table.path,
                column=name,
                wanted=TYPE_LABELS[kind],
                kind=frame.schema[name],
            )
    blank = blank_missing_marks(frame, [name for name in kinds if frame.schema[name] == pl.String], table.format.missing)
    readers = {**_number_readers(table, blank, kinds), **_date_readers(table, blank, kinds)}
    done = blank.with_columns(**readers)
    faults = [pl.DataFrame(schema={"row": pl.Int64, "column": pl.String, "value": pl.String})]
    for name in kinds:
        given = blank[name].is_not_nan().fill_null(False) if blank.schema[name].is_float() else blank[name].is_not_null()
        rows = (done[name].is_null() & given).arg_true()
        if len(rows):
            values = [repr(value) for value in frame[name].gather(rows)]
            faults.append(pl.DataFrame({"row": frame[ROW_COLUMN].gather(rows), "column": [name] * len(rows), "value": values}))
    return done, pl.concat(faults)


def _fits(found: pl.DataType, wanted: Kind, serial_dates: bool) -> bool:
    """Return whether a column's type can be read as another without guessing.

    Dates are not numbers, and numbers are dates only in workbooks (``serial_dates``).
    """
    if found in (pl.String, pl.Null):
        return True
    if wanted == pl.Date:
        return found in (pl.Date, pl.Datetime) or (serial_dates and found.is_numeric())
    return found.is_numeric()


def blank_missing_marks(frame: pl.DataFrame, names: Iterable[str], own: Iterable[str] = ()) -> pl.DataFrame:
    """Return the frame with marks of a missing value (`MISSING_MARKS` and the user's ``own``) set to null in the named text
    columns."""
    marks = [*MISSING_MARKS, *(mark.strip().lower() for mark in own)]
    cells = (pl.col(name).str.strip_chars() for name in names)
    return frame.with_columns(pl.when(~cell.str.to_lowercase().is_in(marks)).then(cell) for cell in cells)


def _number_readers(table: RawTable, frame: pl.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, pl.Expr]:
    wanted = {name: kind for name, kind in kinds.items() if kind != pl.Date}
    text = {name: kind == pl.Int32 for name, kind in wanted.items() if frame.schema[name] == pl.String}
    passed_over = {*kinds, *TEXT_COLUMNS, ROW_COLUMN}
    others = [name for name, kind in frame.schema.items() if kind == pl.String and name not in passed_over]
    chosen = table.format
    try:
        meanings = numbers.settle_number_format(
            blank_missing_marks(frame, others, chosen.missing),
            text,
            separator=table.separator,
            decimal=chosen.decimal,
            thousands=chosen.thousands,
            others=others,
        )
    except numbers.AmbiguousNumber as unclear:
        raise SourceError(
            "{path}: nothing says whether the mark in '{value}' (column '{column}', row {row}) is decimal or stands between "
            "thousands. Say it with decimal and thousands in params.yaml (ingest.table, or beside the file's name), or write the "
            "numbers without marks between thousands and not with three decimals.",
            path=table.path,
            value=unclear.value,
            column=unclear.column,
            row=_row_of(frame, unclear.column, unclear.value),
        ) from None
    if usual := [(name, value) for name, (_, value) in meanings.items() if value]:
        name, value = usual[0]
        note = LocalisedMessage(
            "{path}: '{value}' (column '{column}') and its like are read as thousands, as is usual between semicolons; otherwise "
            'say decimal: "." in params.yaml',
            {"path": table.path, "value": value, "column": name},
        )
        table.notes.extend([] if note in table.notes else [note])
    strict = chosen.decimal is not None or chosen.thousands is not None
    readers = {}
    for name, kind in wanted.items():
        column = (
            numbers.parse_numbers(frame, name, meanings[name][0], strict=strict)
            if name in text
            else pl.col(name).cast(pl.Float64, strict=False)
        )
        column = column.fill_nan(None)
        if kind == pl.Int32:
            column = pl.when(column == column.floor()).then(column).cast(pl.Int32, strict=False)
        readers[name] = column.alias(name)
    return readers


def _date_readers(table: RawTable, frame: pl.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, pl.Expr]:
    wanted = [name for name, kind in kinds.items() if kind == pl.Date]
    text = [name for name in wanted if frame.schema[name] == pl.String]
    try:
        first = table.format.date_format is not None or dates.is_day_first(frame, text)
    except dates.AmbiguousDate as unclear:
        raise SourceError(
            "{path}: nothing says whether '{value}' (column '{column}', row {row}) begins with the day or the month. Say it with "
            'date_format in params.yaml (ingest.table, or beside the file\'s name: "%d/%m/%Y"), or write dates as YYYY-MM-DD.',
            path=table.path,
            value=unclear.value,
            column=unclear.column,
            row=_row_of(frame, unclear.column, unclear.value),
        ) from None
    readers = {}
    for name in wanted:
        if name in text:
            column = dates.parse_dates(name, day_first=first, date_format=table.format.date_format)
            if table.epoch:
                column = pl.coalesce(column, dates.dates_from_serials(pl.col(name).cast(pl.Float64, strict=False), table.epoch))
        elif table.epoch and frame.schema[name].is_numeric():
            column = dates.dates_from_serials(pl.col(name).cast(pl.Float64).fill_nan(None), table.epoch)
        else:
            column = dates.dates_from_typed(frame, name)
        readers[name] = column.cast(pl.Date).alias(name)
    return readers


def _row_of(frame: pl.DataFrame, column: str, value: str) -> int:
    return int(frame.filter(pl.col(column) == value)[ROW_COLUMN][0])


def text_column(table: RawTable, name: str, *, marks: bool = False) -> pl.Expr:
    """Return a column as stripped text without invisible characters.

    Integers have no decimal point, times at midnight are dates, NaN and empty cells are null.
    marks: `MISSING_MARKS` are null too; otherwise a name may be ``NA`` or ``null``, and only Excel's error values and the file
        format's own marks are null.
    Raise SourceError where the column's type cannot be text.
    """
    kind = table.frame.schema[name]
    column = pl.col(name)
    if kind.is_nested() or kind in (pl.Binary, pl.Object):
        raise SourceError(
            "{path}: column '{column}' must hold text, but its type is {kind}: change it in the file",
            path=table.path,
            column=name,
            kind=kind,
        )
    if isinstance(kind, pl.Datetime):
        column = column.dt.replace_time_zone(None)
        midnight = (column == column.dt.truncate("1d")).fill_null(True).all()
        return pl.when(midnight).then(column.dt.date().cast(pl.String)).otherwise(column.cast(pl.String))
    if kind.is_float():
        column = column.fill_nan(None)
        whole = (column == column.floor()).fill_null(False)
        return pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))
    cell = column.cast(pl.String, strict=False).str.replace_all(INVISIBLE_SIGNS, "").str.strip_chars().str.normalize("NFC")
    cell = cell.str.replace(r'^="(.*)"$', "${1}")
    own = [mark.strip().lower() for mark in table.format.missing]
    missing = [*(MISSING_MARKS if marks else ("", *(error.lower() for error in EXCEL_NA_ERRORS))), *own]
    return pl.when(~cell.str.to_lowercase().is_in(missing)).then(cell)
