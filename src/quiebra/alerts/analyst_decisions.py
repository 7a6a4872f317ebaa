"""Read analysts' decisions from the database: the watch list and rating overrides, which `quiebra.services.decisions` writes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Engine, select

from quiebra.store.engine import read_only
from quiebra.store.tables import Override, WatchEntry

WATCH_LIST_SCHEMA = {
    "company_id": pl.String,
    "level": pl.Int64,
    "reason": pl.String,
    "who": pl.String,
    "since": pl.Date,
    "review_on": pl.Date,
}
OVERRIDE_SCHEMA = {
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


def in_force_conditions(today: dt.date) -> tuple[Any, ...]:
    """Return the SQL conditions for an override in force on a day: approved, not ended, not expired."""
    return (Override.approver.is_not(None), Override.ended_on.is_(None), Override.expires_on >= today)


def watch_list_entries(engine: Engine, source: str) -> pl.DataFrame:
    """Return the analysts' watch list (`WATCH_LIST_SCHEMA`), highest level first."""
    asked = select(*(getattr(WatchEntry, name) for name in WATCH_LIST_SCHEMA)).where(WatchEntry.source == source)
    with read_only(engine) as connection:
        rows = pl.DataFrame([tuple(row) for row in connection.execute(asked)], schema=WATCH_LIST_SCHEMA, orient="row")
    return rows.sort("level", "company_id", descending=[True, False])


def list_overrides(engine: Engine, source: str, *, past: bool = False) -> pl.DataFrame:
    """Return the overrides in force today (`OVERRIDE_SCHEMA`); with ``past`` all overrides: proposed, in force and ended."""
    asked = select(*(getattr(Override, name) for name in OVERRIDE_SCHEMA)).where(Override.source == source)
    if not past:
        asked = asked.where(*in_force_conditions(_today()))
    with read_only(engine) as connection:
        rows = connection.execute(asked.order_by(Override.override_id)).all()
    return pl.DataFrame([tuple(row) for row in rows], schema=OVERRIDE_SCHEMA, orient="row")


def override_outcomes(
    all_overrides: pl.DataFrame, events: pl.DataFrame, as_of: dt.date, grades: Mapping[str, float]
) -> pl.DataFrame:
    """Return the outcome of approved overrides, one row each for direction "better" and "worse" (than the model's grade).

    Columns: direction, overrides, known (a year has passed since their run, or the company failed), failures within that year,
    by_model and by_analysts: the failures expected by the model's PDs and by the analysts' grades, over the known ones. A grade's
    PD is the geometric mean of its bounds.

    all_overrides: from `list_overrides` with ``past``; events: company_id and event_date.
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


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
