"""Accounting identities between the items of a statement, and counts of the rows that break them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

TOLERANCE = 0.02
"""An identity is broken where its two sides differ by more than this share of total assets."""
WARN_SHARE = 0.02
"""Share of rows breaking an identity above which a warning is given; sound panels have below 0.05 %."""
STOP_SHARE = 0.5
"""Share of rows breaking an identity above which ingest stops, since columns must be mislabelled."""
MIN_ROWS_TO_REFUSE = 20
"""Rows with the items of an identity below which a panel gets a warning, but is not refused."""


@dataclass(frozen=True)
class Identity:
    """``left`` equals ``right``, or is at most ``right`` where ``at_most``; null where a needed item is missing."""

    left: pl.Expr
    right: pl.Expr
    at_most: bool = False

    @property
    def broken(self) -> pl.Expr:
        gap = self.left.cast(pl.Float64) - self.right.cast(pl.Float64)
        return (gap if self.at_most else gap.abs()) > TOLERANCE * pl.col("total_assets")


def _at_most(item: str, total: str) -> Identity:
    return Identity(pl.col(item), pl.col(total), at_most=True)


IDENTITIES: dict[str, Identity] = {
    "ebitda = ebit + depreciation_amortization": Identity(pl.col("ebitda"), pl.col("ebit") + pl.col("depreciation_amortization")),
    "gross_profit = revenue - cost_of_goods_sold": Identity(
        pl.col("gross_profit"), pl.col("revenue") - pl.col("cost_of_goods_sold")
    ),
    "current_assets <= total_assets": _at_most("current_assets", "total_assets"),
    "cash + receivables + inventory <= current_assets": Identity(
        pl.sum_horizontal("cash", "receivables", "inventory"), pl.col("current_assets"), at_most=True
    ),
    "current_liabilities <= total_liabilities": _at_most("current_liabilities", "total_liabilities"),
    "long_term_debt <= total_liabilities": _at_most("long_term_debt", "total_liabilities"),
}
"""Name → identity. In the sum of cash, receivables and inventory, missing items count as zero."""


def count_broken(statements: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Return, by identity, the number of rows that break it, and the number that have its items.

    >>> row = dict(current_assets=[20.0, None], total_assets=[10.0, 10.0])
    >>> names = ["ebitda", "ebit", "depreciation_amortization", "gross_profit", "revenue", "cost_of_goods_sold", "cash",
    ...          "receivables", "inventory", "current_liabilities", "total_liabilities", "long_term_debt"]
    >>> count_broken(pl.DataFrame({**row, **dict.fromkeys(names)}))["current_assets <= total_assets"]
    (1, 1)
    """
    marks = statements.select(identity.broken.alias(name) for name, identity in IDENTITIES.items())
    return {name: (int(marks[name].sum()), int(marks[name].count())) for name in IDENTITIES}


def any_broken() -> pl.Expr:
    """Return an expression for whether a statement breaks any identity; false where none can be checked."""
    return pl.any_horizontal(identity.broken.fill_null(False) for identity in IDENTITIES.values())
