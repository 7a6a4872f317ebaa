"""Rows of a table for display: filtered, sorted, one page, formatted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from quiebra.text.words import MISSING_SIGN, Words

Kind = Literal["text", "number", "rating", "company", "status", "choice"]


@dataclass(frozen=True)
class TableColumn:
    """A displayed column. format: value → text; None: unchanged. kind: ``company`` links to the company's page; ``choice`` is a
    button that chooses the row, which the column ``case_id`` names."""

    key: str
    label: str
    kind: Kind = "text"
    format: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class TableQuery:
    """Filter, order and page of a table. text: searched in the text columns as displayed, ignoring case. sort: a column's key;
    empty: the rows' own order. page: from 0."""

    text: str = ""
    sort: str = ""
    descending: bool = True
    page: int = 0
    size: int = 12


def match_rows(frame: pl.DataFrame, text: str) -> pl.Series:
    """Return for each row whether any text column contains the text literally, ignoring case."""
    wanted = text.strip().lower()
    names = [name for name, kind in frame.schema.items() if kind == pl.String]
    if not wanted or not names:
        return pl.Series([True] * frame.height, dtype=pl.Boolean)
    holds = (pl.col(n).str.to_lowercase().str.contains(wanted, literal=True).fill_null(False) for n in names)
    return frame.select(found=pl.any_horizontal(holds))["found"]


def _as_read(frame: pl.DataFrame, columns: list[TableColumn], words: Words) -> pl.DataFrame:
    """Return a table's text columns as displayed, and the companies' ids."""
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


def page_of_rows(
    frame: pl.DataFrame, columns: list[TableColumn], query: TableQuery, words: Words, grades: Sequence[str] = ()
) -> tuple[list[list[Any]], int]:
    """Return one page of cells and the number of matching rows; ratings sort in the order of ``grades``.

    A company's cell is [id, name], with an empty id if ``known`` is False (not a company of the run); a status' is [status,
    label]; a choice's [id, label]. The filter searches displayed text. Missing values are a dash.
    """
    rows = frame.filter(match_rows(_as_read(frame, columns, words), query.text)) if query.text.strip() else frame
    if query.sort in rows.columns:
        order = pl.col(query.sort)
        if grades and any(column.key == query.sort and column.kind == "rating" for column in columns):
            order = order.replace_strict({grade: place for place, grade in enumerate(grades)}, default=None)
        rows = rows.sort(order, descending=query.descending, nulls_last=True, maintain_order=True)
    size = max(1, min(int(query.size), 200))
    page = rows.slice(max(0, int(query.page)) * size, size)
    return [[_cell(record, column, words) for column in columns] for record in page.iter_rows(named=True)], rows.height


def _cell(record: dict[str, Any], column: TableColumn, words: Words) -> Any:
    value = record[column.key]
    if column.kind == "company":
        return [record["company_id"] if record.get("known", True) else "", value]
    if column.kind == "status":
        return [value, words(value)]
    if column.kind == "choice":
        return [record["case_id"], value]
    if value is None:
        return MISSING_SIGN
    return column.format(value) if column.format else str(value)
