"""What must hold between the items of a statement, and in how many rows it does not."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

TOLERANCE = 0.02
"""An identity counts as broken where it misses by more than this share of total assets."""
WARN_SHARE = 0.02
"""Above this share of rows that break an identity a panel is doubted; in sound ones it is below 0.05 %."""
STOP_SHARE = 0.5
"""Above this share the columns are not what they are called, and ingest stops."""
FEWEST_ROWS = 20
"""With fewer rows to judge by, a panel is doubted but not refused."""


@dataclass(frozen=True)
class Identity:
    """``left`` equals ``right``, or is at most that where ``at_most``. Missing where an item that it needs is missing."""

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
"""Of cash, receivables and inventory those that are there count."""


def count_broken(statements: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Return, by identity, how many rows break it, and how many have what it takes to judge.

    >>> row = dict(current_assets=[20.0, None], total_assets=[10.0, 10.0])
    >>> names = ["ebitda", "ebit", "depreciation_amortization", "gross_profit", "revenue", "cost_of_goods_sold", "cash",
    ...          "receivables", "inventory", "current_liabilities", "total_liabilities", "long_term_debt"]
    >>> count_broken(pl.DataFrame({**row, **dict.fromkeys(names)}))["current_assets <= total_assets"]
    (1, 1)
    """
    marks = statements.select(identity.broken.alias(name) for name, identity in IDENTITIES.items())
    return {name: (int(marks[name].sum()), int(marks[name].count())) for name in IDENTITIES}


def any_broken() -> pl.Expr:
    """Return whether a statement breaks an identity; false where none can be judged."""
    return pl.any_horizontal(identity.broken.fill_null(False) for identity in IDENTITIES.values())
