"""The data quality report: what came in, what was kept, what is missing, what does not add up."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra.items import ITEM_NAMES

TOLERANCE = 0.02
"""An identity counts as broken where it misses by more than this share of total assets."""

IDENTITIES: dict[str, tuple[pl.Expr, pl.Expr]] = {
    "ebitda = ebit + depreciation_amortization": (pl.col("ebitda"), pl.col("ebit") + pl.col("depreciation_amortization")),
    "gross_profit = revenue - cost_of_goods_sold": (pl.col("gross_profit"), pl.col("revenue") - pl.col("cost_of_goods_sold")),
    "current_assets <= total_assets": (pl.max_horizontal("current_assets", "total_assets"), pl.col("total_assets")),
    "current_liabilities <= total_liabilities": (
        pl.max_horizontal("current_liabilities", "total_liabilities"),
        pl.col("total_liabilities"),
    ),
}


def quality_report(
    rows_in: int, statements: pl.DataFrame, quarantined: pl.DataFrame, blanked: dict[str, int]
) -> dict[str, Any]:
    """Return the report as plain JSON values. Counts are rows; missing shares are of kept rows, by item and fiscal year."""
    by_rule = dict(quarantined["rule"].value_counts().sort("rule").iter_rows())
    years = statements["fiscal_year"]
    revisions = statements.height - statements.select("company_id", "fiscal_year").n_unique()
    return {
        "rows_in": rows_in,
        "rows_kept": statements.height,
        "rows_quarantined": quarantined.height,
        "quarantined_by_rule": by_rule,
        "duplicates": by_rule.get("duplicate", 0),
        "restatements": revisions,
        "negatives_set_missing": blanked,
        "companies": statements["company_id"].n_unique(),
        "first_year": years.min(),
        "last_year": years.max(),
        "rows_by_year": {str(year): rows for year, rows in years.value_counts().sort("fiscal_year").iter_rows()},
        "missing_by_item": {name: round(statements[name].null_count() / statements.height, 6) for name in ITEM_NAMES},
        "missing_by_item_and_year": _missing_by_year(statements),
        "identities_broken": _identities(statements),
        "outliers_by_item": _outliers(statements),
    }


def _missing_by_year(statements: pl.DataFrame) -> dict[str, dict[str, float]]:
    shares = statements.group_by("fiscal_year").agg(pl.col(ITEM_NAMES).is_null().mean().round(6)).sort("fiscal_year")
    return {str(row.pop("fiscal_year")): row for row in shares.to_dicts()}


def _identities(statements: pl.DataFrame) -> dict[str, int]:
    misses = {
        name: ((left - right).abs() > TOLERANCE * pl.col("total_assets")).sum() for name, (left, right) in IDENTITIES.items()
    }
    return statements.select(**misses).row(0, named=True)


def _outliers(statements: pl.DataFrame) -> dict[str, int]:
    """Count, by item, amounts over total assets further from the median than ten interquartile ranges."""
    scaled = statements.select(pl.col(name) / pl.col("total_assets") for name in ITEM_NAMES if name != "total_assets")
    spread = [
        ((pl.col(n) - pl.col(n).median()).abs() > 10 * (pl.col(n).quantile(0.75) - pl.col(n).quantile(0.25))).sum()
        for n in scaled.columns
    ]
    return scaled.select(spread).row(0, named=True)
