"""Failures from court filings: the first 8-K with item 1.03 of a case, and a file of corrections and additions.

Item 1.03 is there since `FIRST_DAY`. It is filed for the petition, and again for the confirmation of a plan; a second one
within `CASE_YEARS` is part of the first case. It also covers receivership, and cases of a parent or a subsidiary: the text of the
report tells those apart where it was fetched (`quiebra.sources.edgar.bankruptcy_reports`), and so does the file of corrections.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.canonical import conform_to_schema
from quiebra.errors import SourceError
from quiebra.sources.cells import cast_columns, require_columns
from quiebra.sources.edgar.bankruptcy_reports import JUDGED_SCHEMA, NOT_ITS_OWN
from quiebra.sources.edgar.submissions import BANKRUPTCY_ITEM
from quiebra.sources.edgar.versions import company_id
from quiebra.sources.event_kinds import named_kinds
from quiebra.sources.reading import read_file

FIRST_DAY = dt.date(2004, 8, 23)
CASE_YEARS = 4
NO_CASE = NOT_ITS_OWN
"""Kinds in the file of corrections that say that the registrant itself did not fail: its filings of that year do not count."""
CASE_SCHEMA: dict[str, Any] = {"cik": pl.Int64, "event_date": pl.Date, "kind": pl.String, "source": pl.String}
CORRECTION_COLUMNS = ("cik", "date", "kind", "source")


def bankruptcy_filings(listed: pl.DataFrame) -> pl.DataFrame:
    """Return the 8-Ks with item 1.03 of a list of filings, by company and day.

    listed: `quiebra.sources.edgar.submissions.LISTED_SCHEMA`.
    """
    items = pl.col("items").fill_null("").str.split(",").list.eval(pl.element().str.strip_chars())
    told = listed.filter(
        pl.col("form").str.starts_with("8-K"), items.list.contains(BANKRUPTCY_ITEM), pl.col("filed") >= FIRST_DAY
    )
    return told.sort("cik", "filed", "accession")


def first_cases(listed: pl.DataFrame, judged: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the cases of companies by the list of their filings: cik, event_date, kind, source.

    judged: what the reports' texts say (`JUDGED_SCHEMA`): those of a subsidiary's or parent's case do not count. event_date: of
    the petition where the text states it, else the day of filing. source: accession, and whose case its text says it is.
    """
    known = pl.DataFrame(schema=JUDGED_SCHEMA) if judged is None else judged
    told = bankruptcy_filings(listed).join(known, on="accession", how="left", maintain_order="left")
    own = told.filter(~pl.col("who").is_in(NOT_ITS_OWN).fill_null(False))
    plan = pl.when("plan").then(pl.lit(", plan")).otherwise(pl.lit(""))
    dated = own.select(
        "cik",
        "filed",
        pl.coalesce("event_date", "filed"),
        pl.coalesce(pl.format("{} ({}{})", "accession", "who", plan), "accession"),
    )
    rows, last = [], dict[int, dt.date]()
    for cik, filed, day, source in dated.iter_rows():
        if cik not in last or filed > _years_after(last[cik], CASE_YEARS):
            rows.append((cik, day, "bankruptcy", source))
            last[cik] = filed
    return pl.DataFrame(rows, schema=CASE_SCHEMA, orient="row")


def read_corrections(path: Path) -> pl.DataFrame:
    """Return a file of corrections: cik, date, kind, source. SourceError where it lacks a column, or a value cannot be read."""
    table = read_file(path)
    require_columns(table, CORRECTION_COLUMNS)
    found = cast_columns(table, {"cik": pl.Int32, "date": pl.Date}).select(CORRECTION_COLUMNS)
    if missing := [name for name in ("cik", "date", "kind") if found[name].null_count()]:
        raise SourceError(f"{path}: {', '.join(missing)} must be given in each row")
    return found.with_columns(pl.col("cik").cast(pl.Int64))


def apply_corrections(cases: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Return the cases with those taken out that a correction says are none of the registrant's, and additional ones put in.

    A correction of a kind in `NO_CASE` takes out the company's cases within a year of its date; another adds a case.
    """
    none = corrections.filter(pl.col("kind").is_in(NO_CASE)).select("cik", "date")
    near = cases.join(none, on="cik").filter((pl.col("event_date") - pl.col("date")).dt.total_days().abs() <= 365)
    kept = cases.join(near.select("cik", "event_date"), on=["cik", "event_date"], how="anti")
    added = (
        corrections.filter(~pl.col("kind").is_in(NO_CASE)).select("cik", "date", "kind", "source").rename({"date": "event_date"})
    )
    return (
        pl.concat([kept, conform_to_schema(added, CASE_SCHEMA)])
        .unique(["cik", "event_date"], keep="last")
        .sort("cik", "event_date")
    )


def first_case_events(cases: pl.DataFrame) -> pl.DataFrame:
    """Return the first case of each company as events."""
    first = cases.sort("cik", "event_date").unique("cik", keep="first", maintain_order=True)
    return named_kinds(first.select(company_id(pl.col("cik")).alias("company_id"), "event_date", "kind", "source"))


def _years_after(day: dt.date, years: int) -> dt.date:
    return day.replace(year=day.year + years) if (day.month, day.day) != (2, 29) else dt.date(day.year + years, 3, 1)
