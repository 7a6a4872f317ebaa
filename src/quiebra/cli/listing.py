"""Lists on the terminal: a table with headings, a word where there is nothing to list, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len

from quiebra.terminal import echo

Field = str | Callable[[Mapping[str, Any]], Any]
"""A field of a row by name, or worked out from the row."""
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]


def print_list(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Field], *, empty: str, as_json: bool = False) -> None:
    """Print rows under headings, as wide as their cells; with ``as_json`` all of their fields as one JSON array.

    columns: heading → field of a row. empty: what is said where there are no rows (on standard error). The last column is not
    padded, so that long text comes last.
    """
    listed = [dict(row) for row in rows]
    if as_json:
        print_json(listed)
        return
    if not listed:
        echo(empty, err=True)
        return
    table = [list(columns), *([_cell(_value(row, field)) for field in columns.values()] for row in listed)]
    widths = [max(cell_len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        echo("  ".join(_padded(line, widths)).rstrip())


def print_json(content: Any) -> None:
    """Print JSON for programs; dates as text."""
    echo(json.dumps(content, default=str, ensure_ascii=False, indent=2), lines=True)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell + " " * (width - cell_len(cell)) for cell, width in zip(line[:-1], widths, strict=False)] + [line[-1]]


def _value(row: Mapping[str, Any], field: Field) -> Any:
    return row.get(field) if isinstance(field, str) else field(row)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "hour") else str(value)
