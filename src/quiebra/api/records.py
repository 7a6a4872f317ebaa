"""What was predicted and who got it, written to the database before it is told."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.dialects import postgresql, sqlite

from quiebra.api.schemas import CompanyIn
from quiebra.services.loaded_model import LoadedModel
from quiebra.services.prediction import Prediction
from quiebra.store.engine import translate_database_errors
from quiebra.store.tables import AccessRow, ServedPrediction


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


def input_hash(company: CompanyIn) -> str:
    """Return the hash of what was asked about one company."""
    return hashlib.sha256(company.asked).hexdigest()


def prediction_id(loaded: LoadedModel, input_sha256: str) -> str:
    """Return the id of an answer: the same question to the same model and tables has the same."""
    return hash_json({"model": loaded.sha256, "input": input_sha256})[:32]


def prediction_row(company: CompanyIn, input_sha256: str, answer: Prediction, written: bytes) -> dict[str, Any]:
    """Return the row of `ServedPrediction` of an answer, which has its prediction_id. written: the answer as JSON."""
    return {
        "prediction_id": answer["prediction_id"],
        "company_id": company.company_id,
        "input_sha256": input_sha256,
        "model_id": answer["model"]["model_id"],
        "run_id": answer["model"]["run_id"],
        "computed_at": utc_now(),
        "pd_12m": answer["pd_12m"],
        "rating": answer["rating"],
        "request": company.asked,
        "answer": written,
    }


def texts_in_language(answer: Prediction, language: str) -> Prediction:
    """Return a prediction with its texts in one language."""
    reasons = [{**reason, "text": reason["text"][language]} for reason in answer["reasons"]]
    return {**answer, "reasons": reasons, "notes": [note[language] for note in answer["notes"]]}


def hash_json(content: Mapping[str, Any] | Sequence[str]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write_records(engine: Engine, records: list[Records]) -> list[None]:
    """Write the records of several answers in one transaction. Of a prediction that is there already the date alone is new."""
    predictions = [row for each in records for row in each.predictions]
    with translate_database_errors(engine), engine.begin() as connection:
        insert_predictions(connection, predictions)
        connection.execute(insert(AccessRow), [each.access for each in records])
    return [None] * len(records)


def insert_predictions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of `ServedPrediction` in the caller's transaction; one that is there already was computed again just now, and
    is kept from now on as long as a new one."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        new = dialect.insert(ServedPrediction)
        statement = new.on_conflict_do_update(index_elements=["prediction_id"], set_={"computed_at": new.excluded.computed_at})
        in_order = sorted(rows, key=lambda row: str(row["prediction_id"]))  # two that insert the same rows wait in turn
        connection.execute(statement, in_order)


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
