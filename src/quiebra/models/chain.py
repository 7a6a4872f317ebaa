"""The walk-forward chain: each year is scored by a model that could have been fitted then; the last model is kept for use."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl
from scipy.special import expit

from quiebra.canonical import earliest_day, latest_year
from quiebra.errors import TrainingError
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.items import VERSION_KEYS
from quiebra.models.fit import calibrate_scorer, can_calibrate, fit_scorer, rows_of_kind, typical_values
from quiebra.models.importance import importance_by_year
from quiebra.models.parallel import map_in_threads
from quiebra.models.pd_model import PdModel
from quiebra.models.scorer import SCORER_KINDS, Scorer
from quiebra.models.trees import MIN_FAILURES_TO_TRAIN
from quiebra.panels.horizons import known_outcomes
from quiebra.params import Labels, Run, Train
from quiebra.progress import report_progress

LACKING_SHARE = 0.01
"""Share of a source's rows below which it lacks a feature."""
IMPORTANCE_COMPANIES = 500
"""About how many companies of each year feature importance is measured on."""


@dataclass(frozen=True)
class ModelChain:
    """Result of `walk_forward`.

    model: the last year's, for use now.
    history: out-of-time scores of all years, one row per firm-year as first published: company_id, fiscal_year, available_at, the
        columns of `PdModel.predict`, and pd_model, pd_altman and pd_accounting (one-year PD of the model alone, of Altman alone,
        and without market values).
    importance: feature importance of each year's model on about 500 companies of that year: fiscal_year and the columns of
        `feature_importance`.
    scorers: those of each year.
    """

    model: PdModel
    history: pl.DataFrame
    importance: pl.DataFrame
    scorers: dict[int, dict[str, Scorer]]


class _FittedYear(NamedTuple):
    """A fiscal year's first statements, the outcomes known then, the training rows, and the uncalibrated scorers by kind."""

    year: int
    scored: pl.DataFrame
    known: pl.DataFrame
    rows: pl.DataFrame
    scorers: dict[str, Scorer]


def walk_forward(
    features: pl.DataFrame,
    statements: pl.DataFrame,
    events: pl.DataFrame,
    *,
    first_year: int,
    as_of: dt.date,
    train: Train,
    labels: Labels,
    run: Run,
) -> ModelChain:
    """Fit a model for each fiscal year T on years first_year … T − 1 − embargo, score T with it, and calibrate on earlier scores.

    Nothing published after ``as_of`` is used, and no feature of `source_marks`. For year T the outcomes are those known at the
    end of T, or when its first statement was published if that was earlier; outcomes open by then are left out. Blend and
    calibration are fitted on out-of-time scores of years whose outcomes are known by T − 1 − embargo, of the sources in
    ``train.calibrate_on`` if it names any and these have failures enough, else of all. A year without statements, or with too
    few failures to train on, is skipped.
    Raise TrainingError where the last year's model cannot be fitted.
    """
    features = features.filter(pl.col("available_at") <= as_of)
    trains = {kind: _without_marks(train, rows_of_kind(features, kind), statements) for kind in SCORER_KINDS}
    last_year = _last_year(features, as_of)
    earliest = first_year + train.min_years + train.embargo_years
    if earliest > last_year:
        raise TrainingError(
            f"the fiscal years from {first_year} to {last_year} are too few: with an embargo of "
            f"{train.embargo_years} and at least {train.min_years} years to learn from, the first year that can be scored "
            f"is {earliest}. Give earlier years, or lower train.min_years."
        )

    def fit_year(year: int) -> _FittedYear | None:
        scored = _first_published(features, year)
        if scored.is_empty():
            return None
        known_at = min(as_of, dt.date(year, 12, 31), earliest_day(scored["available_at"]))
        last = year - 1 - train.embargo_years
        known = known_outcomes(statements, events, labels, known_at=known_at, last_year=last)
        rows = (
            known.filter(pl.col("fiscal_year") >= first_year)
            .drop("period_end")
            .join(features, on=VERSION_KEYS, maintain_order="left")
        )
        scorers = {
            kind: scorer
            for kind in SCORER_KINDS
            if (scorer := fit_scorer(kind, rows_of_kind(rows, kind), trains[kind], run)) is not None
        }
        return _FittedYear(year, scored, known, rows, scorers)

    own = train.calibrate_on
    own_rows = statements.filter(pl.col("source").is_in(own)).select(VERSION_KEYS) if own else statements
    parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
    history: list[pl.DataFrame] = []
    looked_at: list[pl.DataFrame] = []
    chain: dict[int, dict[str, Scorer]] = {}
    for fitted in map_in_threads(fit_year, range(earliest, last_year + 1), run.threads):
        if fitted is None:
            continue
        year, scored, known, rows, uncalibrated = fitted
        report_progress(f"year {year} of {last_year}")
        learnt = year - 1 - train.embargo_years
        if "accounting" not in uncalibrated:
            if year == last_year:
                raise _too_few(rows, first_year, learnt)
            continue
        scorers = {kind: _calibrated(scorer, parts[kind], known, own_rows, train) for kind, scorer in uncalibrated.items()}
        chain[year] = scorers
        for kind, scorer in scorers.items():
            table = rows_of_kind(scored, kind)
            parts[kind].append(pl.concat([table.select(VERSION_KEYS), scorer.parts(table)], how="horizontal"))
        model = PdModel(scorers, train.interval, typical_values(rows), _card(rows, train, f"{first_year}-{learnt}"))
        history.append(_score(model, scored))
        looked_at.append(importance_by_year(model, scored, IMPORTANCE_COMPANIES))
    return ModelChain(model, pl.concat(history).sort(VERSION_KEYS), pl.concat(looked_at), chain)


def source_marks(features: pl.DataFrame, statements: pl.DataFrame) -> list[str]:
    """Return the features that one source of a panel of several has and another lacks: where they are missing they would tell the
    source, and with it how often its companies fail.

    A source lacks a feature that under `LACKING_SHARE` of its rows have.
    """
    if statements["source"].n_unique() < 2:
        return []
    rows = features.join(statements.select(*VERSION_KEYS, "source"), on=VERSION_KEYS)
    names = [name for name in FEATURES_BY_NAME if name in rows.columns]
    lacks = rows.group_by("source").agg(pl.col(names).is_not_null().mean() < LACKING_SHARE)
    return [name for name in names if lacks[name].any() and not lacks[name].all()]


def _without_marks(train: Train, features: pl.DataFrame, statements: pl.DataFrame) -> Train:
    return train.model_copy(update={"drop_features": [*train.drop_features, *source_marks(features, statements)]})


def extend_history(history: pl.DataFrame, model: PdModel, features: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return the history with the model's scores of statements published after the model was made and by ``as_of``.

    The model has not seen their outcomes. One row per firm-year, as first published, as in `ModelChain`.
    """
    made_on = dt.date.fromisoformat(str(model.card["as_of"]))
    since = features.filter(pl.col("available_at") > made_on, pl.col("available_at") <= as_of)
    fresh = (
        since.join(history, on=VERSION_KEYS[:2], how="anti")
        .sort(VERSION_KEYS)
        .unique(VERSION_KEYS[:2], keep="first", maintain_order=True)
    )
    if fresh.is_empty():
        return history
    return pl.concat([history, _score(model, fresh).select(history.columns).cast(history.schema)]).sort(VERSION_KEYS)


def _last_year(features: pl.DataFrame, as_of: dt.date) -> int:
    if features.is_empty():
        raise TrainingError(f"no statement was published by {as_of}: set run.as_of later")
    return latest_year(features["fiscal_year"])


def _first_published(features: pl.DataFrame, year: int) -> pl.DataFrame:
    rows = features.filter(pl.col("fiscal_year") == year).sort(VERSION_KEYS)
    return rows.unique("company_id", keep="first", maintain_order=True)


def _calibrated(scorer: Scorer, parts: list[pl.DataFrame], known: pl.DataFrame, own_rows: pl.DataFrame, train: Train) -> Scorer:
    """Return a scorer calibrated on the scores of ``own_rows`` alone, or where these have too few failures, on all."""
    if not parts:
        return scorer
    outcomes = known.select("company_id", "fiscal_year", "years_to_failure", "years_known")
    past = pl.concat(parts).join(outcomes, on=["company_id", "fiscal_year"]).sort(VERSION_KEYS)
    mine = past.join(own_rows, on=VERSION_KEYS, how="semi", maintain_order="left")
    past = mine if can_calibrate(mine) else past
    return scorer if past.is_empty() else calibrate_scorer(scorer, past, train)


def _too_few(rows: pl.DataFrame, first_year: int, learnt: int) -> TrainingError:
    known = rows.filter(pl.col("years_known") >= 1)
    return TrainingError(
        f"a model needs at least {MIN_FAILURES_TO_TRAIN} failures and some survivors, "
        f"but fiscal years {first_year}-{learnt} have "
        f"too few (failures: {known['failed'].sum()}, rows: {known.height}): give event dates (or more of them), or set "
        "train.first_year earlier"
    )


def _card(rows: pl.DataFrame, train: Train, years: str) -> dict[str, object]:
    known = rows.filter(pl.col("years_known") >= 1)
    missing = {
        kind: rows_of_kind(known, kind).select(pl.col(*FEATURES_BY_NAME).is_null().mean().round(6)).row(0, named=True)
        for kind in SCORER_KINDS
    }
    return {
        "trained_on": years,
        "rows": known.height,
        "failures": int(known["failed"].sum()),
        "embargo_years": train.embargo_years,
        "companies": known["company_id"].n_unique(),
        "missing_share": missing,
    }


def _score(model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    scores = model.predict(table)
    accounting = model.scorers["accounting"]
    without = accounting.finish(accounting.parts(table), model.confidence)["pd_12m"]
    return pl.concat([table.select(VERSION_KEYS), scores], how="horizontal").with_columns(
        pd_model=pl.Series(expit(scores["log_odds_model"].to_numpy())),
        pd_altman=1 / (1 + (-pl.col("log_odds_altman")).exp()),
        pd_accounting=without,
    )
