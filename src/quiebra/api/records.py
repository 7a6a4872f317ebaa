"""What was predicted and who got it, written to the database before it is told."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql, sqlite

from quiebra.store.engine import translate_database_errors
from quiebra.store.tables import AccessRow, Base, ServedPrediction


@dataclass(frozen=True)
class Records:
    """Predictions of one answer that were computed for it (rows of `ServedPrediction`), and its access record."""

    access: dict[str, Any]
    predictions: list[dict[str, Any]] = field(default_factory=list)


def access_record(
    *, who: str, route: str, model_id: str, input_sha256: str, companies: int, cached: int, correlation_id: str | None
) -> dict[str, Any]:
    """Return the row that says who got which answer."""
    return {
        "access_id": uuid.uuid4().hex,
        "at": utc_now(),
        "who": who,
        "route": route,
        "model_id": model_id,
        "input_sha256": input_sha256,
        "companies": companies,
        "cached": cached,
        "correlation_id": correlation_id,
    }


def write_records(engine: Engine, records: list[Records]) -> list[None]:
    """Write the records of several answers in one transaction; a row that is there already is left as it is."""
    predictions = [row for each in records for row in each.predictions]
    with translate_database_errors(engine), engine.begin() as connection:
        for table, rows in ((ServedPrediction, predictions), (AccessRow, [each.access for each in records])):
            if rows:
                connection.execute(_insert_new(engine, table), rows)
    return [None] * len(records)


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def _insert_new(engine: Engine, table: type[Base]) -> Any:
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
