"""Model register in the database: a copy of models/register.json and the kept models, for reporting tools and
`quiebra.store.trace_run`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.registry import CHALLENGER, CHAMPION, RETIRED, RegisteredModel, list_models, registered_model
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import Model
from quiebra.workspace import Workspace


def register_rows(workspace: Workspace, model_sha256: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of `modelos` for every registered model, oldest first, and for ``model_sha256`` if it is not registered."""
    registered = reversed(list_models(workspace))
    rows = [_row(model["kept"], model["status"], model["comparison"], model["version"]) for model in registered]
    if model_sha256 is not None and model_sha256[:12] not in {row["model_id"] for row in rows}:
        rows.append(_row(registered_model(workspace, model_sha256), CHALLENGER, None, None))
    return rows


def _row(folder: RegisteredModel, status: str, comparison: dict[str, Any] | None, version: int | None) -> dict[str, Any]:
    record, card, metrics = folder.record, folder.card, folder.metrics
    return {
        "model_id": folder.model_id,
        "model_sha256": record["model_sha256"],
        "source": record["source"],
        "trained_on": card["trained_on"],
        "rows": card["rows"],
        "failures": card["failures"],
        "params": card["params"],
        "metrics": metrics,
        "card": card,
        "gates": metrics.get("verdict"),
        "data_sha256": record["data_sha256"],
        "status": status,
        "comparison": comparison,
        "version": version,
    }


def mirror_rows(
    connection: Connection, rows: list[dict[str, Any]], *, who: str, why: str, action: str = "model promoted"
) -> None:
    """Update `modelos` to the given rows, source by source, and record a change of champion in the audit table.

    A champion that only the database knows, from another workspace or an earlier version, is retired.
    """
    for source in sorted({row["source"] for row in rows}):
        before = connection.scalar(select(Model.model_id).where(Model.source == source, Model.status == CHAMPION))
        after = next((row["model_id"] for row in rows if row["source"] == source and row["status"] == CHAMPION), None)
        ours = [row for row in rows if row["source"] == source]
        for row in ours:
            _enter(connection, row)
        if before is not None and before not in {row["model_id"] for row in ours}:
            _set(connection, before, RETIRED)
        if after is not None and before not in (None, after):
            append_entries(connection, [AuditRecord(who, action, after, before, after, why)])


def _enter(connection: Connection, row: dict[str, Any]) -> None:
    table: Any = Model.__table__
    known = connection.scalar(select(Model.status).where(Model.model_id == row["model_id"]))
    if known is None:
        connection.execute(table.insert(), {**row, "changed_at": _now()})
        return
    fresh = {name: row[name] for name in ("metrics", "gates", "data_sha256", "comparison", "version")}
    connection.execute(update(Model).where(Model.model_id == row["model_id"]).values(**fresh))
    if known != row["status"]:
        _set(connection, row["model_id"], row["status"])


def _set(connection: Connection, model_id: str, status: str) -> None:
    connection.execute(update(Model).where(Model.model_id == model_id).values(status=status, changed_at=_now()))


def mirror_register(engine: Engine, workspace: Workspace, *, who: str, action: str, why: str) -> None:
    """Update the database's register to the workspace's files; see `mirror_rows`."""
    rows = register_rows(workspace)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        mirror_rows(connection, rows, who=who, why=why, action=action)


def registered_models(engine: Engine) -> list[dict[str, Any]]:
    """Return every model in the database, newest first: model_id, version, status and source."""
    with read_only(engine) as connection, Session(connection) as session:
        asked = select(Model).order_by(Model.changed_at.desc(), Model.version.desc())
        return [{n: getattr(m, n) for n in ("model_id", "version", "status", "source")} for m in session.scalars(asked)]


def model_standing(engine: Engine, identifier: str) -> dict[str, Any]:
    """Return version, status, failed (gates) and comparison (with the champion) of a model. StoreError if its id is unknown."""
    with read_only(engine) as connection, Session(connection) as session:
        model = session.get(Model, identifier)
        if model is None:
            raise StoreError(f"no model has the id '{identifier}'")
        failed = model.metrics.get("failed_gates", [])
        return {"version": model.version, "status": model.status, "failed": failed, "comparison": model.comparison}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
