"""Decisions of people on alerts, the analysts' watch list and rating overrides.

Each decision is validated, and written in one transaction with its audit entry; invalid ones raise an error. The database is that
of `quiebra.store.open_database`; `quiebra.alerts.lifecycle` and `quiebra.alerts.analyst_decisions` read the decisions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from quiebra.alerts.analyst_decisions import in_force_conditions
from quiebra.alerts.descriptions import WATCH_LEVELS
from quiebra.alerts.lifecycle import ACKNOWLEDGED, ALERT_CLOSED, CLOSED, find_open_alert, update_alert_with_audit
from quiebra.errors import AlertError, InvalidDecisionError, RecordNotFoundError, closest_name
from quiebra.identity import Permission, check_proposer, why_void
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import translate_database_errors
from quiebra.store.tables import Company, Override, Prediction, Run, WatchEntry
from quiebra.text.person_input import clean_comment, clean_person_name, is_same_person

OVERRIDE_PROPOSED = "override proposed"
MAX_OVERRIDE_DAYS = 366
"""Longest duration of an override: after a year there is a new statement."""


def acknowledge_alert(
    engine: Engine, identifier: str, who: str, *, owner: str | None = None, note: str = "", review_on: dt.date | None = None
) -> str:
    """Acknowledge an alert with its owner (default: ``who``), a note and a review date; return its id.

    An acknowledged alert can be acknowledged again. AlertError if it is closed, or if none or several match.
    """
    who, note = clean_person_name(who, "who"), clean_comment(note, "note")
    owner = who if owner is None else clean_person_name(owner, "owner")
    _require_future(review_on)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        row = find_open_alert(connection, identifier)
        values = {
            "state": ACKNOWLEDGED,
            "owner": owner,
            "note": note or row.note,
            "review_on": review_on or row.review_on,
        }
        update_alert_with_audit(connection, row.alert_id, values, who, "alert acknowledged", note or "acknowledged", row.seen_run)
    return str(row.alert_id)


def comment_alert(engine: Engine, identifier: str, who: str, note: str) -> str:
    """Put a note on an alert, whose state stays as it is; return its id. AlertError if it is closed, the note is missing, or none
    or several match."""
    who, note = clean_person_name(who, "who"), clean_comment(note, "note")
    if not note:
        raise InvalidDecisionError("write the comment first")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        row = find_open_alert(connection, identifier)
        update_alert_with_audit(connection, row.alert_id, {"note": note}, who, "alert commented", note, row.seen_run)
    return str(row.alert_id)


def close_alert(engine: Engine, identifier: str, who: str, note: str) -> str:
    """Close an alert with a reason (``note``); return its id. The same cause raises no further alert. AlertError if it is closed
    already, the reason is missing, or none or several match."""
    who, note = clean_person_name(who, "who"), clean_comment(note, "the reason")
    if len(note) < 3:
        raise InvalidDecisionError("say why the alert is closed: the reason is kept with it")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        row = find_open_alert(connection, identifier)
        values = {"state": CLOSED, "note": note, "closed_on": row.seen_on, "closed_by": who}
        update_alert_with_audit(connection, row.alert_id, values, who, ALERT_CLOSED, note, row.seen_run)
    return str(row.alert_id)


def add_to_watch_list(
    engine: Engine, company_id: str, who: str, reason: str, *, level: int | None = None, review_on: dt.date | None = None
) -> int:
    """Add a company to the analysts' watch list, or change its entry; return its level (`WATCH_LEVELS`).

    level: default: unchanged, 1 for a new entry. review_on: default: in 90 days. AlertError if the company is not scored, the
    review date has passed, or the reason is missing.
    """
    reason, who = _require_reason(reason), clean_person_name(who, "who")
    if level is not None and level not in WATCH_LEVELS:
        raise InvalidDecisionError("level must be 1 (watch), 2 (close watch) or 3 (exit), not {level}", level=level)
    today = _today()
    review_on = review_on or today + dt.timedelta(days=90)
    _require_future(review_on)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        run, _ = _scored_company(connection, company_id)
        mine = (WatchEntry.source == run.source) & (WatchEntry.company_id == company_id)
        before = connection.execute(select(WatchEntry.__table__).where(mine)).mappings().first()
        new: dict[str, Any] = {
            "level": level or (before["level"] if before else 1),
            "reason": reason,
            "who": who,
            "review_on": review_on,
            "since": before["since"] if before else today,
        }
        connection.execute(delete(WatchEntry).where(mine))
        connection.execute(insert(WatchEntry), {**new, "source": run.source, "company_id": company_id, "changed_at": _now()})
        action = "watch changed" if before else "watch added"
        append_entries(connection, [AuditRecord(who, action, company_id, _audited_values(before), new, reason, run.run_id)])
    return int(new["level"])


def remove_from_watch_list(engine: Engine, company_id: str, who: str, reason: str) -> None:
    """Remove a company from the analysts' watch list. AlertError if it is not on it, or the reason is missing."""
    reason, who = _require_reason(reason), clean_person_name(who, "who")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        run = _current_run(connection)
        mine = (WatchEntry.source == run.source) & (WatchEntry.company_id == company_id)
        before = connection.execute(select(WatchEntry.__table__).where(mine)).mappings().first()
        if before is None:
            raise RecordNotFoundError("company '{company}' is not on the analysts' watch list", company=company_id)
        connection.execute(delete(WatchEntry).where(mine))
        append_entries(
            connection, [AuditRecord(who, "watch removed", company_id, _audited_values(before), None, reason, run.run_id)]
        )


def propose_override(
    engine: Engine, company_id: str, rating: str, author: str, reason: str, grades: Mapping[str, float], *, days: int = 180
) -> int:
    """Propose another grade than the model's for a company; return the override's id.

    It takes effect once another person approves it (`approve_override`), until ``days`` from now. AlertError if the grade is not
    on the scale or is the model's own, the company is not scored, the reason is missing, or the author has proposed the same
    grade already and it still waits.
    """
    reason, author = _require_reason(reason), clean_person_name(author, "who")
    if rating not in grades:
        raise InvalidDecisionError("'{rating}' is not a grade: there are {grades}", rating=rating, grades=", ".join(grades))
    if not 1 <= days <= MAX_OVERRIDE_DAYS:
        raise InvalidDecisionError("an override lasts from 1 to {most} days, not {days}", most=MAX_OVERRIDE_DAYS, days=days)
    today = _today()
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        run, score = _scored_company(connection, company_id)
        if score.rating == rating:
            raise AlertError(
                "the model's grade of '{company}' is {rating} already: there is nothing to override",
                company=company_id,
                rating=rating,
            )
        _refuse_repeated_proposal(connection, run.source, company_id, rating, author)
        row = {
            "source": run.source,
            "company_id": company_id,
            "rating": rating,
            "model_rating": score.rating,
            "pd_12m": score.pd_12m,
            "run_id": run.run_id,
            "as_of": run.as_of,
            "reason": reason,
            "author": author,
            "made_on": today,
            "expires_on": today + dt.timedelta(days=days),
        }
        made = connection.execute(insert(Override).values(row).returning(Override.override_id)).scalar_one()
        append_entries(connection, [AuditRecord(author, OVERRIDE_PROPOSED, str(made), score.rating, row, reason, run.run_id)])
    return made


def _refuse_repeated_proposal(connection: Connection, source: str, company_id: str, rating: str, author: str) -> None:
    """Raise AlertError where the author's proposal of the same grade still waits and counts: an approver would see it twice."""
    same = (Override.source == source) & (Override.company_id == company_id) & (Override.rating == rating)
    waits = Override.approver.is_(None) & Override.ended_on.is_(None) & (Override.expires_on >= _today())
    for number, proposer in connection.execute(select(Override.override_id, Override.author).where(same & waits)):
        if is_same_person(proposer, author) and not why_void(
            connection, proposer, Permission.DECIDE, OVERRIDE_PROPOSED, str(number)
        ):
            raise AlertError(
                "you have proposed {rating} for '{company}' already: override {number} waits for another person",
                rating=rating,
                company=company_id,
                number=number,
            )


def approve_override(engine: Engine, override_id: int, approver: str) -> None:
    """Approve a proposed override and end the company's override in force. AlertError if the approver is the author, or there is
    no such proposal, or it has expired; IdentityError if its author is no user who may propose (`check_proposer`)."""
    today, approver = _today(), clean_person_name(approver, "who")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        row = _open_override(connection, override_id)
        if row.approver is not None:
            raise AlertError(
                "override {number} was approved by {who} on {day}", number=override_id, who=row.approver, day=row.approved_on
            )
        if is_same_person(row.author, approver):
            raise AlertError(
                "override {number} was proposed by {who}: another person must approve it", number=override_id, who=row.author
            )
        check_proposer(connection, row.author, Permission.DECIDE, OVERRIDE_PROPOSED, str(override_id))
        if row.expires_on < today:
            raise AlertError("override {number} expired on {day}: propose it anew", number=override_id, day=row.expires_on)
        same = (Override.source == row.source) & (Override.company_id == row.company_id)
        former = connection.scalars(select(Override.override_id).where(same, *in_force_conditions(today))).all()
        for other in former:
            _end_override(connection, other, approver, f"replaced by override {override_id}", today)
        new = {"approver": approver, "approved_on": today}
        connection.execute(update(Override).where(Override.override_id == override_id).values(**new))
        append_entries(
            connection, [AuditRecord(approver, "override approved", str(override_id), None, new, row.reason, row.run_id)]
        )


def end_override(engine: Engine, override_id: int, who: str, reason: str) -> None:
    """End an override, or reject a proposed one. AlertError if it has ended already, or the reason is missing."""
    reason, who = _require_reason(reason), clean_person_name(who, "who")
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        _open_override(connection, override_id)
        _end_override(connection, override_id, who, reason, _today())


def _end_override(connection: Connection, override_id: int, who: str, reason: str, today: dt.date) -> None:
    new = {"ended_on": today, "ended_by": who}
    connection.execute(update(Override).where(Override.override_id == override_id).values(**new))
    append_entries(connection, [AuditRecord(who, "override ended", str(override_id), None, new, reason)])


def _open_override(connection: Connection, override_id: int) -> Any:
    row = connection.execute(select(Override.__table__).where(Override.override_id == override_id)).first()
    if row is None:
        raise RecordNotFoundError("there is no override {number}; `quiebra override list` shows them", number=override_id)
    if row.ended_on is not None:
        raise AlertError("override {number} ended on {day}, by {who}", number=override_id, day=row.ended_on, who=row.ended_by)
    return row


def _audited_values(row: RowMapping | None) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in ("level", "reason", "who", "review_on", "since")}


def _current_run(connection: Connection) -> Any:
    run = connection.execute(select(Run.run_id, Run.source, Run.as_of).where(Run.is_current)).first()
    if run is None:
        raise AlertError("nothing was published into this database yet: run `quiebra run`")
    return run


def _scored_company(connection: Connection, company_id: str) -> tuple[Any, Any]:
    run = _current_run(connection)
    clean_comment(company_id, "company")
    score = connection.execute(
        select(Prediction.rating, Prediction.pd_12m).where(
            Prediction.run_id == run.run_id, Prediction.kind == "current", Prediction.company_id == company_id
        )
    ).first()
    if score is None:
        known = connection.scalars(select(Company.company_id).where(Company.source == run.source)).all()
        near = closest_name(company_id, known)
        if near:
            raise RecordNotFoundError(
                "company '{company}' is not among those scored by run {run} (did you mean '{near}'?)",
                company=company_id,
                run=run.run_id,
                near=near,
            )
        raise RecordNotFoundError(
            "company '{company}' is not among those scored by run {run}", company=company_id, run=run.run_id
        )
    return run, score


def _require_future(review_on: dt.date | None) -> None:
    if review_on is not None and review_on < _today():
        raise InvalidDecisionError("the review date {day} has passed: give one from today on", day=review_on)


def _require_reason(text: str) -> str:
    kept = clean_comment(text, "the reason")
    if len(kept) < 5:
        raise InvalidDecisionError("say why, in five characters or more: the reason is kept with the decision")
    return kept


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
