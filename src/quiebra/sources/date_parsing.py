"""Parse dates in text cells: ISO, or day, month and year in an order inferred from the columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import polars as pl

ISO_DATE_PATTERN = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)?$"
)
"""A date with an optional time; the time is dropped, and the date is that of the time zone written."""
DAY_MONTH_YEAR_PATTERN = r"^([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?$"
YEAR_FIRST_PATTERN = r"^([0-9]{4})[/.]([0-9]{1,2})[/.]([0-9]{1,2})( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?$"
SERIAL_DAY_RANGE = (20_000, 80_000)
"""Range of Excel's day numbers that are read as dates: 1954 to 2119."""
EXCEL_EPOCHS = (dt.date(1899, 12, 30), dt.date(1904, 1, 1))
"""Day 0 of a workbook by default, and of one that counts from 1904 (as Excel for the Mac did)."""


class AmbiguousDate(ValueError):
    """A date whose day and month can be read either way; ``column`` and ``value`` say which."""

    def __init__(self, column: str, value: str) -> None:
        super().__init__(f"{column}: {value}")
        self.column, self.value = column, value


def is_day_first(frame: pl.DataFrame, columns: Iterable[str]) -> bool:
    """Return whether dates of three numbers begin with the day.

    A number above 12 in one column decides for all columns. True where no cell has such a date.
    Raise AmbiguousDate where no cell decides, or cells contradict each other, and some date can be read either way.
    """
    first = second = 0
    unclear: tuple[str, str] | None = None
    for name in columns:
        cell = pl.col(name).str.strip_chars()
        found = frame.select(cell=cell, a=_part(cell, 1), b=_part(cell, 2)).drop_nulls("a")
        if found.is_empty():
            continue
        first += found.filter(pl.col("a") > 12).height
        second += found.filter(pl.col("b") > 12).height
        either = found.filter((pl.col("a") <= 12) & (pl.col("b") <= 12) & (pl.col("a") != pl.col("b")))
        if unclear is None and not either.is_empty():
            unclear = (name, either["cell"][0])
    if unclear and bool(first) == bool(second):
        raise AmbiguousDate(*unclear)
    return first >= second


def _part(cell: pl.Expr, group: int) -> pl.Expr:
    return cell.str.extract(DAY_MONTH_YEAR_PATTERN, group).cast(pl.Int32, strict=False)


def parse_dates(column: str, *, day_first: bool, date_format: str | None) -> pl.Expr:
    """Return a text column as dates; null where a cell is not a date.

    date_format: the user's strftime format; ISO dates are read too.
    """
    cell = pl.col(column).str.strip_chars()
    iso = cell.str.extract(ISO_DATE_PATTERN, 1).str.to_date("%Y-%m-%d", strict=False)
    if date_format:
        date = cell.str.to_date(date_format, strict=False)  # %Y accepts the year 20
        return pl.coalesce(iso, pl.when(date.dt.year() >= 1000).then(date))
    day, month = (1, 2) if day_first else (2, 1)
    written = _date(_part(cell, day), _part(cell, month), _part(cell, 3))
    year_first = [cell.str.extract(YEAR_FIRST_PATTERN, group).cast(pl.Int32, strict=False) for group in (3, 2, 1)]
    return pl.coalesce(iso, written, _date(*year_first))


def _date(day: pl.Expr, month: pl.Expr, year: pl.Expr) -> pl.Expr:
    """Return the date with these parts; null where there is no such day."""
    text = pl.format(
        "{}-{}-{}", year.cast(pl.String).str.zfill(4), month.cast(pl.String).str.zfill(2), day.cast(pl.String).str.zfill(2)
    )
    return text.str.to_date("%Y-%m-%d", strict=False)


def dates_from_serials(column: pl.Expr, epoch: dt.date) -> pl.Expr:
    """Return Excel's day numbers, counted from ``epoch``, as dates; null outside `SERIAL_DAY_RANGE`."""
    days = pl.when(column.is_between(*SERIAL_DAY_RANGE)).then(column.floor())
    return pl.lit(epoch) + pl.duration(days=days.cast(pl.Int64, strict=False))


def dates_from_typed(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Return a date or datetime column as dates, in the datetimes' own time zone."""
    column = pl.col(name)
    return (
        column.dt.replace_time_zone(None).cast(pl.Date) if isinstance(frame.schema[name], pl.Datetime) else column.cast(pl.Date)
    )
