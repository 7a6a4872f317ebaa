"""The history of people's decisions, from the audit table: on a company, on alerts, and on models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, cast, or_, select
from sqlalchemy.types import Text

from quiebra.alerts.descriptions import WATCH_LEVELS
from quiebra.store.engine import read_only
from quiebra.store.tables import Alert, AuditEntry, Override
from quiebra.text.words import Words, translatable

ACTION_LABELS = {
    "alert raised": translatable("Alert raised"),
    "alert reopened": translatable("Alert open again"),
    "alert acknowledged": translatable("Alert acknowledged"),
    "alert commented": translatable("Comment on an alert"),
    "alert closed": translatable("Alert closed"),
    "watch added": translatable("Put on the watch list"),
    "watch changed": translatable("Watch list changed"),
    "watch removed": translatable("Taken off the watch list"),
    "override proposed": translatable("Grade proposed"),
    "override approved": translatable("Grade approved"),
    "override ended": translatable("Grade ended or refused"),
    "model registered": translatable("Model registered"),
    "model proposed": translatable("Model proposed"),
    "model promoted": translatable("Model in charge"),
    "promotion confirmed": translatable("Promotion confirmed"),
    "model rolled back": translatable("Rolled back"),
    "rollback waits for confirmation": translatable("Rollback waits for confirmation"),
    "rollback confirmed": translatable("Rollback confirmed"),
}
"""Action in the audit table → what it is called; others are shown as they are."""
MODEL_ACTIONS = (
    "model proposed",
    "model promoted",
    "promotion confirmed",
    "model rolled back",
    "rollback waits for confirmation",
    "rollback confirmed",
)
COLUMNS = ("at", "who", "action", "subject", "before", "after", "reason")


def company_history(engine: Engine, source: str, company_id: str, count: int = 50) -> list[dict[str, Any]]:
    """Return the latest decisions on a company, newest first, with its alerts, grades and place on the watch list.

    Keys: at (UTC), who, action, subject, before, after and reason; `describe_decision` says them in words.
    """
    alerts = select(Alert.alert_id).where(Alert.source == source, Alert.kind == "company", Alert.subject == company_id)
    grades = select(cast(Override.override_id, Text)).where(Override.source == source, Override.company_id == company_id)
    return _entries(
        engine,
        or_(
            and_(AuditEntry.action.startswith("alert "), AuditEntry.subject.in_(alerts)),
            and_(AuditEntry.action.startswith("override "), AuditEntry.subject.in_(grades)),
            and_(AuditEntry.action.startswith("watch "), AuditEntry.subject == company_id),
        ),
        count,
    )


def alerts_history(engine: Engine, alert_ids: Collection[str], count: int = 50) -> list[dict[str, Any]]:
    """Return the latest entries on alerts, newest first; see `company_history`."""
    return _entries(engine, and_(AuditEntry.action.startswith("alert "), AuditEntry.subject.in_(list(alert_ids))), count)


def model_history(engine: Engine, count: int = 50) -> list[dict[str, Any]]:
    """Return the latest promotions and rollbacks, newest first; see `company_history`."""
    return _entries(engine, AuditEntry.action.in_(MODEL_ACTIONS), count)


def describe_decision(entry: Mapping[str, Any], words: Words) -> str:
    """Return what an entry decided, in words: the grade, the level, the owner, the model; empty where the action says it all."""
    before, after = (value if isinstance(value, dict) else {} for value in (entry["before"], entry["after"]))
    action = str(entry["action"])
    if action == "override proposed":
        return words(
            "{before} → {after}, until {date}",
            before=after.get("model_rating", ""),
            after=after.get("rating", ""),
            date=words.short(after.get("expires_on")),
        )
    if action in ("watch added", "watch changed"):
        level = WATCH_LEVELS.get(after.get("level", 0), "")
        return words("{level}, look again {date}", level=words(level), date=words.short(after.get("review_on")))
    if action == "alert raised":
        return words(str(after.get("rule", "")))
    if action == "alert acknowledged":
        return ", ".join(_acknowledged(before, after, words))
    return str(entry["subject"]) if action in MODEL_ACTIONS else ""


def _acknowledged(before: Mapping[str, Any], after: Mapping[str, Any], words: Words) -> Iterator[str]:
    """Yield what an acknowledgement changed: the owner, and when the alert is looked at again."""
    if after.get("owner") != before.get("owner"):
        yield words("owner {name}", name=after.get("owner", ""))
    if after.get("review_on") and after.get("review_on") != before.get("review_on"):
        yield words("look again {date}", date=words.short(after["review_on"]))


def _entries(engine: Engine, of: ColumnElement[bool], count: int) -> list[dict[str, Any]]:
    asked = select(*(getattr(AuditEntry, name) for name in COLUMNS)).where(of).order_by(AuditEntry.entry_id.desc()).limit(count)
    with read_only(engine) as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]
