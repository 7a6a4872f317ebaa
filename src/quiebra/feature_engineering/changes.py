"""Changes, growth and multi-year features, relative to what had been published when the statement came out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from quiebra.feature_engineering.feature import Feature, log_million, mean_known, ratio
from quiebra.feature_engineering.matrix import to_columns, to_matrix
from quiebra.feature_engineering.ratios import CHS, FUNDS_FROM_OPERATIONS, OHLSON, TEXTBOOK, formula_feature

SHUMWAY = "Change of the ratio; Shumway (2001), Ohlson (1980)"
SLOAN = "Sloan (1996)"
YEARS_BACK = 4

ONE_YEAR_CHANGES = (
    "working_capital_to_assets",
    "current_liabilities_to_assets",
    "liquid_to_assets",
    "liabilities_to_assets",
    "retained_earnings_to_assets",
    "debt_share_of_liabilities",
    "current_share_of_liabilities",
    "net_income_to_assets",
    "ebitda_to_assets",
    "gross_margin",
    "asset_turnover",
    "log_assets",
    "log_revenue",
    "log_market_value",
    "market_value_to_liabilities",
    "market_leverage",
    "net_income_to_market_assets",
)
"""Features with a change over one year."""
TWO_YEAR_CHANGES = ("liabilities_to_assets", "net_income_to_assets", "log_market_value", "log_revenue", "market_leverage")
THREE_YEAR_CHANGES = ("log_market_value",)
GROWTH_ITEMS = {
    "current_assets": "assets run down to pay with",
    "receivables": "sales not paid for, or no sales",
    "inventory": "stock that piles up or runs out",
    "operating_expenses": "costs that outrun sales, or are cut",
    "total_liabilities": "claims that pile up",
    "current_liabilities": "bills that pile up",
    "long_term_debt": "borrowing that ends, or debt made short",
    "depreciation_amortization": "assets bought, sold or written down",
}
MULTI_YEAR_LAGS = (
    "net_income_to_assets",
    "ebitda_to_assets",
    "log_market_value",
    "net_income",
    "market_leverage",
    "log_revenue",
    "liabilities_to_assets",
)
"""Columns lagged by more than one year."""
CHANGE_UNITS = {"share": "points", "times": "times", "ln million": "ln"}
"""Unit of a feature → unit of its change; a point is a hundredth of a share."""

_c = pl.col
_EQUITY = _c("total_assets") - _c("total_liabilities")
OPERATING_CAPITAL = _c("inventory") + _c("receivables") - _c("current_liabilities")

LAGS: dict[int, tuple[str, ...]] = {
    1: (*ONE_YEAR_CHANGES, *GROWTH_ITEMS, "net_income", "total_assets", "equity", "retained_earnings", "operating_capital"),
    **dict.fromkeys(range(2, YEARS_BACK + 1), MULTI_YEAR_LAGS),
}
"""Years of lag → the features and items that are lagged."""
HELPER_AMOUNTS = {"equity": _EQUITY, "operating_capital": OPERATING_CAPITAL}
"""Amounts that are not features but whose lagged values are needed."""


def _years(name: str, count: int, first: int = 0) -> list[pl.Expr]:
    return [_c(name if k == 0 else f"{name}_lag{k}") for k in range(first, count)]


def change_features(by_name: dict[str, Feature]) -> tuple[Feature, ...]:
    """Return the change features of the given features; their expressions use ``NAME`` and ``NAME_lag1`` to ``NAME_lag4``."""
    one = [_change(by_name[name], 1) for name in ONE_YEAR_CHANGES]
    longer = [_change(by_name[name], 2) for name in TWO_YEAR_CHANGES] + [_change(by_name[name], 3) for name in THREE_YEAR_CHANGES]
    return (*one, *longer, *(_growth(item, why) for item, why in GROWTH_ITEMS.items()), *_FLOWS, *_HISTORY)


def _change(feature: Feature, years: int) -> Feature:
    span = {1: "one year", 2: "two years", 3: "three years"}[years]
    return Feature(
        name=f"{feature.name}_change{years}",
        label=f"{feature.label}, change over {span}",
        concept="market" if feature.concept == "market" else "trend",
        unit=CHANGE_UNITS[feature.unit],
        formula=f"{feature.name} minus its value {span} before",
        why="which way it goes says more than where it is",
        source=SHUMWAY,
        expr=_c(feature.name) - _c(f"{feature.name}_lag{years}"),
        sign=feature.sign,
    )


def _growth(item: str, why: str) -> Feature:
    words = item.replace("_", " ")
    return formula_feature(
        f"{item}_growth",
        f"Growth of {words}",
        "trend",
        f"ln({item}) minus its value one year before",
        TEXTBOOK,
        why,
        log_million(_c(item)) - log_million(_c(f"{item}_lag1")),
        unit="ln",
    )


_FLOWS = (
    formula_feature(
        "equity_raised",
        "Equity raised / assets",
        "trend",
        "(change of equity - net_income) / total_assets one year before",
        TEXTBOOK,
        "new money from owners, or none",
        ratio(_EQUITY - _c("equity_lag1") - _c("net_income"), _c("total_assets_lag1")),
    ),
    formula_feature(
        "accruals",
        "Accruals / assets",
        "trend",
        "change of (inventory + receivables - current_liabilities) / total_assets",
        SLOAN,
        "profit that is not cash",
        ratio(OPERATING_CAPITAL - _c("operating_capital_lag1"), _c("total_assets")),
    ),
    formula_feature(
        "cash_earned_to_liabilities",
        "Cash earned / liabilities",
        "coverage",
        "(net_income + depreciation_amortization - accruals * total_assets) / total_liabilities",
        SLOAN,
        "cash that can pay the claims, where a source gives no cash flow",
        ratio(FUNDS_FROM_OPERATIONS - OPERATING_CAPITAL + _c("operating_capital_lag1"), _c("total_liabilities")),
    ),
    formula_feature(
        "income_turn",
        "Turn of net income",
        "trend",
        "change of net_income / (|net_income| + |net_income one year before|)",
        OHLSON,
        "a turn for the worse, whatever the size",
        ratio(_c("net_income") - _c("net_income_lag1"), _c("net_income").abs() + _c("net_income_lag1").abs()),
        -1,
        "score",
    ),
    formula_feature(
        "net_income_to_assets_acceleration",
        "Net income / assets, acceleration",
        "trend",
        "change of net_income_to_assets minus its change one year before",
        TEXTBOOK,
        "a fall that gathers speed",
        _c("net_income_to_assets") - 2 * _c("net_income_to_assets_lag1") + _c("net_income_to_assets_lag2"),
        unit="points",
    ),
)


def _volatility(name: str, years: int) -> pl.Expr:
    """Return the root mean square of the known yearly changes, of at most ``years``."""
    steps = [(a - b) ** 2 for a, b in zip(_years(name, years), _years(name, years + 1, 1), strict=True)]
    return mean_known(steps).sqrt()


_HISTORY = tuple(
    replace(feature, history=True)
    for feature in (
        formula_feature(
            "loss_years",
            "Loss years of the last three",
            "profitability",
            "count of net_income < 0 in this year and the two before",
            OHLSON,
            "losses that last",
            pl.when(_c("net_income").is_not_null()).then(
                pl.sum_horizontal((value < 0).cast(pl.Float64) for value in _years("net_income", 3))
            ),
            1,
            "years",
        ),
        formula_feature(
            "net_income_to_assets_mean3",
            "Net income / assets, mean of three years",
            "profitability",
            "mean of net_income_to_assets over this year and the two before, of those published",
            CHS,
            "one bad year is not decline",
            mean_known(_years("net_income_to_assets", 3)),
            -1,
        ),
        formula_feature(
            "net_income_to_assets_worst3",
            "Net income / assets, worst of three years",
            "profitability",
            "least net_income_to_assets of this year and the two before",
            TEXTBOOK,
            "a deep loss is not forgotten in a year",
            pl.min_horizontal(_years("net_income_to_assets", 3)),
            -1,
        ),
        formula_feature(
            "ebitda_to_assets_mean3",
            "EBITDA / assets, mean of three years",
            "profitability",
            "mean of ebitda_to_assets over this year and the two before, of those published",
            CHS,
            "earning power over a cycle",
            mean_known(_years("ebitda_to_assets", 3)),
            -1,
        ),
        formula_feature(
            "net_income_volatility",
            "Volatility of net income / assets",
            "profitability",
            "root mean square change of net_income_to_assets over up to four years",
            TEXTBOOK,
            "profits that cannot be relied on",
            _volatility("net_income_to_assets", YEARS_BACK),
            unit="points",
        ),
        formula_feature(
            "market_value_volatility",
            "Volatility of market value",
            "market",
            "root mean square change of ln(market_value) over up to three years",
            SHUMWAY,
            "the market disagrees with itself",
            _volatility("log_market_value", 3),
            unit="ln a year",
        ),
        formula_feature(
            "market_value_off_peak",
            "Market value against its peak",
            "market",
            "ln(market_value) minus its highest of this year and the three before",
            SHUMWAY,
            "how far it has fallen",
            _c("log_market_value") - pl.max_horizontal(_years("log_market_value", 4)),
            -1,
            "ln",
        ),
        formula_feature(
            "years_published",
            "Years of published statements",
            "size",
            "fiscal_year minus the first one published, at most five",
            SHUMWAY,
            "the young fail more often",
            _c("years_published_raw"),
            unit="years",
        ),
    )
)


def lagged_values(past: pl.DataFrame, rows: np.ndarray) -> list[pl.Series]:
    """Return columns ``NAME_lagN`` of `LAGS` for ``rows``: values N fiscal years before, in the version published by then.

    past: statements sorted by company_id, fiscal_year and available_at, none of them missing. rows: positions there. A year that
    is absent, or was published later than the row, gives null.
    """
    years, days = (past[name].to_numpy().astype(np.int64) for name in ("fiscal_year", "available_at"))
    years, days = years - years.min(initial=0) + YEARS_BACK, days - days.min(initial=0)  # lags stay within a company's numbers
    firm_years = past["company_id"].rle_id().to_numpy() * (years.max(initial=0) + 1) + years
    days_in_all = days.max(initial=0) + 1
    versions, found = firm_years * days_in_all + days, list[pl.Series]()
    for lag, columns in LAGS.items():
        wanted = firm_years[rows] - lag
        latest = np.searchsorted(versions, wanted * days_in_all + days[rows], "right") - 1
        values = to_matrix(past, columns)[latest]
        values[firm_years[latest] != wanted] = np.nan
        found += to_columns(values, [f"{name}_lag{lag}" for name in columns])
    return found


def years_published() -> pl.Expr:
    """Return the years since the first fiscal year published by available_at, at most five."""
    first = pl.col("fiscal_year").cum_min().over("company_id", order_by=["available_at", "fiscal_year"])
    return (pl.col("fiscal_year") - first).clip(0, 5).cast(pl.Float64)
