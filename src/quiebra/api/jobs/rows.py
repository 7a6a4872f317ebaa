"""Jobs as rows of the database. What a worker writes, it writes under the job's lease, so that each part counts once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from quiebra.api.problems import ApiError
from quiebra.api.records import access_record, insert_predictions, utc_now
from quiebra.errors import LocalisedMessage, QuiebraError, StoreError
from quiebra.registry import ScoringModel
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.lease import Lease
from quiebra.store.retention import job_lease
from quiebra.store.tables import AccessRow, Job
from quiebra.text.words import LANGUAGES, Words, translatable

OPEN = ("queued", "running")
ROUTE = "jobs"
"""Route of a job's access record."""
WAITING_REMEDY = translatable("wait until one has ended, or cancel one: DELETE /v1/jobs/ID")


class JobEnded(QuiebraError):
    """The job was cancelled, or has ended: nothing more is written for it."""


def new_job(*, job_id: str, who: str, companies: int, input_sha256: str, correlation_id: str | None) -> dict[str, Any]:
    """Return the row of a job that nobody has worked on."""
    counts = dict.fromkeys(("done", "failed", "parts", "lines", "position", "attempts"), 0)
    later = dict.fromkeys(("charge", "error", "started_at", "ended_at"))
    named = {"job_id": job_id, "who": who, "companies": companies, "input_sha256": input_sha256, "correlation_id": correlation_id}
    return {**counts, **later, **named, "state": "queued", "queued_at": utc_now()}


def queue_job(engine: Engine, job: Mapping[str, Any], most: int) -> None:
    """Add a job. ApiError (429) where whoever asks has ``most`` of them that have not ended."""
    mine = select(func.count()).select_from(Job).where(Job.who == job["who"], Job.state.in_(OPEN))
    with translate_database_errors(engine), engine.begin() as connection:
        if connection.execute(mine).scalar_one() >= most:
            raise ApiError(429, "{most} jobs of yours have not ended.", most=most, remedy=WAITING_REMEDY, retry_after=60)
        connection.execute(insert(Job).values(**job))


def own_job(engine: Engine, job_id: str, who: str) -> Row[Any]:
    """Return a job of whoever asks. ApiError (404) where there is none of theirs with this id."""
    asked = select(Job.__table__).where(Job.job_id == job_id, Job.who == who)
    row = None
    if re.fullmatch(r"[0-9a-f]{12}", job_id):
        with read_only(engine) as connection:
            row = connection.execute(asked).first()
    if row is None:
        raise ApiError(404, "There is no job '{job}' of yours.", job=job_id[:40])
    return row


def own_jobs(engine: Engine, who: str, most: int) -> list[Row[Any]]:
    """Return the latest jobs of whoever asks, the newest first."""
    asked = select(Job.__table__).where(Job.who == who).order_by(Job.queued_at.desc(), Job.job_id).limit(most)
    with read_only(engine) as connection:
        return list(connection.execute(asked))


def cancel_job(engine: Engine, job_id: str, who: str) -> Row[Any]:
    """Cancel a job: what was stored of it stays, nothing more is scored. ApiError: 404, or 409 where it has ended."""
    own_job(engine, job_id, who)
    with translate_database_errors(engine), engine.begin() as connection:
        _update_open(connection, job_id, state="cancelled", ended_at=utc_now())
    job = own_job(engine, job_id, who)
    if job.state != "cancelled":
        raise ApiError(409, "Job {job} has ended already.", job=job_id)
    return job


def open_jobs(engine: Engine) -> list[str]:
    """Return the ids of the jobs that have not ended, those queued first on top."""
    with read_only(engine) as connection:
        asked = select(Job.job_id).where(Job.state.in_(OPEN)).order_by(Job.queued_at, Job.job_id)
        return list(connection.scalars(asked))


def count_attempt(lease: Lease) -> Row[Any]:
    """Note that a worker begins, and return the job. JobEnded where it has ended."""
    return _change(lease, attempts=Job.attempts + 1)


def end_attempt(lease: Lease) -> None:
    """Take a worker's beginning back, since it did not die: what it waits for, such as a model or room on the disk, may come."""
    mine = (Job.job_id == _job_id(lease)) & (Job.attempts > 0)
    with contextlib.suppress(StoreError), _transaction(lease) as connection:
        connection.execute(update(Job).where(mine).values(attempts=Job.attempts - 1))


def start_job(lease: Lease, charge: ScoringModel) -> Row[Any]:
    """Note which model the job is scored with, and return the job. JobEnded where it has ended."""
    started = func.coalesce(Job.started_at, utc_now())
    return _change(lease, state="running", started_at=started, charge=charge.as_record())


def store_part(lease: Lease, predictions: Sequence[Mapping[str, Any]], **counts: int) -> Row[Any]:
    """Store the predictions of a part with how far the job is now, all or nothing, and return the job.

    predictions: rows of `ServedPrediction`. counts: columns of the job. JobEnded where it was cancelled; LeaseLost.
    """
    with _transaction(lease) as connection:
        insert_predictions(connection, predictions)
        return _change_within(connection, lease, **counts, attempts=0)


def finish_job(lease: Lease) -> Row[Any]:
    """Note that a job is done, with its access record, and return it. JobEnded, LeaseLost."""
    with _transaction(lease) as connection:
        job = _change_within(connection, lease, state="done", ended_at=utc_now())
        access = access_record(
            who=job.who,
            route=ROUTE,
            model_id=job.charge["model_id"],
            input_sha256=job.input_sha256,
            companies=job.companies,
            cached=0,
            correlation_id=job.correlation_id,
        )
        connection.execute(insert(AccessRow), access)
        return job


def fail_job(lease: Lease, reason: LocalisedMessage) -> Row[Any]:
    """Note that a job cannot go on, and why. JobEnded, LeaseLost."""
    return _change(lease, state="failed", ended_at=utc_now(), error=in_all_languages(reason))


def in_all_languages(said: LocalisedMessage) -> dict[str, str]:
    return {language: Words(language).say(said) for language in LANGUAGES}


@contextlib.contextmanager
def _transaction(lease: Lease) -> Iterator[Connection]:
    with translate_database_errors(lease.engine), lease.engine.begin() as connection:
        lease.confirm(connection)
        yield connection


def _change(lease: Lease, **values: Any) -> Row[Any]:
    with _transaction(lease) as connection:
        return _change_within(connection, lease, **values)


def _change_within(connection: Connection, lease: Lease, **values: Any) -> Row[Any]:
    job_id = _job_id(lease)
    if not _update_open(connection, job_id, **values):
        raise JobEnded("job {job} has ended", job=job_id)
    return connection.execute(select(Job.__table__).where(Job.job_id == job_id)).one()


def _job_id(lease: Lease) -> str:
    return lease.name.removeprefix(job_lease(""))


def _update_open(connection: Connection, job_id: str, **values: Any) -> int:
    """Change a job that has not ended; return whether there was one."""
    return connection.execute(update(Job).where(Job.job_id == job_id, Job.state.in_(OPEN)).values(**values)).rowcount


def job_record(job: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Return a job as it is answered."""
    times = {name: job[name] for name in ("queued_at", "started_at", "ended_at")}
    return {
        **{name: job[name] for name in ("job_id", "state", "companies", "done", "failed")},
        **{name: None if time is None else f"{time.isoformat(timespec='seconds')}Z" for name, time in times.items()},
        "model_id": None if job["charge"] is None else job["charge"]["model_id"],
        "problem": None if job["error"] is None else job["error"][words.language],
        "results": f"/v1/jobs/{job['job_id']}/results" if job["state"] == "done" else None,
    }
