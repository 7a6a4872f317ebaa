"""A table's rows as a reader asks for them: filtered, sorted, one page, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from quiebra.dashboards.words import MISSING, Words

Kind = Literal["text", "number", "rating", "company", "status"]


@dataclass(frozen=True)
class Column:
    """A column as it is shown. format: value → text; None: as it is. kind: ``company`` links to the company's page."""

    key: str
    label: str
    kind: Kind = "text"
    format: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Query:
    """text: in any text column, whatever the case. sort: a column's key; empty: as the rows come. page: from 0."""

    text: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 0
    size: int = 12


def matching(frame: pl.DataFrame, text: str) -> pl.DataFrame:
    """Return the rows with the text in any of their text columns; it is taken literally."""
    wanted = text.strip().lower()
    names = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not wanted or not names:
        return frame
    return frame.filter(pl.any_horizontal(pl.col(n).str.to_lowercase().str.contains(wanted, literal=True) for n in names))


def shown(
    frame: pl.DataFrame, columns: list[Column], query: Query, words: Words, grades: Sequence[str] = ()
) -> tuple[list[list[Any]], int]:
    """Return one page of cells and how many rows match; ratings sort as ``grades`` do.

    A company's cell is [id, name], a status' [status, words]; what is missing is a dash.
    """
    rows = matching(frame, query.text)
    if query.sort in rows.columns:
        order = pl.col(query.sort)
        if grades and any(column.key == query.sort and column.kind == "rating" for column in columns):
            order = order.replace_strict({grade: place for place, grade in enumerate(grades)}, default=None)
        rows = rows.sort(order, descending=query.descending, nulls_last=True, maintain_order=True)
    size = max(1, min(int(query.size), 200))
    page = rows.slice(max(0, int(query.page)) * size, size)
    return [[_cell(record, column, words) for column in columns] for record in page.iter_rows(named=True)], rows.height


def _cell(record: dict[str, Any], column: Column, words: Words) -> Any:
    value = record[column.key]
    if column.kind == "company":
        return [record["company_id"], value]
    if column.kind == "status":
        return [value, words(value)]
    if value is None:
        return MISSING
    return column.format(value) if column.format else str(value)
