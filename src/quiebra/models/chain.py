"""The chain of yearly models: each year scored by a model that could have been made then, and the last one kept for use."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit

from quiebra.errors import TrainingError
from quiebra.features import FEATURES_BY_NAME
from quiebra.models.altman_link import LINKED, altman_log_odds, fit_links
from quiebra.models.blend import Blend, fit_blend
from quiebra.models.hazard import MIN_FAILURES, design, fit_hazard
from quiebra.models.pd_model import PdModel
from quiebra.panel.labels import label
from quiebra.params import Labels, Run, Train

KEYS = ["company_id", "fiscal_year", "available_at"]


@dataclass(frozen=True)
class Chain:
    """model: the last year's, for use now. history: out-of-time scores of all years, one row a firm-year as first published
    (company_id, fiscal_year, available_at, log_odds_model, log_odds_altman, log_odds, pd_12m, pd_model, pd_altman).
    blends: weight and calibration of each year."""

    model: PdModel
    history: pl.DataFrame
    blends: dict[int, Blend]


def walk(
    features: pl.DataFrame, statements: pl.DataFrame, events: pl.DataFrame, *,
    first_year: int, as_of: dt.date, train: Train, labels: Labels, run: Run,
) -> Chain:  # fmt: skip
    """Fit a model for each fiscal year T on years first_year … T − 1 − embargo, score T with it, and calibrate on earlier scores.

    Nothing published after ``as_of`` is seen. For year T the outcomes are those known at the end of T, or when its first
    statement came out if that was earlier; last statements whose window was not over by then are left out. Weight and calibration
    come from out-of-time scores of years up to T − 1 − embargo. A year without statements, or with too few failures
    to learn from, is passed over.
    Raises TrainingError where the last year itself cannot be learnt.
    """
    features = features.filter(pl.col("available_at") <= as_of)
    last_year = _last_year(features, as_of)
    earliest = first_year + train.min_years + train.embargo_years
    if earliest > last_year:
        raise TrainingError(
            f"{last_year - first_year + 1} fiscal year(s) from {first_year} to {last_year} are too few: with an embargo of "
            f"{train.embargo_years} and at least {train.min_years} years to learn from, the first year that can be scored "
            f"is {earliest}. Give earlier years, or lower train.min_years."
        )
    history: list[pl.DataFrame] = []
    blends: dict[int, Blend] = {}
    for year in range(earliest, last_year + 1):
        learnt = year - 1 - train.embargo_years
        scored = _first_published(features, year)
        if scored.is_empty():
            continue
        known_at = min(as_of, dt.date(year, 12, 31), scored["available_at"].min())  # type: ignore[type-var]
        known = label(statements, events, window_months=labels.window_months, known_at=known_at)
        known = known.filter(pl.col("fiscal_year").is_between(first_year, learnt) & (pl.col("outcome") != "open"))
        rows = known.filter(pl.col("outcome") != "exited") if labels.alive_exits == "dropped" else known
        if year < last_year and rows["failed"].sum() < MIN_FAILURES:
            continue
        blends[year] = _blend(history, known, train.blend_weight)
        model = _fit(features, rows, blends[year], train, run, f"{first_year}-{learnt}")
        history.append(_score(model, scored))
    return Chain(model, pl.concat(history).sort(KEYS), blends)


def _last_year(features: pl.DataFrame, as_of: dt.date) -> int:
    if features.is_empty():
        raise TrainingError(f"no statement was published by {as_of}: set run.as_of later")
    return int(features["fiscal_year"].max())  # type: ignore[arg-type]


def _first_published(features: pl.DataFrame, year: int) -> pl.DataFrame:
    rows = features.filter(pl.col("fiscal_year") == year).sort(KEYS)
    return rows.unique("company_id", keep="first", maintain_order=True)


def _fit(features: pl.DataFrame, rows: pl.DataFrame, blend: Blend, train: Train, run: Run, years: str) -> PdModel:
    table = rows.select(*KEYS, "failed").join(features, on=KEYS, how="inner", maintain_order="left")
    failed = table["failed"].to_numpy().astype(np.float64)
    booster = fit_hazard(design(table), failed, train, seed=run.seed, threads=run.threads, years=years)
    links = fit_links(table, failed)
    altman = altman_log_odds(table, links)
    typical = table.select(pl.col(*FEATURES_BY_NAME, *LINKED).median().round(6)).row(0, named=True)
    card = {
        "trained_on": years, "rows": len(table), "failures": int(failed.sum()), "embargo_years": train.embargo_years,
        "companies": table["company_id"].n_unique(),
        "missing_share": table.select(pl.col(*FEATURES_BY_NAME).is_null().mean().round(6)).row(0, named=True),
    }  # fmt: skip
    base = float(np.nanmean(altman)) if links else 0.0
    return PdModel(booster, links, blend, base, typical, card)


def _blend(history: list[pl.DataFrame], known: pl.DataFrame, weight: float | None) -> Blend:
    """Fit weight and calibration on the out-of-time scores whose outcomes are known."""
    if not history:
        return fit_blend(np.zeros(0), np.zeros(0), np.zeros(0), weight)
    scored = pl.concat(history).join(known.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"])
    scored = scored.sort(KEYS)
    altman = scored["log_odds_altman"].fill_null(np.nan).to_numpy()
    return fit_blend(scored["log_odds_model"].to_numpy(), altman, scored["failed"].to_numpy().astype(float), weight)


def _score(model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    scores = model.predict(table)
    return pl.concat([table.select(KEYS), scores], how="horizontal").with_columns(
        pd_model=pl.Series(expit(scores["log_odds_model"].to_numpy())),
        pd_altman=1 / (1 + (-pl.col("log_odds_altman")).exp()),
    )
