"""Queries: the current run, and the provenance of a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Engine, func, inspect, select
from sqlalchemy.orm import Session

from quiebra.errors import NothingPublishedError, StoreError, single_match
from quiebra.panels import are_other_companies
from quiebra.store.engine import read_only
from quiebra.store.tables import Model, Prediction, Run


def _has_tables(connection: Connection) -> bool:
    return inspect(connection).has_table(Run.__tablename__)


def current_run(engine: Engine) -> str | None:
    """Return the id of the run shown by the views; None if nothing was published."""
    with read_only(engine) as connection, Session(connection) as session:
        if not _has_tables(connection):
            return None
        return session.scalar(select(Run.run_id).where(Run.is_current))


def current_source(engine: Engine) -> str:
    """Return the source of the current run's data. StoreError if nothing was published."""
    with read_only(engine) as connection, Session(connection) as session:
        found = session.scalar(select(Run.source).where(Run.is_current)) if _has_tables(connection) else None
    if found is None:
        raise NothingPublishedError("nothing was published into this database yet: run `quiebra run`")
    return found


def trace_run(engine: Engine, identifier: str) -> dict[str, Any]:
    """Return the provenance of a run: data, params, code, model and metrics. ``identifier``: a run or model id, or the start of
    one.

    StoreError if none or several runs match.
    """
    with read_only(engine) as connection, Session(connection) as session:
        if not _has_tables(connection):
            raise NothingPublishedError("nothing was published into this database yet: run `quiebra publish`")
        found = session.execute(
            select(Run, Model)
            .join(Model, Model.model_id == Run.model_id)
            .where(Run.run_id.startswith(identifier, autoescape=True) | Run.model_id.startswith(identifier, autoescape=True))
            .order_by(Run.published_at)
        ).all()
        known = [run.run_id for run, _ in found] or session.scalars(select(Run.run_id))
        what = "run" if found else "run or model"
        run, model = single_match(found, identifier, what, StoreError, f"there are: {', '.join(known)}")
        scores = session.scalar(select(func.count()).select_from(Prediction).where(Prediction.run_id == run.run_id))
        return {
            "run_id": run.run_id,
            "as_of": run.as_of,
            "source": run.source,
            "simulated": run.simulated,
            "current": run.is_current,
            "published_at": run.published_at,
            "scores": scores,
            "data_sha256": run.data_sha256,
            "code_sha256": run.code_sha256,
            "code_revision": run.code_revision,
            "model_id": run.model_id,
            "model_sha256": model.model_sha256,
            "model_version": model.version,
            "model_status": model.status,
            "trained_on": model.trained_on,
            "training_rows": model.rows,
            "training_failures": model.failures,
            "params": run.record["params"],
            "panel_files": run.record["data"]["panel"],
            "metrics": model.metrics["walk_forward"],
        }


def earlier_month_pd(engine: Engine, source: str, as_of: str, scored: Collection[str]) -> float | None:
    """Return the mean one-year PD of this source's latest run from a month before that of ``as_of``; None if there is no such
    run, or its companies are others than those ``scored`` now (`are_other_companies`)."""
    with read_only(engine) as connection, Session(connection) as session:
        if not _has_tables(connection):
            return None
        first = dt.date.fromisoformat(as_of).replace(day=1)
        latest = (
            select(Run.run_id).where(Run.source == source, Run.as_of < first).order_by(Run.as_of.desc(), Run.published_at.desc())
        )
        current = (Prediction.run_id == latest.limit(1).scalar_subquery(), Prediction.kind == "current")
        if are_other_companies(session.scalars(select(Prediction.company_id).where(*current)).all(), scored):
            return None
        return session.scalar(select(func.avg(Prediction.pd_12m)).where(*current))
