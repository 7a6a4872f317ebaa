"""Fitting one year's scorers: trees for near and later failures, Altman lines, and their calibration on earlier years' scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from quiebra.features import FEATURES_BY_NAME
from quiebra.features.altman import SCORES
from quiebra.models.altman_link import altman_log_odds, fit_links
from quiebra.models.blend import MIN_FAILURES, Blend, fit_blend
from quiebra.models.interval import assumed_spread, fit_spread, level_trust
from quiebra.models.scorer import Scorer, feature_names, later_log_odds
from quiebra.models.term import HORIZONS, fit_term
from quiebra.models.trees import MIN_FAILURES as MIN_LEARNT
from quiebra.models.trees import Target, design, fit_trees
from quiebra.params import Run, Train


def of_kind(table: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return the rows that a kind of scorer learns from and can score: those with a market value, or all."""
    return table.filter(pl.col("log_market_value").is_not_null()) if kind == "market" else table


def near_target(table: pl.DataFrame) -> Target:
    """Return the first year's outcomes of rows with years_known ≥ 1."""
    return Target((table["years_to_failure"] == 1).fill_null(False).to_numpy().astype(np.float64), np.ones(table.height))


def later_target(table: pl.DataFrame) -> Target:
    """Return the outcomes of years two to five, pooled, of rows with years_known ≥ 2 that survived their first.

    A failure k years on is one failure in k − 1 periods: the same likelihood as a row for each period.
    """
    to_failure = table["years_to_failure"].to_numpy().astype(np.float64)  # missing: NaN
    last = HORIZONS[-1]
    failed = (to_failure >= 2) & (to_failure <= last)
    periods = np.where(failed, to_failure, np.minimum(table["years_known"].to_numpy(), last)) - 1
    return Target(failed / periods, periods.astype(np.float64))


def features_learnt(kind: str, rows: pl.DataFrame, train: Train) -> tuple[str, ...]:
    """Return the features that a kind learns from: those it may take, without what params drop and what no row has."""
    dropped = set(train.drop_features)
    return tuple(name for name in feature_names(kind) if name not in dropped and rows[name].null_count() < rows.height)


def fit_scorer(kind: str, rows: pl.DataFrame, train: Train, run: Run) -> Scorer | None:
    """Fit a kind's trees and Altman lines, uncalibrated. rows: features with outcomes (see `quiebra.panel.outlook`).

    None where there are too few failures to learn from. With too few later failures the near trees stand in for the later.
    """
    names = features_learnt(kind, rows, train)
    first = rows.filter(pl.col("years_known") >= 1)
    target = near_target(first)
    if target.failures < MIN_LEARNT or target.rate >= 1:
        return None
    settings: dict[str, Any] = {"names": names, "train": train, "seed": run.seed, "threads": run.threads}
    near = fit_trees(design(first, names), target, trees=train.trees, **settings)
    second = rows.filter(
        (pl.col("years_known") >= 2) & (pl.col("years_to_failure").is_null() | (pl.col("years_to_failure") >= 2))
    )
    beyond = later_target(second)
    enough = beyond.failures >= MIN_LEARNT
    later = fit_trees(design(second, names), beyond, trees=train.later_trees, **settings) if enough else near
    links = fit_links(first, target.share, market=kind == "market")
    altman = altman_log_odds(first, links, market=kind == "market")
    base = float(np.nanmean(altman)) if np.isfinite(altman).any() else 0.0
    weight = 1.0 if train.blend_weight is None else train.blend_weight
    return Scorer(
        kind, near, later, links, base, train.near_share, train.near_decay, Blend(weight, 0.0, 1.0, 0),
        spread=assumed_spread(target.failures),
    )  # fmt: skip


def calibrate(scorer: Scorer, past: pl.DataFrame, train: Train) -> Scorer:
    """Fit blend, calibration of each horizon and spread on out-of-time parts of earlier years with their outcomes.

    With fewer than ten failures the model stands as it is, and so does the spread that was assumed for it.
    """
    first = past.filter(pl.col("years_known") >= 1)
    failed = near_target(first).share
    model, altman = (first[name].fill_null(np.nan).to_numpy() for name in ("log_odds_model", "log_odds_altman"))
    blend = fit_blend(model, altman, failed, train.blend_weight)
    calibrated = replace(scorer, blend=blend, term=fit_term(*_later_pairs(past, train)))
    if failed.sum() < MIN_FAILURES:
        return calibrated
    company, year = first["company_id"].to_numpy(), first["fiscal_year"].to_numpy()
    mixed, log_odds = blend.mixed(model, altman), blend.log_odds(model, altman)
    spread = fit_spread(mixed, log_odds, failed, company, year)
    centre = float(np.average(mixed, weights=expit(log_odds)))
    trust = level_trust(spread, centre, len(np.unique(year)))
    return replace(calibrated, blend=blend.with_level(trust, centre), spread=spread)


def _later_pairs(past: pl.DataFrame, train: Train) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds and 0/1 outcome of every known pair of firm-year and later year at risk."""
    log_odds = later_log_odds(past, train.near_share, train.near_decay)
    to_failure = past["years_to_failure"].to_numpy().astype(np.float64)
    known = past["years_known"].to_numpy()
    mixed, failed = [np.zeros(0)], [np.zeros(0)]
    for column, horizon in enumerate(HORIZONS[1:]):
        at_risk = (known >= horizon) & ~(to_failure < horizon)
        mixed.append(log_odds[at_risk, column])
        failed.append((to_failure[at_risk] == horizon).astype(np.float64))
    return np.concatenate(mixed), np.concatenate(failed)


def typical(rows: pl.DataFrame) -> dict[str, float | None]:
    """Return the median of each feature and Altman score."""
    return rows.select(pl.col(*FEATURES_BY_NAME, *SCORES).median().round(6)).row(0, named=True)
