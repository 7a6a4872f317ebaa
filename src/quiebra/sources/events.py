"""Failures recorded in a user's file next to its statements."""

from __future__ import annotations

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.errors import LocalisedMessage


def first_events(statements: pl.DataFrame) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return one event per company, its earliest, and notes on the dates that were ignored.

    statements: company_id and event_date, null where the company did not fail. Dates before 1900 or after 2200 mean no failure,
        as 9999-12-31 does in many databases.
    """
    given = statements.filter(pl.col("event_date").is_not_null())
    none = given.filter(~pl.col("event_date").is_between(FIRST_DAY, LAST_DAY))
    by_company = given.filter(pl.col("event_date").is_between(FIRST_DAY, LAST_DAY)).group_by("company_id")
    dates = by_company.agg(pl.col("event_date").min(), different=pl.col("event_date").n_unique())
    said = []
    if none.height:
        example = none.select(pl.col("event_date").min().cast(pl.String)).item()
        values = {"rows": none.height, "example": example}
        said.append(
            LocalisedMessage("values of event_date before 1900 or after 2200, which are no failure: {rows} ({example})", values)
        )
    several = dates.filter(pl.col("different") > 1).height
    if several:
        said.append(
            LocalisedMessage("companies with several dates in event_date, of which the earliest counts: {n}", {"n": several})
        )
    return dates.select("company_id", "event_date", kind=pl.lit("bankruptcy"), source=pl.lit("table")).sort("company_id"), said
