"""Slips of scale: total assets and counts of shares that are a thousand or a million times off a company's others."""

from __future__ import annotations

import polars as pl

SCALES = (1e3, 1e6)
SCALE_TOLERANCE = 3.0
"""Factor about a thousand or a million within which a company's total assets are off its usual ones by a slip of scale."""
FEWEST_SHARES = 10_000
"""Smaller counts of shares are placeholders, such as 1 or 100."""
LARGEST_JUMP = 300.0
"""Factor beyond which a count of shares differs by a slip of scale; below a thousand, since the count itself moves from year to
year."""


def usual(amount: pl.Expr, company: str) -> pl.Expr:
    """Return the median of a company's amounts; of two the larger, since the smaller one is in doubt."""
    return amount.quantile(0.5, "higher").over(company)


def assets_slipped() -> pl.Expr:
    """Return whether total_assets are off the company's usual ones by a slip of scale; false where they are missing."""
    assets, typical = pl.col("total_assets"), usual(pl.col("total_assets"), "company_id")
    ratio = pl.max_horizontal(assets / typical, typical / assets)
    slips = (ratio.is_between(scale / SCALE_TOLERANCE, scale * SCALE_TOLERANCE) for scale in SCALES)
    return pl.any_horizontal(slips).fill_null(False)


def plausible_shares(shares: pl.Expr, company: str) -> pl.Expr:
    """Return counts of shares, null for placeholders and for those off the company's usual count by a slip of scale."""
    enough = pl.when(shares >= FEWEST_SHARES, shares.is_finite()).then(shares)
    return pl.when(are_near(enough, usual(enough, company))).then(enough)


def are_near(count: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return whether two counts of shares differ by no slip of scale; null where one is missing."""
    return pl.when(count.is_not_null(), other.is_not_null()).then(pl.max_horizontal(count / other, other / count) <= LARGEST_JUMP)
