"""Which fiscal year a period is."""

from __future__ import annotations

import polars as pl

FISCAL_YEAR_ENDS_FROM = 6
"""First month of the end of a fiscal year that is named after its calendar year."""


def fiscal_year(period_end: pl.Expr) -> pl.Expr:
    """Return the fiscal year that ends on a date, as Compustat counts: years that end up to May are the year before's."""
    return (period_end.dt.year() - (period_end.dt.month() < FISCAL_YEAR_ENDS_FROM).cast(pl.Int32)).cast(pl.Int32)
