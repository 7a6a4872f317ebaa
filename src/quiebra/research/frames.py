"""Conversion between Polars, which the package computes with, and the kind of table that a researcher works with."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from quiebra.errors import ResearchError, suggestion
from quiebra.items import VERSION_KEYS

FrameKind = Literal["pandas", "polars"]
FRAME_KINDS = ("pandas", "polars")


def refuse_kind(kind: str) -> None:
    """Raise ResearchError for a kind of table that there is not."""
    if kind not in FRAME_KINDS:
        raise ResearchError(f"no kind of table '{kind}'{suggestion(str(kind), FRAME_KINDS)}; there are {', '.join(FRAME_KINDS)}")


def to_frame(table: pl.DataFrame, kind: FrameKind) -> Any:
    """Return a table as a pandas or Polars DataFrame; dates become pandas' datetimes, nulls NaN, NaT or None."""
    refuse_kind(kind)
    if kind == "polars":
        return table
    pandas = table.to_pandas()
    for name, dtype in table.schema.items():
        if dtype == pl.Date:
            pandas[name] = pandas[name].astype("datetime64[s]")
    return pandas


def to_polars(table: Any, what: str) -> tuple[pl.DataFrame, FrameKind]:
    """Return a researcher's table as Polars, and its kind. Keys in pandas' index become columns.

    Raise ResearchError where it is neither; ``what`` says which table it is.
    """
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, pl.DataFrame):
        return table, "polars"
    if any(each.__module__.partition(".")[0] == "pandas" and each.__name__ == "DataFrame" for each in type(table).__mro__):
        named = [name for name in table.index.names if name in VERSION_KEYS and name not in table.columns]
        try:
            return pl.from_pandas(table.reset_index(named) if named else table), "pandas"
        except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
            raise ResearchError(f"{what} cannot be read as a table: {str(error).splitlines()[0]}") from error
    raise ResearchError(f"{what} must be a pandas or Polars DataFrame, not {type(table).__name__}")


def cast_keys(table: pl.DataFrame, what: str) -> pl.DataFrame:
    """Return a table with its keys (company_id and fiscal_year; available_at if it has it) in the panel's types.

    Raise ResearchError where one is missing or cannot be read.
    """
    missing = [name for name in VERSION_KEYS[:2] if name not in table.columns]
    if missing:
        raise ResearchError(f"{what} has no column {', '.join(missing)}: each row needs company_id and fiscal_year")
    year, day = table["fiscal_year"], table.schema.get("available_at")
    if year.dtype.is_float() and (year != year.floor()).any():
        raise ResearchError(f"{what}: fiscal_year must be whole numbers, and is {year.filter(year != year.floor())[0]}")
    if isinstance(day, pl.Datetime):
        table = table.with_columns(pl.col("available_at").dt.replace_time_zone(None).dt.date())  # the day as it is written
    elif day == pl.String:
        table = table.with_columns(pl.col("available_at").str.to_date("%Y-%m-%d", strict=False).alias("available_at"))
        if table["available_at"].null_count():
            raise ResearchError(f"{what}: available_at must be dates, or text as 2020-12-31")
    elif day is not None and day not in (pl.Date, pl.Null):
        raise ResearchError(f"{what}: available_at must be dates, not {day}")
    kinds = {"company_id": pl.String, "fiscal_year": pl.Int32, "available_at": pl.Date}
    try:
        return table.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items() if name in table.columns)
    except pl.exceptions.PolarsError:
        raise ResearchError(f"{what}: company_id must be text, fiscal_year whole numbers, available_at dates") from None
