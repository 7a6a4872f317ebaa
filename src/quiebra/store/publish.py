"""Publish a run in one transaction: companies, statements, macro series, model and scores. Repeating it changes nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
from sqlalchemy import Connection, Engine, delete, func, select, text, update

from quiebra.canonical import SourceInfo
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.bulk import upsert
from quiebra.store.engine import translate_database_errors
from quiebra.store.lease import check_lease
from quiebra.store.register import mirror_rows
from quiebra.store.tables import Company, Finding, MacroObservation, Prediction, Run, Statement
from quiebra.store.unverified import SYSTEM, unverified_person


@dataclass(frozen=True)
class Publication:
    """Everything that a run writes to the database.

    scores: columns of `predicciones` except run_id and score_month. monitoring: columns of `monitoreo` except run_id. models: the
    rows of `modelos`, see `quiebra.store.register.register_rows`. run: the run's record (see `quiebra.provenance`).
    """

    info: SourceInfo
    companies: pl.DataFrame
    statements: pl.DataFrame
    macro: pl.DataFrame
    scores: pl.DataFrame
    monitoring: pl.DataFrame
    models: list[dict[str, Any]]
    run: dict[str, Any]
    code_revision: str


def publish_run(engine: Engine, what: Publication) -> dict[str, int]:
    """Load a run, make it the current one, and return the number of rows by table. The same run again leaves the same rows.

    A failure or a kill at any point leaves the database unchanged. Rows shared with other runs (companies, statements, macro) are
    updated by key and never deleted, so that older runs stay traceable.
    """
    run_id = what.run["run_id"]
    with translate_database_errors(engine), engine.begin() as connection:
        check_lease(connection)
        append_entries(connection, [])
        before = connection.scalar(select(Run.run_id).where(Run.is_current))
        counts = {
            "empresas": upsert(connection, _table(Company), _marked(what.companies, what.info)),
            "datos_financieros": upsert(connection, _table(Statement), what.statements.select(_table(Statement).columns.keys())),
            "datos_macroeconomicos": upsert(
                connection, _table(MacroObservation), what.macro.with_columns(source=pl.lit(what.info.source))
            ),
        }
        _register(connection, what)
        counts["predicciones"] = _replace_scores(connection, what)
        counts["monitoreo"] = _replace_findings(connection, what)
        if before != run_id:
            who, why = unverified_person(connection), "what tables and views show"
            append_entries(connection, [AuditRecord(who, "run published", run_id, before, run_id, why, run_id)])
    return counts


def _table(entity: type) -> Any:
    return cast(Any, entity).__table__


def _marked(companies: pl.DataFrame, info: SourceInfo) -> pl.DataFrame:
    return companies.with_columns(source=pl.lit(info.source), simulated=pl.lit(info.simulated))


def _register(connection: Connection, what: Publication) -> None:
    """Update the model register, insert the run if it is new, and mark it as current."""
    run = what.run
    mirror_rows(connection, what.models, who=SYSTEM, why="as models/register.json says")
    if connection.scalar(select(Run.run_id).where(Run.run_id == run["run_id"])) is None:
        connection.execute(
            _table(Run).insert(),
            {
                "run_id": run["run_id"],
                "model_id": run["model_sha256"][:12],
                "as_of": dt.date.fromisoformat(run["as_of"]),
                "source": what.info.source,
                "simulated": what.info.simulated,
                "data_sha256": run["data"]["sha256"],
                "code_sha256": run["code_sha256"],
                "code_revision": what.code_revision,
                "record": run,
                "is_current": False,
                "published_at": dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0),
            },
        )
    connection.execute(update(Run).values(is_current=Run.run_id == run["run_id"]))


def _replace_scores(connection: Connection, what: Publication) -> int:
    run_id = what.run["run_id"]
    if connection.dialect.name == "postgresql":
        _partitions(connection, what.scores)
    connection.execute(delete(Prediction).where(Prediction.run_id == run_id))
    month = pl.col("score_date").dt.strftime("%Y-%m")
    upsert(connection, _table(Prediction), what.scores.with_columns(run_id=pl.lit(run_id), score_month=month))
    return connection.scalar(select(func.count()).select_from(Prediction).where(Prediction.run_id == run_id)) or 0


def _replace_findings(connection: Connection, what: Publication) -> int:
    run_id = what.run["run_id"]
    connection.execute(delete(Finding).where(Finding.run_id == run_id))
    return upsert(connection, _table(Finding), what.monitoring.with_columns(run_id=pl.lit(run_id)))


def _partitions(connection: Connection, scores: pl.DataFrame) -> None:
    """Create the yearly partitions of `predicciones` that the scores need."""
    for year in sorted(set(scores["score_date"].dt.year().to_list())):
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS predicciones_{year:d} PARTITION OF predicciones "
                f"FOR VALUES FROM ('{year:d}-01-01') TO ('{year + 1:d}-01-01')"
            )
        )
