"""The register of models in the database: a copy of models/register.json and the kept models, for reading tools and `trace`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.orm import Session

from quiebra.errors import StoreError
from quiebra.registry import CHALLENGER, CHAMPION, RETIRED, Kept, entries, kept
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, reading
from quiebra.store.tables import Model
from quiebra.workspace import Workspace


def register_rows(workspace: Workspace, model_sha256: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of `modelos` for every registered model, oldest first, and for ``model_sha256`` where it is not one."""
    registered = reversed(entries(workspace))
    rows = [_row(model["kept"], model["status"], model["comparison"], model["version"]) for model in registered]
    if model_sha256 is not None and model_sha256[:12] not in {row["model_id"] for row in rows}:
        rows.append(_row(kept(workspace, model_sha256), CHALLENGER, None, None))
    return rows


def _row(folder: Kept, status: str, comparison: dict[str, Any] | None, version: int | None) -> dict[str, Any]:
    record, card, metrics = folder.record, folder.card, folder.metrics
    return {
        "model_id": folder.model_id, "model_sha256": record["model_sha256"], "source": record["source"],
        "trained_on": card["trained_on"], "rows": card["rows"], "failures": card["failures"], "params": card["params"],
        "metrics": metrics, "card": card, "gates": metrics.get("verdict"), "data_sha256": record["data_sha256"],
        "status": status, "comparison": comparison, "version": version,
    }  # fmt: skip


def mirror(
    connection: Connection, rows: list[dict[str, Any]], *, who: str, why: str, action: str = "model promoted"
) -> None:
    """Bring `modelos` to the given rows of all sources in them; a change from one champion to another is in the audit table.

    A model that only the database knows, from another workspace or an earlier version, is retired where it was champion.
    """
    for source in sorted({row["source"] for row in rows}):
        before = connection.scalar(select(Model.model_id).where(Model.source == source, Model.status == CHAMPION))
        after = next((row["model_id"] for row in rows if row["source"] == source and row["status"] == CHAMPION), None)
        ours = [row for row in rows if row["source"] == source]
        for row in ours:
            _enter(connection, row)
        if before is not None and before not in {row["model_id"] for row in ours}:
            _set(connection, before, RETIRED)  # type: ignore[arg-type]
        if after is not None and before not in (None, after):
            append(connection, [Entry(who, action, after, before, after, why)])


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
    """Bring the database's register to the workspace's files; see `mirror`."""
    rows = register_rows(workspace)
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        mirror(connection, rows, who=who, why=why, action=action)


def models(engine: Engine) -> list[dict[str, Any]]:
    """Return every model that the database knows, newest first: model_id, version, status and source."""
    with reading(engine) as connection, Session(connection) as session:
        asked = select(Model).order_by(Model.changed_at.desc(), Model.version.desc())
        return [{n: getattr(m, n) for n in ("model_id", "version", "status", "source")} for m in session.scalars(asked)]


def standing(engine: Engine, identifier: str) -> dict[str, Any]:
    """Return version, status, failed (gates) and comparison (with the champion) of the model with an id."""
    with reading(engine) as connection, Session(connection) as session:
        model = session.get(Model, identifier)
        if model is None:
            raise StoreError(f"no model has the id '{identifier}'")
        failed = model.metrics.get("failed_gates", [])
        return {"version": model.version, "status": model.status, "failed": failed, "comparison": model.comparison}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
