"""Failures that a person's file records beside its statements."""

from __future__ import annotations

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.errors import Said


def events_of(statements: pl.DataFrame) -> tuple[pl.DataFrame, list[Said]]:
    """Return one event a company, its earliest, and what is to be said of the dates that do not count.

    statements: company_id and event_date, missing where the company did not fail. Dates before 1900 or after 2200 stand for no
    failure, as 9999-12-31 does in many databases.
    """
    given = statements.filter(pl.col("event_date").is_not_null())
    none = given.filter(~pl.col("event_date").is_between(FIRST_DAY, LAST_DAY))
    dates = given.filter(pl.col("event_date").is_between(FIRST_DAY, LAST_DAY)).group_by("company_id")
    dates = dates.agg(pl.col("event_date").min(), different=pl.col("event_date").n_unique())
    said = []
    if none.height:
        example = none.select(pl.col("event_date").min().cast(pl.String)).item()
        values = {"rows": none.height, "example": example}
        said.append(Said("values of event_date before 1900 or after 2200, which are no failure: {rows} ({example})", values))
    several = dates.filter(pl.col("different") > 1).height
    if several:
        said.append(Said("companies with several dates in event_date, of which the earliest counts: {n}", {"n": several}))
    return dates.select("company_id", "event_date", kind=pl.lit("bankruptcy"), source=pl.lit("table")).sort("company_id"), said
