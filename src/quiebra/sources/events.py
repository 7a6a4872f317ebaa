"""Failures recorded in a user's file next to its statements, or in a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import cast_columns, rename_to_known_names, require_columns, text_column
from quiebra.sources.event_kinds import ACTIVE, event_kind, named_kinds, plain_status
from quiebra.sources.reading import read_file

FAILURE_COLUMNS = ("company_id", "date")


def read_failures(path: Path) -> pl.DataFrame:
    """Return the failures of a file of its own: company_id, event_date, kind (bankruptcy where it has none) and source.

    A kind has the name that it has in every source (`quiebra.sources.event_kinds`), or that of the file where it is not known.
    SourceError where a column is missing, or a row lacks its company or date.
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
    found = named_kinds(dated.select("company_id", event_date="date", kind=kind, source=source))
    return found.sort("company_id", "event_date", "kind")


def unknown_failures(failures: pl.DataFrame, statements: pl.DataFrame) -> list[LocalisedMessage]:
    """Return a note on the failures of companies without statements, which count for nothing; none where there is no such one."""
    companies = failures.unique("company_id", maintain_order=True)
    strange = companies.join(statements, on="company_id", how="anti")
    if strange.is_empty():
        return []
    values = {"n": strange.height, "all": companies.height, "example": strange["company_id"][0]}
    return [LocalisedMessage("failures of companies that have no statements: {n} of {all}, such as {example}", values)]


def first_events(statements: pl.DataFrame, statuses: Mapping[str, str]) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return one exit per company, its earliest, and notes on what was ignored or assumed.

    statements: company_id, fiscal_year, available_at, event_date (null where the company did not fail), status and status_date,
    which counts beside a known status alone. statuses: what texts of status mean, besides those that
    `quiebra.sources.event_kinds.event_kind` knows. Dates before 1900 or after 2200 mean no failure, as 9999-12-31 does in many
    databases. A date beside an active company's status is no failure's. A company has left if any of its rows says so; without a
    date at the end of the year after its last accounts.
    """
    said = []
    given = statements.filter(pl.col("event_date").is_not_null())
    none = given.filter(~pl.col("event_date").is_between(FIRST_DAY, LAST_DAY))
    if none.height:
        example = none.select(pl.col("event_date").min().cast(pl.String)).item()
        values = {"rows": none.height, "example": example}
        said.append(
            LocalisedMessage("values of event_date before 1900 or after 2200, which are no failure: {rows} ({example})", values)
        )
    plain = {plain_status(text): kind for text, kind in statuses.items()}
    words = statements["status"].drop_nulls().unique().to_list()
    kinds = {status: plain.get(plain_status(status)) or event_kind(status) for status in words}
    said += _unknown_statuses(statements, kinds)
    kind = pl.col("status").replace_strict(kinds, default=None, return_dtype=pl.String)
    failed = pl.when(pl.col("event_date").is_between(FIRST_DAY, LAST_DAY)).then(pl.col("event_date"))
    left = pl.when(pl.col("status_date").is_between(FIRST_DAY, LAST_DAY)).then(pl.col("status_date"))
    ordered = statements.with_columns(kind=kind).sort("company_id", "fiscal_year", "available_at")
    told = pl.coalesce(failed, pl.when(pl.col("kind").is_not_null()).then(left))
    rows = ordered.with_columns(
        exit=pl.col("kind").is_not_null() & (pl.col("kind") != ACTIVE),
        date=pl.when((pl.col("kind") != ACTIVE).fill_null(True)).then(told),
    )
    companies = rows.group_by("company_id", maintain_order=True).agg(
        pl.col("date").min(),
        different=pl.col("date").drop_nulls().n_unique(),
        kind=pl.col("kind").filter("exit").first(),
        assumed=pl.date(pl.col("fiscal_year").filter(pl.col("fiscal_year").is_between(1900, 2200)).max() + 1, 12, 31),
    )
    if several := companies.filter(pl.col("different") > 1).height:
        said.append(
            LocalisedMessage("companies with several dates in event_date, of which the earliest counts: {n}", {"n": several})
        )
    exits = companies.filter(pl.col("date").is_not_null() | pl.col("kind").is_not_null())
    if undated := exits["date"].null_count():
        text = "companies that left by their status, without a date: {n}; taken for the end of the year after their last accounts"
        said.append(LocalisedMessage(text, {"n": undated}))
    kind = pl.col("kind").fill_null("bankruptcy")
    dated = exits.select("company_id", event_date=pl.coalesce("date", "assumed"), kind=kind, source=pl.lit("table"))
    return dated.drop_nulls("event_date").sort("company_id"), said


def _unknown_statuses(statements: pl.DataFrame, kinds: Mapping[str, str | None]) -> list[LocalisedMessage]:
    unknown = [status for status, kind in kinds.items() if kind is None]
    counts = statements.filter(pl.col("status").is_in(unknown)).group_by("status").agg(pl.col("company_id").n_unique())
    if counts.is_empty():
        return []
    ordered = counts.sort("company_id", "status", descending=[True, False]).head(5)
    listed = ", ".join(f"{status} ({count})" for status, count in ordered.iter_rows())
    text = "values of status that are not known, so that they tell nothing: {list}; say in ingest.table.statuses what they mean"
    return [LocalisedMessage(text, {"list": listed})]
