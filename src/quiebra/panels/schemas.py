"""Pandera schemas of the canonical tables, checked where a stage writes them and where the next one reads them.

Pandera is imported at the first check: it takes as long as everything else that a command imports which reads no panel.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from quiebra.canonical import COMPANY_SCHEMA, EVENT_SCHEMA, MACRO_SCHEMA, STATEMENT_SCHEMA
from quiebra.errors import PanelError
from quiebra.items import ITEMS

if TYPE_CHECKING:
    import pandera.polars as pa


def _columns(schema: dict[str, Any], required: tuple[str, ...]) -> dict[str, pa.Column]:
    import pandera.polars as pa

    return {name: pa.Column(kind, nullable=name not in required) for name, kind in schema.items()}


def _statement_columns() -> dict[str, pa.Column]:
    import pandera.polars as pa

    finite = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite().fill_null(True)), name="finite")
    columns = _columns(STATEMENT_SCHEMA, ("company_id", "fiscal_year", "period_end", "available_at", "currency", "source"))
    columns["fiscal_year"] = pa.Column(pl.Int32, pa.Check.in_range(1900, 2200))
    for item in ITEMS:
        checks = [finite] if item.signed else [finite, pa.Check.ge(0)]
        columns[item.name] = pa.Column(pl.Float64, checks, nullable=True)
    return columns


@cache
def panel_schemas() -> dict[str, pa.DataFrameSchema]:
    """Return table → its schema. Statements may have further columns, those of a person's file."""
    import pandera.polars as pa

    return {
        "companies": pa.DataFrameSchema(_columns(COMPANY_SCHEMA, ("company_id",)), unique=["company_id"], strict=True),
        "statements": pa.DataFrameSchema(_statement_columns(), unique=["company_id", "fiscal_year", "available_at"]),
        "events": pa.DataFrameSchema(_columns(EVENT_SCHEMA, ("company_id", "event_date")), unique=["company_id"], strict=True),
        "macro": pa.DataFrameSchema(_columns(MACRO_SCHEMA, ("series", "date", "available_at")), strict=True),
    }


def validate_panel(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """Return the table if it meets its schema; otherwise raise PanelError naming the column, the check and an example."""
    import pandera.errors

    try:
        return panel_schemas()[name].validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.head(5).to_dicts()
        faults = "; ".join(f"{c['column'] or c['schema_context']}: {c['check']} (e.g. {c['failure_case']})" for c in cases)
        raise PanelError(f"table '{name}' breaks the contract: {faults}") from None
