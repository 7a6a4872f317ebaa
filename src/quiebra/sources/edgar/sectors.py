"""Sector by SIC code (divisions of the Standard Industrial Classification, 1987), and region by state (US Census Bureau)."""

from __future__ import annotations

import polars as pl

DIVISIONS: tuple[tuple[int, int, str], ...] = (
    (100, 999, "Agriculture"),
    (1000, 1499, "Mining, oil and gas"),
    (1500, 1799, "Construction"),
    (2000, 3999, "Manufacturing"),
    (4000, 4899, "Transport and communications"),
    (4900, 4999, "Utilities"),
    (5000, 5199, "Wholesale"),
    (5200, 5999, "Retail"),
    (6000, 6799, "Finance and real estate"),
    (7000, 8999, "Services"),
    (9100, 9999, "Public and other"),
)
"""First and last code of each division; utilities stand apart from transport, as their accounts do."""
REGIONS: dict[str, str] = {
    **dict.fromkeys(("CT", "ME", "MA", "NH", "RI", "VT", "NJ", "NY", "PA"), "Northeast"),
    **dict.fromkeys(("IL", "IN", "MI", "OH", "WI", "IA", "KS", "MN", "MO", "NE", "ND", "SD"), "Midwest"),
    **dict.fromkeys(
        ("DE", "FL", "GA", "MD", "NC", "SC", "VA", "DC", "WV", "AL", "KY", "MS", "TN", "AR", "LA", "OK", "TX"), "South"
    ),
    **dict.fromkeys(("AZ", "CO", "ID", "MT", "NV", "NM", "UT", "WY", "AK", "CA", "HI", "OR", "WA"), "West"),
}
ABROAD = "Abroad"


def sector_of_sic(sic: pl.Expr) -> pl.Expr:
    """Return the division of a SIC code; null for none."""
    return pl.coalesce(pl.when(sic.is_between(first, last)).then(pl.lit(name)) for first, last, name in DIVISIONS)


def region_of_state(state: pl.Expr) -> pl.Expr:
    """Return the region of a state's two letters; the SEC's codes of other countries have a digit, or are none of a state."""
    known = state.replace_strict(REGIONS, default=None, return_dtype=pl.String)
    return pl.when(state.is_null() | (state == "")).then(None).otherwise(known.fill_null(ABROAD))
