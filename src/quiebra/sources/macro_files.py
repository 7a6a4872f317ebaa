"""Read macro series: from files with a date and a value per row, and from what was fetched of FRED and Nasdaq Data Link."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from quiebra.canonical import LAST_DAY, MACRO_SCHEMA, conform_to_schema
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params import MacroSeries
from quiebra.provenance import file_sha256, json_sha256
from quiebra.sources import fred, nasdaq
from quiebra.sources.cells import cast_columns
from quiebra.sources.raw_store import RawStore
from quiebra.sources.reading import read_file


def read_macro(series: dict[str, MacroSeries], root: Path) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return series, date, value and available_at (date + lag_days, or the day of publication) of every series, and notes on how
    files were read.

    A file's first column is the date and its second the value, whatever their names; rows without a value are left out. The lag
    must cover the period that a value describes and the time to its publication: a monthly figure dated on the first of its month
    is published some 40 days later. Raise SourceError; see `quiebra.sources.reading`.
    """
    tables, notes = [pl.DataFrame(schema=MACRO_SCHEMA)], []
    for name, options in sorted(series.items()):
        if options.fred is not None:
            tables.append(fred.read_series(RawStore(root / fred.FOLDER), name, options))
        elif options.nasdaq is not None:
            tables.append(nasdaq.read_series(RawStore(root / nasdaq.FOLDER), name, options))
        elif options.file is not None:
            table, said = _read_file(root / options.file, name, options)
            tables.append(table)
            notes += said
    return pl.concat(tables), notes


def _read_file(path: Path, name: str, options: MacroSeries) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return a file's series, and notes on how it was read."""
    table = read_file(path, options)
    if len(table.columns) < 2:
        raise SourceError(f"{path} must have two columns, date and value; it has {table.columns}")
    date, value = table.columns[:2]
    if re.search(r"[0-9]{4}", date) and re.search("^[-+0-9.,]+$", value):
        raise SourceError(f"{path} begins with values ('{date}', '{value}') and has no header: put one above them")
    frame = cast_columns(table, {date: pl.Date, value: pl.Float64}).drop_nulls([date, value])
    beyond = frame.filter(pl.col(date) > LAST_DAY)[date]
    if len(beyond):
        raise SourceError(f"{path} has the date {beyond.cast(pl.String)[0]}, which is none: correct or remove its row")
    if frame[date].is_duplicated().any():
        raise SourceError(f"{path} has the date {frame.filter(frame[date].is_duplicated())[date][0]} twice: remove one row")
    if len(endless := frame.filter(pl.col(value).is_infinite())[date]):
        raise SourceError(f"{path} has a value that is infinite, on {endless[0]}: correct it")
    known = pl.col(date) + pl.duration(days=options.lag_days)
    found = frame.select(
        pl.lit(name).alias("series"), pl.col(date).alias("date"), pl.col(value).alias("value"), available_at=known
    )
    return conform_to_schema(found, MACRO_SCHEMA), table.notes


def macro_input_files(series: dict[str, MacroSeries], root: Path) -> list[Path]:
    """Return the files that the series are read from."""
    files = [root / options.file for options in series.values() if options.file is not None]
    for folder, sets in ((fred.FOLDER, "fred"), (nasdaq.FOLDER, "nasdaq")):
        store = RawStore(root / folder)
        for options in series.values():
            if (wanted := getattr(options, sets)) is not None:
                files += [store.path(name) for name in store.names(f"{wanted}/")]
    return files


def macro_hash(series: dict[str, MacroSeries], root: Path) -> str | None:
    """Return one hash of all files that exist; None where none does."""
    found = {str(path): file_sha256(path) for path in macro_input_files(series, root) if path.is_file()}
    return json_sha256({path.removeprefix(f"{root}/"): sha256 for path, sha256 in found.items()}) if found else None
