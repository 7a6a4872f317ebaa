"""A table's rows as a reader asks for them: filtered, sorted, one page, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from quiebra.words import MISSING, Words

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
    """text: in any text column as it is shown, whatever the case. sort: a column's key; empty: as the rows come. page: from 0."""

    text: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 0
    size: int = 12


def matching(frame: pl.DataFrame, text: str) -> pl.Series:
    """Return for each row whether the text is in any of its text columns; it is taken literally, whatever the case."""
    wanted = text.strip().lower()
    names = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not wanted or not names:
        return pl.Series([True] * frame.height, dtype=pl.Boolean)
    holds = (pl.col(n).str.to_lowercase().str.contains(wanted, literal=True).fill_null(False) for n in names)
    return frame.select(found=pl.any_horizontal(holds))["found"]


def _as_read(frame: pl.DataFrame, columns: list[Column], words: Words) -> pl.DataFrame:
    """Return a table's text columns as its reader sees them, with the companies' ids."""
    seen = []
    for column in columns:
        if column.kind == "number" or frame.schema[column.key] != pl.String:
            continue
        said = words if column.kind == "status" else column.format
        values = pl.col(column.key)
        seen.append(values.replace({v: said(v) for v in frame[column.key].drop_nulls().unique()}) if said else values)
        if column.kind == "company":
            seen.append(pl.col("company_id"))
    return frame.select(seen)


def shown(
    frame: pl.DataFrame, columns: list[Column], query: Query, words: Words, grades: Sequence[str] = ()
) -> tuple[list[list[Any]], int]:
    """Return one page of cells and how many rows match; ratings sort as ``grades`` do.

    A company's cell is [id, name], without the id where ``known`` says that the base has no such company; a status' is
    [status, words]. The filter looks at what is shown. What is missing is a dash.
    """
    rows = frame.filter(matching(_as_read(frame, columns, words), query.text)) if query.text.strip() else frame
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
        return [record["company_id"] if record.get("known", True) else "", value]
    if column.kind == "status":
        return [value, words(value)]
    if value is None:
        return MISSING
    return column.format(value) if column.format else str(value)
