"""Changes over one year and trends over two, against what had been published when the statement came out."""

from __future__ import annotations

import polars as pl

from quiebra.features.feature import Feature

CHANGED = {
    "working_capital_to_assets": "liquidity", "current_liabilities_to_assets": "liquidity", "liabilities_to_assets": "leverage",
    "retained_earnings_to_assets": "leverage", "net_income_to_assets": "profitability", "ebitda_to_assets": "profitability",
    "gross_margin": "profitability", "asset_turnover": "activity", "log_assets": "size", "log_revenue": "size",
    "log_market_value": "market", "market_value_to_liabilities": "market", "market_leverage": "market",
    "net_income_to_market_assets": "market",
}  # fmt: skip
TREND = ("liabilities_to_assets", "net_income_to_assets", "log_market_value", "log_revenue")


def changes(ratios: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """Return the change features of the given ratios. Their expressions read ``NAME`` and ``NAME_lag1`` / ``NAME_lag2``."""
    by_name = {feature.name: feature for feature in ratios}
    one_year = tuple(_change(by_name[name], concept, 1) for name, concept in CHANGED.items())
    two_years = tuple(_change(by_name[name], CHANGED[name], 2) for name in TREND)
    losses = [(pl.col(name) < 0).cast(pl.Float64) for name in ("net_income", "net_income_lag1", "net_income_lag2")]
    persistence = Feature(
        "loss_years", "Loss years of the last three", "profitability", "years",
        "count of net_income < 0 in this year and the two before, of those published", "Ohlson (1980)",
        pl.when(pl.col("net_income").is_not_null()).then(pl.sum_horizontal(losses)),
    )  # fmt: skip
    return (*one_year, *two_years, persistence)


def _change(feature: Feature, concept: str, years: int) -> Feature:
    span = "one year" if years == 1 else "two years"
    return Feature(
        name=f"{feature.name}_change{years}",
        label=f"{feature.label}, change over {span}",
        concept=concept,
        unit=feature.unit,
        formula=f"{feature.name} minus its value {span} before",
        source="Change of the ratio; Shumway (2001), Ohlson (1980)",
        expr=pl.col(feature.name) - pl.col(f"{feature.name}_lag{years}"),
    )


def lagged(table: pl.DataFrame, columns: list[str], years: int) -> pl.DataFrame:
    """Return ``table`` with ``NAME_lagN``: each row's values ``years`` fiscal years before, in the version published by then.

    A year that is absent, or was published later than the row, gives missing values.
    """
    before = table.select(
        "company_id",
        pl.col("fiscal_year") + years,
        pl.col("available_at"),
        *(pl.col(name).alias(f"{name}_lag{years}") for name in columns),
    )
    return (
        table.sort("available_at")
        .join_asof(before.sort("available_at"), on="available_at", by=["company_id", "fiscal_year"], strategy="backward",
                   check_sortedness=False)
        .sort("company_id", "fiscal_year", "available_at")
    )  # fmt: skip
