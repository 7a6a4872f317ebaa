"""Retention: delete what is older than params allow, and record the deletion in the audit table."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, select

from quiebra.params.operations import Retention
from quiebra.store import audit
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import AccessRow, Cycle, Job, LeaseRow, Message, ServedPrediction, SessionRow

JOB_ENDED = ("done", "failed", "cancelled")


def job_lease(job_id: str) -> str:
    """Return the name of the lease under which a job is worked on."""
    return f"job {job_id}"


def prune_database(engine: Engine, keep: Retention, who: str) -> dict[str, int]:
    """Delete audit entries, completed messages, ended cycles, jobs and sessions, and predictions over HTTP with the records of
    who got them, older than ``keep``; return the number by table.

    Messages that are waiting or doubtful are kept. The files of jobs are for `delete_job_folders`. StoreError if the audit chain
    is broken.
    """
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)

    def before(days: int) -> dt.datetime:
        return now - dt.timedelta(days=days)

    entries = audit.prune_audit(engine, before(keep.audit_days), who)
    over = Message.state.in_(("sent", "written", "failed", "dropped"))
    session_end = func.coalesce(SessionRow.ended_at, SessionRow.expires_at)
    old = {
        "bandeja_salida": delete(Message).where(Message.changed_at < before(keep.messages_days), over),
        "ciclos": delete(Cycle).where(Cycle.ended_at < before(keep.cycles_days)),
        "accesos_api": delete(AccessRow).where(AccessRow.at < before(keep.predictions_days)),
        "predicciones_api": delete(ServedPrediction).where(ServedPrediction.computed_at < before(keep.predictions_days)),
        "sesiones": delete(SessionRow).where(session_end < before(keep.sessions_days)),
    }
    with translate_database_errors(engine), engine.begin() as connection:
        audit.append_entries(connection, [])
        gone = {table: connection.execute(statement).rowcount for table, statement in old.items()}
        gone["trabajos"] = _prune_jobs(connection, before(keep.jobs_days))
        if any(gone.values()):
            text = "older than the time to keep"
            audit.append_entries(connection, [audit.AuditRecord(who, "prune", "what is kept for a time", gone, None, text)])
    return {"auditoria": entries, **gone}


def _prune_jobs(connection: Connection, before: dt.datetime) -> int:
    old = list(connection.scalars(select(Job.job_id).where(Job.ended_at < before, Job.state.in_(JOB_ENDED))))
    for job_id in old:
        connection.execute(delete(Job).where(Job.job_id == job_id))
        connection.execute(delete(LeaseRow).where(LeaseRow.name == job_lease(job_id)))
    return len(old)


def delete_job_folders(engine: Engine, jobs: Path, keep: Retention) -> int:
    """Delete the folders of jobs that are no longer in the database, and of uploads that became no job, once they are older than
    ``keep``; return their number.

    jobs: the folder with one folder a job. A younger folder is kept: it may be of an upload under way, or of a job in another
    database.
    """
    before = dt.datetime.now(dt.UTC).timestamp() - dt.timedelta(days=keep.jobs_days).total_seconds()
    with read_only(engine) as connection:
        known = set(connection.scalars(select(Job.job_id)))
    folders = [folder for folder in jobs.glob("*") if folder.is_dir() and folder.name not in known]
    old = [folder for folder in folders if _sent_at(folder) < before]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


def _sent_at(folder: Path) -> float:
    """Return when a job's input was written; of a folder without one, when it was changed last."""
    path = folder / "input.ndjson"
    return (path if path.exists() else folder).stat().st_mtime
