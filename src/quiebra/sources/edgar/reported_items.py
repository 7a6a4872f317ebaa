"""From facts to what each filing says of each item, for its own fiscal year and for earlier ones (comparatives)."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra.canonical import conform_to_schema
from quiebra.sources.edgar.filings import month_end
from quiebra.sources.edgar.tags import CHECKED_TAGS, EQUITY_WITH_MINORITIES, LADDERS, SHARES_UNIT, tags_of
from quiebra.sources.item_ladders import item_values

MILLION = 1e6
CURRENCY = "USD"
BALANCE_TOLERANCE = 0.005
"""Share of total assets by which they may differ from liabilities and equity."""
ITEM_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "period": pl.Date,
    "item": pl.String,
    "value": pl.Float64,
    "rule": pl.String,
    "unit": pl.Float64,
}
"""period: month's end nearest to the end of the fiscal year. value, unit: in millions; unit is the finest in which the filing
gives amounts of that period."""


def reported_items(facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `ITEM_SCHEMA`, and the filings whose balance sheet does not balance (accession and period).

    facts: `FACT_SCHEMA`; those in other currencies than `CURRENCY` are left out. Where a filing gives a fact twice, rounded and
    not, the one with more significant digits counts.
    """
    exact = _exact(facts)
    tags = sorted({*tags_of("instant"), *tags_of("annual")})
    wide = exact.group_by("accession", "period", maintain_order=True).agg(
        *(pl.col("value").filter(pl.col("tag") == tag).first().alias(tag) for tag in tags), unit=pl.col("unit").min()
    )
    values = item_values(wide, LADDERS, CHECKED_TAGS)
    items = [ladder.item for ladder in LADDERS]
    long = pl.concat(
        [
            values.select(
                "accession",
                "period",
                pl.lit(item).alias("item"),
                pl.col(item).alias("value"),
                pl.col(f"{item}_rule").alias("rule"),
                "unit",
            )
            for item in items
        ]
    ).filter(pl.col("value").is_not_null())
    long = long.with_columns((pl.col("value") / MILLION).round(6), pl.col("unit") / MILLION)
    return conform_to_schema(long, ITEM_SCHEMA), _unbalanced(wide)


def without_dollars(facts: pl.DataFrame) -> set[str]:
    """Return the filings that give all of their amounts in other currencies than `CURRENCY`."""
    amounts = facts.filter(pl.col("unit") != SHARES_UNIT)
    given = amounts.group_by("accession").agg(dollars=(pl.col("unit") == CURRENCY).any())
    return set(given.filter(~pl.col("dollars"))["accession"])


def rounding_unit(value: pl.Expr) -> pl.Expr:
    """Return the largest power of ten, up to 10^9, that an amount is a multiple of; 10^9 for zero."""
    return pl.coalesce(pl.when(value.abs() % 10.0**power == 0).then(10.0**power) for power in range(9, 0, -1)).fill_null(1.0)


def _exact(facts: pl.DataFrame) -> pl.DataFrame:
    """Return facts once for each filing, period and tag, with ``unit``, the rounding of the amount."""
    rounded = facts.filter(pl.col("unit") == CURRENCY).with_columns(
        period=month_end(pl.col("end")), unit=rounding_unit(pl.col("value"))
    )
    order = ["accession", "period", "tag", "unit", "value"]
    return rounded.sort(order, descending=[False, False, False, False, True]).unique(
        ["accession", "period", "tag"], keep="first", maintain_order=True
    )


def _unbalanced(wide: pl.DataFrame) -> pl.DataFrame:
    """Return the filings and periods whose total assets differ from the total of liabilities and equity, or less than equity and
    liabilities together by more than what minorities and temporary equity could be."""
    tags = {*CHECKED_TAGS, "Assets", "Liabilities"}
    given = wide.with_columns(pl.lit(None, pl.Float64).alias(tag) for tag in sorted(tags - set(wide.columns)))
    assets = pl.col("Assets")
    totals = (assets - pl.col("LiabilitiesAndStockholdersEquity")).abs() > BALANCE_TOLERANCE * assets.abs()
    parts = (
        pl.col("Liabilities") + pl.coalesce(EQUITY_WITH_MINORITIES, "StockholdersEquity") - assets
        > BALANCE_TOLERANCE * assets.abs()
    )
    return given.filter(totals.fill_null(False) | parts.fill_null(False)).select("accession", "period")
