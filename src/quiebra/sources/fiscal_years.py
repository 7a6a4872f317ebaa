"""Which fiscal year ends on a date, and until which one outcomes are known: one rule for all sources of annual accounts."""

from __future__ import annotations

import datetime as dt

import polars as pl

FISCAL_YEAR_ENDS_FROM = 6
"""Month from which a fiscal year is called after the calendar year in which it ends; one that ends before it is the last's."""


def fiscal_year(period_end: pl.Expr) -> pl.Expr:
    """Return the fiscal year that ends on a date, as Compustat counts: years that end up to May are the year before's."""
    return (period_end.dt.year() - (period_end.dt.month() < FISCAL_YEAR_ENDS_FROM).cast(pl.Int32)).cast(pl.Int32)


def outcomes_through(as_of: dt.date) -> int:
    """Return the last fiscal year whose next accounts, or failure, must be known: those of its year after are due in April."""
    return as_of.year - (2 if as_of.month > 4 else 3)
