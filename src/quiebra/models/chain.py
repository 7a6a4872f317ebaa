"""The chain of yearly models: each year scored by a model that could have been made then, and the last one kept for use."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

import polars as pl
from scipy.special import expit

from quiebra.errors import TrainingError
from quiebra.features import FEATURES_BY_NAME
from quiebra.models.fit import calibrate, fit_scorer, of_kind, typical
from quiebra.models.importance import importance
from quiebra.models.pd_model import PdModel
from quiebra.models.scorer import KINDS, Scorer
from quiebra.models.trees import MIN_FAILURES
from quiebra.panel.horizons import known_outcomes
from quiebra.params import Labels, Run, Train

KEYS = ["company_id", "fiscal_year", "available_at"]
EXPLAINED = 500
"""Companies of each year over which importance is measured."""


@dataclass(frozen=True)
class Chain:
    """model: the last year's, for use now. history: out-of-time scores of all years, one row a firm-year as first published
    (company_id, fiscal_year, available_at, the columns of `PdModel.predict`, and pd_model, pd_altman and pd_accounting: the
    first-year PD of the model alone, of Altman alone, and without market values). scorers: those of each year. importance: what
    each year's model looked at when it scored its year (fiscal_year and the columns of `importance`), over some 500 companies."""

    model: PdModel
    history: pl.DataFrame
    importance: pl.DataFrame
    scorers: dict[int, dict[str, Scorer]]


def walk(
    features: pl.DataFrame, statements: pl.DataFrame, events: pl.DataFrame, *,
    first_year: int, as_of: dt.date, train: Train, labels: Labels, run: Run,
) -> Chain:  # fmt: skip
    """Fit a model for each fiscal year T on years first_year … T − 1 − embargo, score T with it, and calibrate on earlier scores.

    Nothing published after ``as_of`` is seen. For year T the outcomes are those known at the end of T, or when its first
    statement came out if that was earlier; outcomes that were open by then are left out. Blend and calibration come from
    out-of-time scores of years whose outcomes are known by T − 1 − embargo. A year without statements, or with too few failures
    to learn from, is passed over.
    Raises TrainingError where the last year itself cannot be learnt.
    """
    features = features.filter(pl.col("available_at") <= as_of)
    last_year = _last_year(features, as_of)
    earliest = first_year + train.min_years + train.embargo_years
    if earliest > last_year:
        raise TrainingError(
            f"the fiscal years from {first_year} to {last_year} are too few: with an embargo of "
            f"{train.embargo_years} and at least {train.min_years} years to learn from, the first year that can be scored "
            f"is {earliest}. Give earlier years, or lower train.min_years."
        )
    parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
    history: list[pl.DataFrame] = []
    looked_at: list[pl.DataFrame] = []
    chain: dict[int, dict[str, Scorer]] = {}
    for year in range(earliest, last_year + 1):
        scored = _first_published(features, year)
        if scored.is_empty():
            continue
        known_at = min(as_of, dt.date(year, 12, 31), scored["available_at"].min())  # type: ignore[type-var]
        learnt = year - 1 - train.embargo_years
        known = known_outcomes(statements, events, labels, known_at=known_at, last_year=learnt)
        rows = known.filter(pl.col("fiscal_year") >= first_year).drop("period_end").join(features, on=KEYS, maintain_order="left")
        scorers = {
            kind: _calibrated(scorer, parts[kind], known, train)
            for kind in KINDS
            if (scorer := fit_scorer(kind, of_kind(rows, kind), train, run)) is not None
        }
        if "accounting" not in scorers:
            if year == last_year:
                raise _too_few(rows, first_year, learnt)
            continue
        chain[year] = scorers
        for kind, scorer in scorers.items():
            table = of_kind(scored, kind)
            parts[kind].append(pl.concat([table.select(KEYS), scorer.parts(table)], how="horizontal"))
        model = PdModel(scorers, train.interval, typical(rows), _card(rows, train, f"{first_year}-{learnt}"))
        history.append(_score(model, scored))
        some = scored.gather_every(max(1, scored.height // EXPLAINED))
        looked_at.append(importance(model, some).select(pl.lit(year, pl.Int32).alias("fiscal_year"), pl.all()))
    return Chain(model, pl.concat(history).sort(KEYS), pl.concat(looked_at), chain)


def continued(history: pl.DataFrame, model: PdModel, features: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """Return out-of-time scores with those of what was published since the model was made and by ``as_of``, scored by itself: it
    has seen none of their outcomes. One row a firm-year, as first published, as in `Chain`."""
    made_on = dt.date.fromisoformat(str(model.card["as_of"]))
    since = features.filter(pl.col("available_at") > made_on, pl.col("available_at") <= as_of)
    fresh = since.join(history, on=KEYS[:2], how="anti").sort(KEYS).unique(KEYS[:2], keep="first", maintain_order=True)
    if fresh.is_empty():
        return history
    return pl.concat([history, _score(model, fresh).select(history.columns).cast(dict(history.schema))]).sort(KEYS)


def _last_year(features: pl.DataFrame, as_of: dt.date) -> int:
    if features.is_empty():
        raise TrainingError(f"no statement was published by {as_of}: set run.as_of later")
    return int(features["fiscal_year"].max())  # type: ignore[arg-type]


def _first_published(features: pl.DataFrame, year: int) -> pl.DataFrame:
    rows = features.filter(pl.col("fiscal_year") == year).sort(KEYS)
    return rows.unique("company_id", keep="first", maintain_order=True)


def _calibrated(scorer: Scorer, parts: list[pl.DataFrame], known: pl.DataFrame, train: Train) -> Scorer:
    if not parts:
        return scorer
    outcomes = known.select("company_id", "fiscal_year", "years_to_failure", "years_known")
    past = pl.concat(parts).join(outcomes, on=["company_id", "fiscal_year"]).sort(KEYS)
    return scorer if past.is_empty() else calibrate(scorer, past, train)


def _too_few(rows: pl.DataFrame, first_year: int, learnt: int) -> TrainingError:
    known = rows.filter(pl.col("years_known") >= 1)
    return TrainingError(
        f"a model needs at least {MIN_FAILURES} failures and some survivors, but fiscal years {first_year}-{learnt} have "
        f"too few (failures: {known['failed'].sum()}, rows: {known.height}): give event dates (or more of them), or set "
        "train.first_year earlier"
    )


def _card(rows: pl.DataFrame, train: Train, years: str) -> dict[str, object]:
    known = rows.filter(pl.col("years_known") >= 1)
    missing = {
        kind: of_kind(known, kind).select(pl.col(*FEATURES_BY_NAME).is_null().mean().round(6)).row(0, named=True)
        for kind in KINDS
    }
    return {
        "trained_on": years, "rows": known.height, "failures": int(known["failed"].sum()), "embargo_years": train.embargo_years,
        "companies": known["company_id"].n_unique(), "missing_share": missing,
    }  # fmt: skip


def _score(model: PdModel, table: pl.DataFrame) -> pl.DataFrame:
    scores = model.predict(table)
    accounting = model.scorers["accounting"]
    without = accounting.finish(accounting.parts(table), model.confidence)["pd_12m"]
    return pl.concat([table.select(KEYS), scores], how="horizontal").with_columns(
        pd_model=pl.Series(expit(scores["log_odds_model"].to_numpy())),
        pd_altman=1 / (1 + (-pl.col("log_odds_altman")).exp()),
        pd_accounting=without,
    )
