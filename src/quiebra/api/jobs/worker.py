"""Work on jobs, one part after the other. Whenever a worker ends, another goes on with the part that it was at."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from sqlalchemy import Engine, Row

from quiebra import store
from quiebra.api.jobs import rows
from quiebra.api.jobs.files import LONGEST_LINE, JobFiles, Part, next_part
from quiebra.api.json_body import REPEATED_KEY, find_repeated_key
from quiebra.api.problems import TITLES, body_faults
from quiebra.api.records import input_hash, prediction_id, prediction_row
from quiebra.api.schemas import CompanyIn
from quiebra.api.service import Kept, load_prepared_model
from quiebra.errors import LocalisedMessage, QuiebraError, StoreError, WorkspaceError
from quiebra.logs import set_log_fields
from quiebra.pipeline.stages import is_running
from quiebra.registry import ScoringModel
from quiebra.services.loaded_model import LoadedModel
from quiebra.services.prediction import predict
from quiebra.store.lease import Lease, LeaseLost, LeaseTaken, hold_lease
from quiebra.store.retention import job_lease
from quiebra.text.words import translatable
from quiebra.workspace import Workspace

POLL_SECONDS = 1.0
MOST_ATTEMPTS = 20
"""Workers that may begin a job and die before its next part is done; after that the job has failed."""
ENDS_EACH_TIME = translatable(
    "{n} workers ended at line {line} of the file: look at the log of the service, and send smaller jobs."
)
NO_MODEL = translatable("The model {model}, which this job began with, can no longer be used: {why}")


class JobWorker:
    """Works on the jobs of a workspace until it is stopped. say: receives a line for each job that ends."""

    def __init__(self, workspace: Workspace, stop: threading.Event, say: Callable[[str], None]) -> None:
        self.workspace, self.stop, self.say = workspace, stop, say
        self._engine: Engine | None = None
        self._models: Kept[LoadedModel] = Kept(workspace, load_prepared_model)

    def run(self) -> None:
        """Work until stopped; a part under way is finished first. What fails for now is tried again."""
        while not self.stop.is_set():
            set_log_fields()  # of no job
            try:
                worked = self.work_once()
            except (StoreError, WorkspaceError, OSError) as error:
                _log("waits", reason=str(error))
                worked = False
            if not worked:
                self.stop.wait(POLL_SECONDS)

    def work_once(self) -> bool:
        """Work on the first job that nobody else works on, to its end; return whether there was one."""
        if self._engine is None:
            self._engine = store.open_database(self.workspace)
        for job_id in rows.open_jobs(self._engine):
            try:
                with hold_lease(self._engine, job_lease(job_id)) as lease:
                    try:
                        self._work_on(lease)
                    finally:
                        rows.end_attempt(lease)
                return True
            except (LeaseTaken, LeaseLost, rows.JobEnded):  # another worker has it, or whoever asked for it has cancelled it
                continue
        return False

    def _work_on(self, lease: Lease) -> None:
        job = rows.count_attempt(lease)
        set_log_fields(correlation_id=job.correlation_id, user=job.who, job_id=job.job_id)
        if job.attempts > MOST_ATTEMPTS:
            self._fail(lease, LocalisedMessage(ENDS_EACH_TIME, {"n": MOST_ATTEMPTS, "line": job.lines + 1}))
            return
        loaded = self._model(lease, job)
        if loaded is None:
            return
        job = rows.start_job(lease, loaded.charge)
        try:
            while not self.stop.is_set():
                part = next_part(self._files(job).input, job.lines, job.position)
                if not part.rows:
                    self._end(lease, job)
                    return
                job = self._work_part(lease, job, loaded, part)
        except (StoreError, rows.JobEnded, OSError):
            raise
        except WorkspaceError as error:
            if not self._files(job).input.is_file():
                self._fail(lease, error.said)
                return
            raise
        except Exception as error:
            logging.getLogger("quiebra.api").exception("job", exc_info=error)
            self._fail(lease, LocalisedMessage(TITLES[500]))

    def _model(self, lease: Lease, job: Row[Any]) -> LoadedModel | None:
        """Return the model that a job began with, else the one in charge; None where the job has failed for lack of it.

        WorkspaceError where there is none now, but may be.
        """
        if job.charge is None:
            return self._models.get()
        charge = ScoringModel(**job.charge)
        with contextlib.suppress(WorkspaceError):
            loaded = self._models.get()
            if loaded.charge == charge:
                return loaded
        try:
            return load_prepared_model(self.workspace, charge)
        except WorkspaceError as error:
            if is_running(self.workspace):
                raise
            self._fail(lease, LocalisedMessage(NO_MODEL, {"model": charge.model_id, "why": error.said}))
            return None

    def _work_part(self, lease: Lease, job: Row[Any], loaded: LoadedModel, part: Part) -> Row[Any]:
        """Score a part, keep its results in a file, and store it; the file of a worker that ended just then is taken."""
        files, number = self._files(job), job.parts
        asked = [(line, _company(content)) for line, content in part.rows]
        kept = files.read_part(number)
        if kept is None or [row["line"] for row in kept] != [line for line, _ in asked]:
            files.part(number).unlink(missing_ok=True)
            kept = files.keep_part(number, _results(loaded, part, asked))
        companies = {line: company for line, company in asked if isinstance(company, CompanyIn)}
        scored = [row for row in kept if "prediction" in row]
        predictions = [
            prediction_row(companies[line], input_hash(companies[line]), answer, orjson.dumps(answer))
            for line, answer in ((row["line"], row["prediction"]) for row in scored)
        ]
        return rows.store_part(
            lease,
            predictions,
            parts=number + 1,
            lines=part.lines,
            position=part.position,
            done=job.done + len(kept),
            failed=job.failed + len(kept) - len(scored),
        )

    def _end(self, lease: Lease, job: Row[Any]) -> None:
        if job.done != job.companies:
            self._fail(lease, LocalisedMessage("The file of this job is no longer what was sent: send it again."))
            return
        self._files(job).delete_unfinished()
        ended = rows.finish_job(lease)
        logging.getLogger("quiebra.api").info("job done", extra={"companies": ended.companies, "failed": ended.failed})
        self.say(f"job {ended.job_id}: done, {ended.companies} companies, {ended.failed} without a score")

    def _fail(self, lease: Lease, reason: LocalisedMessage) -> None:
        job = rows.fail_job(lease, reason)
        logging.getLogger("quiebra.api").error("job failed", extra={"reason": str(reason)})
        self.say(f"job {job.job_id}: failed. {reason}")

    def _files(self, job: Row[Any]) -> JobFiles:
        return JobFiles(self.workspace.jobs / job.job_id)


def _company(content: bytes | None) -> CompanyIn | LocalisedMessage:
    """Return the company of a line, or why it is none."""
    if content is None:
        return LocalisedMessage("the line has more than {most} MB", {"most": LONGEST_LINE // 1_000_000})
    if (key := find_repeated_key(content)) is not None:
        return LocalisedMessage("{name}: {why}", {"name": key, "why": REPEATED_KEY})
    try:
        return CompanyIn.model_validate_json(content)
    except ValidationError as error:
        field, fault = body_faults(error)[0]
        return LocalisedMessage("{name}: {why}", {"name": field or "line", "why": fault})


def _results(loaded: LoadedModel, part: Part, asked: Sequence[tuple[int, CompanyIn | LocalisedMessage]]) -> list[dict[str, Any]]:
    """Return one entry a line: its number, and the prediction, or the problem by language with the id where it has one."""
    companies = [company for _, company in asked if isinstance(company, CompanyIn)]
    answers = iter(predict(loaded, [company.as_statements() for company in companies]))
    found: list[dict[str, Any]] = []
    for (line, company), (_, content) in zip(asked, part.rows, strict=True):
        if not isinstance(company, CompanyIn):
            found.append({"line": line, "company_id": _given_id(content), "problem": rows.in_all_languages(company)})
            continue
        answer = next(answers)
        if isinstance(answer, QuiebraError):
            problem = rows.in_all_languages(answer.said)
            found.append({"line": line, "company_id": company.company_id, "problem": problem})
        else:
            name = prediction_id(loaded, input_hash(company))
            found.append({"line": line, "prediction": {"prediction_id": name, **answer}})
    return found


def _given_id(content: bytes | None) -> str | None:
    """Return the id of a company in a line that cannot be used."""
    try:
        given = orjson.loads(content or b"")
    except orjson.JSONDecodeError:
        return None
    name = given.get("company_id") if isinstance(given, dict) else None
    return name[:64] if isinstance(name, str) else None


def _log(event: str, **extra: object) -> None:
    logging.getLogger("quiebra.api").warning("job worker: %s", event, extra=extra)
