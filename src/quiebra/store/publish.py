"""Publishing a run: its companies, statements, macro series, model and scores, in one transaction, as often as you like."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, delete, func, select, text, update

from quiebra.canonical import SourceInfo
from quiebra.settings import person
from quiebra.store.audit import Entry, append
from quiebra.store.bulk import upsert
from quiebra.store.engine import answering
from quiebra.store.lease import guard
from quiebra.store.register import mirror
from quiebra.store.tables import Company, Finding, MacroObservation, Prediction, Run, Statement


@dataclass(frozen=True)
class Publication:
    """Everything that a run puts into the database.

    scores: columns of `predicciones` but run_id and score_month. monitoring: columns of `monitoreo` but run_id.
    models: the rows of `modelos`, see `quiebra.store.register.register_rows`. run: the run's record (see `quiebra.provenance`).
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


def publish(engine: Engine, what: Publication) -> dict[str, int]:
    """Load a run and make it the current one; return rows by table. The same run again leaves the same rows.

    All or nothing: a failure, or a kill, at any point leaves the database as it was. The rows that a run shares with others
    (companies, statements, macro) are updated by key and never deleted, so that older runs stay traceable.
    """
    run_id = what.run["run_id"]
    with answering(engine), engine.begin() as connection:
        guard(connection)
        append(connection, [])
        before = connection.scalar(select(Run.run_id).where(Run.is_current))
        counts = {
            "empresas": upsert(connection, _table(Company), _marked(what.companies, what.info)),
            "datos_financieros": upsert(connection, _table(Statement), what.statements),
            "datos_macroeconomicos": upsert(
                connection, _table(MacroObservation), what.macro.with_columns(source=pl.lit(what.info.source))
            ),
        }
        _register(connection, what)
        counts["predicciones"] = _replace_scores(connection, what)
        counts["monitoreo"] = _replace_findings(connection, what)
        if before != run_id:
            append(connection, [Entry(person(), "run published", run_id, before, run_id, "what tables and views show", run_id)])
    return counts


def _table(entity: type) -> Any:
    return entity.__table__  # type: ignore[attr-defined]


def _marked(companies: pl.DataFrame, info: SourceInfo) -> pl.DataFrame:
    return companies.with_columns(source=pl.lit(info.source), simulated=pl.lit(info.simulated))


def _register(connection: Connection, what: Publication) -> None:
    """Bring the register of models up to date, insert the run where it is new, and mark it as current."""
    run = what.run
    mirror(connection, what.models, who=person(), why="as models/register.json says")
    if connection.scalar(select(Run.run_id).where(Run.run_id == run["run_id"])) is None:
        connection.execute(
            _table(Run).insert(),
            {
                "run_id": run["run_id"], "model_id": run["model_sha256"][:12], "as_of": dt.date.fromisoformat(run["as_of"]),
                "source": what.info.source, "simulated": what.info.simulated, "data_sha256": run["data"]["sha256"],
                "code_sha256": run["code_sha256"], "code_revision": what.code_revision, "record": run, "is_current": False,
                "published_at": dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0),
            },
        )  # fmt: skip
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
    """Make the yearly partitions of `predicciones` that the scores need."""
    for year in sorted(set(scores["score_date"].dt.year().to_list())):
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS predicciones_{year:d} PARTITION OF predicciones "
                f"FOR VALUES FROM ('{year:d}-01-01') TO ('{year + 1:d}-01-01')"
            )
        )
