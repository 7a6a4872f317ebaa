"""The audit table: critical actions, in the order in which they happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from quiebra.store.engine import answering
from quiebra.store.tables import AuditEntry


@dataclass(frozen=True)
class Entry:
    """who did what (action) to what (subject), from what to what, and why. run_id: the run that was current."""

    who: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str
    run_id: str | None = None


def record(engine: Engine, entries: list[Entry], act: Callable[[], object] = lambda: None) -> None:
    """Write entries and do what they say. Where ``act`` fails nothing is written; where the database refuses in the end
    (StoreError) the caller takes back what ``act`` did."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    with answering(engine), engine.begin() as connection:
        connection.execute(insert(AuditEntry), [{"at": now, **vars(entry)} for entry in entries])
        act()


def entries(engine: Engine, count: int = 50, action: str | None = None) -> list[dict[str, Any]]:
    """Return the latest entries, newest first: at, who, action, subject, before, after, reason and run_id."""
    asked = select(AuditEntry).order_by(AuditEntry.entry_id.desc()).limit(count)
    if action is not None:
        asked = asked.where(AuditEntry.action == action)
    names = ("at", "who", "action", "subject", "before", "after", "reason", "run_id")
    with answering(engine), Session(engine) as session:
        return [{name: getattr(row, name) for name in names} for row in session.scalars(asked)]
