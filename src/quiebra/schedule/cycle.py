"""One cycle: score, alerts, reports, deliver. A killed cycle is completed by running it again, and nothing is done or sent
twice."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select, update

from quiebra import store
from quiebra.delivery import letters, outbox
from quiebra.delivery.channels import ready, sends
from quiebra.errors import DeliveryError, QuiebraError, StageError, WorkspaceError
from quiebra.files import append_line, private_folder, read_json
from quiebra.params import Params, load
from quiebra.pipeline import reproduce
from quiebra.publishing import is_experiment, why_not_published
from quiebra.settings import database_url, person, without_secrets
from quiebra.store.audit import Entry, append, verify
from quiebra.store.engine import answering, reading
from quiebra.store.lease import Lease, LeaseLost, Taken, alone
from quiebra.store.ownership import why_not_delivered
from quiebra.store.tables import Cycle
from quiebra.tear_sheets import tear_sheets
from quiebra.workspace import Workspace

STEPS = ("score", "alerts", "report", "deliver")
"""score: all stages up to the database; alerts: rules against the scores, and messages to the channels; report: both reports,
in every language that is wanted; deliver: the mail with the report, and whatever else waits in the outbox."""
RUNNING, DONE, FAILED, LOST = "running", "done", "failed", "lost"
Say = Callable[[dict[str, Any]], None]


@dataclass
class Finished:
    """How a cycle ended: its id, the run that it made, the error of each step that failed, and what became of messages."""

    cycle_id: str
    run_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)


class NotSent(DeliveryError):
    """This workspace sends no messages, not even to the owner: it is an experiment, or another workspace does."""


def run_cycle(workspace: Workspace, say: Say = lambda line: None) -> Finished:
    """Run one cycle, or complete the last one if it was killed, and return how it ended. ``say`` is given each line of the log.

    Each step looks at what there is to do and does only that, so that a step that was finished before is soon done. Where reports
    cannot be made alerts are delivered all the same. A step that fails is told to the owner: through the outbox, or straight to
    the mail server where parameters, database or disk are out of order. StoreError where another cycle is running on this
    database, or has taken this one's place since it gave no sign of life: then nothing more is done, told or recorded.
    """
    cycle = None
    if is_experiment(workspace.root):
        raise NotSent("nothing is sent: {why}", why=why_not_published(workspace))
    try:
        params = load(workspace)
        engine = store.connect(database_url(workspace.root))
        store.upgrade(engine)
        _refuse_to_send(engine, workspace)
        with alone(engine, "cycle") as lease, lease.passed_on():
            cycle = _Cycle(workspace, params, say, lease)
            return cycle.run()
    except (Taken, NotSent):
        raise
    except Exception as error:
        lost = isinstance(error, LeaseLost)
        step = "cycle" if cycle else "start"
        _log(workspace, say, {"step": step, "state": LOST if lost else FAILED, "error": _said(error)})
        if not lost:
            letters.last_resort(workspace, "\n".join([*(cycle.untold if cycle else ()), _said(error)]), began=cycle is not None)
        raise


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, QuiebraError) else f"{type(error).__name__}: {error}"


@dataclass
class _Cycle:
    """untold: failures that could not be put into the outbox."""

    workspace: Workspace
    params: Params
    say: Say
    lease: Lease
    untold: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.lease.engine

    def run(self) -> Finished:
        began = time.monotonic()
        self.ended = Finished(_begin(self.lease))
        for step in STEPS:
            if not self._blocked(step):
                self._step(step)
        self._end(began)
        if self.untold:
            letters.last_resort(self.workspace, "\n".join(self.untold), began=True)
        return self.ended

    def _blocked(self, step: str) -> bool:
        """Whether a step cannot be done since the first one failed: without scores nothing can be told but that."""
        return "score" in self.ended.errors and step != "deliver"

    def _step(self, step: str) -> None:
        began = time.monotonic()
        try:
            self.lease.check()
            getattr(self, f"_{step}")()
            _mark(self.lease, self.ended.cycle_id, step)
            self._log(step, DONE, began)
        except LeaseLost:
            raise
        except Exception as error:  # whatever it was: the next steps are tried, and the owner is told
            self.ended.errors[step] = without_secrets(_said(error))
            self._log(step, FAILED, began, error=self.ended.errors[step])
            self._tell(step)

    def _tell(self, step: str) -> None:
        """Put the notice to the owner into the outbox; where it cannot be, it is told in the end without. LeaseLost where another
        has this cycle's place, and the step failed for that."""
        try:
            self.lease.check()
            outbox.queue(self.engine, letters.notice(self.params, self.ended.cycle_id, step, self.ended.errors[step]))
        except LeaseLost:
            raise
        except Exception:
            self.untold.append(f"{self.ended.cycle_id}, {step}: {self.ended.errors[step]}")

    def _score(self) -> None:
        reproduce(self.workspace, "publish", log=sys.stderr)
        as_of = dt.date.fromisoformat(read_json(self.workspace.scores / "run.json")["as_of"])
        days = (dt.datetime.now(dt.UTC).date() - as_of).days
        if (most := self.params.schedule.stale_days) is not None and days > most:
            outbox.queue(self.engine, letters.stale(self.params, as_of, days))

    def _alerts(self) -> None:
        reproduce(self.workspace, "alerts", log=sys.stderr)
        made = letters.alert_letters(self.workspace, self.params, self.engine, cache(self._sheet))
        outbox.queue(self.engine, made, again=ready(self.params.delivery))
        self._send()

    def _sheet(self, company: str, lang: str) -> Path:
        (sheet,) = tear_sheets(self.workspace, [company], lang)
        return sheet.pdf

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
            made = letters.report_letters(self.workspace, self.params, store.head(self.engine))
            outbox.queue(self.engine, made, again=ready(self.params.delivery))
        self._send()

    def _send(self) -> None:
        for _, outcome in deliver(self.workspace, self.params, self.engine):
            self.ended.sent[outcome.state] = self.ended.sent.get(outcome.state, 0) + 1

    def _end(self, began: float) -> None:
        path = self.workspace.scores / "run.json"
        self.ended.run_id = read_json(path)["run_id"] if path.is_file() and "score" not in self.ended.errors else None
        if self.ended.errors and "deliver" in self.ended.errors:
            self._send_notice()
        state, error = (FAILED, json.dumps(self.ended.errors)) if self.ended.errors else (DONE, None)
        with answering(self.engine), self.engine.begin() as connection:
            self.lease.confirm(connection)
            values = {"state": state, "run_id": self.ended.run_id, "ended_at": _now(), "error": error}
            connection.execute(update(Cycle).where(Cycle.cycle_id == self.ended.cycle_id).values(**values))
            action, why = f"cycle {state}", error or "all steps"
            append(connection, [Entry(person(), action, self.ended.cycle_id, None, self.ended.sent, why, self.ended.run_id)])
        chain = verify(self.engine)
        faults = {"audit_faults": chain.faults} if chain.faults else {}
        self._log("cycle", state, began, messages=self.ended.sent, audit=f"{chain.last_id}:{chain.last_hash}", **faults)

    def _send_notice(self) -> None:
        try:
            self._send()
        except QuiebraError as error:
            self.ended.errors["notice"] = str(error)

    def _log(self, step: str, state: str, began: float, **more: Any) -> None:
        seconds = round(time.monotonic() - began, 1)
        _log(self.workspace, self.say, {"cycle": self.ended.cycle_id, "step": step, "state": state, "seconds": seconds, **more})


def _log(workspace: Workspace, say: Say, line: dict[str, Any]) -> None:
    """Write a line of the log and say it; where the disk takes no more the cycle goes on, so that its owner is told."""
    line = {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **line}
    path = workspace.root / "data" / "logs" / "schedule.jsonl"
    with contextlib.suppress(OSError, WorkspaceError):
        append_line(private_folder(path.parent) / path.name, without_secrets(json.dumps(line, ensure_ascii=False)))
    with contextlib.suppress(OSError):
        say(line)


def _refuse_to_send(engine: Engine, workspace: Workspace) -> None:
    """Raise NotSent in an experiment, and where the database is of another workspace: nobody is told anything twice."""
    if reason := why_not_delivered(engine, workspace):
        raise NotSent("nothing is sent: {why}", why=reason)


def deliver(workspace: Workspace, params: Params, engine: Engine) -> list[tuple[str, outbox.Outcome]]:
    """Send what waits in the outbox and is due, but to no channel in its quiet hours; see `quiebra.delivery.outbox.dispatch`."""
    _refuse_to_send(engine, workspace)
    options = params.delivery

    def later(channel: str) -> dt.datetime | None:
        known = options.channels.get(channel)
        return None if known is None else letters.quiet_until(known, options.timezone, dt.datetime.now(dt.UTC))

    return outbox.dispatch(engine, sends(options, workspace.root / "data" / "outbox"), options.attempts, later)


def _begin(lease: Lease) -> str:
    """Return the id of the cycle to be done: one that was killed, whatever the clock said then, or a new one. Of several the
    latest is completed, and the others with it."""
    with answering(lease.engine), lease.engine.begin() as connection:
        lease.confirm(connection)
        killed = connection.scalars(select(Cycle.cycle_id).where(Cycle.state == RUNNING).order_by(Cycle.started_at.desc())).all()
        if killed:
            over = {"state": FAILED, "ended_at": _now(), "error": f"completed by {killed[0]}"}
            connection.execute(update(Cycle).where(Cycle.cycle_id.in_(killed[1:])).values(**over))
            return killed[0]
        now = _now()
        cycle_id = f"{now:%Y%m%dT%H%M%S}-{lease.token}"
        connection.execute(insert(Cycle).values(cycle_id=cycle_id, state=RUNNING, steps=[], started_at=now))
    return cycle_id


def _mark(lease: Lease, cycle_id: str, step: str) -> None:
    with answering(lease.engine), lease.engine.begin() as connection:
        lease.confirm(connection)
        steps = connection.scalar(select(Cycle.steps).where(Cycle.cycle_id == cycle_id))
        done = [name for name in STEPS if name in (*steps, step)]
        connection.execute(update(Cycle).where(Cycle.cycle_id == cycle_id).values(steps=done))


def cycles(engine: Engine, count: int = 12) -> list[dict[str, Any]]:
    """Return the latest cycles, newest first."""
    with reading(engine) as connection:
        asked = select(Cycle.__table__).order_by(Cycle.started_at.desc()).limit(count)
        return [dict(row) for row in connection.execute(asked).mappings()]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
