"""Ratios of one statement: liquidity, leverage, profitability, activity, coverage, size and market."""

from __future__ import annotations

import polars as pl

from quiebra.features.feature import Feature, log_million, ratio

BEAVER, ALTMAN, OHLSON = "Beaver (1966)", "Altman (1968)", "Ohlson (1980)"
ZMIJEWSKI, SHUMWAY, CHS = "Zmijewski (1984)", "Shumway (2001)", "Campbell, Hilscher and Szilagyi (2008)"
TEXTBOOK = "Standard ratio"

_c = pl.col
_equity = _c("total_assets") - _c("total_liabilities")
_working_capital = _c("current_assets") - _c("current_liabilities")
_market_assets = _c("total_liabilities") + _c("market_value")


def _over(name: str, label: str, concept: str, top: str, bottom: str, source: str) -> Feature:
    """A plain ratio of two items."""
    return Feature(name, label, concept, "ratio", f"{top} / {bottom}", source, ratio(_c(top), _c(bottom)))


def _made(name: str, label: str, concept: str, formula: str, source: str, expr: pl.Expr, unit: str = "ratio") -> Feature:
    return Feature(name, label, concept, unit, formula, source, expr)


RATIOS: tuple[Feature, ...] = (
    # liquidity
    _made("working_capital_to_assets", "Working capital / assets", "liquidity",
          "(current_assets - current_liabilities) / total_assets", ALTMAN, ratio(_working_capital, _c("total_assets"))),
    _over("current_ratio", "Current ratio", "liquidity", "current_assets", "current_liabilities", BEAVER),
    _made("quick_ratio", "Quick ratio", "liquidity", "(current_assets - inventory) / current_liabilities", TEXTBOOK,
          ratio(_c("current_assets") - _c("inventory"), _c("current_liabilities"))),
    _over("cash_to_assets", "Cash / assets", "liquidity", "cash", "total_assets", CHS),
    _over("current_assets_to_assets", "Current assets / assets", "liquidity", "current_assets", "total_assets", TEXTBOOK),
    _over("current_liabilities_to_assets", "Current liabilities / assets", "liquidity", "current_liabilities", "total_assets",
          TEXTBOOK),
    # leverage
    _over("liabilities_to_assets", "Liabilities / assets", "leverage", "total_liabilities", "total_assets", OHLSON),
    _over("debt_to_assets", "Long-term debt / assets", "leverage", "long_term_debt", "total_assets", BEAVER),
    _over("current_share_of_liabilities", "Current share of liabilities", "leverage", "current_liabilities",
          "total_liabilities", TEXTBOOK),
    _over("retained_earnings_to_assets", "Retained earnings / assets", "leverage", "retained_earnings", "total_assets", ALTMAN),
    # profitability
    _over("net_income_to_assets", "Net income / assets", "profitability", "net_income", "total_assets", ZMIJEWSKI),
    _over("ebit_to_assets", "EBIT / assets", "profitability", "ebit", "total_assets", ALTMAN),
    _over("ebitda_to_assets", "EBITDA / assets", "profitability", "ebitda", "total_assets", TEXTBOOK),
    _over("gross_margin", "Gross margin", "profitability", "gross_profit", "revenue", TEXTBOOK),
    _over("ebit_margin", "EBIT margin", "profitability", "ebit", "revenue", TEXTBOOK),
    _over("net_margin", "Net margin", "profitability", "net_income", "revenue", TEXTBOOK),
    # activity
    _over("asset_turnover", "Revenue / assets", "activity", "revenue", "total_assets", ALTMAN),
    _over("inventory_to_revenue", "Inventory / revenue", "activity", "inventory", "revenue", TEXTBOOK),
    _over("receivables_to_revenue", "Receivables / revenue", "activity", "receivables", "revenue", TEXTBOOK),
    _over("current_liabilities_to_revenue", "Current liabilities / revenue", "activity", "current_liabilities", "revenue",
          TEXTBOOK),
    _over("operating_expenses_to_revenue", "Operating expenses / revenue", "activity", "operating_expenses", "revenue",
          TEXTBOOK),
    _over("depreciation_to_assets", "Depreciation / assets", "activity", "depreciation_amortization", "total_assets", TEXTBOOK),
    # coverage
    _over("ebitda_to_liabilities", "EBITDA / liabilities", "coverage", "ebitda", "total_liabilities", OHLSON),
    _over("ebitda_to_current_liabilities", "EBITDA / current liabilities", "coverage", "ebitda", "current_liabilities",
          TEXTBOOK),
    _over("interest_coverage", "EBIT / interest", "coverage", "ebit", "interest_expense", TEXTBOOK),
    _over("cash_flow_to_liabilities", "Operating cash flow / liabilities", "coverage", "operating_cash_flow",
          "total_liabilities", BEAVER),
    _made("non_operating_cost_to_assets", "Interest, tax and other costs / assets", "coverage",
          "(ebit - net_income) / total_assets", TEXTBOOK, ratio(_c("ebit") - _c("net_income"), _c("total_assets"))),
    # size
    _made("log_assets", "Size (assets)", "size", "ln(total_assets)", OHLSON, log_million(_c("total_assets")), "ln million"),
    _made("log_revenue", "Size (revenue)", "size", "ln(revenue)", TEXTBOOK, log_million(_c("revenue")), "ln million"),
    # market
    _made("log_market_value", "Market value", "market", "ln(market_value)", SHUMWAY, log_million(_c("market_value")),
          "ln million"),
    _over("market_value_to_liabilities", "Market value / liabilities", "market", "market_value", "total_liabilities", ALTMAN),
    _made("market_leverage", "Liabilities / market value of assets", "market",
          "total_liabilities / (total_liabilities + market_value)", CHS, ratio(_c("total_liabilities"), _market_assets)),
    _made("net_income_to_market_assets", "Net income / market value of assets", "market",
          "net_income / (total_liabilities + market_value)", CHS, ratio(_c("net_income"), _market_assets)),
    _over("market_to_assets", "Market value / assets", "market", "market_value", "total_assets", TEXTBOOK),
    _over("market_value_to_revenue", "Market value / revenue", "market", "market_value", "revenue", TEXTBOOK),
    _made("market_to_book", "Market / book equity", "market", "market_value / (total_assets - total_liabilities)", CHS,
          ratio(_c("market_value"), _equity)),
)  # fmt: skip
