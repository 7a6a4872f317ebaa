"""Fit one year's scorers: trees for the first and for later years, Altman links, and calibration on earlier years' scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.models.altman_link import altman_log_odds, fit_altman_links
from quiebra.models.blend import MIN_FAILURES_TO_CALIBRATE, Blend, fit_blend
from quiebra.models.interval import assumed_uncertainty, fit_uncertainty, level_shrinkage
from quiebra.models.scorer import Scorer, feature_names, later_log_odds
from quiebra.models.term import HORIZON_YEARS, fit_term_structure
from quiebra.models.trees import MIN_FAILURES_TO_TRAIN as MIN_LEARNT
from quiebra.models.trees import TreeTarget, design_matrix, fit_trees
from quiebra.params import Run, Train


def rows_of_kind(table: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return the rows that a kind of scorer trains on and scores: for ``market`` those with a market value, else all."""
    return table.filter(pl.col("log_market_value").is_not_null()) if kind == "market" else table


def first_year_target(table: pl.DataFrame) -> TreeTarget:
    """Return the first year's outcomes of rows with years_known ≥ 1."""
    return TreeTarget((table["years_to_failure"] == 1).fill_null(False).to_numpy().astype(np.float64), np.ones(table.height))


def later_years_target(table: pl.DataFrame) -> TreeTarget:
    """Return the pooled outcomes of years two to five, for rows with years_known ≥ 2 that survived the first.

    A failure k years on counts as one failure in k − 1 periods, which has the same likelihood as one row per period.
    """
    to_failure = table["years_to_failure"].to_numpy().astype(np.float64)  # null becomes NaN
    last = HORIZON_YEARS[-1]
    failed = (to_failure >= 2) & (to_failure <= last)
    periods = np.where(failed, to_failure, np.minimum(table["years_known"].to_numpy(), last)) - 1
    return TreeTarget(failed / periods, periods.astype(np.float64))


def training_features(kind: str, rows: pl.DataFrame, train: Train) -> tuple[str, ...]:
    """Return the features that a kind trains on: those it may use, except those dropped in params or missing in every row."""
    dropped = set(train.drop_features)
    return tuple(name for name in feature_names(kind) if name not in dropped and rows[name].null_count() < rows.height)


def fit_scorer(kind: str, rows: pl.DataFrame, train: Train, run: Run) -> Scorer | None:
    """Fit a kind's trees and Altman links, uncalibrated. rows: features with outcomes (see `quiebra.panels.outcome_horizons`).

    None where there are too few failures to train on. With too few failures in later years, the first year's trees are used for
    them.
    """
    names = training_features(kind, rows, train)
    first = rows.filter(pl.col("years_known") >= 1)
    target = first_year_target(first)
    if target.failures < MIN_LEARNT or target.rate >= 1:
        return None
    settings: dict[str, Any] = {"names": names, "train": train, "seed": run.seed, "threads": 1}
    near = fit_trees(design_matrix(first, names), target, trees=train.trees, **settings)
    second = rows.filter(
        (pl.col("years_known") >= 2) & (pl.col("years_to_failure").is_null() | (pl.col("years_to_failure") >= 2))
    )
    beyond = later_years_target(second)
    enough = beyond.failures >= MIN_LEARNT
    later = fit_trees(design_matrix(second, names), beyond, trees=train.later_trees, **settings) if enough else near
    links = fit_altman_links(first, target.share, market=kind == "market")
    altman = altman_log_odds(first, links, market=kind == "market")
    base = float(np.nanmean(altman)) if np.isfinite(altman).any() else 0.0
    weight = 1.0 if train.blend_weight is None else train.blend_weight
    return Scorer(
        kind,
        near,
        later,
        links,
        base,
        train.near_share,
        train.near_decay,
        Blend(weight, 0.0, 1.0, 0),
        spread=assumed_uncertainty(target.failures),
    )


def calibrate_scorer(scorer: Scorer, past: pl.DataFrame, train: Train) -> Scorer:
    """Fit blend, calibration of each horizon and uncertainty on earlier years' out-of-time log-odds and outcomes.

    past: columns `quiebra.models.scorer.PART_COLUMNS`, years_to_failure and years_known. With fewer than ten failures the model's
        log-odds and its assumed uncertainty are kept.
    """
    first = past.filter(pl.col("years_known") >= 1)
    failed = first_year_target(first).share
    model, altman = (first[name].fill_null(np.nan).to_numpy() for name in ("log_odds_model", "log_odds_altman"))
    blend = fit_blend(model, altman, failed, train.blend_weight)
    calibrated = replace(scorer, blend=blend, term=fit_term_structure(*_later_pairs(past, train)))
    if failed.sum() < MIN_FAILURES_TO_CALIBRATE:
        return calibrated
    company, year = first["company_id"].to_numpy(), first["fiscal_year"].to_numpy()
    mixed, log_odds = blend.mixed(model, altman), blend.log_odds(model, altman)
    spread = fit_uncertainty(mixed, log_odds, failed, company, year)
    centre = float(np.average(mixed, weights=expit(log_odds)))
    trust = level_shrinkage(spread, centre, len(np.unique(year)))
    return replace(calibrated, blend=blend.with_level(trust, centre), spread=spread)


def can_calibrate(past: pl.DataFrame) -> bool:
    """Return whether out-of-time scores, as `calibrate_scorer` takes them, have enough failures for it."""
    known = past.filter(pl.col("years_known") >= 1)
    return bool(first_year_target(known).share.sum() >= MIN_FAILURES_TO_CALIBRATE)


def _later_pairs(past: pl.DataFrame, train: Train) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds and 0/1 outcome of every firm-year and later year in which it is at risk and its outcome is known."""
    log_odds = later_log_odds(past, train.near_share, train.near_decay)
    to_failure = past["years_to_failure"].to_numpy().astype(np.float64)
    known = past["years_known"].to_numpy()
    mixed, failed = [np.zeros(0)], [np.zeros(0)]
    for column, horizon in enumerate(HORIZON_YEARS[1:]):
        at_risk = (known >= horizon) & ~(to_failure < horizon)
        mixed.append(log_odds[at_risk, column])
        failed.append((to_failure[at_risk] == horizon).astype(np.float64))
    return np.concatenate(mixed), np.concatenate(failed)


def typical_values(rows: pl.DataFrame) -> dict[str, float | None]:
    """Return the median of each feature and Altman score."""
    return rows.select(pl.col(*FEATURES_BY_NAME, *ALTMAN_SCORES).median().round(6)).row(0, named=True)
