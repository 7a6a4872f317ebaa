"""Filings and facts in the one form in which data sets, company facts and submissions give them, and when a filing was public."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl

US_DATE = "%Y%m%d"
FILING_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "cik": pl.Int64,
    "name": pl.String,
    "form": pl.String,
    "sic": pl.Int32,
    "state": pl.String,
    "country": pl.String,
    "period": pl.Date,
    "filed": pl.Date,
    "accepted_at": pl.Datetime("us"),
    "available_at": pl.Date,
}
"""period: end of the fiscal year that the filing is about. accepted_at: New York's time; null: not known, then available_at is
the date of filing."""
FACT_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "tag": pl.String,
    "kind": pl.String,
    "end": pl.Date,
    "unit": pl.String,
    "value": pl.Float64,
}
"""kind: instant or annual; see `quiebra.sources.edgar.tags`."""
CLOSING = dt.time(17, 30)
"""What is accepted after this counts as filed on the next business day; New York's time."""
AMENDED = "/A"
FOREIGN_FORMS = ("20-F", "40-F")
"""Annual reports of foreign companies, which are not read."""
OPEN_UNTIL_NIGHT = ("3", "4", "5", "3/A", "4/A", "5/A", "144", "144/A")
"""Forms of insiders, which count as filed on the day of acceptance until ten at night."""


def is_annual(form: pl.Expr, forms: Sequence[str]) -> pl.Expr:
    """Return whether a form is one of ``forms``, or an amendment to one."""
    return form.is_in([*forms, *(f"{each}{AMENDED}" for each in forms)])


def with_available_at(filings: pl.DataFrame) -> pl.DataFrame:
    """Return filings with ``available_at``: the day on which they could be read in New York.

    That is the day of acceptance, or the next business day after `CLOSING`; the day of filing where acceptance is not known. The
    SEC dates filings so itself; of the two dates the later one counts.
    """
    accepted = pl.col("accepted_at")
    late = accepted.dt.time() > CLOSING
    day = pl.when(late).then(accepted.dt.date().dt.offset_by("1d")).otherwise(accepted.dt.date())
    ahead = pl.when(day.dt.weekday() == 6).then(2).when(day.dt.weekday() == 7).then(1).otherwise(0)
    return filings.with_columns(available_at=pl.max_horizontal(day + pl.duration(days=ahead), "filed"))


def in_new_york(filings: pl.DataFrame, file: str) -> pl.DataFrame:
    """Return filings with ``accepted_at`` in New York's time, where a file gives it in that or in Greenwich's.

    Which of the two is told by the date of filing: it is the day of acceptance up to `CLOSING`, the next business day after it.
    Files say ``Z`` for either. The reading that agrees with more dates of the file counts; New York's where both agree with as
    many. file: column that tells the files apart.
    """
    utc = pl.col("accepted_at").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    agrees = [
        with_available_at(filings.with_columns(accepted_at=moment, filed=pl.lit(None, pl.Date)))["available_at"]
        == filings["filed"]
        for moment in (pl.col("accepted_at"), utc)
    ]
    told = filings.select(file, "form", local=agrees[0], greenwich=agrees[1]).filter(~pl.col("form").is_in(OPEN_UNTIL_NIGHT))
    better = told.group_by(file).agg(pl.col("local", "greenwich").sum())
    is_utc = (
        filings.select(file)
        .join(better, on=file, how="left", maintain_order="left")
        .select(pl.col("greenwich") > pl.col("local"))
    )
    return filings.with_columns(accepted_at=pl.when(is_utc.to_series()).then(utc).otherwise("accepted_at"))


def month_end(day: pl.Expr) -> pl.Expr:
    """Return the month's end that is nearest to a date, as the SEC's data sets round the ends of periods."""
    before = day.dt.month_start().dt.offset_by("-1d")
    return pl.when(day.dt.day() <= 15).then(before).otherwise(day.dt.month_end())
