"""Accounting ratios of one statement: liquidity, leverage, profitability, activity, coverage, size, and older distress scores."""

from __future__ import annotations

import polars as pl

from quiebra.feature_engineering.feature import Feature, log_million, ratio

BEAVER, ALTMAN, OHLSON, TEXTBOOK = "Beaver (1966)", "Altman (1968)", "Ohlson (1980)", "Standard ratio"
ZMIJEWSKI, CHS = "Zmijewski (1984)", "Campbell, Hilscher and Szilagyi (2008)"

_c = pl.col
_assets, _liabilities, _current = _c("total_assets"), _c("total_liabilities"), _c("current_liabilities")
_working_capital = _c("current_assets") - _current
LIQUID_ASSETS = _c("current_assets") - _c("inventory") - _c("receivables")
"""Current assets without inventory and receivables: cash and equivalents, where a source gives no cash."""
LIABILITIES_ABOVE_ASSETS = -1.72
"""Step in Ohlson's score where liabilities exceed assets; negative, it corrects the weight of leverage there."""
FUNDS_FROM_OPERATIONS = _c("net_income") + _c("depreciation_amortization")


def item_ratio(
    name: str, label: str, concept: str, top: str, bottom: str, source: str, why: str, sign: int = 0, unit: str = "share"
) -> Feature:
    """Return a ratio of two items as a feature."""
    return Feature(name, label, concept, unit, f"{top} / {bottom}", why, source, ratio(_c(top), _c(bottom)), sign)


def formula_feature(
    name: str, label: str, concept: str, formula: str, source: str, why: str, expr: pl.Expr, sign: int = 0, unit: str = "share"
) -> Feature:
    """Return a feature with its own formula."""
    return Feature(name, label, concept, unit, formula, why, source, expr, sign)


RATIO_FEATURES: tuple[Feature, ...] = (
    # liquidity
    formula_feature(
        "working_capital_to_assets",
        "Working capital / assets",
        "liquidity",
        "(current_assets - current_liabilities) / total_assets",
        ALTMAN,
        "what is left to pay with once bills due are paid",
        ratio(_working_capital, _assets),
        -1,
    ),
    item_ratio(
        "current_ratio",
        "Current ratio",
        "liquidity",
        "current_assets",
        "current_liabilities",
        BEAVER,
        "bills due against what can pay them",
        -1,
        "times",
    ),
    formula_feature(
        "quick_ratio",
        "Quick ratio",
        "liquidity",
        "(current_assets - inventory) / current_liabilities",
        TEXTBOOK,
        "stock cannot always be sold in time",
        ratio(_c("current_assets") - _c("inventory"), _current),
        -1,
        "times",
    ),
    item_ratio("cash_to_assets", "Cash / assets", "liquidity", "cash", "total_assets", CHS, "cash buys time"),
    item_ratio(
        "current_assets_to_assets",
        "Current assets / assets",
        "liquidity",
        "current_assets",
        "total_assets",
        TEXTBOOK,
        "what can be turned into cash within a year",
    ),
    item_ratio(
        "current_liabilities_to_assets",
        "Current liabilities / assets",
        "liquidity",
        "current_liabilities",
        "total_assets",
        TEXTBOOK,
        "claims that fall due within a year",
        1,
    ),
    formula_feature(
        "liquid_to_assets",
        "Liquid assets / assets",
        "liquidity",
        "(current_assets - inventory - receivables) / total_assets",
        CHS,
        "cash and its like, where a source gives no cash",
        ratio(LIQUID_ASSETS, _assets),
        -1,
    ),
    formula_feature(
        "liquid_to_current_liabilities",
        "Liquid assets / current liabilities",
        "liquidity",
        "(current_assets - inventory - receivables) / current_liabilities",
        TEXTBOOK,
        "bills due against what pays them today",
        ratio(LIQUID_ASSETS, _current),
        -1,
    ),
    formula_feature(
        "burn_to_liquid",
        "Cash burn / liquid assets",
        "liquidity",
        "max(-ebitda, 0) / (current_assets - inventory - receivables)",
        TEXTBOOK,
        "the share of its liquid assets that a year like the last one eats",
        ratio((-_c("ebitda")).clip(0), LIQUID_ASSETS),
        1,
    ),
    # leverage
    item_ratio(
        "liabilities_to_assets",
        "Liabilities / assets",
        "leverage",
        "total_liabilities",
        "total_assets",
        OHLSON,
        "above one the owners' stake is gone",
        1,
    ),
    item_ratio(
        "debt_to_assets",
        "Long-term debt / assets",
        "leverage",
        "long_term_debt",
        "total_assets",
        BEAVER,
        "debt that must be served",
    ),
    item_ratio(
        "current_share_of_liabilities",
        "Current share of liabilities",
        "leverage",
        "current_liabilities",
        "total_liabilities",
        TEXTBOOK,
        "debt called or near its end moves here",
    ),
    item_ratio(
        "debt_share_of_liabilities",
        "Long-term share of liabilities",
        "leverage",
        "long_term_debt",
        "total_liabilities",
        TEXTBOOK,
        "a broken covenant makes long debt short",
    ),
    item_ratio(
        "retained_earnings_to_assets",
        "Retained earnings / assets",
        "leverage",
        "retained_earnings",
        "total_assets",
        ALTMAN,
        "profits kept over a company's life; low in the young and in those that lose money",
        -1,
    ),
    # profitability
    item_ratio(
        "net_income_to_assets",
        "Net income / assets",
        "profitability",
        "net_income",
        "total_assets",
        ZMIJEWSKI,
        "losses eat equity",
        -1,
    ),
    item_ratio(
        "ebit_to_assets",
        "EBIT / assets",
        "profitability",
        "ebit",
        "total_assets",
        ALTMAN,
        "earning power before the financing",
        -1,
    ),
    item_ratio(
        "ebitda_to_assets",
        "EBITDA / assets",
        "profitability",
        "ebitda",
        "total_assets",
        TEXTBOOK,
        "cash earnings before the financing",
        -1,
    ),
    item_ratio("gross_margin", "Gross margin", "profitability", "gross_profit", "revenue", TEXTBOOK, "room for prices to fall"),
    item_ratio("ebit_margin", "EBIT margin", "profitability", "ebit", "revenue", TEXTBOOK, "room for sales to fall", -1),
    item_ratio("net_margin", "Net margin", "profitability", "net_income", "revenue", TEXTBOOK, "what is left of a sale", -1),
    # activity
    item_ratio(
        "asset_turnover",
        "Revenue / assets",
        "activity",
        "revenue",
        "total_assets",
        ALTMAN,
        "sales from what it owns",
        unit="times",
    ),
    item_ratio("inventory_to_revenue", "Inventory / revenue", "activity", "inventory", "revenue", TEXTBOOK, "unsold stock"),
    item_ratio(
        "receivables_to_revenue",
        "Receivables / revenue",
        "activity",
        "receivables",
        "revenue",
        TEXTBOOK,
        "customers who pay late",
    ),
    item_ratio(
        "current_liabilities_to_revenue",
        "Current liabilities / revenue",
        "activity",
        "current_liabilities",
        "revenue",
        TEXTBOOK,
        "bills due against a year's sales",
    ),
    item_ratio(
        "operating_expenses_to_revenue",
        "Operating expenses / revenue",
        "activity",
        "operating_expenses",
        "revenue",
        TEXTBOOK,
        "what a sale costs",
    ),
    item_ratio(
        "depreciation_to_assets",
        "Depreciation / assets",
        "activity",
        "depreciation_amortization",
        "total_assets",
        TEXTBOOK,
        "how fast its assets wear out",
    ),
    # coverage
    item_ratio(
        "ebitda_to_liabilities",
        "EBITDA / liabilities",
        "coverage",
        "ebitda",
        "total_liabilities",
        OHLSON,
        "earnings that can pay the claims",
        -1,
    ),
    item_ratio(
        "ebitda_to_current_liabilities",
        "EBITDA / current liabilities",
        "coverage",
        "ebitda",
        "current_liabilities",
        TEXTBOOK,
        "earnings that can pay the bills due",
        -1,
    ),
    item_ratio(
        "ebitda_to_debt",
        "EBITDA / long-term debt",
        "coverage",
        "ebitda",
        "long_term_debt",
        TEXTBOOK,
        "lenders' own measure of debt that can be borne",
        unit="times",
    ),
    item_ratio(
        "interest_coverage",
        "EBIT / interest",
        "coverage",
        "ebit",
        "interest_expense",
        TEXTBOOK,
        "below one interest is not earned",
        unit="times",
    ),
    item_ratio(
        "cash_flow_to_liabilities",
        "Operating cash flow / liabilities",
        "coverage",
        "operating_cash_flow",
        "total_liabilities",
        BEAVER,
        "cash that can pay the claims",
        -1,
    ),
    formula_feature(
        "non_operating_cost_to_assets",
        "Interest, tax and other costs / assets",
        "coverage",
        "(ebit - net_income) / total_assets",
        TEXTBOOK,
        "interest and write-offs, where a source gives no interest",
        ratio(_c("ebit") - _c("net_income"), _assets),
    ),
    formula_feature(
        "non_operating_cost_to_debt",
        "Interest, tax and other costs / debt",
        "coverage",
        "(ebit - net_income) / long_term_debt",
        TEXTBOOK,
        "dear debt, where a source gives no interest",
        ratio(_c("ebit") - _c("net_income"), _c("long_term_debt")),
    ),
    # size
    formula_feature(
        "log_assets",
        "Size (assets)",
        "size",
        "ln(total_assets)",
        OHLSON,
        "the small have fewer lenders and less time",
        log_million(_assets),
        unit="ln million",
    ),
    formula_feature(
        "log_revenue",
        "Size (revenue)",
        "size",
        "ln(revenue)",
        TEXTBOOK,
        "the small have fewer customers",
        log_million(_c("revenue")),
        unit="ln million",
    ),
    # older distress scores: their fixed weights act as a strong prior where failures are few
    formula_feature(
        "ohlson_o",
        "Ohlson's O-score",
        "composite",
        "-1.32 - 0.407 ln(TA) + 6.03 TL/TA - 1.43 WC/TA + 0.0757 CL/CA - 1.72 [TL > TA] - 2.37 NI/TA - 1.83 (NI + D&A)/TL",
        OHLSON,
        "nine signs of distress in one; the price index, FFO's tax and the NI terms over time are left out",
        -1.32
        - 0.407 * log_million(_assets)
        + 6.03 * ratio(_liabilities, _assets)
        - 1.43 * ratio(_working_capital, _assets)
        + 0.0757 * ratio(_current, _c("current_assets")).clip(0, 20)
        + LIABILITIES_ABOVE_ASSETS * (_liabilities > _assets).cast(pl.Float64)
        - 2.37 * ratio(_c("net_income"), _assets)
        - 1.83 * ratio(FUNDS_FROM_OPERATIONS, _liabilities).clip(-20, 20),
        1,
        "score",
    ),
    formula_feature(
        "zmijewski",
        "Zmijewski's score",
        "composite",
        "-4.336 - 4.513 NI/TA + 5.679 TL/TA + 0.004 CA/CL",
        ZMIJEWSKI,
        "losses and leverage in one",
        -4.336
        - 4.513 * ratio(_c("net_income"), _assets)
        + 5.679 * ratio(_liabilities, _assets)
        + 0.004 * ratio(_c("current_assets"), _current).clip(0, 50),
        1,
        "score",
    ),
)
