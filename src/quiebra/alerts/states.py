"""Alerts in the database: raised once for each cause, acknowledged and closed by people, every change in the audit table."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, insert, select, update

from quiebra.alerts import rules as by_rule
from quiebra.errors import AlertError, single_match
from quiebra.names import comment, person_name
from quiebra.params.operations import Rule
from quiebra.provenance import digest
from quiebra.store import tables
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, reading
from quiebra.store.lease import guard
from quiebra.store.tables import Alert, AuditEntry

OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"
RAISED, SHUT = "alert raised", "alert closed"
RULE_GONE, RULE_CHANGED = "its rule is no longer in params", "its rule was changed"
"""Why an alert was closed without anything having happened to its subject: it opens again when the rule comes back."""
OTHER_MODEL = "below its threshold by another model, which is in charge now"
"""The same: it opens again when a model is in charge by which its rule holds it on the same accounts."""
BACK = "its rule, or a model by which it stands, is back"
LISTED = "`quiebra alerts list --all` shows them"
SYSTEM = "quiebra"
"""Who raises alerts, and closes those whose reason is gone."""
_KINDS = {str: pl.String, float: pl.Float64, dt.date: pl.Date, dt.datetime: pl.Datetime("us")}
ALERTS = {column.name: _KINDS[column.type.python_type] for column in Alert.__table__.columns}
"""Columns of `alerts`."""


@dataclass(frozen=True)
class Run:
    """The run that was evaluated: its id, the source of its data, its as-of date and the model that scored it."""

    run_id: str
    source: str
    as_of: dt.date
    model_id: str | None = None


@dataclass(frozen=True)
class Settled:
    """How many alerts a run raised, how many it closed, and how many stand after it; the same if it is evaluated again."""

    raised: int
    closed: int
    standing: int
    later: dt.date | None = None
    """As-of date of a later run that was evaluated before: then this one changes nothing, since alerts do not go back in time."""


def settle(
    engine: Engine, hits: pl.DataFrame, rules: Mapping[str, Rule], run: Run, scored: Collection[str] | None = None,
    under_former: pl.DataFrame | None = None,
) -> Settled:  # fmt: skip
    """Raise, keep and close alerts as the rules found (see `quiebra.alerts.rules.found`), all or none. The same run again
    changes nothing, and neither does one of an earlier date than the last evaluated: alerts do not go back in time.

    scored: ids of the companies that have a score, for the reason an alert is closed with; None: not known. under_former: what
    rules as they were when alerts were raised would find today (`former_rules`): an alert that they still hold is closed by the
    change of its rule, not by anything that happened. None: every alert of a changed rule that closes is.
    """
    with answering(engine), engine.begin() as connection:
        guard(connection)
        append(connection, [])  # whoever else evaluates waits here
        alerts = _table(connection, run.source)
        latest = alerts["seen_on"].max()
        if latest is not None and latest > run.as_of:  # type: ignore[operator]
            standing = alerts.filter(pl.col("state") != CLOSED).height
            return Settled(0, 0, standing, later=latest)  # type: ignore[arg-type]
        changed = {alert for alert, raised_by in _raised_by(connection, run.source).items() if _differs(raised_by, rules)}
        rescored = _last_seen_by_another_model(connection, run)
        closings = _closings(connection, run.source)
        gone = {alert for alert, reason in closings.items() if reason in (RULE_GONE, RULE_CHANGED)}
        outscored = {alert for alert, reason in closings.items() if reason == OTHER_MODEL}
        found = by_rule.change(hits, alerts.select(list(by_rule.ALERTS)), rules, run.as_of, gone, outscored)
        _reopen(connection, found.reopened, run)
        _raise(connection, found.raised, rules, run)
        _keep(connection, found.kept, run)
        of = {row["alert_id"]: row for row in alerts.to_dicts()}
        for (alert_id,) in found.closed.iter_rows():
            why = _reason(of[alert_id], rules, scored, alert_id in changed, under_former, alert_id in rescored)
            values = {
                "state": CLOSED,
                "closed_on": run.as_of,
                "closed_by": SYSTEM,
                "seen_on": run.as_of,
                "seen_run": run.run_id,
            }
            _alter(connection, alert_id, values, SYSTEM, SHUT, why, run.run_id)
        after = _table(connection, run.source)
    mine = pl.col("closed_by").eq_missing(pl.lit(SYSTEM)) & (pl.col("seen_run") == run.run_id)
    return Settled(
        after.filter(pl.col("raised_run") == run.run_id).height,
        after.filter(mine).height,
        after.filter(pl.col("state") != CLOSED).height,
    )


def _reason(
    alert: Mapping[str, Any], rules: Mapping[str, Rule], scored: Collection[str] | None, changed: bool,
    under_former: pl.DataFrame | None, rescored: bool,
) -> str:  # fmt: skip
    """Return why an alert that no rule holds any more is closed."""
    if alert["rule"] not in rules:
        return RULE_GONE
    if scored is not None and alert["kind"] == "company" and alert["subject"] not in scored:
        return "no longer scored"
    same = (pl.col("rule") == alert["rule"]) & (pl.col("subject") == alert["subject"])
    if changed and (under_former is None or not under_former.filter(same).is_empty()):
        return RULE_CHANGED
    if rescored:
        return OTHER_MODEL
    return "below its threshold again, or outside its rule's scope"


def _definition(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json", by_alias=True)


def _differs(raised_by: tuple[str, dict[str, Any]], rules: Mapping[str, Rule]) -> bool:
    name, definition = raised_by
    return name in rules and definition != _definition(rules[name])


def _raised_by(connection: Connection, source: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the id of each alert that is not closed → its rule's name and what the rule was when it was raised, where that is on
    record."""
    asked = (
        select(AuditEntry.subject, AuditEntry.after)
        .join(Alert, Alert.alert_id == AuditEntry.subject)
        .where(AuditEntry.action == RAISED, Alert.source == source, Alert.state != CLOSED)
    )
    rows = connection.execute(asked).all()
    return {alert: (after["rule"], after["definition"]) for alert, after in rows if "definition" in (after or {})}


def former_rules(engine: Engine, rules: Mapping[str, Rule], source: str) -> list[dict[str, Rule]]:
    """Return rules as they were when alerts that stand were raised, where they are others now; several of one name in several
    dicts. One that this version cannot read is left out."""
    with reading(engine) as connection:
        raised_by = _raised_by(connection, source).values()
    found: list[dict[str, Rule]] = []
    seen = set()
    for name, definition in (one for one in raised_by if _differs(one, rules)):
        if (key := digest([name, definition])) in seen:
            continue
        seen.add(key)
        with contextlib.suppress(ValueError):
            rule = Rule.model_validate(definition)
            free = next((one for one in found if name not in one), None)
            if free is None:
                found.append({name: rule})
            else:
                free[name] = rule
    return found


def _last_seen_by_another_model(connection: Connection, run: Run) -> set[str]:
    """Return the ids of the alerts that are not closed and stood in a run that another model scored."""
    asked = (
        select(Alert.alert_id)
        .join(tables.Run, tables.Run.run_id == Alert.seen_run)
        .where(Alert.source == run.source, Alert.state != CLOSED, tables.Run.model_id != run.model_id)
    )
    return set(connection.scalars(asked)) if run.model_id else set()


def _closings(connection: Connection, source: str) -> dict[str, str]:
    """Return the ids of the closed alerts that were closed by a run → the reason of their last closing."""
    asked = (
        select(AuditEntry.subject, AuditEntry.reason)
        .join(Alert, Alert.alert_id == AuditEntry.subject)
        .where(AuditEntry.action == SHUT, Alert.source == source, Alert.state == CLOSED, Alert.closed_by == SYSTEM)
        .order_by(AuditEntry.entry_id)
    )
    return {row.subject: row.reason for row in connection.execute(asked)}


def _reopen(connection: Connection, rows: pl.DataFrame, run: Run) -> None:
    for alert_id, value, cause in rows.select("alert_id", "value", "cause").iter_rows():
        values = {"state": OPEN, "closed_on": None, "closed_by": None, "seen_on": run.as_of, "seen_run": run.run_id}
        values |= {"seen_cause": cause} | ({} if value is None else {"latest": value})
        _alter(connection, alert_id, values, SYSTEM, "alert opened again", BACK, run.run_id)


def _raise(connection: Connection, rows: pl.DataFrame, rules: Mapping[str, Rule], run: Run) -> None:
    if rows.is_empty():
        return
    named = rows.drop("broken").to_dicts()
    for row in named:
        row["alert_id"] = digest([run.source, row["rule"], row["subject"], row["cause"]])[:12]
    common = {
        "source": run.source,
        "state": OPEN,
        "raised_on": run.as_of,
        "raised_run": run.run_id,
        "seen_on": run.as_of,
        "seen_run": run.run_id,
        "changed_at": _now(),
    }
    connection.execute(insert(Alert), [{**row, **common, "latest": row["value"], "seen_cause": row["cause"]} for row in named])
    entries = [
        Entry(
            SYSTEM,
            RAISED,
            row["alert_id"],
            None,
            {
                "rule": row["rule"], "subject": row["subject"], "value": row["value"],
                "definition": _definition(rules[row["rule"]]),
            },
            row["cause"],
            run.run_id,
        )
        for row in named
    ]
    append(connection, entries)


def _keep(connection: Connection, rows: pl.DataFrame, run: Run) -> None:
    for alert_id, value, cause in rows.select("alert_id", "value", "cause").iter_rows():
        values = {"seen_on": run.as_of, "seen_run": run.run_id, "seen_cause": cause}
        values |= {} if value is None else {"latest": value}
        connection.execute(update(Alert).where(Alert.alert_id == alert_id).values(**values))


def _alter(
    connection: Connection, alert_id: str, values: dict[str, Any], who: str, action: str, why: str, run_id: str | None
) -> None:
    before = connection.execute(select(*(getattr(Alert, name) for name in values)).where(Alert.alert_id == alert_id)).one()
    connection.execute(update(Alert).where(Alert.alert_id == alert_id).values(**values, changed_at=_now()))
    append(connection, [Entry(who, action, alert_id, dict(before._mapping), values, why, run_id)])


def acknowledge(
    engine: Engine, identifier: str, who: str, *, owner: str | None = None, note: str = "", review_on: dt.date | None = None
) -> str:
    """Say that somebody looks after an alert: its owner (``who``, unless another is named), a note and when it is to be looked at
    again. Return its id. One that was acknowledged before can be again; AlertError where it is closed, or none or several match.
    """
    who, note = person_name(who, "who"), comment(note, "note")
    owner = who if owner is None else person_name(owner, "owner")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        row = _one(connection, identifier)
        values = {
            "state": ACKNOWLEDGED,
            "owner": owner,
            "note": note or row.note,
            "review_on": review_on or row.review_on,
        }
        _alter(connection, row.alert_id, values, who, "alert acknowledged", note or "acknowledged", row.seen_run)
    return row.alert_id


def close(engine: Engine, identifier: str, who: str, note: str) -> str:
    """Close an alert and say why; return its id. The same cause raises no other. AlertError where it is closed already, no
    reason is given, or none or several match."""
    who, note = person_name(who, "who"), comment(note, "the reason")
    if len(note) < 3:
        raise AlertError("say why the alert is closed: the reason is kept with it")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        row = _one(connection, identifier)
        values = {"state": CLOSED, "note": note, "closed_on": row.seen_on, "closed_by": who}
        _alter(connection, row.alert_id, values, who, SHUT, note, row.seen_run)
    return row.alert_id


def _one(connection: Connection, identifier: str) -> Any:
    rows = connection.execute(select(Alert.__table__).where(Alert.alert_id.startswith(identifier, autoescape=True))).all()
    row = single_match(rows, identifier, "alert", AlertError, LISTED)
    if row.state == CLOSED:
        raise AlertError(f"alert {row.alert_id} was closed on {row.closed_on} by {row.closed_by}")
    return row


def alerts(engine: Engine, source: str | None = None, *, closed: bool = False) -> pl.DataFrame:
    """Return the alerts of a source (None: of all), those that are not closed or all of them; most severe and newest first."""
    with reading(engine) as connection:
        table = _table(connection, source)
    if not closed:
        table = table.filter(pl.col("state") != CLOSED)
    order = pl.col("severity").replace_strict({"high": 0, "medium": 1, "low": 2}, return_dtype=pl.Int8)
    return table.sort(
        order, "raised_on", "rule", "latest", "subject", descending=[False, True, False, True, False], nulls_last=True
    )


def history(engine: Engine, identifier: str) -> list[dict[str, Any]]:
    """Return what happened to an alert, oldest first: at, who, action, before, after and reason."""
    with reading(engine) as connection:
        rows = connection.execute(select(Alert.alert_id).where(Alert.alert_id.startswith(identifier, autoescape=True))).all()
        alert = single_match(rows, identifier, "alert", AlertError, LISTED)
        asked = select(AuditEntry.__table__).where(
            AuditEntry.subject == alert.alert_id, AuditEntry.action.startswith("alert ")
        )
        names = ("at", "who", "action", "before", "after", "reason")
        return [
            {name: row[name] for name in names} for row in connection.execute(asked.order_by(AuditEntry.entry_id)).mappings()
        ]


def _table(connection: Connection, source: str | None) -> pl.DataFrame:
    asked = select(Alert.__table__).order_by(Alert.alert_id)
    if source is not None:
        asked = asked.where(Alert.source == source)
    return pl.DataFrame([tuple(row) for row in connection.execute(asked)], schema=ALERTS, orient="row")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
