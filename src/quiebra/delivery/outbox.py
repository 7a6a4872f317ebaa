"""The outbox: messages wait in the database until they are sent, and each is sent at most once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from quiebra.errors import DeliveryError, single_match
from quiebra.names import comment, person_name
from quiebra.provenance import digest
from quiebra.settings import without_secrets
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, reading
from quiebra.store.lease import Lease, LeaseLost, alone, guard
from quiebra.store.tables import Message, Told

QUEUED, SENDING, DOUBTFUL, SENT, WRITTEN, FAILED = "queued", "sending", "doubtful", "sent", "written", "failed"
DROPPED = "dropped"
LOCK_WAIT_SECONDS = 600.0
FIRST_WAIT = dt.timedelta(minutes=1)
LONGEST_WAIT = dt.timedelta(hours=12)
LONGEST_REST = dt.timedelta(hours=25)
"""No message waits for longer, since quiet hours end within a day: one that is to was queued by a clock that was wrong."""


@dataclass(frozen=True)
class Letter:
    """A message before it is queued. about: what it says, such as ``report 1a2b…``: with channel and recipient it is queued
    once."""

    channel: str
    recipient: str
    about: str
    subject: str
    body: bytes
    run_id: str | None = None
    not_before: dt.datetime | None = None
    alerts: tuple[str, ...] = ()
    """The alerts that it tells of: no other message tells the channel of them."""

    @property
    def message_id(self) -> str:
        return letter_id(self.about, self.channel, self.recipient)


def letter_id(about: str, channel: str, recipient: str) -> str:
    """Return the id of the message that says this to this recipient: the same words, the same id."""
    return digest([about, channel, recipient])[:32]


@dataclass(frozen=True)
class Outcome:
    """What became of a message that was tried: its state, and why it did not arrive. retry: whether trying again may help."""

    state: str
    error: str | None = None
    retry: bool = False


Send = Callable[[Any, Callable[[], None]], Outcome]
"""Sends a row of the outbox. It calls its second argument at the last moment at which nothing can have arrived yet; what is cut
off after that is doubtful and is not sent again by itself."""


def queue(engine: Engine, letters: Iterable[Letter], *, again: Iterable[str] = ()) -> int:
    """Put messages into the outbox and return how many are new. One that is there already is left alone, but for one that was
    only written to a file and whose channel is among ``again`` (it can be sent now)."""
    now, new = _now(), 0
    with answering(engine), engine.begin() as connection:
        guard(connection)
        append(connection, [])  # two that queue at once wait for each other
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
                connection.execute(insert(Message).values(**row, **times, state=QUEUED, attempts=0))
                new += 1
                _note(connection, letter)
            elif found == WRITTEN and letter.channel in again:
                _set(connection, letter.message_id, QUEUED, body=letter.body, not_before=letter.not_before or now, error=None)
    return new


def _note(connection: Connection, letter: Letter) -> None:
    """Keep of which alerts a message tells its channel; what was only written before is told by this one."""
    mine = (Told.alert_id.in_(letter.alerts)) & (Told.channel == letter.channel)
    connection.execute(delete(Told).where(mine))
    rows = [{"alert_id": a, "channel": letter.channel, "message_id": letter.message_id} for a in letter.alerts]
    if rows:
        connection.execute(insert(Told), rows)


def told(engine: Engine, able: Iterable[str]) -> dict[str, set[str]]:
    """Return channel → ids of the alerts that it was told of. able: the channels that can send now: of those, what was only
    written to a file does not count."""
    asked = select(Told.channel, Told.alert_id, Message.state).outerjoin(Message, Message.message_id == Told.message_id)
    found: dict[str, set[str]] = {}
    can_send = set(able)
    with reading(engine) as connection:
        for channel, alert_id, state in connection.execute(asked):
            if state != WRITTEN or channel not in can_send:
                found.setdefault(channel, set()).add(alert_id)
    return found


def dispatch(
    engine: Engine, send: Callable[[str], Send], attempts: int, later: Callable[[str], dt.datetime | None] = lambda channel: None
) -> list[tuple[str, Outcome]]:
    """Send what is due and return what became of each, while nobody else sends from this database.

    send: channel → how it is sent. later: channel → until when it is to be left in peace (UTC), if it is. A message that another
    process was sending when it died goes out again if nothing can have arrived; if it may have, it stays doubtful until a person
    decides (`decide`). A failure that may pass is tried again after a minute, then after twice as long each time, ``attempts``
    times in all. LeaseLost, and nothing more is sent, where another has taken over meanwhile.
    """
    with alone(engine, "delivery", LOCK_WAIT_SECONDS) as lease:
        with answering(engine), engine.begin() as connection:
            lease.confirm(connection)  # whoever was sending has lost the lease, and finds out before anything can arrive
            connection.execute(update(Message).where(Message.state == SENDING).values(state=QUEUED, sender=None))
            waited = (Message.not_before <= _now()) | (Message.not_before > _now() + LONGEST_REST)
            asked = select(Message.message_id, Message.channel).where(Message.state == QUEUED, waited)
            due = connection.execute(asked.order_by(Message.queued_at, Message.message_id)).all()
        tried = []
        for message_id, channel in due:
            if (until := later(channel)) is not None:
                with answering(engine), engine.begin() as connection:
                    lease.confirm(connection)
                    _set(connection, message_id, QUEUED, not_before=until)
            elif (outcome := _try(lease, message_id, send, attempts)) is not None:
                tried.append((message_id, outcome))
    return tried


def _try(lease: Lease, message_id: str, send: Callable[[str], Send], attempts: int) -> Outcome | None:
    """Send a message and return what became of it; None where a person has decided on it meanwhile."""
    engine = lease.engine
    with answering(engine), engine.begin() as connection:
        lease.confirm(connection)
        waits = (Message.message_id == message_id) & (Message.state == QUEUED)
        claim = {"state": SENDING, "attempts": Message.attempts + 1, "changed_at": _now(), "sender": lease.token}
        if not connection.execute(update(Message).where(waits).values(**claim)).rowcount:
            return None
        row = connection.execute(select(Message.__table__).where(Message.message_id == message_id)).one()
    may_have_arrived = False

    def doubtful() -> None:
        nonlocal may_have_arrived
        with answering(engine), engine.begin() as connection:
            lease.confirm(connection)
            _set(connection, message_id, DOUBTFUL, error="cut off before it was known whether it arrived")
        may_have_arrived = True

    try:
        outcome = send(row.channel)(row, doubtful)
    except LeaseLost:
        raise
    except Exception as error:  # whatever a channel does, the others go on, and nothing is lost
        why = without_secrets(f"{type(error).__name__}: {error}")
        outcome = Outcome(DOUBTFUL, why) if may_have_arrived else Outcome(FAILED, why, retry=True)
    if outcome.retry and row.attempts < attempts:
        wait = min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT)
        outcome, later = Outcome(QUEUED, outcome.error, retry=True), {"not_before": _now() + wait}
    else:
        later = {}
    _record(lease, row, outcome, later)
    return outcome


def _record(lease: Lease, row: Any, outcome: Outcome, later: dict[str, Any]) -> None:
    """Write down what became of a message, unless another sends it now. What is known of one that may have arrived is written
    even where the lease was lost meanwhile."""
    what = {"channel": row.channel, "recipient": row.recipient, "about": row.about}
    entry = Entry("quiebra", f"message {outcome.state}", row.message_id, None, what, outcome.error or "", row.run_id)
    with answering(lease.engine), lease.engine.begin() as connection:
        append(connection, [])
        mine = (Message.message_id == row.message_id) & (Message.sender == lease.token)
        ended = {"state": outcome.state, "changed_at": _now(), "error": outcome.error, **later}
        if not connection.execute(update(Message).where(mine).values(**ended)).rowcount:
            raise LeaseLost("message {message_id} was taken over by another sender", message_id=row.message_id)
        append(connection, [entry] if outcome.state in (SENT, FAILED, DOUBTFUL) else [])


def _set(connection: Any, message_id: str, state: str, **more: Any) -> None:
    connection.execute(update(Message).where(Message.message_id == message_id).values(state=state, changed_at=_now(), **more))


def messages(engine: Engine, count: int = 50, *, waiting: bool = False) -> list[dict[str, Any]]:
    """Return the latest messages, newest first, without their contents; ``waiting``: those that have not arrived for sure."""
    names = [c.name for c in Message.__table__.columns if c.name != "body"]
    asked = (
        select(*(getattr(Message, name) for name in names)).order_by(Message.queued_at.desc(), Message.message_id).limit(count)
    )
    if waiting:
        asked = asked.where(Message.state.in_((QUEUED, SENDING, DOUBTFUL, FAILED)))
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def decide(engine: Engine, identifier: str, who: str, *, again: bool, reason: str) -> str:
    """Send a message that is doubtful, failed or waiting again, or drop it; return its id. DeliveryError where none or several
    have an id that starts so, or it has arrived."""
    who, reason = person_name(who, "who"), comment(reason, "the reason")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
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
        append(
            connection,
            [Entry(who, f"message {'retried' if again else 'dropped'}", row.message_id, row.state, new, reason, row.run_id)],
        )
    return row.message_id


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
