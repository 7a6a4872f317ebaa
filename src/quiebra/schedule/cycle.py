"""One cycle: score, alerts, report, deliver. Running it again completes a killed cycle without doing or sending anything
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
from quiebra.delivery import message_texts as letters
from quiebra.delivery import outbox
from quiebra.delivery.channels import channel_senders, ready_channels
from quiebra.environment import redact_secrets
from quiebra.errors import DeliveryError, QuiebraError, StageError, WorkspaceError
from quiebra.io.files import read_json
from quiebra.logs import LOG_FOLDER, append_log_line, log_line
from quiebra.params import Params, load_params
from quiebra.pipeline.reproduce import reproduce
from quiebra.services.tear_sheets import write_tear_sheets
from quiebra.store.audit import AuditRecord, append_entries, verify_chain
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.lease import Lease, LeaseLost, LeaseTaken, hold_lease
from quiebra.store.ownership import why_not_delivering
from quiebra.store.tables import Cycle
from quiebra.store.unverified import unverified_person
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import is_experiment, why_not_published

CYCLE_STEPS = ("score", "alerts", "report", "deliver")
"""score: all stages up to publishing; alerts: evaluate the rules, and send new alerts to the channels; report: both reports in
every language needed; deliver: the mail with the report, and other messages due in the outbox."""
RUNNING, DONE, FAILED, LOST = "running", "done", "failed", "lost"
LogFunction = Callable[[dict[str, Any]], None]


@dataclass
class CycleResult:
    """Result of a cycle: its id, its run, the error of each failed step, and the number of messages by outcome."""

    cycle_id: str
    run_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)


class DeliveryNotAllowed(DeliveryError):
    """This workspace may not send messages, not even to the owner: it is an experiment, or another workspace sends them."""


def run_cycle(workspace: Workspace, say: LogFunction = lambda line: None) -> CycleResult:
    """Run one cycle, or complete the last one if it was killed, and return its result. ``say`` receives each log line.

    Each step does only the work that is missing, so that a step finished before ends quickly. If reports fail, alerts are still
    delivered. A failed step is reported to the owner through the outbox, or directly by mail if parameters, database or disk are
    faulty. LeaseTaken if another cycle is running on this database; LeaseLost if another one took the lease over because this one
    did not renew it: then nothing more is done, sent or recorded.
    """
    cycle = None
    if is_experiment(workspace.root):
        raise DeliveryNotAllowed("nothing is sent: {why}", why=why_not_published(workspace))
    try:
        params = load_params(workspace)
        engine = store.open_database(workspace)
        _refuse_to_send(engine, workspace)
        with hold_lease(engine, "cycle") as lease, lease.passed_on():
            cycle = _Cycle(workspace, params, say, lease)
            return cycle.run()
    except (LeaseTaken, DeliveryNotAllowed):
        raise
    except Exception as error:
        lost = isinstance(error, LeaseLost)
        step = "cycle" if cycle else "start"
        _log(workspace, say, {"step": step, "state": LOST if lost else FAILED, "error": _said(error)})
        if not lost:
            letters.mail_owner_directly(
                workspace, "\n".join([*(cycle.untold if cycle else ()), _said(error)]), began=cycle is not None
            )
        raise


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, QuiebraError) else f"{type(error).__name__}: {error}"


@dataclass
class _Cycle:
    """State of a running cycle. untold: failures that could not be put into the outbox."""

    workspace: Workspace
    params: Params
    say: LogFunction
    lease: Lease
    untold: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.lease.engine

    def run(self) -> CycleResult:
        began = time.monotonic()
        self.ended = CycleResult(_begin(self.lease))
        for step in CYCLE_STEPS:
            if not self._blocked(step):
                self._step(step)
        self._end(began)
        if self.untold:
            letters.mail_owner_directly(self.workspace, "\n".join(self.untold), began=True)
        return self.ended

    def _blocked(self, step: str) -> bool:
        """Return whether a step is skipped because scoring failed: then only the failure notice is delivered."""
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
        except Exception as error:  # whatever the error: the next steps are tried, and the owner is notified
            self.ended.errors[step] = redact_secrets(_said(error))
            self._log(step, FAILED, began, error=self.ended.errors[step])
            self._tell(step)

    def _tell(self, step: str) -> None:
        """Queue the failure notice to the owner; if that fails too, keep it for a direct mail at the end. LeaseLost if another
        cycle holds the lease, which explains the failure."""
        try:
            self.lease.check()
            outbox.queue_messages(
                self.engine, letters.failure_notice(self.params, self.ended.cycle_id, step, self.ended.errors[step])
            )
        except LeaseLost:
            raise
        except Exception:
            self.untold.append(f"{self.ended.cycle_id}, {step}: {self.ended.errors[step]}")

    def _score(self) -> None:
        reproduce(self.workspace, "publish", log=sys.stderr)
        as_of = dt.date.fromisoformat(read_json(self.workspace.scores / "run.json")["as_of"])
        days = (dt.datetime.now(dt.UTC).date() - as_of).days
        if (most := self.params.schedule.stale_days) is not None and days > most:
            outbox.queue_messages(self.engine, letters.stale_data_notice(self.params, as_of, days))

    def _alerts(self) -> None:
        reproduce(self.workspace, "alerts", log=sys.stderr)
        made = letters.alert_messages(self.workspace, self.params, self.engine, cache(self._sheet))
        outbox.queue_messages(self.engine, made, again=ready_channels(self.params.delivery))
        self._send()

    def _sheet(self, company: str, lang: str) -> Path:
        (sheet,) = write_tear_sheets(self.workspace, [company], lang)
        return sheet.pdf

    def _report(self) -> None:
        reproduce(self.workspace, log=sys.stderr)
        for lang in letters.report_languages(self.params):
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
            made = letters.report_messages(self.workspace, self.params, store.chain_head(self.engine))
            outbox.queue_messages(self.engine, made, again=ready_channels(self.params.delivery))
        self._send()

    def _send(self) -> None:
        for _, outcome in deliver_messages(self.workspace, self.params, self.engine):
            self.ended.sent[outcome.state] = self.ended.sent.get(outcome.state, 0) + 1

    def _end(self, began: float) -> None:
        path = self.workspace.scores / "run.json"
        self.ended.run_id = read_json(path)["run_id"] if path.is_file() and "score" not in self.ended.errors else None
        if self.ended.errors and "deliver" in self.ended.errors:
            self._send_notice()
        state, error = (FAILED, json.dumps(self.ended.errors)) if self.ended.errors else (DONE, None)
        with translate_database_errors(self.engine), self.engine.begin() as connection:
            self.lease.confirm(connection)
            values = {"state": state, "run_id": self.ended.run_id, "ended_at": _now(), "error": error}
            connection.execute(update(Cycle).where(Cycle.cycle_id == self.ended.cycle_id).values(**values))
            action, why = f"cycle {state}", error or "all steps"
            who = unverified_person(connection)
            append_entries(
                connection, [AuditRecord(who, action, self.ended.cycle_id, None, self.ended.sent, why, self.ended.run_id)]
            )
        chain = verify_chain(self.engine)
        faults = {"audit_faults": chain.faults} if chain.faults else {}
        self._log(
            "cycle",
            state,
            began,
            run_id=self.ended.run_id,
            messages=self.ended.sent,
            audit=f"{chain.last_id}:{chain.last_hash}",
            **faults,
        )

    def _send_notice(self) -> None:
        try:
            self._send()
        except QuiebraError as error:
            self.ended.errors["notice"] = str(error)

    def _log(self, step: str, state: str, began: float, **more: Any) -> None:
        seconds = round(time.monotonic() - began, 1)
        _log(self.workspace, self.say, {"cycle": self.ended.cycle_id, "step": step, "state": state, "seconds": seconds, **more})


def _log(workspace: Workspace, say: LogFunction, line: dict[str, Any]) -> None:
    """Write a log line to the log file and pass it to ``say``. Disk errors are suppressed, so that the owner is still
    notified."""
    line = log_line("info" if line["state"] == DONE else "error", "cycle", **line)
    with contextlib.suppress(OSError, WorkspaceError):
        path = workspace.root / LOG_FOLDER / "schedule.jsonl"
        append_log_line(path, redact_secrets(json.dumps(line, ensure_ascii=False)))
    with contextlib.suppress(OSError):
        say(line)


def _refuse_to_send(engine: Engine, workspace: Workspace) -> None:
    """Raise DeliveryNotAllowed in an experiment, or if the database belongs to another workspace: nobody is notified twice."""
    if reason := why_not_delivering(engine, workspace):
        raise DeliveryNotAllowed("nothing is sent: {why}", why=reason)


def deliver_messages(workspace: Workspace, params: Params, engine: Engine) -> list[tuple[str, outbox.SendOutcome]]:
    """Send the messages due in the outbox, except to channels in quiet hours; see `quiebra.delivery.outbox.send_due`."""
    _refuse_to_send(engine, workspace)
    options = params.delivery

    def later(channel: str) -> dt.datetime | None:
        known = options.channels.get(channel)
        return None if known is None else letters.quiet_until(known, options.timezone, dt.datetime.now(dt.UTC))

    return outbox.send_due(engine, channel_senders(options, workspace.root / "data" / "outbox"), options.attempts, later)


def _begin(lease: Lease) -> str:
    """Return the id of the cycle to run: the latest killed one, or a new one. Other killed cycles are marked as completed by
    it."""
    with translate_database_errors(lease.engine), lease.engine.begin() as connection:
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
    with translate_database_errors(lease.engine), lease.engine.begin() as connection:
        lease.confirm(connection)
        steps = connection.execute(select(Cycle.steps).where(Cycle.cycle_id == cycle_id)).scalar_one()
        done = [name for name in CYCLE_STEPS if name in (*steps, step)]
        connection.execute(update(Cycle).where(Cycle.cycle_id == cycle_id).values(steps=done))


def list_cycles(engine: Engine, count: int = 12) -> list[dict[str, Any]]:
    """Return the latest cycles, newest first."""
    with read_only(engine) as connection:
        asked = select(Cycle.__table__).order_by(Cycle.started_at.desc()).limit(count)
        return [dict(row) for row in connection.execute(asked).mappings()]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
