"""Challengers: what simpler models would have said, walked through the same years and judged on the same rows.

Six ratios are those of Campbell, Hilscher and Szilagyi (2008), as far as yearly data has them; five are Altman's (1968).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from quiebra.models.blend import MIN_FAILURES
from quiebra.panel.horizons import known_outcomes
from quiebra.params import Labels
from quiebra.validation.judging import Resampling, judge, paired

SIX = ("net_income_to_market_assets", "market_leverage", "liquid_to_market_assets", "book_to_market", "log_market_value",
       "log_market_value_change1")  # fmt: skip
SIX_SIGNS = (-1, 1, -1, 0, 0, -1)
FIVE = ("working_capital_to_assets", "retained_earnings_to_assets", "ebit_to_assets", "market_value_to_liabilities",
        "asset_turnover")  # fmt: skip
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""From inputs (rows × ratios, NaN where missing) and 0/1 outcomes to a function that gives PDs of other rows."""
KEYS = ["company_id", "fiscal_year"]
OURS = {"blend": "pd_12m", "model without Altman": "pd_model", "accounts only": "pd_accounting", "Altman Z": "pd_altman"}
"""What the chain of models itself says, beside its blend."""


def logistic(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Logistic regression on ratios winsorised at the 1st and 99th percentile of the window; missing: the window's median."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    low, middle, high = np.nanquantile(inputs, [0.01, 0.5, 0.99], axis=0)

    def ready(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.where(np.isnan(rows), middle, rows), low, high)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000)).fit(ready(inputs), failed)
    return lambda rows: model.predict_proba(ready(rows))[:, 1]


def boosted(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Boosted trees as the field's public work has them: 279 of 7 leaves, at a rate of 0.02, 200 rows a leaf, monotone."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_leaf_nodes=7, learning_rate=0.02, max_iter=279, min_samples_leaf=200, early_stopping=False, random_state=1,
        monotonic_cst=list(SIX_SIGNS),
    ).fit(inputs, failed)  # fmt: skip
    return lambda rows: model.predict_proba(rows)[:, 1]


CHALLENGERS: dict[str, tuple[tuple[str, ...], Fit]] = {
    "boosted trees, six ratios": (SIX, boosted),
    "logistic, six ratios": (SIX, logistic),
    "logistic, Altman's five refitted": (FIVE, logistic),
}


def walk_challengers(
    features: pl.DataFrame, statements: pl.DataFrame, events: pl.DataFrame, *,
    years: list[int], first_year: int, embargo: int, labels: Labels,
    challengers: Mapping[str, tuple[tuple[str, ...], Fit]] = CHALLENGERS,
) -> pl.DataFrame:  # fmt: skip
    """Return company_id, fiscal_year and a column of PDs a challenger, each year scored by models of years before the embargo.

    They learn from the rows and outcomes that `quiebra.models.walk` learns from: first published statements, and what was known
    at the end of the year, or when its first statement came out. Missing where a challenger had too few failures to learn from,
    or one of its ratios in no row.
    """
    keys = [*KEYS, "available_at"]
    first = features.sort(keys).unique(KEYS, keep="first", maintain_order=True)
    found = []
    for year in years:
        test = first.filter(pl.col("fiscal_year") == year)
        if test.is_empty():
            continue
        known_at = min(dt.date(year, 12, 31), test["available_at"].min())  # type: ignore[type-var]
        known = known_outcomes(statements, events, labels, known_at=known_at, last_year=year - 1 - embargo)
        known = known.filter((pl.col("fiscal_year") >= first_year) & (pl.col("years_known") >= 1))
        learn = known.select(*keys, "years_to_failure").join(features, on=keys, maintain_order="left")
        failed = (learn["years_to_failure"] == 1).fill_null(False).to_numpy().astype(int)
        scores = test.select(KEYS)
        for name, (inputs, fit) in challengers.items():
            matrix, judged = (table.select(pl.col(inputs).fill_null(np.nan)).to_numpy() for table in (learn, test))
            enough = failed.sum() >= MIN_FAILURES and np.isfinite(matrix).any(axis=0).all()
            pds = fit(matrix, failed)(judged) if enough else np.full(len(judged), np.nan)
            scores = scores.with_columns(pl.Series(name, pds).fill_nan(None))
        found.append(scores)
    return pl.concat(found).sort(KEYS)


def contest(judged: pl.DataFrame, others: pl.DataFrame, how: Resampling) -> dict[str, Any]:
    """Return the figures of ours and of every challenger, and ours less each, on the rows that all of them score.

    judged: out-of-time scores with failed. others: from `walk_challengers`; one that scores no row is left out.
    """
    names = [name for name in others.columns if name not in KEYS and others[name].is_not_null().any()]
    ours = {name: column for name, column in OURS.items() if judged[column].is_not_null().any()}
    columns = {**ours, **{name: name for name in names}}
    rows = judged.join(others, on=KEYS).sort(KEYS).filter(pl.all_horizontal(pl.col(*columns.values()).is_not_null()))
    return {
        "rows": rows.height,
        "events": int(rows["failed"].sum()),
        "figures": {name: judge(rows, column, how) for name, column in columns.items()},
        "blend minus": {name: paired(rows, "pd_12m", column, how) for name, column in columns.items() if name != "blend"},
    }
