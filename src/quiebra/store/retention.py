"""Retention: delete what is older than params allow, and record the deletion in the audit table."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine, delete

from quiebra.params.operations import Retention
from quiebra.store import audit
from quiebra.store.engine import translate_database_errors
from quiebra.store.tables import Cycle, Message


def prune_database(engine: Engine, keep: Retention, who: str) -> dict[str, int]:
    """Delete audit entries, completed messages and ended cycles older than ``keep``; return the number by table.

    Messages that are waiting or doubtful are kept. StoreError if the audit chain is broken.
    """
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    entries = audit.prune_audit(engine, now - dt.timedelta(days=keep.audit_days), who)
    old_messages = Message.changed_at < now - dt.timedelta(days=keep.messages_days)
    over = Message.state.in_(("sent", "written", "failed", "dropped"))
    with translate_database_errors(engine), engine.begin() as connection:
        audit.append_entries(connection, [])
        messages = connection.execute(delete(Message).where(old_messages, over)).rowcount
        ended = Cycle.ended_at < now - dt.timedelta(days=keep.cycles_days)
        cycles = connection.execute(delete(Cycle).where(ended)).rowcount
        if messages or cycles:
            gone = {"bandeja_salida": messages, "ciclos": cycles}
            audit.append_entries(
                connection, [audit.AuditRecord(who, "prune", "messages and cycles", gone, None, "older than the time to keep")]
            )
    return {"auditoria": entries, "bandeja_salida": messages, "ciclos": cycles}
