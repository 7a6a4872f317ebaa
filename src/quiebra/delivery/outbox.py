"""The outbox: messages wait in the database until they are sent, and each is sent at most once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update

from quiebra.errors import DeliveryError
from quiebra.provenance import digest
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering
from quiebra.store.tables import Message

QUEUED, SENDING, DOUBTFUL, SENT, WRITTEN, FAILED = "queued", "sending", "doubtful", "sent", "written", "failed"
FIRST_WAIT = dt.timedelta(minutes=1)
LONGEST_WAIT = dt.timedelta(hours=12)


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
            elif found == WRITTEN and letter.channel in again:
                _set(connection, letter.message_id, QUEUED, body=letter.body, not_before=letter.not_before or now, error=None)
    return new


def dispatch(engine: Engine, send: Callable[[str], Send], attempts: int) -> list[tuple[str, Outcome]]:
    """Send what is due and return what became of each. The caller holds the workspace's lock: nobody else is sending.

    send: channel → how it is sent. A message that another process was sending when it died goes out again if nothing can have
    arrived; if it may have, it stays doubtful until a person decides (`decide`). A failure that may pass is tried again after a
    minute, then after twice as long each time, ``attempts`` times in all.
    """
    with answering(engine), engine.begin() as connection:
        connection.execute(update(Message).where(Message.state == SENDING).values(state=QUEUED, changed_at=_now()))
        asked = select(Message.message_id).where(Message.state == QUEUED, Message.not_before <= _now())
        due = connection.scalars(asked.order_by(Message.queued_at, Message.message_id)).all()
    return [(message_id, _try(engine, message_id, send, attempts)) for message_id in due]


def _try(engine: Engine, message_id: str, send: Callable[[str], Send], attempts: int) -> Outcome:
    with answering(engine), engine.begin() as connection:
        connection.execute(
            update(Message)
            .where(Message.message_id == message_id)
            .values(state=SENDING, attempts=Message.attempts + 1, changed_at=_now())
        )
        row = connection.execute(select(Message.__table__).where(Message.message_id == message_id)).one()

    def doubtful() -> None:
        with answering(engine), engine.begin() as connection:
            _set(connection, message_id, DOUBTFUL, error="cut off before it was known whether it arrived")

    try:
        outcome = send(row.channel)(row, doubtful)
    except Exception as error:  # whatever a channel does, the others go on, and nothing is lost
        outcome = Outcome(FAILED, f"{type(error).__name__}: {error}", retry=True)
    if outcome.retry and row.attempts < attempts:
        wait = min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT)
        outcome, later = Outcome(QUEUED, outcome.error, retry=True), {"not_before": _now() + wait}
    else:
        later = {}
    with answering(engine), engine.begin() as connection:
        _set(connection, message_id, outcome.state, error=outcome.error, **later)
        if outcome.state in (SENT, FAILED, DOUBTFUL):
            what = {"channel": row.channel, "recipient": row.recipient, "about": row.about}
            append(
                connection,
                [Entry("quiebra", f"message {outcome.state}", message_id, None, what, outcome.error or "", row.run_id)],
            )
    return outcome


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
    with answering(engine), engine.connect() as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def decide(engine: Engine, identifier: str, who: str, *, again: bool, reason: str) -> str:
    """Send a message that is doubtful, failed or waiting again, or drop it; return its id. DeliveryError where none or several
    have an id that starts so, or it has arrived."""
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        asked = select(Message.message_id, Message.state, Message.run_id)
        rows = connection.execute(asked.where(Message.message_id.startswith(identifier, autoescape=True))).all()
        if len(rows) != 1:
            raise DeliveryError(
                f"{len(rows) or 'no'} message(s) have an id starting '{identifier}'; `quiebra outbox list` shows them"
            )
        (row,) = rows
        if row.state in (SENT, WRITTEN):
            raise DeliveryError(f"message {row.message_id} was {row.state} already")
        new = QUEUED if again else FAILED
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
