"""How long things are kept: what is older than params allow is deleted, and the deletion is in the audit table."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, delete

from quiebra.params.operations import Retention
from quiebra.store import audit
from quiebra.store.engine import answering
from quiebra.store.tables import Cycle, Message


def prune(engine: Engine, keep: Retention, who: str) -> dict[str, int]:
    """Delete audit entries, messages that are done with and ended cycles older than ``keep``; return how many by table.

    Messages that still wait, or of which it is not known whether they arrived, are kept. StoreError where the audit chain is
    broken.
    """
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    entries = audit.prune(engine, now - dt.timedelta(days=keep.audit_days), who)
    old_messages = Message.changed_at < now - dt.timedelta(days=keep.messages_days)
    over = Message.state.in_(("sent", "written", "failed", "dropped"))
    with answering(engine), engine.begin() as connection:
        audit.append(connection, [])
        messages = connection.execute(delete(Message).where(old_messages, over)).rowcount
        ended = Cycle.ended_at < now - dt.timedelta(days=keep.cycles_days)
        cycles = connection.execute(delete(Cycle).where(ended)).rowcount
        if messages or cycles:
            gone = {"bandeja_salida": messages, "ciclos": cycles}
            audit.append(
                connection, [audit.Entry(who, "prune", "messages and cycles", gone, None, "older than the time to keep")]
            )
    return {"auditoria": entries, "bandeja_salida": messages, "ciclos": cycles}
