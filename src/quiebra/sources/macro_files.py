"""Read macro series from files such as FRED's: a date and a value per row, published a fixed number of days after the date."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from quiebra.canonical import LAST_DAY, MACRO_SCHEMA
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params import MacroSeries
from quiebra.provenance import file_sha256, json_sha256
from quiebra.sources.cells import cast_columns
from quiebra.sources.reading import read_file


def read_macro(series: dict[str, MacroSeries], root: Path) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return series, date, value and available_at (date + lag_days) of every file, and notes on how they were read.

    A file's first column is the date and its second the value, whatever their names; rows without a value are left out. The lag
    must cover the period that a value describes and the time to its publication: a monthly figure dated on the first of its month
    is published some 40 days later. Raise SourceError; see `quiebra.sources.reading`.
    """
    tables, notes = [], []
    for name, options in sorted(series.items()):
        path = root / options.file
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
        notes += table.notes
        tables.append(
            frame.select(
                series=pl.lit(name),
                date=pl.col(date),
                value=pl.col(value),
                available_at=pl.col(date) + pl.duration(days=options.lag_days),
            ).cast(pl.Schema(MACRO_SCHEMA))
        )
    return pl.concat([pl.DataFrame(schema=MACRO_SCHEMA), *tables]), notes


def macro_hash(series: dict[str, MacroSeries], root: Path) -> str | None:
    """Return one hash of all files that exist; None where none does."""
    paths = {name: root / options.file for name, options in series.items()}
    found = {name: file_sha256(path) for name, path in paths.items() if path.is_file()}
    return json_sha256(found) if found else None
