"""Outbox: messages are kept in the database until they are sent, and each is sent at most once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from quiebra.environment import redact_secrets
from quiebra.errors import DeliveryError, single_match
from quiebra.logs import current_correlation_id
from quiebra.provenance import json_sha256
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.lease import Lease, LeaseLost, check_lease, hold_lease
from quiebra.store.tables import Message, ReportedAlert
from quiebra.text.person_input import clean_comment, clean_person_name

QUEUED, SENDING, DOUBTFUL, SENT, WRITTEN, FAILED = "queued", "sending", "doubtful", "sent", "written", "failed"
DROPPED = "dropped"
LOCK_WAIT_SECONDS = 600.0
FIRST_RETRY_WAIT = dt.timedelta(minutes=1)
MAX_RETRY_WAIT = dt.timedelta(hours=12)
MAX_QUIET_WAIT = dt.timedelta(hours=25)
"""Longest valid wait: quiet hours end within a day, so a later time was set by a wrong clock, and the message is sent now."""


@dataclass(frozen=True)
class Notification:
    """A message before it is queued.

    about: key of its contents, such as ``report 1a2b…``; a message is queued once per about, channel and recipient.
    """

    channel: str
    recipient: str
    about: str
    subject: str
    body: bytes
    run_id: str | None = None
    not_before: dt.datetime | None = None
    alerts: tuple[str, ...] = ()
    """Ids of the alerts in it; no other message to the same channel repeats them."""

    @property
    def message_id(self) -> str:
        return message_id(self.about, self.channel, self.recipient)


def message_id(about: str, channel: str, recipient: str) -> str:
    """Return a message's id, a hash of its contents' key, channel and recipient."""
    return json_sha256([about, channel, recipient])[:32]


@dataclass(frozen=True)
class SendOutcome:
    """Outcome of an attempt to send: the message's state, and the error if any. retry: whether another attempt may succeed."""

    state: str
    error: str | None = None
    retry: bool = False


SendFunction = Callable[[Any, Callable[[], None]], SendOutcome]
"""Function that sends a row of the outbox. It calls its second argument just before the message could arrive; an attempt
interrupted after that is doubtful and is not repeated automatically."""


def queue_messages(engine: Engine, letters: Iterable[Notification], *, again: Iterable[str] = ()) -> int:
    """Add messages to the outbox and return how many are new.

    Messages queued before are left unchanged, except those that were only written to a file and whose channel is in ``again`` (it
    can send now): they are queued again.
    """
    now, new = _now(), 0
    with translate_database_errors(engine), engine.begin() as connection:
        check_lease(connection)
        append_entries(connection, [])  # takes the audit table's lock: concurrent callers wait for each other
        for place, letter in enumerate(letters):
            found = connection.scalar(select(Message.state).where(Message.message_id == letter.message_id))
            if found is None:
                row = {
                    name: getattr(letter, name)
                    for name in ("message_id", "channel", "recipient", "about", "subject", "body", "run_id")
                }
                times = {
                    "not_before": letter.not_before or now,
                    "queued_at": now + dt.timedelta(microseconds=place),
                    "changed_at": now,
                }
                row["correlation_id"] = current_correlation_id()
                connection.execute(insert(Message).values(**row, **times, state=QUEUED, attempts=0))
                new += 1
                _note(connection, letter)
            elif found == WRITTEN and letter.channel in again:
                _set(connection, letter.message_id, QUEUED, body=letter.body, not_before=letter.not_before or now, error=None)
    return new


def _note(connection: Connection, letter: Notification) -> None:
    """Record the alerts in a message as reported to its channel, replacing earlier records of the same alerts."""
    mine = (ReportedAlert.alert_id.in_(letter.alerts)) & (ReportedAlert.channel == letter.channel)
    connection.execute(delete(ReportedAlert).where(mine))
    rows = [{"alert_id": a, "channel": letter.channel, "message_id": letter.message_id} for a in letter.alerts]
    if rows:
        connection.execute(insert(ReportedAlert), rows)


def reported_alerts(engine: Engine, able: Iterable[str]) -> dict[str, set[str]]:
    """Return channel → ids of the alerts reported to it.

    able: the channels that can send now; for those, messages only written to a file do not count.
    """
    asked = select(ReportedAlert.channel, ReportedAlert.alert_id, Message.state).outerjoin(
        Message, Message.message_id == ReportedAlert.message_id
    )
    found: dict[str, set[str]] = {}
    can_send = set(able)
    with read_only(engine) as connection:
        for channel, alert_id, state in connection.execute(asked):
            if state != WRITTEN or channel not in can_send:
                found.setdefault(channel, set()).add(alert_id)
    return found


def send_due(
    engine: Engine,
    send: Callable[[str], SendFunction],
    attempts: int,
    later: Callable[[str], dt.datetime | None] = lambda channel: None,
) -> list[tuple[str, SendOutcome]]:
    """Send the messages that are due and return each one's outcome. A lease ensures that no other process sends from this
    database.

    send: channel → its send function. later: channel → end of its quiet hours (UTC), or None. A message that another process was
    sending when it died is sent again if it cannot have arrived; otherwise it stays doubtful until a person decides
    (`decide_message`). A temporary failure is retried after a minute, then after twice as long each time (at most 12 hours), up
    to ``attempts`` attempts. LeaseLost, with nothing more sent, if another process has taken the lease over.
    """
    with hold_lease(engine, "delivery", LOCK_WAIT_SECONDS) as lease:
        with translate_database_errors(engine), engine.begin() as connection:
            lease.confirm(connection)  # a former holder that was sending notices the lost lease before its message can arrive
            connection.execute(update(Message).where(Message.state == SENDING).values(state=QUEUED, sender=None))
            waited = (Message.not_before <= _now()) | (Message.not_before > _now() + MAX_QUIET_WAIT)
            asked = select(Message.message_id, Message.channel).where(Message.state == QUEUED, waited)
            due = connection.execute(asked.order_by(Message.queued_at, Message.message_id)).all()
        tried = []
        for message_id, channel in due:
            if (until := later(channel)) is not None:
                with translate_database_errors(engine), engine.begin() as connection:
                    lease.confirm(connection)
                    _set(connection, message_id, QUEUED, not_before=until)
            elif (outcome := _try(lease, message_id, send, attempts)) is not None:
                tried.append((message_id, outcome))
    return tried


def _try(lease: Lease, message_id: str, send: Callable[[str], SendFunction], attempts: int) -> SendOutcome | None:
    """Send a message and return its outcome; None if a person has decided on it since."""
    engine = lease.engine
    with translate_database_errors(engine), engine.begin() as connection:
        lease.confirm(connection)
        waits = (Message.message_id == message_id) & (Message.state == QUEUED)
        claim = {"state": SENDING, "attempts": Message.attempts + 1, "changed_at": _now(), "sender": lease.token}
        if not connection.execute(update(Message).where(waits).values(**claim)).rowcount:
            return None
        row = connection.execute(select(Message.__table__).where(Message.message_id == message_id)).one()
    may_have_arrived = False

    def doubtful() -> None:
        nonlocal may_have_arrived
        with translate_database_errors(engine), engine.begin() as connection:
            lease.confirm(connection)
            _set(connection, message_id, DOUBTFUL, error="cut off before it was known whether it arrived")
        may_have_arrived = True

    try:
        outcome = send(row.channel)(row, doubtful)
    except LeaseLost:
        raise
    except Exception as error:  # no fault of a channel may stop the others or lose a message
        why = redact_secrets(f"{type(error).__name__}: {error}")
        outcome = SendOutcome(DOUBTFUL, why) if may_have_arrived else SendOutcome(FAILED, why, retry=True)
    if outcome.retry and row.attempts < attempts:
        wait = min(FIRST_RETRY_WAIT * 2 ** (row.attempts - 1), MAX_RETRY_WAIT)
        outcome, later = SendOutcome(QUEUED, outcome.error, retry=True), {"not_before": _now() + wait}
    else:
        later = {}
    _record(lease, row, outcome, later)
    return outcome


def _record(lease: Lease, row: Any, outcome: SendOutcome, later: dict[str, Any]) -> None:
    """Record a message's outcome. LeaseLost if another process is sending it now.

    The outcome is recorded even if the lease was lost, as long as nobody else has claimed the message.
    """
    what = {"channel": row.channel, "recipient": row.recipient, "about": row.about}
    entry = AuditRecord("quiebra", f"message {outcome.state}", row.message_id, None, what, outcome.error or "", row.run_id)
    with translate_database_errors(lease.engine), lease.engine.begin() as connection:
        append_entries(connection, [])
        mine = (Message.message_id == row.message_id) & (Message.sender == lease.token)
        ended = {"state": outcome.state, "changed_at": _now(), "error": outcome.error, **later}
        if not connection.execute(update(Message).where(mine).values(**ended)).rowcount:
            raise LeaseLost("message {message_id} was taken over by another sender", message_id=row.message_id)
        append_entries(connection, [entry] if outcome.state in (SENT, FAILED, DOUBTFUL) else [])


def _set(connection: Any, message_id: str, state: str, **more: Any) -> None:
    connection.execute(update(Message).where(Message.message_id == message_id).values(state=state, changed_at=_now(), **more))


def list_messages(engine: Engine, count: int = 50, *, waiting: bool = False) -> list[dict[str, Any]]:
    """Return the latest messages without bodies, newest first; ``waiting``: only those not known to have arrived."""
    names = [c.name for c in Message.__table__.columns if c.name != "body"]
    asked = (
        select(*(getattr(Message, name) for name in names)).order_by(Message.queued_at.desc(), Message.message_id).limit(count)
    )
    if waiting:
        asked = asked.where(Message.state.in_((QUEUED, SENDING, DOUBTFUL, FAILED)))
    with read_only(engine) as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def decide_message(engine: Engine, identifier: str, who: str, *, again: bool, reason: str) -> str:
    """Queue a message that is doubtful, failed or waiting again (``again``), or drop it; return its id.

    DeliveryError if none or several ids start with ``identifier``, or if the message was sent already or is being sent.
    """
    who, reason = clean_person_name(who, "who"), clean_comment(reason, "the reason")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        asked = select(Message.message_id, Message.state, Message.run_id)
        rows = connection.execute(asked.where(Message.message_id.startswith(identifier, autoescape=True))).all()
        row = single_match(rows, identifier, "message", DeliveryError, "`quiebra outbox list` shows them")
        if row.state in (SENT, WRITTEN):
            raise DeliveryError(f"message {row.message_id} was {row.state} already")
        if row.state == SENDING:
            raise DeliveryError(f"message {row.message_id} is being sent just now: look again in a minute")
        new = QUEUED if again else DROPPED
        _set(
            connection,
            row.message_id,
            new,
            not_before=_now(),
            attempts=0,
            error=None if again else f"dropped by {who}: {reason}",
        )
        append_entries(
            connection,
            [
                AuditRecord(
                    who, f"message {'retried' if again else 'dropped'}", row.message_id, row.state, new, reason, row.run_id
                )
            ],
        )
    return str(row.message_id)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
