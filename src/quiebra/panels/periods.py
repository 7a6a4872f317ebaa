"""Select one period per company and fiscal year where a source gives several period ends, and flag the others."""

from __future__ import annotations

import polars as pl

SAME_PERIOD_DAYS = 15
"""Period ends at most this many days apart are one period: 52/53-week years, which some sources round to the month's end."""
SHORT_PERIOD_DAYS = 300
"""A period ending sooner than this after the one before is short: the stub of a changed year end, or interim accounts."""

_YEAR = ["company_id", "fiscal_year"]
_PERIOD = ["company_id", "period"]


def misplaced_periods(statements: pl.DataFrame) -> pl.Series:
    """Return, for each row, the rule that its period breaks (``other_period`` or ``other_year``), or null.

    statements: company_id, fiscal_year and period_end, none of them missing.

    - ``other_period``: the company's fiscal year has a better period end. Full years are preferred to short periods; a period
      that belongs to another fiscal year (a comparative) comes last; among the rest the latest is kept. Where all are short, the
      one whose end is closest to the company's usual year end is kept.
    - ``other_year``: the company reports the period under two fiscal years, and fits the other one better.

    All versions (restatements) of a period get the same result.
    """
    none = pl.Series("rule", [None] * statements.height, dtype=pl.String)
    if statements["company_id"].n_unique() == statements.height:
        return none
    ends = _spaced(statements[[*_YEAR, "period_end"]])
    if ends.n_unique(_YEAR) == ends.height and not (ends["days"] <= SAME_PERIOD_DAYS).any():
        return none
    of_end = _periods(ends)
    candidates = _candidates(of_end)
    if candidates.n_unique(_YEAR) == candidates.n_unique(_PERIOD) == candidates.height:
        return none
    judged = _judged(candidates)
    ruled = of_end.select(*_YEAR, "period_end", "period").join(judged.select(*_YEAR, "period", "rule"), on=[*_YEAR, "period"])
    return statements.join(ruled, on=[*_YEAR, "period_end"], how="left", maintain_order="left")["rule"]


def _spaced(ends: pl.DataFrame) -> pl.DataFrame:
    """Return each period end once, by company and time, with ``days`` since the one before, null for a company's first."""
    days = (pl.col("period_end") - pl.col("period_end").shift()).dt.total_days()
    same = pl.col("company_id") == pl.col("company_id").shift()
    order = ["company_id", "period_end", "fiscal_year"]
    return ends.lazy().unique().sort(order).with_columns(days=pl.when(same).then(days)).collect()


def _periods(ends: pl.DataFrame) -> pl.DataFrame:
    """Add ``period``, a number within the company, and ``gap``, days since the period before (null for the first)."""
    apart = (pl.col("days") > SAME_PERIOD_DAYS).fill_null(True)
    ends = ends.with_columns(period=apart.cum_sum().over("company_id"))
    return ends.with_columns(gap=pl.col("days").first().over(_PERIOD))


def _candidates(of_end: pl.DataFrame) -> pl.DataFrame:
    """Return one row per company, fiscal year and period: period_end, short, and off.

    off: days from 31 December of the fiscal year to the period's end.
    """
    rows = of_end.group_by(*_YEAR, "period").agg(pl.col("period_end").max(), pl.col("gap").first()).sort(*_YEAR, "period")
    short = pl.col("gap") < SHORT_PERIOD_DAYS
    follows = short.shift(-1).over(_YEAR).fill_null(False)  # unknown for the first period: as the next one
    off = (pl.col("period_end") - pl.date("fiscal_year", 12, 31)).dt.total_days()
    return rows.with_columns(short=short.fill_null(follows), off=off)


def _judged(candidates: pl.DataFrame) -> pl.DataFrame:
    """Add ``rule`` to the candidates."""
    alone = pl.len().over(_YEAR) == 1
    whole = ~pl.col("short") | pl.col("short").all().over(_YEAR)
    latest = pl.col("off") == pl.col("off").filter(whole).max().over(_YEAR)
    by_latest = pl.col("off").filter(latest).median().over("company_id")
    usual = pl.coalesce(pl.col("off").filter(alone).median().over("company_id"), by_latest)
    rows = candidates.with_columns(alone=alone).with_columns(miss=(pl.col("off") - usual).abs())
    rows = rows.with_columns(claimed=pl.col("miss") > pl.col("miss").min().over(_PERIOD))
    order = pl.struct("short", "claimed", pl.when("short").then("miss").otherwise(0.0).alias("far"), -pl.col("off"))
    rows = rows.with_columns(second=order.rank("ordinal").over(_YEAR) > 1)
    kept = rows.filter(~pl.col("second"))
    order = pl.struct("miss", "fiscal_year")
    elsewhere = kept.filter(order.rank("ordinal").over(_PERIOD) > 1).select(*_YEAR, "period", elsewhere=pl.lit(True))
    rows = rows.join(elsewhere, on=[*_YEAR, "period"], how="left")
    return rows.with_columns(rule=pl.when("second").then(pl.lit("other_period")).when("elsewhere").then(pl.lit("other_year")))
