"""What analysts add to the model: their watch list, and their own grade for a company, which another person must approve."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, delete, insert, select, update

from quiebra.alerts.wording import LEVELS
from quiebra.errors import AlertError, closest
from quiebra.names import comment, person_name, same_person
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, reading
from quiebra.store.tables import Company, Override, Prediction, Run, WatchEntry

LONGEST_DAYS = 366
"""An override lasts a year at most: by then there is a new statement."""


def watch(
    engine: Engine, company_id: str, who: str, reason: str, *, level: int | None = None, review_on: dt.date | None = None
) -> int:
    """Put a company on the analysts' watch list, or change its place there; return its level (`LEVELS`).

    level: the same as before, 1 for a new entry. review_on: when to look again; in 90 days. AlertError where the company is not
    among those scored, or no reason is given.
    """
    reason, who = _reason(reason), person_name(who, "who")
    if level is not None and level not in LEVELS:
        raise AlertError(f"level must be 1 (watch), 2 (close watch) or 3 (exit), not {level}")
    today = _today()
    review_on = review_on or today + dt.timedelta(days=90)
    if review_on < today:
        raise AlertError(f"the review date {review_on} has passed: give one from today on")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        run, _ = _scored(connection, company_id)
        mine = (WatchEntry.source == run.source) & (WatchEntry.company_id == company_id)
        before = connection.execute(select(WatchEntry.__table__).where(mine)).mappings().first()
        new = {
            "level": level or (before["level"] if before else 1),
            "reason": reason,
            "who": who,
            "review_on": review_on,
            "since": before["since"] if before else today,
        }
        connection.execute(delete(WatchEntry).where(mine))
        connection.execute(insert(WatchEntry), {**new, "source": run.source, "company_id": company_id, "changed_at": _now()})
        action = "watch changed" if before else "watch added"
        append(connection, [Entry(who, action, company_id, _kept(before), new, reason, run.run_id)])
    return new["level"]  # type: ignore[return-value]


def unwatch(engine: Engine, company_id: str, who: str, reason: str) -> None:
    """Take a company off the analysts' watch list. AlertError where it is not on it, or no reason is given."""
    reason = _reason(reason)
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        run = _current(connection)
        mine = (WatchEntry.source == run.source) & (WatchEntry.company_id == company_id)
        before = connection.execute(select(WatchEntry.__table__).where(mine)).mappings().first()
        if before is None:
            raise AlertError(f"company '{company_id}' is not on the analysts' watch list")
        connection.execute(delete(WatchEntry).where(mine))
        append(connection, [Entry(who, "watch removed", company_id, _kept(before), None, reason, run.run_id)])


def _kept(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in ("level", "reason", "who", "review_on", "since")}


def propose(
    engine: Engine, company_id: str, rating: str, author: str, reason: str, grades: Mapping[str, float], *, days: int = 180
) -> int:
    """Propose another grade for a company than the model's; return the override's id. It counts once another person has
    approved it (`approve`), for ``days`` from now. AlertError: grade not in the scale, or the model's own; company not scored;
    no reason."""
    reason, author = _reason(reason), person_name(author, "who")
    if rating not in grades:
        near = closest(rating, grades)
        raise AlertError(f"'{rating}' is not a grade" + (f" (did you mean '{near}'?)" if near else ""))
    if not 1 <= days <= LONGEST_DAYS:
        raise AlertError(f"an override lasts from 1 to {LONGEST_DAYS} days, not {days}")
    today = _today()
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        run, score = _scored(connection, company_id)
        if score.rating == rating:
            raise AlertError(f"the model's grade of '{company_id}' is {rating} already: there is nothing to override")
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
        append(connection, [Entry(author, "override proposed", str(made), score.rating, row, reason, run.run_id)])
    return made


def approve(engine: Engine, override_id: int, approver: str) -> None:
    """Approve a proposed override; the one that was in force for the company ends. AlertError: it is the author who approves,
    or there is no such proposal, or its time is over."""
    today, approver = _today(), person_name(approver, "who")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        row = _one(connection, override_id)
        if row.approver is not None:
            raise AlertError(f"override {override_id} was approved by {row.approver} on {row.approved_on}")
        if same_person(row.author, approver):
            raise AlertError(f"override {override_id} was proposed by {row.author}: another person must approve it")
        if row.expires_on < today:
            raise AlertError(f"override {override_id} expired on {row.expires_on}: propose it anew")
        same = (Override.source == row.source) & (Override.company_id == row.company_id)
        former = connection.scalars(select(Override.override_id).where(same, *_in_force(today))).all()
        for other in former:
            _end(connection, other, approver, f"replaced by override {override_id}", today)
        new = {"approver": approver, "approved_on": today}
        connection.execute(update(Override).where(Override.override_id == override_id).values(**new))
        append(connection, [Entry(approver, "override approved", str(override_id), None, new, row.reason, row.run_id)])


def withdraw(engine: Engine, override_id: int, who: str, reason: str) -> None:
    """End an override, or refuse a proposed one. AlertError where it has ended, or no reason is given."""
    reason, who = _reason(reason), person_name(who, "who")
    with answering(engine), engine.begin() as connection:
        append(connection, [])
        _one(connection, override_id)
        _end(connection, override_id, who, reason, _today())


def _end(connection: Connection, override_id: int, who: str, reason: str, today: dt.date) -> None:
    new = {"ended_on": today, "ended_by": who}
    connection.execute(update(Override).where(Override.override_id == override_id).values(**new))
    append(connection, [Entry(who, "override ended", str(override_id), None, new, reason)])


def _one(connection: Connection, override_id: int) -> Any:
    row = connection.execute(select(Override.__table__).where(Override.override_id == override_id)).first()
    if row is None:
        raise AlertError(f"there is no override {override_id}; `quiebra override list` shows them")
    if row.ended_on is not None:
        raise AlertError(f"override {override_id} ended on {row.ended_on}, by {row.ended_by}")
    return row


def _in_force(today: dt.date) -> tuple[Any, ...]:
    return (Override.approver.is_not(None), Override.ended_on.is_(None), Override.expires_on >= today)


WATCHED = {
    "company_id": pl.String,
    "level": pl.Int64,
    "reason": pl.String,
    "who": pl.String,
    "since": pl.Date,
    "review_on": pl.Date,
}


def watched(engine: Engine, source: str) -> pl.DataFrame:
    """Return the analysts' watch list: company_id, level, reason, who, since and review_on; highest level first."""
    asked = select(*(getattr(WatchEntry, name) for name in WATCHED)).where(WatchEntry.source == source)
    with reading(engine) as connection:
        rows = pl.DataFrame([tuple(row) for row in connection.execute(asked)], schema=WATCHED, orient="row")
    return rows.sort("level", "company_id", descending=[True, False])


OVERRIDES = {
    "override_id": pl.Int64,
    "company_id": pl.String,
    "rating": pl.String,
    "model_rating": pl.String,
    "pd_12m": pl.Float64,
    "as_of": pl.Date,
    "reason": pl.String,
    "author": pl.String,
    "made_on": pl.Date,
    "expires_on": pl.Date,
    "approver": pl.String,
    "approved_on": pl.Date,
    "ended_on": pl.Date,
}


def overrides(engine: Engine, source: str, *, past: bool = False) -> pl.DataFrame:
    """Return the overrides in force today; with ``past`` all that there ever were, proposed, in force and ended."""
    asked = select(*(getattr(Override, name) for name in OVERRIDES)).where(Override.source == source)
    if not past:
        asked = asked.where(*_in_force(_today()))
    with reading(engine) as connection:
        rows = connection.execute(asked.order_by(Override.override_id)).all()
    return pl.DataFrame([tuple(row) for row in rows], schema=OVERRIDES, orient="row")


def outcomes(all_overrides: pl.DataFrame, events: pl.DataFrame, as_of: dt.date, grades: Mapping[str, float]) -> pl.DataFrame:
    """Return what became of approved overrides, those to a better grade and those to a worse one apart: direction, overrides,
    known (a year has passed since their run), failures within that year, and the failures that the model's PDs and the
    analysts' grades promised (a grade's PD is the geometric middle of its bounds).

    all_overrides: from `overrides` with ``past``; events: company_id and event_date.
    """
    place = {grade: i for i, grade in enumerate(grades)}
    bounds = list(grades.values())
    middle = {g: (max(bounds[i - 1], 1e-5) if i else bounds[0] / 3) ** 0.5 * bounds[i] ** 0.5 for g, i in place.items()}
    given = all_overrides.filter(
        pl.col("approver").is_not_null(), pl.col("rating").is_in(list(grades)), pl.col("model_rating").is_in(list(grades))
    )
    given = given.join(events.select("company_id", "event_date"), on="company_id", how="left")
    year_on = pl.col("as_of").dt.offset_by("12mo")
    failed = (pl.col("event_date") > pl.col("as_of")) & (pl.col("event_date") <= year_on)
    better = pl.col("rating").replace_strict(place, return_dtype=pl.Int64) < pl.col("model_rating").replace_strict(
        place, return_dtype=pl.Int64
    )
    rows = given.with_columns(
        direction=pl.when(better).then(pl.lit("better")).otherwise(pl.lit("worse")),
        failed=failed.fill_null(False),
        known=(year_on <= as_of) | failed.fill_null(False),
        by_analysts=pl.col("rating").replace_strict(middle, return_dtype=pl.Float64),
    )
    known = pl.col("known")
    return (
        rows.group_by("direction")
        .agg(
            overrides=pl.len(),
            known=known.sum(),
            failures=pl.col("failed").sum(),
            by_model=pl.col("pd_12m").filter(known).sum(),
            by_analysts=pl.col("by_analysts").filter(known).sum(),
        )
        .sort("direction")
    )


def _current(connection: Connection) -> Any:
    run = connection.execute(select(Run.run_id, Run.source, Run.as_of).where(Run.is_current)).first()
    if run is None:
        raise AlertError("nothing was published into this database yet: run `quiebra run`")
    return run


def _scored(connection: Connection, company_id: str) -> tuple[Any, Any]:
    run = _current(connection)
    comment(company_id, "company")
    score = connection.execute(
        select(Prediction.rating, Prediction.pd_12m).where(
            Prediction.run_id == run.run_id, Prediction.kind == "current", Prediction.company_id == company_id
        )
    ).first()
    if score is None:
        known = connection.scalars(select(Company.company_id).where(Company.source == run.source)).all()
        near = closest(company_id, known)
        raise AlertError(
            f"company '{company_id}' is not among those scored by run {run.run_id}"
            + (f" (did you mean '{near}'?)" if near else "")
        )
    return run, score


def _reason(text: str) -> str:
    kept = comment(text, "the reason")
    if len(kept) < 5:
        raise AlertError("say why, in a few words: the reason is kept with the decision")
    return kept


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
