"""Items that follow from others by an accounting identity, and further columns of files that serve them alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from quiebra.items import ITEM_NAMES, ITEMS

HELPER_COLUMNS = ("equity", "non_current_liabilities", "shares", "share_price")
"""Amounts of a file that are no items. Shares times price is an amount in the file's unit."""
EXPENSES = ("cost_of_goods_sold", "operating_expenses", "depreciation_amortization", "interest_expense")
SUMS = (
    ("total_assets", "total_liabilities", "equity"),
    ("total_liabilities", "current_liabilities", "non_current_liabilities"),
    ("revenue", "gross_profit", "cost_of_goods_sold"),
    ("ebitda", "ebit", "depreciation_amortization"),
    ("revenue", "operating_expenses", "ebitda"),
)
"""A total and its two parts."""
UNSIGNED = {item.name for item in ITEMS if not item.signed}
MIN_ROWS = 5
"""Fewest rows that can show that a column is an item."""


@dataclass(frozen=True, eq=False)
class Derivation:
    """An item, what it is computed from, and how that is said."""

    item: str
    of: tuple[str, str]
    rule: str
    value: pl.Expr


def _solved(total: str, one: str, other: str) -> tuple[Derivation, ...]:
    return (
        Derivation(total, (one, other), f"{one} + {other}", pl.col(one) + pl.col(other)),
        Derivation(one, (total, other), f"{total} - {other}", pl.col(total) - pl.col(other)),
        Derivation(other, (total, one), f"{total} - {one}", pl.col(total) - pl.col(one)),
    )


DERIVATIONS: tuple[Derivation, ...] = (
    *(derivation for amounts in SUMS for derivation in _solved(*amounts)),
    Derivation("market_value", ("shares", "share_price"), "shares * share_price", pl.col("shares") * pl.col("share_price")),
)


def are_items_derived(source: str) -> bool:
    """Return whether the missing items of a panel's source were filled in by `derive_items`: not those of the demo, whose model
    learns from its gaps. What a model scores is read as its panel was."""
    return source != "demo"


def derive_items(statements: pl.DataFrame) -> tuple[pl.DataFrame, dict[Derivation, pl.Series]]:
    """Fill missing items by the identities in `DERIVATIONS`; return also, by derivation, whether it filled each row.

    statements: any of the items and `HELPER_COLUMNS`; items that are worked out are added. Each row is filled from its own
    amounts, from none that has the wrong sign. Total assets are the measure of all, and are never derived.
    """
    names = [*ITEM_NAMES, *HELPER_COLUMNS]
    complete = statements.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names if name not in statements.columns)
    filled: dict[Derivation, pl.Series] = {}
    for derivation in DERIVATIONS:
        if derivation.item not in ITEM_NAMES or derivation.item == "total_assets":
            continue
        sound = pl.all_horizontal(pl.lit(True), *(pl.col(name) >= 0 for name in derivation.of if name in UNSIGNED))
        before = complete[derivation.item].is_null()
        complete = complete.with_columns(pl.col(derivation.item).fill_null(pl.when(sound).then(derivation.value)))
        if (now := before & complete[derivation.item].is_not_null()).any():
            filled[derivation] = now
    made = {derivation.item for derivation in filled}
    return complete.select(*statements.columns, *(name for name in names if name in made - set(statements.columns))), filled


def matches_by_identity(amounts: pl.DataFrame, unread: Collection[str], *, share: float = 0.95) -> dict[str, Derivation]:
    """Return which unread columns are which items, where an identity holds with the items that are read.

    amounts: items and helpers under their names, and the unread columns, as numbers. share: of the rows, at least five, in which
    the two sides are equal but for rounding.
    """
    found: dict[str, Derivation] = {}
    while True:
        known = {name for name in amounts.columns if name not in unread} | {each.item for each in found.values()}
        named = amounts.rename({column: each.item for column, each in found.items()})
        new = next(
            (
                (column, derivation)
                for derivation in DERIVATIONS
                if derivation.item not in known and known.issuperset(derivation.of)
                for column in unread
                if column not in found and _equal_share(named, column, derivation.value) >= share
            ),
            None,
        )
        if new is None:
            return found
        found[new[0]] = new[1]


def _equal_share(amounts: pl.DataFrame, column: str, value: pl.Expr) -> float:
    """Return the share of rows with both amounts, not both zero, in which they are equal but for rounding."""
    rows = amounts.select(given=pl.col(column), value=value).filter(pl.col("given").is_not_null() & pl.col("value").is_not_null())
    rows = rows.filter((pl.col("given") != 0) | (pl.col("value") != 0))
    if rows.height < MIN_ROWS:
        return 0.0
    gap = (pl.col("given") - pl.col("value")).abs()
    return float(rows.select((gap <= 0.001 * pl.max_horizontal(pl.col("given").abs(), pl.col("value").abs())).mean()).item())
