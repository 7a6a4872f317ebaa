"""Build published statements from the simulated firms' state, and add data faults to them."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.items import ITEM_NAMES

TAX, INTEREST, DEPRECIATION = 0.25, 0.045, 0.04
OFTEN_MISSING = {
    "interest_expense": 0.06,
    "operating_cash_flow": 0.06,
    "inventory": 0.03,
    "cash": 0.03,
    "retained_earnings": 0.02,
}


def publish_statements(rng: np.random.Generator, rows: pl.DataFrame, firms: pl.DataFrame) -> pl.DataFrame:
    """Return clean statements (in millions) for the simulated firm-years, sorted by company and year."""
    f = firms[rows["firm"].to_numpy()]
    n = len(rows)

    def noise(scale: float) -> np.ndarray:
        return scale * rng.standard_normal(n)

    value, debt, shock = np.exp(rows["log_assets"].to_numpy()), rows["debt"].to_numpy(), rows["shock"].to_numpy()
    assets = value * np.exp(-0.15 * shock + noise(0.03))  # book values lag asset values
    strain = np.clip(debt / value - 0.6, 0, 0.6)
    revenue = assets * f["turnover"].to_numpy() * np.exp(0.3 * shock + noise(0.06))
    ebit = assets * (f["margin"].to_numpy() + 0.35 * shock - 0.10 * strain + noise(0.015))
    depreciation = assets * DEPRECIATION * np.exp(noise(0.1))
    interest = debt * 0.7 * (INTEREST + 0.05 * strain)
    before_tax = ebit - interest
    net_income = before_tax - TAX * np.maximum(before_tax, 0)
    current = assets * np.clip(f["current_share"].to_numpy() - 0.15 * strain + noise(0.03), 0.05, 0.95)
    cash = current * np.clip(0.22 - 0.3 * strain + noise(0.05), 0.01, 0.8)
    stock = (current - cash) * np.clip(0.45 + noise(0.08), 0.02, 0.9)
    short = debt * np.clip(0.5 + 0.35 * strain + noise(0.05), 0.1, 0.95)
    gross = ebit + depreciation + 0.18 * revenue * np.exp(noise(0.1))
    book_equity = assets - debt
    listed = f["listed"].to_numpy()
    equity = np.maximum(value - 0.97 * debt, 0.01 * value) * np.exp(noise(0.08))
    items = {
        "current_assets": current,
        "cash": cash,
        "receivables": current - cash - stock,
        "inventory": stock,
        "total_assets": assets,
        "current_liabilities": short,
        "long_term_debt": 0.8 * (debt - short),
        "total_liabilities": debt,
        "retained_earnings": 0.6 * book_equity + noise(0.03) * assets,
        "revenue": revenue,
        "cost_of_goods_sold": revenue - gross,
        "gross_profit": gross,
        "operating_expenses": revenue - ebit - depreciation,
        "depreciation_amortization": depreciation,
        "ebitda": ebit + depreciation,
        "ebit": ebit,
        "interest_expense": interest,
        "net_income": net_income,
        "operating_cash_flow": net_income + depreciation + noise(0.02) * assets,
        "market_value": np.where(listed, equity, np.nan),
    }
    late = rng.random(n) < 0.03
    wait = f["filing_days"].to_numpy() + np.where(late, rng.integers(120, 240, n), 0)
    frame = pl.DataFrame({name: np.round(items[name], 4) for name in ITEM_NAMES}).fill_nan(None)
    period_end = pl.date("fiscal_year", 12, 31)
    return (
        frame.with_columns(rows["company_id"], rows["fiscal_year"], wait=pl.Series(wait))
        .with_columns(period_end=period_end, currency=pl.lit("EUR"), source=pl.lit("demo"))
        .with_columns(available_at=pl.col("period_end") + pl.duration(days="wait"))
        .sort("company_id", "fiscal_year")
    )


def add_data_faults(rng: np.random.Generator, tidy: pl.DataFrame) -> pl.DataFrame:
    """Return the statements with missing items, gaps, restatements (later rows for the same year) and broken rows."""
    n = len(tidy)
    blanks = [
        pl.when(pl.Series(rng.random(n) >= OFTEN_MISSING.get(name, 0.004))).then(pl.col(name)).alias(name)
        for name in ITEM_NAMES
        if name not in ("total_assets", "total_liabilities")
    ]
    frame = tidy.with_columns(blanks)
    kept = frame.filter(pl.Series(rng.random(n) >= 0.008) | (pl.col("fiscal_year") == pl.col("fiscal_year").max()))
    restated = kept.filter(pl.Series(rng.random(len(kept)) < 0.01)).with_columns(
        pl.col("available_at") + pl.duration(days=200),
        *(pl.col(name) * 0.93 for name in ("total_assets", "ebit", "ebitda", "net_income", "retained_earnings")),
    )
    broken = kept.sample(max(6, n // 400), seed=int(rng.integers(2**31)), shuffle=True).with_row_index("fault")
    fault = pl.col("fault") % 6
    broken = broken.with_columns(
        total_assets=pl.when(fault == 0).then(-pl.col("total_assets")).when(fault == 1).then(None).otherwise("total_assets"),
        ebit=pl.when(fault == 2).then(float("inf")).otherwise("ebit"),
        fiscal_year=pl.when(fault == 3).then(pl.col("fiscal_year") - 1900).otherwise("fiscal_year"),
        available_at=pl.when(fault == 4).then(pl.col("period_end") - pl.duration(days=40)).otherwise("available_at"),
        company_id=pl.when(fault == 5).then(None).otherwise("company_id"),
    ).drop("fault")
    twice = kept.sample(max(2, n // 2000), seed=int(rng.integers(2**31)), shuffle=True)
    rows = pl.concat([kept, restated, broken.select(kept.columns), twice])
    return rows.sort("company_id", "fiscal_year", "available_at", "total_assets")
