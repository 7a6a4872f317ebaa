"""Failures recorded in a user's file next to its statements, or in a file of their own."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import cast_columns, rename_to_known_names, require_columns, text_column
from quiebra.sources.reading import read_file

FAILURE_COLUMNS = ("company_id", "date")


def read_failures(path: Path) -> pl.DataFrame:
    """Return the failures of a file of its own: company_id, event_date, kind (bankruptcy where it has none) and source.

    The earliest of a company counts. SourceError where a column is missing, or a row lacks its company or date.
    """
    table = read_file(path)
    table = rename_to_known_names(table, (*FAILURE_COLUMNS, "kind", "source"))
    require_columns(table, FAILURE_COLUMNS)
    ids = text_column(table, "company_id").alias("company_id")
    dated = cast_columns(table, {"date": pl.Date}).with_columns(ids)
    if lacking := dated.filter(pl.any_horizontal(pl.col(FAILURE_COLUMNS).is_null())).height:
        raise SourceError("{path}: rows without company_id or date: {n}", path=path, n=lacking)
    kind, source = (
        text_column(table, name).fill_null(other) if name in dated.columns else pl.lit(other)
        for name, other in (("kind", "bankruptcy"), ("source", path.name))
    )
    found = dated.select("company_id", event_date="date", kind=kind, source=source)
    return found.sort("company_id", "event_date", "kind").unique("company_id", keep="first", maintain_order=True)


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
