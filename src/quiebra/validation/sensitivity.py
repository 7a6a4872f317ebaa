"""Sensitivity of the results to other choices of labelling, exits, embargo and training window."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy.special import expit

from quiebra.canonical import earliest_day, earliest_year
from quiebra.items import VERSION_KEYS
from quiebra.models.fit import fit_scorer, rows_of_kind, typical_values
from quiebra.models.parallel import map_in_threads
from quiebra.models.pd_model import PdModel
from quiebra.models.scorer import SCORER_KINDS
from quiebra.panels.horizons import known_outcomes
from quiebra.panels.labels import label_outcomes
from quiebra.params import Labels, Run, Train
from quiebra.progress import report_progress
from quiebra.validation.comparison import Bootstrap, ResampledScore

CHOICE_IN_PARAMS = "as in params"


class SensitivityChoice(NamedTuple):
    """Training and labelling params, and the first year to train on."""

    train: Train
    labels: Labels
    first_year: int


def alternative_choices(train: Train, labels: Labels, first_year: int, earliest: int) -> dict[str, SensitivityChoice]:
    """Return the choices to compare by their description."""
    other = "dropped" if labels.alive_exits == "survived" else "survived"
    found = {CHOICE_IN_PARAMS: SensitivityChoice(train, labels, first_year)}
    for months in sorted({12, 24, 36} - {labels.window_months}):
        own = labels.model_copy(update={"window_months": months})
        found[f"failures within {months} months"] = SensitivityChoice(train, own, first_year)
    found[f"alive exits {other}"] = SensitivityChoice(train, labels.model_copy(update={"alive_exits": other}), first_year)
    longer = train.embargo_years + 1
    words = f"embargo of {longer} year{'s' if longer > 1 else ''}"
    found[words] = SensitivityChoice(train.model_copy(update={"embargo_years": longer}), labels, first_year)
    if earliest < first_year:
        found[f"learning from {earliest}"] = SensitivityChoice(train, labels, earliest)
    return found


def compare_choices(
    scored: pl.DataFrame,
    features: pl.DataFrame,
    statements: pl.DataFrame,
    events: pl.DataFrame,
    *,
    years: list[int],
    first_year: int,
    train: Train,
    labels: Labels,
    run: Run,
    how: Bootstrap,
) -> list[dict[str, Any]]:
    """Return one row per choice: choice, failures trained on, judged figures, and ``difference`` from the choice in params.

    scored: the firm-years to judge, with their available_at. Each choice has one uncalibrated model, fitted on what was known
        before the first of ``years``, which scores all of them; all are judged on the outcomes of params, so that only the choice
        differs.
    """
    truth = label_outcomes(statements, events, window_months=labels.window_months)
    rows = truth.filter(pl.col("fiscal_year").is_in(years)).join(scored.select(VERSION_KEYS), on=VERSION_KEYS, how="semi")
    rows = rows.join(features, on=VERSION_KEYS, maintain_order="left")
    known_at = min(dt.date(years[0], 12, 31), earliest_day(rows["available_at"]))
    judged = rows.select("company_id", "fiscal_year", "failed")
    needed = (
        SCORER_KINDS if rows["log_market_value"].has_nulls() else SCORER_KINDS[:1]
    )  # the accounting scorer may have no rows to score
    choices = alternative_choices(train, labels, first_year, earliest_year(statements["fiscal_year"]))

    def known_by(choice: SensitivityChoice) -> pl.DataFrame:
        last = years[0] - 1 - choice.train.embargo_years
        known = known_outcomes(statements, events, choice.labels, known_at=known_at, last_year=last)
        return known.filter(pl.col("fiscal_year") >= choice.first_year).drop("period_end")

    def fit_choice(name: str) -> tuple[int, np.ndarray] | None:
        """Return the failures learnt from and the PDs of the model alone; None with too few failures to fit."""
        learnt = known_by(choices[name]).join(features, on=VERSION_KEYS, maintain_order="left")
        scorers = {
            kind: scorer
            for kind in needed
            if (scorer := fit_scorer(kind, rows_of_kind(learnt, kind), choices[name].train, run)) is not None
        }
        if needed[-1] not in scorers:
            return None
        scores = PdModel(scorers, train.interval, typical_values(learnt)).predict(rows)
        return int(learnt.filter(pl.col("years_known") >= 1)["failed"].sum()), expit(scores["log_odds_model"].to_numpy())

    base = known_by(choices[CHOICE_IN_PARAMS])
    alike = {name for name, choice in choices.items() if choice.train == train and known_by(choice).equals(base)}
    different = [CHOICE_IN_PARAMS, *(name for name in choices if name not in alike)]
    fitted = {}
    for name, result in zip(different, map_in_threads(fit_choice, different, run.threads), strict=True):
        fitted[name] = result
        report_progress(f"choice {len(fitted)} of {len(different)}")
    failures: dict[str, int] = {}
    for words in choices:
        if (result := fitted[CHOICE_IN_PARAMS if words in alike else words]) is not None:
            failures[words], pds = result
            judged = judged.with_columns(pl.Series(words, pds))
    scores = {words: ResampledScore.resample(judged, words, how) for words in failures}
    chosen = scores.get(CHOICE_IN_PARAMS)
    return [
        {
            "choice": words,
            "learnt_failures": failures[words],
            **score.judge(),
            **({} if chosen is None or score is chosen else {"difference": score.judge_against(chosen)}),
        }
        for words, score in scores.items()
    ]
