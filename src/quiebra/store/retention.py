"""Retention: delete what is older than params allow, and record the deletion in the audit table."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, select

from quiebra.params.operations import Retention
from quiebra.store import audit
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import Cycle, Job, LeaseRow, Message

JOB_ENDED = ("done", "failed", "cancelled")


def job_lease(job_id: str) -> str:
    """Return the name of the lease under which a job is worked on."""
    return f"job {job_id}"


def prune_database(engine: Engine, keep: Retention, who: str) -> dict[str, int]:
    """Delete audit entries, completed messages, ended cycles and ended jobs older than ``keep``; return the number by table.

    Messages that are waiting or doubtful are kept. The files of jobs are for `delete_job_folders`. StoreError if the audit chain
    is broken.
    """
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    entries = audit.prune_audit(engine, now - dt.timedelta(days=keep.audit_days), who)
    old_messages = Message.changed_at < now - dt.timedelta(days=keep.messages_days)
    over = Message.state.in_(("sent", "written", "failed", "dropped"))
    with translate_database_errors(engine), engine.begin() as connection:
        audit.append_entries(connection, [])
        messages = connection.execute(delete(Message).where(old_messages, over)).rowcount
        ended = Cycle.ended_at < now - dt.timedelta(days=keep.cycles_days)
        cycles = connection.execute(delete(Cycle).where(ended)).rowcount
        jobs = _prune_jobs(connection, now - dt.timedelta(days=keep.jobs_days))
        gone = {"bandeja_salida": messages, "ciclos": cycles, "trabajos": jobs}
        if any(gone.values()):
            text = "older than the time to keep"
            audit.append_entries(connection, [audit.AuditRecord(who, "prune", "messages, cycles and jobs", gone, None, text)])
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
