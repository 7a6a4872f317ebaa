"""Features from the stock market: ratios with the market value of equity, and the distance to default."""

from __future__ import annotations

import polars as pl

from quiebra.feature_engineering.feature import Feature, log_million, ratio
from quiebra.feature_engineering.ratios import ALTMAN, CHS, LIQUID_ASSETS, TEXTBOOK, formula_feature, item_ratio

SHUMWAY, MERTON = "Shumway (2001)", "Bharath and Shumway (2008), naive DD"

_c = pl.col
_value = _c("market_value")
_market_assets = _c("total_liabilities") + _value
_MA = "(total_liabilities + market_value)"


def _of_market_assets(name: str, label: str, formula: str, why: str, top: pl.Expr, sign: int = 0) -> Feature:
    """Return an amount over the market value of assets; in failing companies book values of assets are less informative."""
    return formula_feature(
        f"{name}_to_market_assets",
        f"{label} / market value of assets",
        "market",
        f"{formula} / {_MA}",
        CHS,
        why,
        ratio(top, _market_assets),
        sign,
    )


MARKET_FEATURES: tuple[Feature, ...] = (
    formula_feature(
        "log_market_value",
        "Market value",
        "market",
        "ln(market_value)",
        SHUMWAY,
        "what the owners' stake would sell for",
        log_million(_value),
        unit="ln million",
    ),
    item_ratio(
        "market_value_to_liabilities",
        "Market value / liabilities",
        "market",
        "market_value",
        "total_liabilities",
        ALTMAN,
        "how far values can fall before claims exceed them",
        -1,
        "times",
    ),
    formula_feature(
        "market_leverage",
        "Liabilities / market value of assets",
        "market",
        f"total_liabilities / {_MA}",
        CHS,
        "leverage as the market sees it",
        ratio(_c("total_liabilities"), _market_assets),
        1,
    ),
    item_ratio(
        "market_to_assets",
        "Market value / assets",
        "market",
        "market_value",
        "total_assets",
        TEXTBOOK,
        "what the market makes of its assets",
        unit="times",
    ),
    item_ratio(
        "market_value_to_revenue",
        "Market value / revenue",
        "market",
        "market_value",
        "revenue",
        TEXTBOOK,
        "what the market makes of its sales",
        unit="times",
    ),
    formula_feature(
        "market_to_book",
        "Market / book equity",
        "market",
        "market_value / (total_assets - total_liabilities)",
        CHS,
        "equity that the market does not believe in",
        ratio(_value, _c("total_assets") - _c("total_liabilities")),
        unit="times",
    ),
    formula_feature(
        "book_to_market",
        "Book equity / market value",
        "market",
        "(total_assets - total_liabilities) / market_value",
        CHS,
        "the same, defined where book equity is negative",
        ratio(_c("total_assets") - _c("total_liabilities"), _value),
        unit="times",
    ),
    item_ratio(
        "net_income_to_market_value",
        "Net income / market value",
        "market",
        "net_income",
        "market_value",
        TEXTBOOK,
        "a loss against what is left to lose",
        -1,
    ),
    formula_feature(
        "market_value_age",
        "Age of the market value",
        "market",
        "months from the day of the market value to publication",
        TEXTBOOK,
        "an old market value says little, and late accounts have an old one",
        pl.when(_value.is_not_null()).then(_c("available_at") - _c("market_value_date")).dt.total_days() / 30.4375,
        unit="months",
    ),
    _of_market_assets("net_income", "Net income", "net_income", "the profit measure that predicts best", _c("net_income"), -1),
    _of_market_assets("ebitda", "EBITDA", "ebitda", "cash earnings on what the assets are worth", _c("ebitda")),
    _of_market_assets("revenue", "Revenue", "revenue", "sales that the market does not pay for", _c("revenue")),
    _of_market_assets(
        "retained_earnings",
        "Retained earnings",
        "retained_earnings",
        "losses gathered over its life",
        _c("retained_earnings"),
        -1,
    ),
    _of_market_assets(
        "liquid", "Liquid assets", "(current_assets - inventory - receivables)", "cash that buys time", LIQUID_ASSETS
    ),
    _of_market_assets("debt", "Long-term debt", "long_term_debt", "debt as the market weighs it", _c("long_term_debt")),
    _of_market_assets(
        "current_liabilities",
        "Current liabilities",
        "current_liabilities",
        "bills due as the market weighs them",
        _c("current_liabilities"),
    ),
    _of_market_assets(
        "working_capital",
        "Working capital",
        "(current_assets - current_liabilities)",
        "what is left to pay with",
        _c("current_assets") - _c("current_liabilities"),
        -1,
    ),
)


def distance_to_default() -> tuple[Feature, ...]:
    """Return the asset volatility and the naive Merton distance to default, which is computed from it.

    Their expressions use ``market_value_volatility`` and the one-year change of the market value, so that these must be computed
    first; the distance uses the volatility's column.
    """
    equity = _c("market_value_volatility").clip(0.1, 1.5)
    share = _value / _market_assets
    volatility = share * equity + (1 - share) * (0.05 + 0.25 * equity)
    drift = _c("log_market_value_change1").clip(-1, 1)
    moves = _c("asset_volatility")
    distance = (ratio(_market_assets, _c("total_liabilities")).log() + drift - 0.5 * moves**2) / moves
    return (
        formula_feature(
            "asset_volatility",
            "Volatility of the market value of assets",
            "market",
            "E/V s + (1 - E/V)(0.05 + 0.25 s), s = market_value_volatility in [0.1, 1.5]",
            MERTON,
            "what can happen to the assets in a year",
            volatility,
            unit="ln a year",
        ),
        formula_feature(
            "distance_to_default",
            "Distance to default",
            "market",
            "(ln(V / liabilities) + change of ln(market_value) in [-1, 1] - 0.5 s^2) / s, V = liabilities + market_value",
            MERTON,
            "how many yearly moves of its assets' value lie between a company and its claims",
            distance.clip(-10, 30),
            -1,
            "standard deviations",
        ),
    )
