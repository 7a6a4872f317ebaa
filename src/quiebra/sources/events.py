"""Failures recorded in a user's file next to its statements, or in a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from quiebra.canonical import FIRST_DAY, LAST_DAY
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import cast_columns, rename_to_known_names, require_columns, text_column
from quiebra.sources.event_kinds import ACTIVE, event_kind, named_kinds
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

    statements: company_id, fiscal_year, available_at, event_date (null where the company did not fail) and status (null: the date
    alone tells). statuses: what texts of status mean, besides those that `quiebra.sources.event_kinds.event_kind` knows.
    Dates before 1900 or after 2200 mean no failure, as 9999-12-31 does in many databases. A date beside a status of an active
    company is that of the status. An exit without a date is taken for the end of the year after the last accounts.
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
    date = pl.when(pl.col("event_date").is_between(FIRST_DAY, LAST_DAY)).then(pl.col("event_date"))
    ordered = statements.with_columns(date=date).sort("company_id", "fiscal_year", "available_at")
    companies = ordered.group_by("company_id", maintain_order=True).agg(
        pl.col("date").min(),
        different=pl.col("date").drop_nulls().n_unique(),
        status=pl.col("status").drop_nulls().last(),
        assumed=pl.date(pl.col("fiscal_year").max() + 1, 12, 31),
    )
    if several := companies.filter(pl.col("different") > 1).height:
        said.append(
            LocalisedMessage("companies with several dates in event_date, of which the earliest counts: {n}", {"n": several})
        )
    kinds = {status: _kind_of(status, statuses) for status in companies["status"].drop_nulls().unique()}
    said += _unknown_statuses(companies, kinds)
    known = companies.with_columns(kind=pl.col("status").replace_strict(kinds, default="bankruptcy", return_dtype=pl.String))
    exits = known.filter(
        pl.when(pl.col("status").is_null()).then(pl.col("date").is_not_null()).otherwise(pl.col("kind") != ACTIVE)
    )
    if undated := exits["date"].null_count():
        text = "companies that left by their status, without a date: {n}; taken for the end of the year after their last accounts"
        said.append(LocalisedMessage(text, {"n": undated}))
    dated = exits.select("company_id", event_date=pl.coalesce("date", "assumed"), kind="kind", source=pl.lit("table"))
    return dated.sort("company_id"), said


def _kind_of(status: str, statuses: Mapping[str, str]) -> str:
    """Return a status's kind; of one that is not known, that of a company that did not leave."""
    return statuses.get(status) or event_kind(status) or ACTIVE


def _unknown_statuses(companies: pl.DataFrame, kinds: Mapping[str, str]) -> list[LocalisedMessage]:
    unknown = [status for status, kind in kinds.items() if kind == ACTIVE and event_kind(status) is None]
    counts = (
        companies.filter(pl.col("status").is_in(unknown))["status"]
        .value_counts()
        .sort("count", "status", descending=[True, False])
    )
    if counts.is_empty():
        return []
    listed = ", ".join(f"{status} ({count})" for status, count in counts.head(5).iter_rows())
    text = (
        "values of status that are not known, so that these companies count as going on: {list}; say in ingest.table.statuses "
        "what they mean"
    )
    return [LocalisedMessage(text, {"list": listed})]
