"""Challenger models: simpler models, walked forward through the same years and judged on the same rows.

Six ratios are those of Campbell, Hilscher and Szilagyi (2008), as far as yearly data has them; five are Altman's (1968).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from quiebra.items import FIRM_YEAR_KEYS
from quiebra.models.blend import MIN_FAILURES_TO_CALIBRATE
from quiebra.params import Labels
from quiebra.progress import report_progress
from quiebra.validation.comparison import Bootstrap, ResampledScore
from quiebra.validation.estimators import published_boosting, ratio_logit
from quiebra.validation.folds import yearly_folds

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
CHAIN_SCORES = {"blend": "pd_12m", "model without Altman": "pd_model", "accounts only": "pd_accounting", "Altman Z": "pd_altman"}
"""Scores of the model chain that are judged with the challengers: name → column."""


CHALLENGERS: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
    "boosted trees, six ratios": (SIX_RATIOS, partial(published_boosting, SIX_RATIO_SIGNS)),
    "logistic, six ratios": (SIX_RATIOS, ratio_logit),
    "logistic, Altman's five refitted": (ALTMAN_FIVE_RATIOS, ratio_logit),
}
"""Name → its ratios, and what makes its scikit-learn classifier."""


def walk_challengers(
    features: pl.DataFrame,
    statements: pl.DataFrame,
    events: pl.DataFrame,
    *,
    years: list[int],
    first_year: int,
    embargo: int,
    labels: Labels,
    challengers: Mapping[str, tuple[tuple[str, ...], Callable[[], Any]]] = CHALLENGERS,
) -> pl.DataFrame:
    """Return company_id, fiscal_year and a column of PDs per challenger, each year scored by models of years before the embargo.

    Challengers train on the same rows and outcomes as `quiebra.models.walk_forward`: first published statements, and what was
    known at the end of the year, or when its first statement was published. Null where a challenger had too few failures to train
    on, or one of its ratios was missing in every row.
    """
    folds = yearly_folds(features, statements, events, years=years, first_year=first_year, embargo=embargo, labels=labels)
    found = []
    for fold in folds:
        report_progress(f"challengers, year {fold.year} of {max(years)}")
        failed, scores = fold.failed, fold.test.select(FIRM_YEAR_KEYS)
        for name, (inputs, make) in challengers.items():
            learn, judged = (table.select(pl.col(inputs).fill_null(np.nan)).to_numpy() for table in (fold.train, fold.test))
            pds = np.full(len(judged), np.nan)
            if failed.sum() >= MIN_FAILURES_TO_CALIBRATE and np.isfinite(learn).any(axis=0).all():
                with threadpool_limits(
                    1
                ):  # several threads take longer for so few columns, and many times longer on a busy machine
                    pds = make().fit(learn, failed).predict_proba(judged)[:, 1]
            scores = scores.with_columns(pl.Series(name, pds).fill_nan(None))
        found.append(scores)
    return pl.concat(found).sort(FIRM_YEAR_KEYS)


def rows_that_all_score(judged: pl.DataFrame, names: Iterable[str] = ()) -> pl.DataFrame:
    """Return the rows that every score of the chain, and every one of the columns ``names``, has a PD for, sorted by firm-year.

    judged: out-of-time scores. A score that has no row at all does not count.
    """
    columns = [column for column in CHAIN_SCORES.values() if judged[column].is_not_null().any()]
    return judged.sort(FIRM_YEAR_KEYS).filter(pl.all_horizontal(pl.col(*columns, *names).is_not_null()))


def compare_challengers(judged: pl.DataFrame, others: pl.DataFrame, how: Bootstrap) -> dict[str, Any]:
    """Return the figures of our scores and of every challenger, and the blend's less each, on the rows that all of them score.

    judged: out-of-time scores with failed. others: from `walk_challengers`; a challenger that scores no row is left out.
    """
    names = [name for name in others.columns if name not in FIRM_YEAR_KEYS and others[name].is_not_null().any()]
    ours = {name: column for name, column in CHAIN_SCORES.items() if judged[column].is_not_null().any()}
    columns = {**ours, **{name: name for name in names}}
    rows = rows_that_all_score(judged.join(others, on=FIRM_YEAR_KEYS), names)
    scores = {name: ResampledScore.resample(rows, column, how) for name, column in columns.items()}
    return {
        "rows": rows.height,
        "events": int(rows["failed"].sum()),
        "figures": {name: score.judge() for name, score in scores.items()},
        "blend minus": {name: scores["blend"].judge_against(score) for name, score in scores.items() if name != "blend"},
    }
