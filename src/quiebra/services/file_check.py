"""What a file of statements would be read as: columns and items, rows set aside and why, and a section of params.yaml for it."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from ruamel.yaml import YAML

from quiebra.canonical import median_value
from quiebra.errors import QuiebraError, SourceError
from quiebra.items import ITEM_NAMES
from quiebra.panels import build_panel
from quiebra.panels.quality import quality_summary
from quiebra.params import Labels, Table
from quiebra.params.presets import PRESETS
from quiebra.sources import table as own_table
from quiebra.sources.cells import RawTable, cast_with_faults, normalised_name
from quiebra.sources.column_names import NAMES, ColumnMatch, currencies_in, in_thousands, match_columns
from quiebra.sources.currency import MAX_MEDIAN_ASSETS, MIN_MEDIAN_ASSETS, UNIT_FACTORS, format_plain
from quiebra.sources.derived_items import EXPENSES, matches_by_identity
from quiebra.sources.layouts import has_lines, is_wide, to_rows
from quiebra.sources.reading import WORKBOOKS, read_file
from quiebra.sources.table import NUMBER_COLUMNS, STANDS_FOR, table_files
from quiebra.sources.workbooks import read_sheet

HEADER_ROWS = 10
ROWS_OF_NAMES = 2
KEPT = (
    "statuses",
    "encoding",
    "decimal",
    "thousands",
    "date_format",
    "missing",
    "outcomes_through",
    "failures",
    "title",
)
"""Options of params that hold for the section too."""
PRESET_COLUMNS = {
    "sabi": ("codigonif",),
    "orbis": ("bvdidnumber",),
    "compustat": ("gvkey", "datadate"),
    "pgc": ("a)patrimonioneto",),
    "kaggle_american": ("x1", "x17"),
}
"""Columns that an export of a preset has, as `normalised_name` gives them."""
SHARE_OF_NUMBERS = 0.3
"""Share of a column's cells that look like numbers in one that may be of numbers; others are marks of missing values."""
NEGATIVE_SHARE = 0.9
"""Share of an expense's values, zero left out, that are negative where expenses have a minus."""


@dataclass(frozen=True)
class FileCheck:
    """The outcome of a check.

    matches: columns and what they are taken for. unread: columns that are not. missing: items that no column gives. lines: how
    the file is read, and what the panel's quality report says. section: for params.yaml. fault: why the file cannot be read as
    a panel; None: it can.
    """

    matches: tuple[ColumnMatch, ...]
    unread: tuple[str, ...]
    missing: tuple[str, ...]
    lines: tuple[str, ...]
    section: str
    fault: str | None


def check_file(path: Path, shown: str, options: Table, labels: Labels) -> FileCheck:
    """Read a file, or a folder of them, as a source would, with columns matched by their names and by accounting identities.

    shown: the path as it stands in the section. options: ingest.table, whose format, units and currency hold where they are not
    the default. SourceError where the file cannot be read at all.
    """
    files = table_files(path)
    if not files:
        raise SourceError("{path} is a folder without a table: put .csv, .csv.gz, .parquet or .xlsx files into it", path=path)
    raw, layout, headers = _with_header(files[0], options)
    matches = _matches(raw, options)
    columns = {match.canonical: match.column for match in matches}
    changes: dict[str, Any] = {"path": shown, **{name: getattr(options, name) for name in KEPT if getattr(options, name)}}
    if preset := _preset(raw):
        changes |= {"preset": preset, **{name: value for name, value in PRESETS[preset].items() if name != "statuses"}}
    changes |= {"columns": {name: theirs for name, theirs in columns.items() if name != theirs}}
    changes |= {"layout": layout} if layout != changes.get("layout", "long") else {}
    changes |= {"sheet": raw.format.sheet} if raw.format.sheet else {}
    changes |= {"header_row": raw.format.header_row} if (raw.format.header_row or 1) > 1 else {}
    changes |= {"header_rows": raw.format.header_rows} if raw.format.header_rows > 1 else {}
    if len(named := currencies_in(headers)) == 1:
        changes["currency"] = next(iter(named))
    if options.units == 1.0 and (in_thousands(headers) or changes.get("units") == 0.001):
        changes["units"] = 0.001 if in_thousands(headers) else 1.0
    if options.negative_expenses or _expenses_are_negative(_numbers(raw, columns.values()), columns):
        changes["negative_expenses"] = True
    lines: list[str] = []
    fault = None
    statuses = PRESETS.get(preset or "", {}).get("statuses", {})
    table = options.model_copy(update={"statuses": statuses, **changes, "path": str(path)})
    items = set(columns)
    try:
        table, lines, items = _as_panel(path, table, labels)
    except QuiebraError as error:
        fault = str(error)
    if table.units != options.units:
        changes["units"] = table.units
    if options.features:
        changes["features"] = {name: each.model_dump(exclude_defaults=True) for name, each in options.features.items()}
    mapped = {match.column for match in matches}
    unread = tuple(column for column in raw.columns if column not in mapped and column not in options.features)
    missing = tuple(item for item in ITEM_NAMES if item not in items)
    return FileCheck(tuple(matches), unread, missing, tuple(lines), _section(changes), fault)


def _matches(raw: RawTable, options: Table) -> list[ColumnMatch]:
    """Return the matches of a file's columns; those that params map hold."""
    theirs = {column: name for name, column in options.columns.items() if column in raw.columns}
    said = [ColumnMatch(column, name, "params.yaml") for column, name in theirs.items()]
    others = match_columns([column for column in raw.columns if column not in theirs])
    named = [*said, *(match for match in others if match.canonical not in options.columns)]
    mapped = {match.column: match.canonical for match in named}
    amounts = _numbers(raw, raw.columns)
    known = {column: name for column, name in mapped.items() if name in NUMBER_COLUMNS and column in amounts.columns}
    unread = [column for column in amounts.columns if column not in mapped and column not in NUMBER_COLUMNS]
    found = matches_by_identity(amounts.select(*known, *unread).rename(known), unread)
    return [*named, *(ColumnMatch(column, each.item, f"identity: {each.rule}") for column, each in found.items())]


def _numbers(raw: RawTable, columns: Iterable[str]) -> pl.DataFrame:
    """Return those of the columns that are numbers throughout; none where the format of numbers is uncertain."""
    wanted = [column for column in columns if _may_be_numbers(raw.frame[column])]
    try:
        done, faults = cast_with_faults(raw, dict.fromkeys(wanted, pl.Float64))
    except SourceError:
        return pl.DataFrame()
    return done.select(column for column in wanted if column not in set(faults["column"]))


def _may_be_numbers(column: pl.Series) -> bool:
    if column.dtype == pl.String:
        cells = column.drop_nulls().head(1000)
        return int(cells.str.contains(r"^[^\p{L}]*\d[^\p{L}]*$").sum()) > SHARE_OF_NUMBERS * len(cells)
    return column.dtype.is_numeric()


def _expenses_are_negative(amounts: pl.DataFrame, columns: dict[str, str]) -> bool:
    """Return whether the expenses of a file have a minus, by those that are mapped."""
    values = [amounts[columns[name]] for name in EXPENSES if columns.get(name) in amounts.columns]
    signs = pl.concat([(column < 0).filter(column != 0) for column in values]) if values else pl.Series(dtype=pl.Boolean)
    return int(signs.sum()) > NEGATIVE_SHARE * len(signs)


def _preset(raw: RawTable) -> str | None:
    """Return the preset whose columns a file has."""
    there = {normalised_name(column) for column in raw.columns}
    return next((preset for preset, columns in PRESET_COLUMNS.items() if there.issuperset(columns)), None)


def _sheets(path: Path, options: Table) -> list[str | None]:
    """Return the sheets to look at: those of a workbook that are not hidden, where params name none."""
    if options.sheet is not None or not path.name.lower().endswith(WORKBOOKS):
        return [options.sheet]
    sheets = read_sheet(path, None).others
    return [None, *sheets] if len(sheets) > 1 else [None]


def _with_header(path: Path, options: Table) -> tuple[RawTable, str, list[str]]:
    """Return the file as one row a company and year, its layout, and its headers as they are.

    The header is the row of the first ten, or the two rows, whose names say most.
    """
    best: tuple[RawTable, str, list[str]] | None = None
    most, fault = -1, None
    rows = (options.header_row,) if options.header_row else range(1, HEADER_ROWS + 1)
    depths = range(options.header_rows, max(options.header_rows, ROWS_OF_NAMES) + 1)
    for sheet, depth, row in itertools.product(_sheets(path, options), depths, rows):
        try:
            raw = read_file(path, options.model_copy(update={"sheet": sheet, "header_row": row, "header_rows": depth}))
            for layout in _layouts(raw) if options.layout == "long" else [options.layout]:
                long = to_rows(raw, layout, NAMES["period_end"])
                matches = match_columns(long.columns)
                if len(matches) > most:
                    most, best = len(matches), (long, layout, raw.columns)
                if not required_missing(matches):
                    return long, layout, raw.columns
        except SourceError as error:
            fault = fault or error
    if best is None:
        raise fault or SourceError("{path} has no table", path=path)
    return best


def _layouts(raw: RawTable) -> list[str]:
    """Return the layouts that a table may have."""
    found = [layout for layout, is_one in (("lines", has_lines(raw)), ("wide", is_wide(raw.columns))) if is_one]
    return found or ["long"]


def _as_panel(path: Path, table: Table, labels: Labels) -> tuple[Table, list[str], set[str]]:
    """Return the options with units that make the amounts plausible, how the file is read, and the items that it has."""
    source = own_table.load(path, table)
    median = median_value(source.statements["total_assets"])
    if table.preset is None and median is not None and not MIN_MEDIAN_ASSETS <= median <= MAX_MEDIAN_ASSETS:
        factor = next((each for each in UNIT_FACTORS if MIN_MEDIAN_ASSETS <= median * each <= MAX_MEDIAN_ASSETS), 1.0)
        table = table.model_copy(update={"units": table.units * factor})
        source = own_table.load(path, table)
    panel = build_panel(source, window_months=labels.window_months, event_kinds=labels.event_kinds)
    items = {item for item in ITEM_NAMES if source.statements[item].count()}
    return table, [source.info.notes, *quality_summary(panel.quality)], items


def _section(changes: dict[str, Any]) -> str:
    out, yaml = io.StringIO(), YAML()
    yaml.default_flow_style = False
    yaml.dump({"ingest": {"sources": ["table"], "table": changes}}, out)
    return re.sub(r"(?m)^    units: \S+$", f"    units: {format_plain(changes.get('units', 1.0))}", out.getvalue())


def required_missing(matches: Sequence[ColumnMatch]) -> list[str]:
    """Return the columns that every file must have, and that this one has not, nor others that they follow from."""
    there = {match.canonical for match in matches}
    stands = {name for name, others in STANDS_FOR.items() if any(there.issuperset(each) for each in others)}
    return [name for name in own_table.REQUIRED if name not in there and name not in stands]
