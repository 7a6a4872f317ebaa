"""Read a user's file (CSV, plain or gzip; Parquet; a workbook), with errors that name the place and the remedy.

The one reader for sources, scoring, uploads, portfolios and macro series; `quiebra.sources.cells` converts its cells.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params.file_format import FileFormat
from quiebra.sources import csv_text
from quiebra.sources.cells import INVISIBLE_SIGNS, ROW_COLUMN, RawTable
from quiebra.sources.workbooks import Sheet, read_sheet

WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
FIRST_COLUMN = "(first column)"
"""Name of a first column that has none, as an index or the lines of accounts have."""
TABLE_FILES = (".csv", ".csv.gz", ".parquet", *WORKBOOKS)
HeaderAlternatives = Sequence[Collection[str]]


def read_file(path: Path, options: FileFormat | None = None, *, wanted: HeaderAlternatives = ()) -> RawTable:
    """Read a table as `read_rows` does; raise SourceError where a row has more cells than the header."""
    table = read_rows(path, options, wanted=wanted)
    if table.long:
        raise SourceError(
            "{path}: row {row} has more cells than the header (such rows: {count}). Put text with separators in quotes.",
            path=path,
            row=table.long[0],
            count=len(table.long),
        )
    return table


def read_rows(path: Path, options: FileFormat | None = None, *, wanted: HeaderAlternatives = ()) -> RawTable:
    """Read a table by its file name's extension, with each row's number in the file (`ROW_COLUMN`).

    Empty rows are skipped; rows with more cells than the header are left out and listed in ``long``. CSV cells stay text, so that
    nothing is guessed.
    wanted: alternative sets of column names that the header must contain. Where exactly one of the first 10 rows has one, that
        row is the header; else row 1 is.

    Raise SourceError for a missing file, 0 bytes, no rows, an uncertain encoding, a duplicate column, an unknown extension, a
    damaged file, or one beyond the memory limit.
    """
    options = options or FileFormat()
    headers = tuple(frozenset(names) for names in wanted)
    if path.exists() and not path.is_file():
        raise SourceError("{path} is a folder or a device, no file: name the file", path=path)
    if not path.is_file():
        raise SourceError("no file at {path}: check the path (one in params.yaml is relative to the workspace)", path=path)
    if path.stat().st_size == 0:
        raise SourceError("{path} is empty (0 bytes): export it again", path=path)
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        table = _read_csv(path, options, headers)
    elif name.endswith(".parquet"):
        table = _read_parquet(path, options)
    elif name.endswith(WORKBOOKS):
        table = _read_workbook(path, options, headers)
    else:
        raise SourceError("{path}: unknown kind of file; use .csv, .csv.gz, .parquet or .xlsx", path=path)
    filled = pl.any_horizontal(pl.lit(False), *(_filled(n, table.frame) for n in table.columns))
    table = table.with_frame(table.frame.filter(filled))
    if table.frame.is_empty() and not table.long:
        beside = LocalisedMessage(" ({notes})", {"notes": list(table.notes)}) if table.notes else ""
        raise SourceError("{path} has a header but no rows{beside}: export it again with its data", path=path, beside=beside)
    return table


def _filled(name: str, frame: pl.DataFrame) -> pl.Expr:
    column = pl.col(name)
    return (column.str.strip_chars() != "").fill_null(False) if frame.schema[name] == pl.String else column.is_not_null()


def _header(rows: Sequence[Sequence[str]], options: FileFormat, wanted: tuple[frozenset[str], ...], path: Path) -> int:
    """Return the index of the header among a file's first rows."""
    if options.header_row is not None:
        return options.header_row - 1
    fits = [any(csv_text.has_column_names(row, names) for names in wanted) for row in rows[:10]]
    return fits.index(True) if sum(fits) == 1 else 0


def _names(cells: Sequence[str], used: Sequence[bool], path: Path, wanted: tuple[frozenset[str], ...] = ()) -> list[str | None]:
    """Return a header's names without surrounding blanks; None for a column without a name and without cells, `FIRST_COLUMN` for
    a first one without a name.

    Raise SourceError where two names are equal but for blanks or case, or where a column has cells but no name: then the row may
    not be the header.
    """
    names = [unicodedata.normalize("NFC", re.sub(INVISIBLE_SIGNS, "", cell)).strip() for cell in cells]
    seen: dict[str, str] = {}
    for place, name in enumerate(names, 1):
        if not name:
            if used[place - 1]:
                if wanted and not any(csv_text.has_column_names(cells, some) for some in wanted):
                    raise SourceError(
                        "{path}: none of its first ten rows has the columns {columns}: map yours in ingest.table.columns, or "
                        "say in header_row which row has the names",
                        path=path,
                        columns=", ".join(sorted(wanted[0])),
                    )
                if place > 1:
                    raise SourceError(
                        "{path}: column {place} has no name in the header: name it or remove it", path=path, place=place
                    )
                names[0] = FIRST_COLUMN
            continue
        if name == ROW_COLUMN:
            raise SourceError("{path}: a column cannot be called '{column}': rename it", path=path, column=ROW_COLUMN)
        key = " ".join(name.split()).casefold()
        if key in seen:
            if seen[key] == name:
                raise SourceError("{path} has the column '{column}' twice: rename or remove one", path=path, column=name)
            raise SourceError(
                "{path} has the column '{column}' twice, once as '{other}': rename or remove one",
                path=path,
                column=seen[key],
                other=name,
            )
        seen[key] = name
    return [name or None for name in names]


def _counts_rows(column: pl.Series) -> bool:
    """Return whether a column counts the rows, as exports and data frames have it without a name: 0, 1, 2 or 1., 2., 3."""
    numbers = column.cast(pl.String).str.strip_chars(" .").cast(pl.Float64, strict=False).drop_nulls()
    return len(numbers) > 0 and numbers[0] in (0, 1) and bool((numbers.diff().drop_nulls() == 1).all())


def joined_header(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of a header of several rows: what stands above one another, joined.

    An upper cell that is empty is the one to its left, as under a merged cell, where both columns have something below it.

    >>> joined_header([["Name", "Assets", ""], ["", "2023", "2022"]])
    ['Name', 'Assets 2023', 'Assets 2022']
    """
    names = [cell.strip() for cell in rows[-1]]
    for upper in reversed(rows[:-1]):
        above = [cell.strip() for cell in (*upper, *([""] * (len(names) - len(upper))))]
        for place in range(1, len(names)):
            if not above[place] and names[place] and names[place - 1]:
                above[place] = above[place - 1]
        names = [f"{over} {name}".strip() for over, name in zip(above, names, strict=False)]
    return names


def _note_of_header(path: Path, header: int, options: FileFormat) -> list[LocalisedMessage]:
    if header == 0 or options.header_row is not None:
        return []
    return [LocalisedMessage("{path}: the header is taken from row {row}", {"path": path, "row": header + 1})]


def _read_csv(path: Path, options: FileFormat, wanted: tuple[frozenset[str], ...]) -> RawTable:
    # a quarter of the limit: the text, its rows and the table are in memory at the same time
    content = csv_text.read_bytes(path, options.memory_mb * 1_000_000 // 4)
    text, notes = csv_text.decode_text(content, path, options.encoding)
    del content
    separator, first = csv_text.find_separator(text, wanted)
    skipped = 1 if text.startswith("sep=") else 0
    header = max(_header(first, options, wanted, path), skipped)
    last = header + options.header_rows - 1
    if last >= len(first):
        raise SourceError("{path} has no row {row} for its header: see header_row in params.yaml", path=path, row=last + 1)
    cells = joined_header(first[header : last + 1])
    columns = [name.strip() or f"(column {place})" for place, name in enumerate(cells, 1)]
    _names(cells, [False] * len(cells), path)
    frame, long, short = csv_text.parse_rows(text, path, separator, columns, last + 1)
    used = [bool(frame.select(_filled(name, frame).any()).item()) for name in columns]
    used[0] = used[0] and not (columns[0].startswith("(column ") and _counts_rows(frame[columns[0]]))
    names = _names(cells, used, path, wanted)
    if short:
        notes.append(
            LocalisedMessage(
                "{path}: rows with fewer cells than the header: {count}, the first of them row {row}; what they lack is missing",
                {"path": path, "count": len(short), "row": short[0]},
            )
        )
    frame = frame.with_columns(pl.int_range(last + 2, pl.len() + last + 2, dtype=pl.Int64).alias(ROW_COLUMN))
    named = (pl.col(column).alias(name) for column, name in zip(columns, names, strict=True) if name)
    frame = frame.filter(~pl.col(ROW_COLUMN).is_in(long)).select(*named, ROW_COLUMN)
    notes += _note_of_header(path, header if header > skipped else 0, options)
    return RawTable(path, frame, options, separator, long=tuple(long), notes=notes)


def _read_parquet(path: Path, options: FileFormat) -> RawTable:
    most = options.memory_mb * 1_000_000 // 4
    try:
        scan = pl.scan_parquet(path)
        schema = scan.collect_schema()
        height = scan.select(pl.len()).collect().item()
        text = [name for name, kind in schema.items() if kind == pl.String]
        size = 8 * height * len(schema)
        if size <= most and text:
            sizes = scan.select(pl.col(text).str.len_bytes().cast(pl.Int64).sum()).collect(engine="streaming")
            size += sum(value or 0 for value in sizes.row(0))
        if size <= most:
            names = _names(list(schema), [True] * len(schema), path)
            frame = scan.collect()
    except SourceError:
        raise
    except Exception as error:  # the parser raises many types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError("{path} cannot be read as {kind}: {reason}", path=path, kind="parquet", reason=reason) from error
    if size > most:
        raise SourceError(
            "{path} takes more than {most} MB in memory: split it, or raise memory_mb in params.yaml",
            path=path,
            most=most // 1_000_000,
        )
    frame.columns = [name for name in names if name]  # `_names` has refused columns without a name
    return RawTable(path, frame.with_columns(pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias(ROW_COLUMN)), options)


def _read_workbook(path: Path, options: FileFormat, wanted: tuple[frozenset[str], ...]) -> RawTable:
    sheet = read_sheet(path, options.sheet)
    if not sheet.height:
        others = ", ".join(f"'{name}'" for name in sheet.others)
        raise SourceError(
            "{path}: sheet '{sheet}' is empty; it has {sheets}. Name one as sheet in params.yaml.",
            path=path,
            sheet=sheet.name,
            sheets=others,
        )
    first = [[column.shown(row) for column in sheet.columns] for row in range(min(csv_text.HEADER_SEARCH_ROWS, sheet.height))]
    header = _header(first, options, wanted, path)
    last = header + options.header_rows - 1
    if last >= sheet.height:
        raise SourceError("{path} has no row {row} for its header: see header_row in params.yaml", path=path, row=last + 1)
    columns = [column.below(last) for column in sheet.columns]
    used = [column.null_count() < len(column) for column in columns]
    cells = joined_header([[column.shown(row) for column in sheet.columns] for row in range(header, last + 1)])
    used[0] = used[0] and bool(cells[0].strip() or not _counts_rows(columns[0]))
    _refuse_merged(sheet.merged, last, cells, used, path)
    names = _names(cells, used, path, wanted)
    frame = pl.DataFrame({name: column for name, column in zip(names, columns, strict=True) if name})
    frame = frame.with_columns(pl.int_range(last + 2, pl.len() + last + 2, dtype=pl.Int64).alias(ROW_COLUMN))
    notes = _note_of_header(path, header, options)
    unread = [f"'{name}'" for name in sheet.others if name != sheet.name]
    if options.sheet is None and unread:
        note = "{path}: sheet '{sheet}' is read, and not {others}; name another as sheet in params.yaml"
        notes.append(LocalisedMessage(note, {"path": path, "sheet": sheet.name, "others": ", ".join(unread)}))
    _refuse_uncalculated(sheet, last, names, path)
    return RawTable(path, frame, options, epoch=sheet.epoch, notes=notes)


def _refuse_uncalculated(sheet: Sheet, header: int, names: Sequence[str | None], path: Path) -> None:
    """Raise SourceError where a cell of the table is a formula whose result is not stored in the file."""
    for row, column in sheet.uncalculated:
        if row > header and column < len(names) and names[column]:
            raise SourceError(
                "{path}: row {row} of column '{column}' is a formula whose result is not in the file: open the file in a "
                "spreadsheet program and save it, or put values in place of formulas",
                path=path,
                row=row + 1,
                column=names[column],
            )


def _refuse_merged(
    merged: Sequence[tuple[int, int, int, int]], header: int, cells: Sequence[str], used: Sequence[bool], path: Path
) -> None:
    """Raise SourceError where a merged cell of the header spans several columns with cells."""
    for top, left, bottom, right in merged:
        if top <= header <= bottom and any(used[left + 1 : right + 1]) and not any(cells[left + 1 : right + 1]):
            raise SourceError(
                "{path}: the header '{name}' lies over columns {first} to {last}: give each column a name of its own, or say in "
                "header_row which row has the names",
                path=path,
                name=cells[left],
                first=left + 1,
                last=right + 1,
            )
