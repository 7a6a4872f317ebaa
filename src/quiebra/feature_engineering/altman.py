"""The three Altman scores with their published coefficients and zones."""

from __future__ import annotations

from functools import cache

import polars as pl

from quiebra.feature_engineering.feature import ratio

_c = pl.col
X1 = ratio(_c("current_assets") - _c("current_liabilities"), _c("total_assets"))
X2 = ratio(_c("retained_earnings"), _c("total_assets"))
X3 = ratio(_c("ebit"), _c("total_assets"))
X4_MARKET = ratio(_c("market_value"), _c("total_liabilities"))
X4_BOOK = ratio(_c("total_assets") - _c("total_liabilities"), _c("total_liabilities"))
X5 = ratio(_c("revenue"), _c("total_assets"))

ALTMAN_SCORES: dict[str, pl.Expr] = {
    # Altman (1968), Journal of Finance 23(4), in the form with ratios as fractions: listed manufacturers
    "altman_z": 1.2 * X1 + 1.4 * X2 + 3.3 * X3 + 0.6 * X4_MARKET + 0.999 * X5,
    # Altman (1983), Corporate Financial Distress: private manufacturers
    "altman_z1983": 0.717 * X1 + 0.847 * X2 + 3.107 * X3 + 0.420 * X4_BOOK + 0.998 * X5,
    # Altman, Hartzell and Peck (1995): non-manufacturers and emerging markets, without the constant 3.25
    "altman_z1995": 6.56 * X1 + 3.26 * X2 + 6.72 * X3 + 1.05 * X4_BOOK,
}
ALTMAN_ZONES: dict[str, tuple[float, float]] = {
    "altman_z": (1.81, 2.99),
    "altman_z1983": (1.23, 2.90),
    "altman_z1995": (1.10, 2.60),
}
"""Score → bounds of its zones: distress below the first, safe above the second, grey between them."""


def altman_scores(statements: pl.DataFrame) -> pl.DataFrame:
    """Add altman_z (1968), altman_z1983 (Z′) and altman_z1995 (Z″) to statements in any one unit of currency.

    A score with a missing input is null. Z needs a market value; the other two use book equity.

    >>> import polars as pl
    >>> row = dict(current_assets=50.0, current_liabilities=30.0, total_assets=100.0, retained_earnings=20.0, ebit=10.0,
    ...            market_value=80.0, total_liabilities=60.0, revenue=120.0)
    >>> [round(v, 3) for v in altman_scores(pl.DataFrame([row])).select("altman_z", "altman_z1995").row(0)]
    [2.849, 3.336]
    """
    return statements.with_columns(score.alias(name) for name, score in ALTMAN_SCORES.items())


def altman_zone(score: str) -> pl.Expr:
    """Return the zone of a score's column: distress, grey or safe; null where the score is missing."""
    return _zone(score, *ALTMAN_ZONES[score])


@cache
def _zone(score: str, low: float, high: float) -> pl.Expr:
    value = pl.col(score).fill_nan(None)
    named = pl.when(value < low).then(pl.lit("distress")).when(value > high).then(pl.lit("safe")).otherwise(pl.lit("grey"))
    return pl.when(value.is_not_null()).then(named)


MANUFACTURING = r"(?i)^\s*(?:[CD]\b|[23]\d{3}\b)|manufactur|industria"
"""Sectors of manufacturers: NACE section C, SIC division D, SIC codes 2000 to 3999, or such a name."""


@cache
def altman_score_used(*, market: bool) -> pl.Expr:
    """Return the name of the score designed for a company's type, from its sector and whether it has a market value.

    Z for listed manufacturers, Z′ for private ones, Z″ for all others; a listed company of unknown sector counts as a
    manufacturer.
    market: false to treat every company as private. Z″ replaces a score with a missing input; null where all three are missing.
    """
    makes = pl.col("sector").str.contains(MANUFACTURING)
    listed = pl.col("altman_z").is_not_null() if market else pl.lit(False)
    choice = (
        pl.when(listed & makes.fill_null(True))
        .then(pl.lit("altman_z"))
        .when(makes.fill_null(False) & pl.col("altman_z1983").is_not_null())
        .then(pl.lit("altman_z1983"))
        .otherwise(pl.lit("altman_z1995"))
    )
    return pl.when(pl.any_horizontal(pl.col(*ALTMAN_SCORES).is_not_null())).then(choice)
