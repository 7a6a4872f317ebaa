"""What a file of statements would be read as: columns and items, rows set aside and why, and a section of params.yaml for it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from quiebra.canonical import median_value
from quiebra.errors import QuiebraError, SourceError
from quiebra.items import ITEM_NAMES
from quiebra.panels import build_panel
from quiebra.panels.quality import quality_summary
from quiebra.params import Table
from quiebra.sources import table as own_table
from quiebra.sources.cells import RawTable
from quiebra.sources.column_names import ColumnMatch, in_thousands, match_columns
from quiebra.sources.currency import MAX_MEDIAN_ASSETS, MIN_MEDIAN_ASSETS, UNIT_FACTORS
from quiebra.sources.reading import read_file

HEADER_ROWS = 10
CURRENCIES = ("EUR", "USD", "GBP")


@dataclass(frozen=True)
class FileCheck:
    """The outcome of a check.

    matches: columns and what they are taken for. unread: columns that are not. missing: items that no column gives. lines: what
    the panel's quality report says. section: for params.yaml. fault: why the file cannot be read as a panel; None: it can.
    """

    matches: tuple[ColumnMatch, ...]
    unread: tuple[str, ...]
    missing: tuple[str, ...]
    lines: tuple[str, ...]
    section: str
    fault: str | None


def check_file(path: Path, shown: str, options: Table) -> FileCheck:
    """Read a file as a source would, with columns matched by their names.

    shown: the path as it stands in the section. options: ingest.table, whose format, units and currency hold where they are not
    the default. SourceError where the file cannot be read at all.
    """
    raw = _with_header(path, options)
    matches = _matches(raw, options)
    mapped = {match.column for match in matches}
    columns = {match.canonical: match.column for match in matches}
    changes: dict[str, Any] = {"path": shown, "columns": {name: theirs for name, theirs in columns.items() if name != theirs}}
    if (raw.format.header_row or 1) > 1:
        changes["header_row"] = raw.format.header_row
    headers = " ".join(raw.columns).upper()
    changes["currency"] = next((code for code in CURRENCIES if code in headers), options.currency)
    if in_thousands(raw.columns) and options.units == 1.0:
        changes["units"] = 0.001
    lines: list[str] = []
    fault = None
    table = options.model_copy(update={**changes, "path": str(path)})
    try:
        table, lines = _as_panel(path, table)
    except QuiebraError as error:
        fault = str(error)
    if table.units != options.units:
        changes["units"] = table.units
    unread = tuple(column for column in raw.columns if column not in mapped)
    missing = tuple(item for item in ITEM_NAMES if item not in columns)
    return FileCheck(tuple(matches), unread, missing, tuple(lines), _section(changes), fault)


def _matches(raw: RawTable, options: Table) -> list[ColumnMatch]:
    """Return the matches of a file's columns; those that params map hold."""
    theirs = {column: name for name, column in options.columns.items() if column in raw.columns}
    said = [ColumnMatch(column, name, "params.yaml") for column, name in theirs.items()]
    others = match_columns([column for column in raw.columns if column not in theirs])
    return [*said, *(match for match in others if match.canonical not in options.columns)]


def _with_header(path: Path, options: Table) -> RawTable:
    """Return the file with the row of the first ten as header whose names say most."""
    best: tuple[int, RawTable] | None = None
    fault: SourceError | None = None
    for row in (options.header_row,) if options.header_row else range(1, HEADER_ROWS + 1):
        try:
            raw = read_file(path, options.model_copy(update={"header_row": row}))
        except SourceError as error:
            fault = fault or error
            continue
        matches = match_columns(raw.columns)
        if best is None or len(matches) > best[0]:
            best = len(matches), raw
        if not required_missing(matches):
            break
    if best is None:
        raise fault or SourceError("{path} has no table", path=path)
    return best[1]


def _as_panel(path: Path, table: Table) -> tuple[Table, list[str]]:
    """Return the options with units that make the amounts plausible, and the lines of the quality report."""
    source = own_table.load(path, table)
    median = median_value(source.statements["total_assets"])
    if median is not None and not MIN_MEDIAN_ASSETS <= median <= MAX_MEDIAN_ASSETS:
        factor = next((each for each in UNIT_FACTORS if MIN_MEDIAN_ASSETS <= median * each <= MAX_MEDIAN_ASSETS), 1.0)
        table = table.model_copy(update={"units": table.units * factor})
        source = own_table.load(path, table)
    return table, quality_summary(build_panel(source).quality)


def _section(changes: dict[str, Any]) -> str:
    out, yaml = io.StringIO(), YAML()
    yaml.default_flow_style = False
    yaml.dump({"ingest": {"source": "table", "table": changes}}, out)
    return out.getvalue()


def required_missing(matches: Sequence[ColumnMatch]) -> list[str]:
    """Return the columns that every file must have and this one has not."""
    return [name for name in own_table.REQUIRED if name not in {match.canonical for match in matches}]
