"""Challenger models: simpler models, walked forward through the same years and judged on the same rows.

Six ratios are those of Campbell, Hilscher and Szilagyi (2008), as far as yearly data has them; five are Altman's (1968).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from quiebra.canonical import earliest_day
from quiebra.items import FIRM_YEAR_KEYS
from quiebra.models.blend import MIN_FAILURES_TO_CALIBRATE
from quiebra.panel.horizons import known_outcomes
from quiebra.params import Labels
from quiebra.progress import report_progress
from quiebra.validation.comparison import Bootstrap, ResampledScore

SIX_RATIOS = (
    "net_income_to_market_assets",
    "market_leverage",
    "liquid_to_market_assets",
    "book_to_market",
    "log_market_value",
    "log_market_value_change1",
)
SIX_RATIO_SIGNS = (-1, 1, -1, 0, 0, -1)
ALTMAN_FIVE_RATIOS = (
    "working_capital_to_assets",
    "retained_earnings_to_assets",
    "ebit_to_assets",
    "market_value_to_liabilities",
    "asset_turnover",
)
FitFunction = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""From inputs (rows × ratios, NaN where missing) and 0/1 outcomes to a function that returns PDs of other rows."""
CHAIN_SCORES = {"blend": "pd_12m", "model without Altman": "pd_model", "accounts only": "pd_accounting", "Altman Z": "pd_altman"}
"""Scores of the model chain that are judged with the challengers: name → column."""


def fit_ratio_logit(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a logistic regression on ratios winsorised at the 1st and 99th percentiles of the training window.

    A missing ratio is set to the window's median.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    low, middle, high = np.nanquantile(inputs, [0.01, 0.5, 0.99], axis=0)

    def ready(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.where(np.isnan(rows), middle, rows), low, high)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000)).fit(ready(inputs), failed)
    return lambda rows: model.predict_proba(ready(rows))[:, 1]


def fit_small_boosting(inputs: np.ndarray, failed: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit boosted trees as in published work: 279 trees of 7 leaves, learning rate 0.02, 200 rows a leaf, monotone."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    classifier = HistGradientBoostingClassifier(
        max_leaf_nodes=7,
        learning_rate=0.02,
        max_iter=279,
        min_samples_leaf=200,
        early_stopping=False,
        random_state=1,
        monotonic_cst=list(SIX_RATIO_SIGNS),
    )
    with threadpool_limits(1):  # several threads take longer for so few columns, and many times longer on a busy machine
        model = classifier.fit(inputs, failed)
    return lambda rows: model.predict_proba(rows)[:, 1]


CHALLENGERS: dict[str, tuple[tuple[str, ...], FitFunction]] = {
    "boosted trees, six ratios": (SIX_RATIOS, fit_small_boosting),
    "logistic, six ratios": (SIX_RATIOS, fit_ratio_logit),
    "logistic, Altman's five refitted": (ALTMAN_FIVE_RATIOS, fit_ratio_logit),
}


def walk_challengers(
    features: pl.DataFrame,
    statements: pl.DataFrame,
    events: pl.DataFrame,
    *,
    years: list[int],
    first_year: int,
    embargo: int,
    labels: Labels,
    challengers: Mapping[str, tuple[tuple[str, ...], FitFunction]] = CHALLENGERS,
) -> pl.DataFrame:
    """Return company_id, fiscal_year and a column of PDs per challenger, each year scored by models of years before the embargo.

    Challengers train on the same rows and outcomes as `quiebra.models.walk_forward`: first published statements, and what was
    known at the end of the year, or when its first statement was published. Null where a challenger had too few failures to train
    on, or one of its ratios was missing in every row.
    """
    keys = [*FIRM_YEAR_KEYS, "available_at"]
    first = features.sort(keys).unique(FIRM_YEAR_KEYS, keep="first", maintain_order=True)
    found = []
    for year in years:
        report_progress(f"challengers, year {year} of {max(years)}")
        test = first.filter(pl.col("fiscal_year") == year)
        if test.is_empty():
            continue
        known_at = min(dt.date(year, 12, 31), earliest_day(test["available_at"]))
        known = known_outcomes(statements, events, labels, known_at=known_at, last_year=year - 1 - embargo)
        known = known.filter((pl.col("fiscal_year") >= first_year) & (pl.col("years_known") >= 1))
        learn = known.select(*keys, "years_to_failure").join(features, on=keys, maintain_order="left")
        failed = (learn["years_to_failure"] == 1).fill_null(False).to_numpy().astype(int)
        scores = test.select(FIRM_YEAR_KEYS)
        for name, (inputs, fit) in challengers.items():
            matrix, judged = (table.select(pl.col(inputs).fill_null(np.nan)).to_numpy() for table in (learn, test))
            enough = failed.sum() >= MIN_FAILURES_TO_CALIBRATE and np.isfinite(matrix).any(axis=0).all()
            pds = fit(matrix, failed)(judged) if enough else np.full(len(judged), np.nan)
            scores = scores.with_columns(pl.Series(name, pds).fill_nan(None))
        found.append(scores)
    return pl.concat(found).sort(FIRM_YEAR_KEYS)


def compare_challengers(judged: pl.DataFrame, others: pl.DataFrame, how: Bootstrap) -> dict[str, Any]:
    """Return the figures of our scores and of every challenger, and the blend's less each, on the rows that all of them score.

    judged: out-of-time scores with failed. others: from `walk_challengers`; a challenger that scores no row is left out.
    """
    names = [name for name in others.columns if name not in FIRM_YEAR_KEYS and others[name].is_not_null().any()]
    ours = {name: column for name, column in CHAIN_SCORES.items() if judged[column].is_not_null().any()}
    columns = {**ours, **{name: name for name in names}}
    rows = (
        judged.join(others, on=FIRM_YEAR_KEYS)
        .sort(FIRM_YEAR_KEYS)
        .filter(pl.all_horizontal(pl.col(*columns.values()).is_not_null()))
    )
    scores = {name: ResampledScore.resample(rows, column, how) for name, column in columns.items()}
    return {
        "rows": rows.height,
        "events": int(rows["failed"].sum()),
        "figures": {name: score.judge() for name, score in scores.items()},
        "blend minus": {name: scores["blend"].judge_against(score) for name, score in scores.items() if name != "blend"},
    }
