"""What others would do, walked through the same years on the same rows: LightGBM and logistic regressions on few ratios.

Six ratios are those of Campbell, Hilscher and Szilagyi (2008), as far as yearly data has them; five are Altman's (1968).
"""

from __future__ import annotations

from collections.abc import Callable

import lightgbm
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from quiebra.features import FEATURES_BY_NAME

SIX = ("net_income_to_market_assets", "market_leverage", "liquid_to_market_assets", "book_to_market", "log_market_value",
       "log_market_value_change1")  # fmt: skip
SIX_SIGNS = [-1, 1, -1, 0, 0, -1]
FIVE = ("working_capital_to_assets", "retained_earnings_to_assets", "ebit_to_assets", "market_value_to_liabilities",
        "asset_turnover")  # fmt: skip
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def six_ratio_lightgbm(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    model = lightgbm.LGBMClassifier(
        num_leaves=7, learning_rate=0.02, n_estimators=279, min_child_samples=200, monotone_constraints=SIX_SIGNS,
        random_state=1, n_jobs=2, verbose=-1,
    ).fit(inputs, failed)  # fmt: skip
    return lambda rows: model.predict_proba(rows)[:, 1]


def logistic(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Winsorised at the 1st and 99th percentile of the training window; a missing value is the window's median."""
    low, middle, high = np.nanquantile(inputs, [0.01, 0.5, 0.99], axis=0)

    def ready(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.where(np.isnan(rows), middle, rows), low, high)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000)).fit(ready(inputs), failed)
    return lambda rows: model.predict_proba(ready(rows))[:, 1]


BASELINES: dict[str, tuple[tuple[str, ...], Fit]] = {
    "LightGBM, six ratios": (SIX, six_ratio_lightgbm),
    "logistic, six ratios": (SIX, logistic),
    "logistic, Altman's five refitted": (FIVE, logistic),
}


def walk_baselines(
    features: pl.DataFrame, labels: pl.DataFrame, *, years: list[int], first_year: int, embargo: int
) -> pl.DataFrame:
    """Return company_id, fiscal_year and a column of PDs a baseline, each year scored by models of years before the embargo.

    labels: company_id, fiscal_year, available_at and failed, of rows with a market value and features as first published.
    """
    assert all(name in FEATURES_BY_NAME for name in (*SIX, *FIVE))
    table = labels.join(features, on=["company_id", "fiscal_year", "available_at"]).sort("company_id", "fiscal_year")
    year, failed = table["fiscal_year"].to_numpy(), table["failed"].to_numpy()
    found = table.select("company_id", "fiscal_year")
    for name, (inputs, fit) in BASELINES.items():
        matrix = table.select(pl.col(inputs).fill_null(np.nan)).to_numpy()
        scores = np.full(len(year), np.nan)
        for judged in years:
            learn, test = (year >= first_year) & (year <= judged - 1 - embargo), year == judged
            scores[test] = fit(matrix[learn], failed[learn])(matrix[test])
        found = found.with_columns(pl.Series(name, scores))
    return found.filter(pl.col("fiscal_year").is_in(years))
