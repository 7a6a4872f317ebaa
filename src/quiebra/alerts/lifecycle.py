"""Alerts in the database: each raised once per cause, acknowledged and closed by people, with every change in the audit table."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
from sqlalchemy import Connection, Engine, insert, select, update

from quiebra.alerts import rules as by_rule
from quiebra.errors import AlertError, RecordNotFoundError, single_match
from quiebra.panels import are_other_companies
from quiebra.params.operations import Rule
from quiebra.provenance import json_sha256
from quiebra.store import tables
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.lease import check_lease
from quiebra.store.tables import Alert, AuditEntry, Prediction
from quiebra.store.unverified import SYSTEM

OPEN, ACKNOWLEDGED, CLOSED = "open", "acknowledged", "closed"
ALERT_RAISED, ALERT_CLOSED = "alert raised", "alert closed"
RULE_GONE, RULE_CHANGED = "its rule is no longer in params", "its rule was changed"
"""Reasons for closing that say nothing about the subject: the alert is reopened when the rule comes back."""
DATA_REPLACED = "the data were replaced by those of other companies"
"""As above: the alert is reopened when a subject of its name meets its rule again."""
OTHER_MODEL = "below its threshold by another model, which is in charge now"
"""As above: the alert is reopened when a model in charge meets its rule again on the same accounts."""
RULE_IS_BACK = "its rule, its data, or a model by which it stands, is back"
ALERTS_ARE_LISTED = "`quiebra alerts list --all` shows them"
_KINDS: dict[type, pl.DataType | type[pl.DataType]] = {
    str: pl.String,
    float: pl.Float64,
    dt.date: pl.Date,
    dt.datetime: pl.Datetime("us"),
}
ALERT_SCHEMA = {str(column.name): _KINDS[column.type.python_type] for column in Alert.__table__.columns}
"""Columns of table `alertas` and their polars types."""


@dataclass(frozen=True)
class EvaluatedRun:
    """The evaluated run: its id, data source, as-of date, and the model that scored it."""

    run_id: str
    source: str
    as_of: dt.date
    model_id: str | None = None


@dataclass(frozen=True)
class AlertCounts:
    """Number of alerts that a run raised, that it closed, and that are not closed after it; unchanged if the run is evaluated
    again."""

    raised: int
    closed: int
    standing: int
    later: dt.date | None = None
    """As-of date of a later run evaluated before this one, which then changes nothing; None otherwise."""


def update_alerts(
    engine: Engine,
    hits: pl.DataFrame,
    rules: Mapping[str, Rule],
    run: EvaluatedRun,
    scored: Collection[str] | None = None,
    under_former: pl.DataFrame | None = None,
) -> AlertCounts:
    """Raise, keep and close alerts by the hits of rules (see `quiebra.alerts.rules.find_hits`), in one transaction.

    Evaluating the same run again changes nothing, and neither does a run older than the last one evaluated. Where the last one
    was of another data set (`are_other_companies`), all its alerts close first, whichever run is older.

    scored: ids of the companies that have a score, used in the reason for closing; None: not known. under_former: hits today of
    the rules as they were when alerts were raised (`former_rules`): an alert among them closes because its rule was changed, not
    because its subject did. None: this holds for every alert that closes and whose rule was changed.
    """
    with translate_database_errors(engine), engine.begin() as connection:
        check_lease(connection)
        append_entries(connection, [])  # takes the audit table's lock: concurrent evaluations wait here
        alerts = _table(connection, run.source)
        latest = cast("dt.date | None", alerts["seen_on"].max())
        if scored is not None and are_other_companies(_companies_last_seen(connection, run.source), scored):
            for alert_id in alerts.filter(pl.col("state") != CLOSED)["alert_id"]:
                _close(connection, alert_id, DATA_REPLACED, run)
            alerts = _table(connection, run.source)
        elif latest is not None and latest > run.as_of:
            standing = alerts.filter(pl.col("state") != CLOSED).height
            return AlertCounts(0, 0, standing, later=latest)
        changed = {alert for alert, raised_by in _raised_by(connection, run.source).items() if _differs(raised_by, rules)}
        rescored = _last_seen_by_another_model(connection, run)
        closings = _closings(connection, run.source)
        gone = {alert for alert, reason in closings.items() if reason in (RULE_GONE, RULE_CHANGED, DATA_REPLACED)}
        outscored = {alert for alert, reason in closings.items() if reason == OTHER_MODEL}
        found = by_rule.compare_hits(hits, alerts.select(list(by_rule.EXISTING_ALERT_SCHEMA)), rules, run.as_of, gone, outscored)
        _reopen(connection, found.reopened, alerts, run)
        _raise(connection, found.raised, rules, run)
        _keep(connection, found.kept, run)
        of = {row["alert_id"]: row for row in alerts.to_dicts()}
        for (alert_id,) in found.closed.iter_rows():
            why = _reason(of[alert_id], rules, scored, alert_id in changed, under_former, alert_id in rescored)
            _close(connection, alert_id, why, run)
        after = _table(connection, run.source)
    mine = pl.col("closed_by").eq_missing(pl.lit(SYSTEM)) & (pl.col("seen_run") == run.run_id)
    return AlertCounts(
        after.filter(pl.col("raised_run") == run.run_id).height,
        after.filter(mine).height,
        after.filter(pl.col("state") != CLOSED).height,
    )


def _close(connection: Connection, alert_id: str, why: str, run: EvaluatedRun) -> None:
    values = {"state": CLOSED, "closed_on": run.as_of, "closed_by": SYSTEM, "seen_on": run.as_of, "seen_run": run.run_id}
    update_alert_with_audit(connection, alert_id, values, SYSTEM, ALERT_CLOSED, why, run.run_id)


def _companies_last_seen(connection: Connection, source: str) -> set[str]:
    """Return the companies that the run scored which last saw an alert of a source; none where it is not in the database."""
    last = select(Alert.seen_run).where(Alert.source == source).order_by(Alert.seen_on.desc(), Alert.changed_at.desc()).limit(1)
    scored = select(Prediction.company_id).where(Prediction.run_id == last.scalar_subquery(), Prediction.kind == "current")
    return set(connection.scalars(scored))


def _reason(
    alert: Mapping[str, Any],
    rules: Mapping[str, Rule],
    scored: Collection[str] | None,
    changed: bool,
    under_former: pl.DataFrame | None,
    rescored: bool,
) -> str:
    """Return the reason for closing an alert that no rule meets any more."""
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
    """Return alert id → its rule's name and definition when it was raised, of alerts that are not closed; those without a
    recorded definition are left out."""
    asked = (
        select(AuditEntry.subject, AuditEntry.after)
        .join(Alert, Alert.alert_id == AuditEntry.subject)
        .where(AuditEntry.action == ALERT_RAISED, Alert.source == source, Alert.state != CLOSED)
    )
    rows = connection.execute(asked).all()
    return {alert: (after["rule"], after["definition"]) for alert, after in rows if "definition" in (after or {})}


def former_rules(engine: Engine, rules: Mapping[str, Rule], source: str) -> list[dict[str, Rule]]:
    """Return the earlier definitions of rules that were changed since they raised alerts that are not closed.

    Several definitions of one name are spread over several dicts. Definitions that this version cannot read are left out.
    """
    with read_only(engine) as connection:
        raised_by = _raised_by(connection, source).values()
    found: list[dict[str, Rule]] = []
    seen = set()
    for name, definition in (one for one in raised_by if _differs(one, rules)):
        if (key := json_sha256([name, definition])) in seen:
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


def _last_seen_by_another_model(connection: Connection, run: EvaluatedRun) -> set[str]:
    """Return the ids of alerts that are not closed and were last seen by a run scored with another model."""
    asked = (
        select(Alert.alert_id)
        .join(tables.Run, tables.Run.run_id == Alert.seen_run)
        .where(Alert.source == run.source, Alert.state != CLOSED, tables.Run.model_id != run.model_id)
    )
    return set(connection.scalars(asked)) if run.model_id else set()


def _closings(connection: Connection, source: str) -> dict[str, str]:
    """Return alert id → reason of its last closing, of alerts closed by a run."""
    asked = (
        select(AuditEntry.subject, AuditEntry.reason)
        .join(Alert, Alert.alert_id == AuditEntry.subject)
        .where(AuditEntry.action == ALERT_CLOSED, Alert.source == source, Alert.state == CLOSED, Alert.closed_by == SYSTEM)
        .order_by(AuditEntry.entry_id)
    )
    return {row.subject: row.reason for row in connection.execute(asked)}


def _reopen(connection: Connection, rows: pl.DataFrame, alerts: pl.DataFrame, run: EvaluatedRun) -> None:
    raised_on = dict(alerts.select("alert_id", "raised_on").iter_rows())
    for alert_id, value, cause in rows.select("alert_id", "value", "cause").iter_rows():
        values: dict[str, Any] = {
            "state": OPEN,
            "closed_on": None,
            "closed_by": None,
            "seen_on": run.as_of,
            "seen_run": run.run_id,
        }
        values |= {"seen_cause": cause} | ({} if value is None else {"latest": value})
        if raised_on[alert_id] > run.as_of:  # by a run of other data
            values |= {"raised_on": run.as_of, "raised_run": run.run_id}
        update_alert_with_audit(connection, alert_id, values, SYSTEM, "alert opened again", RULE_IS_BACK, run.run_id)


def _raise(connection: Connection, rows: pl.DataFrame, rules: Mapping[str, Rule], run: EvaluatedRun) -> None:
    if rows.is_empty():
        return
    named = rows.drop("broken").to_dicts()
    for row in named:
        row["alert_id"] = json_sha256([run.source, row["rule"], row["subject"], row["cause"]])[:12]
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
        AuditRecord(
            SYSTEM,
            ALERT_RAISED,
            row["alert_id"],
            None,
            {
                "rule": row["rule"],
                "subject": row["subject"],
                "value": row["value"],
                "definition": _definition(rules[row["rule"]]),
            },
            row["cause"],
            run.run_id,
        )
        for row in named
    ]
    append_entries(connection, entries)


def _keep(connection: Connection, rows: pl.DataFrame, run: EvaluatedRun) -> None:
    for alert_id, value, cause in rows.select("alert_id", "value", "cause").iter_rows():
        values = {"seen_on": run.as_of, "seen_run": run.run_id, "seen_cause": cause}
        values |= {} if value is None else {"latest": value}
        connection.execute(update(Alert).where(Alert.alert_id == alert_id).values(**values))


def update_alert_with_audit(
    connection: Connection, alert_id: str, values: dict[str, Any], who: str, action: str, why: str, run_id: str | None
) -> None:
    """Set columns of an alert (``values``) and record who did it and why in the audit table."""
    before = connection.execute(select(*(getattr(Alert, name) for name in values)).where(Alert.alert_id == alert_id)).one()
    connection.execute(update(Alert).where(Alert.alert_id == alert_id).values(**values, changed_at=_now()))
    append_entries(connection, [AuditRecord(who, action, alert_id, dict(before._mapping), values, why, run_id)])


def find_open_alert(connection: Connection, identifier: str) -> Any:
    """Return the row of the alert whose id starts with ``identifier``. AlertError if it is closed; RecordNotFoundError if none or
    several match."""
    rows = connection.execute(select(Alert.__table__).where(Alert.alert_id.startswith(identifier, autoescape=True))).all()
    row = single_match(rows, identifier, "alert", RecordNotFoundError, ALERTS_ARE_LISTED)
    if row.state == CLOSED:
        text = "alert {alert} was closed on {day} by {who}"
        raise AlertError(text, alert=row.alert_id, day=row.changed_at.date(), who=row.closed_by)
    return row


def list_alerts(engine: Engine, source: str | None = None, *, closed: bool = False) -> pl.DataFrame:
    """Return the alerts of a source (None: of all) that are not closed, or with ``closed`` all; most severe and newest first."""
    with read_only(engine) as connection:
        table = _table(connection, source)
    if not closed:
        table = table.filter(pl.col("state") != CLOSED)
    order = pl.col("severity").replace_strict({"high": 0, "medium": 1, "low": 2}, return_dtype=pl.Int8)
    return table.sort(
        order, "raised_on", "rule", "latest", "subject", descending=[False, True, False, True, False], nulls_last=True
    )


def alert_history(engine: Engine, identifier: str) -> list[dict[str, Any]]:
    """Return an alert's audit entries, oldest first: at, who, action, before, after and reason."""
    with read_only(engine) as connection:
        rows = connection.execute(select(Alert.alert_id).where(Alert.alert_id.startswith(identifier, autoescape=True))).all()
        alert = single_match(rows, identifier, "alert", RecordNotFoundError, ALERTS_ARE_LISTED)
        asked = select(AuditEntry.__table__).where(AuditEntry.subject == alert.alert_id, AuditEntry.action.startswith("alert "))
        names = ("at", "who", "action", "before", "after", "reason")
        return [{name: row[name] for name in names} for row in connection.execute(asked.order_by(AuditEntry.entry_id)).mappings()]


def _table(connection: Connection, source: str | None) -> pl.DataFrame:
    asked = select(Alert.__table__).order_by(Alert.alert_id)
    if source is not None:
        asked = asked.where(Alert.source == source)
    return pl.DataFrame([tuple(row) for row in connection.execute(asked)], schema=ALERT_SCHEMA, orient="row")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
