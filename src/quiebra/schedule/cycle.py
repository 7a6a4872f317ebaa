"""One cycle: score, alerts, reports, deliver. A killed cycle is completed by running it again, and nothing is done or sent
twice."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Engine, insert, select, update

from quiebra import store
from quiebra.delivery import letters, outbox
from quiebra.delivery.channels import ready, sends
from quiebra.errors import QuiebraError, StageError, WorkspaceError
from quiebra.files import read_json
from quiebra.params import Params, load
from quiebra.pipeline import reproduce
from quiebra.settings import database_url, person
from quiebra.stages import one_at_a_time
from quiebra.store.audit import Entry, append, verify
from quiebra.store.engine import answering
from quiebra.store.tables import Cycle
from quiebra.workspace import Workspace

STEPS = ("score", "alerts", "report", "deliver")
"""score: all stages up to the database; alerts: rules against the scores, and messages to the channels; report: both reports,
in every language that is wanted; deliver: the mail with the report, and whatever else waits in the outbox."""
RUNNING, DONE, FAILED = "running", "done", "failed"
Say = Callable[[dict[str, Any]], None]


@dataclass
class Finished:
    """How a cycle ended: its id, the run that it made, the error of each step that failed, and what became of messages."""

    cycle_id: str
    run_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)


def run_cycle(workspace: Workspace, say: Say = lambda line: None) -> Finished:
    """Run one cycle, or complete the last one if it was killed, and return how it ended. ``say`` is given each line of the log.

    Where reports cannot be made alerts are delivered all the same. A step that fails is told to the owner. WorkspaceError where
    another cycle is running in this workspace.
    """
    lock = FileLock(workspace.root / "data" / ".cycle.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WorkspaceError(
            "another cycle is running in this workspace: nothing was done; look at data/logs/schedule.jsonl"
        ) from None
    try:
        return _Cycle(workspace, load(workspace), say).run()
    finally:
        lock.release()


@dataclass
class _Cycle:
    workspace: Workspace
    params: Params
    say: Say

    def run(self) -> Finished:
        self.engine = store.connect(database_url(self.workspace.root))
        store.upgrade(self.engine)
        cycle_id, done = _begin(self.engine)
        self.ended = Finished(cycle_id)
        for step in STEPS:
            if step not in done and not self._blocked(step):
                self._step(step)
        self._end()
        return self.ended

    def _blocked(self, step: str) -> bool:
        """Whether a step cannot be done since an earlier one failed: without scores nothing can, without a report no mail with
        it."""
        return "score" in self.ended.errors and step != "deliver"

    def _step(self, step: str) -> None:
        began = time.monotonic()
        try:
            getattr(self, f"_{step}")()
            _mark(self.engine, self.ended.cycle_id, step)
            self._log(step, DONE, began)
        except Exception as error:  # whatever it was: the next steps are tried, and the owner is told
            known = isinstance(error, QuiebraError)
            self.ended.errors[step] = str(error) if known else f"{type(error).__name__}: {error}"
            self._log(step, FAILED, began, error=self.ended.errors[step])
            outbox.queue(self.engine, letters.notice(self.params, self.ended.cycle_id, step, self.ended.errors[step]))

    def _score(self) -> None:
        reproduce(self.workspace, "publish", log=sys.stderr)

    def _alerts(self) -> None:
        reproduce(self.workspace, "alerts", log=sys.stderr)
        outbox.queue(
            self.engine, letters.alert_letters(self.workspace, self.params, self.engine), again=ready(self.params.delivery)
        )
        self._send()

    def _report(self) -> None:
        reproduce(self.workspace, log=sys.stderr)
        for lang in letters.languages(self.params):
            done = subprocess.run(
                [sys.executable, "-m", "quiebra.cli", "report", "--lang", lang],
                cwd=self.workspace.root,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise StageError(f"the report in '{lang}' failed: {done.stderr.strip()[-1000:]}")

    def _deliver(self) -> None:
        if not {"score", "report"} & set(self.ended.errors):
            outbox.queue(self.engine, letters.report_letters(self.workspace, self.params), again=ready(self.params.delivery))
        self._send()

    def _send(self) -> None:
        for _, outcome in deliver(self.workspace, self.params, self.engine):
            self.ended.sent[outcome.state] = self.ended.sent.get(outcome.state, 0) + 1

    def _end(self) -> None:
        path = self.workspace.scores / "run.json"
        self.ended.run_id = read_json(path)["run_id"] if path.is_file() and "score" not in self.ended.errors else None
        if self.ended.errors and "deliver" in self.ended.errors:
            self._send_notice()
        state, error = (FAILED, json.dumps(self.ended.errors)) if self.ended.errors else (DONE, None)
        with answering(self.engine), self.engine.begin() as connection:
            values = {"state": state, "run_id": self.ended.run_id, "ended_at": _now(), "error": error}
            connection.execute(update(Cycle).where(Cycle.cycle_id == self.ended.cycle_id).values(**values))
            append(
                connection,
                [
                    Entry(
                        person(),
                        f"cycle {state}",
                        self.ended.cycle_id,
                        None,
                        self.ended.sent,
                        error or "all steps",
                        self.ended.run_id,
                    )
                ],
            )
        head = verify(self.engine)
        self._log("cycle", state, time.monotonic(), messages=self.ended.sent, audit=f"{head.last_id}:{head.last_hash}")

    def _send_notice(self) -> None:
        try:
            self._send()
        except QuiebraError as error:
            self.ended.errors["notice"] = str(error)

    def _log(self, step: str, state: str, began: float, **more: Any) -> None:
        line = {
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "cycle": self.ended.cycle_id,
            "step": step,
            "state": state,
            "seconds": round(time.monotonic() - began, 1),
            **more,
        }
        path = self.workspace.root / "data" / "logs" / "schedule.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.say(line)


def deliver(workspace: Workspace, params: Params, engine: Engine) -> list[tuple[str, outbox.Outcome]]:
    """Send what waits in the outbox and is due; see `quiebra.delivery.outbox.dispatch`."""
    with one_at_a_time(workspace, "delivery"):
        return outbox.dispatch(engine, sends(params.delivery, workspace.root / "data" / "outbox"), params.delivery.attempts)


def _begin(engine: Engine) -> tuple[str, list[str]]:
    """Return the cycle to be done and its finished steps: the last one where it was killed, a new one otherwise."""
    with answering(engine), engine.begin() as connection:
        last = connection.execute(select(Cycle).order_by(Cycle.started_at.desc()).limit(1)).first()
        if last is not None and last.state == RUNNING:
            return last.cycle_id, list(last.steps)
        now = _now()
        cycle_id = f"{now:%Y%m%dT%H%M%S}-{os.getpid()}"
        connection.execute(insert(Cycle).values(cycle_id=cycle_id, state=RUNNING, steps=[], started_at=now))
    return cycle_id, []


def _mark(engine: Engine, cycle_id: str, step: str) -> None:
    with answering(engine), engine.begin() as connection:
        steps = connection.scalar(select(Cycle.steps).where(Cycle.cycle_id == cycle_id))
        connection.execute(update(Cycle).where(Cycle.cycle_id == cycle_id).values(steps=[*steps, step]))


def cycles(engine: Engine, count: int = 12) -> list[dict[str, Any]]:
    """Return the latest cycles, newest first."""
    with answering(engine), engine.connect() as connection:
        asked = select(Cycle.__table__).order_by(Cycle.started_at.desc()).limit(count)
        return [dict(row) for row in connection.execute(asked).mappings()]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
