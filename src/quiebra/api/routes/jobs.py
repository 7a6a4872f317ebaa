"""Files of companies that are scored in the background."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import anyio.to_thread
from asgi_correlation_id import correlation_id
from fastapi import Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from quiebra.api.idempotency import once
from quiebra.api.jobs.files import JobFiles, Upload
from quiebra.api.jobs.results import FORMATS, as_csv, as_ndjson, asked_format, require_parts, write_parquet
from quiebra.api.jobs.rows import cancel_job, job_record, new_job, own_job, own_jobs, queue_job
from quiebra.api.predicting import current_model
from quiebra.api.problems import ApiError, request_language
from quiebra.api.routing import NDJSON, guarded, json_answer, principal_of, require_type, router
from quiebra.api.schemas import EXAMPLE_COMPANY, JobOut, JobsOut
from quiebra.api.service import Service, service_of
from quiebra.errors import WorkspaceError
from quiebra.identity import Permission
from quiebra.text.words import Words, translatable

routes = router()
T = TypeVar("T")
UPLOADS = 8
"""Files that a process takes at once, so that no more than that many unfinished ones lie on the disk."""
LISTED_JOBS = 100
WRITTEN_BYTES = 1_000_000
"""Bytes of an upload that are written at a time."""
NO_ROOM = translatable("The service cannot keep the file now: its disk is full or cannot be written.")
SMALLER = translatable("send it in several jobs")
LINES = {"schema": {"type": "string"}, "examples": {"companies": {"value": json.dumps(EXAMPLE_COMPANY) + "\n"}}}


@routes.post(
    "/jobs",
    summary="Score a large file in the background",
    status_code=202,
    **guarded(Permission.PREDICT, requestBody={"required": True, "content": {NDJSON: LINES}}),
    operation_id="create_job",
)
async def create(request: Request) -> Response:
    """Take a file with one company a line, as in `predict/single`, and return the job: its address is in Location.

    A line that cannot be used gets its problem in the results and stops nothing.
    """
    require_type(request, NDJSON)
    service = service_of(request)
    await current_model(service)
    if service.uploads >= UPLOADS:
        raise ApiError(503, "Several files are being sent already: come back in a moment.", retry_after=30)
    service.uploads += 1
    try:
        upload = await _receive(request, service)
    finally:
        service.uploads -= 1
    try:
        queue = partial(_queue, service, upload, principal_of(request).name, Words(request_language(request)))
        answer, status = await _in_thread(partial(once, request, {"input_sha256": upload.sha256}, queue, 202))
    finally:
        if not upload.kept:  # refused, or sent before
            await _in_thread(upload.delete)
    return json_answer(request, answer, status, headers={"Location": f"/v1/jobs/{answer['job_id']}"})


async def _receive(request: Request, service: Service) -> Upload:
    """Return the body, written to disk as it came. ApiError: 413 where it is too large, 422 where it is empty."""
    most = service.options.job_megabytes
    refused = ApiError(413, "The body has more than {most} MB.", most=most, remedy=SMALLER)
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most * 1_000_000:
        raise refused
    try:
        upload = await _in_thread(partial(Upload, service.workspace.jobs, most * 1_000_000))
        try:
            if not await _write_body(request, upload):
                raise refused
            await _in_thread(upload.finish)
            if not upload.companies:
                raise ApiError(422, "The list is empty: give one company or more.")
        except BaseException:
            upload.delete()
            raise
    except WorkspaceError as error:
        raise ApiError(503, NO_ROOM, retry_after=60) from error
    except ClientDisconnect:
        raise ApiError(400, "The connection ended before the body did.") from None
    return upload


async def _write_body(request: Request, upload: Upload) -> bool:
    """Write the body as it comes; return whether it is small enough."""
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= WRITTEN_BYTES:
            if not await _in_thread(partial(upload.add, bytes(waiting))):
                return False
            waiting.clear()
    return await _in_thread(partial(upload.add, bytes(waiting)))


def _queue(service: Service, upload: Upload, who: str, words: Words) -> dict[str, Any]:
    job = new_job(
        job_id=upload.job_id,
        who=who,
        companies=upload.companies,
        input_sha256=upload.sha256,
        correlation_id=correlation_id.get(),
    )
    upload.kept = True  # where the database ends in the middle, the job may be there
    try:
        queue_job(service.engine(), job, service.options.waiting_jobs)
    except ApiError:
        upload.kept = False
        raise
    return job_record(job, words)


@routes.get("/jobs", summary="Your jobs", **guarded(Permission.PREDICT, JobsOut), operation_id="list_jobs")
async def list_jobs(request: Request) -> Response:
    """Return the latest hundred jobs of yours that are kept, the newest first."""
    service, words = service_of(request), Words(request_language(request))
    found = await _in_thread(partial(own_jobs, service.engine(), principal_of(request).name, LISTED_JOBS))
    return json_answer(request, {"jobs": [job_record(dict(job._mapping), words) for job in found]})


@routes.get("/jobs/{job_id}", summary="How far a job is", **guarded(Permission.PREDICT, JobOut), operation_id="get_job")
async def get(request: Request, job_id: str) -> Response:
    """Return the state of a job of yours, how many companies are done, and how many of them have no score."""
    return await _told(request, lambda service, who: own_job(service.engine(), job_id, who))


@routes.delete("/jobs/{job_id}", summary="Cancel a job", **guarded(Permission.PREDICT, JobOut), operation_id="cancel_job")
async def cancel(request: Request, job_id: str) -> Response:
    """Cancel a job of yours: nothing more of it is scored."""
    return await _told(request, lambda service, who: cancel_job(service.engine(), job_id, who))


async def _told(request: Request, find: Callable[[Service, str], Any]) -> Response:
    job = await _in_thread(partial(find, service_of(request), principal_of(request).name))
    return json_answer(request, job_record(job._mapping, Words(request_language(request))))


@routes.get(
    "/jobs/{job_id}/results", summary="The results of a job", **guarded(Permission.PREDICT), operation_id="get_job_results"
)
async def results(
    request: Request,
    job_id: str,
    format: Annotated[Literal["ndjson", "csv", "parquet"] | None, Query(description="default: by Accept")] = None,
) -> Response:
    """Return one row a line of the file, in its order: the score as a batch answers it, or the problem.

    NDJSON has what a batch answers; CSV and Parquet have the columns of `quiebra score`.
    """
    service = service_of(request)
    kind = asked_format(format, request.headers.get("accept", ""))
    job = await _in_thread(partial(own_job, service.engine(), job_id, principal_of(request).name))
    if job.state != "done":
        raise ApiError(409, "Job {job} has no results: its state is '{state}'.", job=job_id, state=job.state)
    files, language = JobFiles(service.workspace.jobs / job.job_id), request_language(request)
    await _in_thread(partial(require_parts, files, job.parts))
    headers = {
        "Content-Language": language,
        "Content-Disposition": f'attachment; filename="job-{job.job_id}.{kind}"',
        "Cache-Control": "no-store",
    }
    if kind == "parquet":
        path = await _in_thread(partial(write_parquet, files, job.parts, language))
        return FileResponse(path, headers=headers, media_type=FORMATS[kind])
    rows = (as_csv if kind == "csv" else as_ndjson)(files, job.parts, language)
    return StreamingResponse(rows, headers=headers, media_type=FORMATS[kind])


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)


SCHEMAS = (JobOut, JobsOut)
"""Models of the OpenAPI document."""
