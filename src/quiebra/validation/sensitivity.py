"""Sensitivity: what would have come out had failures been labelled, or leavers been counted, in another way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
from scipy.special import expit

from quiebra.models.fit import fit_scorer, of_kind, typical
from quiebra.models.pd_model import PdModel
from quiebra.models.scorer import KINDS
from quiebra.panel.horizons import known_outcomes
from quiebra.panel.labels import label
from quiebra.params import Labels, Run, Train
from quiebra.validation.judging import Resampling, judge, paired

KEYS = ["company_id", "fiscal_year", "available_at"]
BASE = "as in params"


def choices(train: Train, labels: Labels, first_year: int, earliest: int) -> dict[str, tuple[Train, Labels, int]]:
    """Return the choices that are compared: words → training and labelling parameters, and the first year learnt from."""
    other = "dropped" if labels.alive_exits == "survived" else "survived"
    found = {BASE: (train, labels, first_year)}
    for months in sorted({12, 24, 36} - {labels.window_months}):
        found[f"failures within {months} months"] = (train, labels.model_copy(update={"window_months": months}), first_year)
    found[f"alive exits {other}"] = (train, labels.model_copy(update={"alive_exits": other}), first_year)
    longer = train.embargo_years + 1
    words = f"embargo of {longer} year{'s' if longer > 1 else ''}"
    found[words] = (train.model_copy(update={"embargo_years": longer}), labels, first_year)
    if earliest < first_year:
        found[f"learning from {earliest}"] = (train, labels, earliest)
    return found


def sensitivity(
    scored: pl.DataFrame, features: pl.DataFrame, statements: pl.DataFrame, events: pl.DataFrame, *,
    years: list[int], first_year: int, train: Train, labels: Labels, run: Run, how: Resampling,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row a choice: choice, failures learnt from, judged figures, and ``difference`` from the choice in params.

    scored: the firm-years that are judged, with their available_at. Each choice has one model, fitted on what was known before
    the first of ``years`` and not calibrated, which scores all of them; all are judged on the same outcomes, those of params. So
    it is the choice that differs and nothing else.
    """
    truth = label(statements, events, window_months=labels.window_months)
    rows = truth.filter(pl.col("fiscal_year").is_in(years)).join(scored.select(KEYS), on=KEYS, how="semi")
    rows = rows.join(features, on=KEYS, maintain_order="left")
    known_at = min(dt.date(years[0], 12, 31), rows["available_at"].min())  # type: ignore[type-var]
    judged = rows.select("company_id", "fiscal_year", "failed")
    needed = KINDS if rows["log_market_value"].has_nulls() else KINDS[:1]  # the scorer without market values may have no work
    failures: dict[str, int] = {}
    base: pl.DataFrame | None = None
    earliest = int(statements["fiscal_year"].min())  # type: ignore[arg-type]
    for words, (own_train, own_labels, start) in choices(train, labels, first_year, earliest).items():
        last = years[0] - 1 - own_train.embargo_years
        known = known_outcomes(statements, events, own_labels, known_at=known_at, last_year=last)
        known = known.filter(pl.col("fiscal_year") >= start).drop("period_end")
        if base is not None and own_train == train and known.equals(base):  # another name for the same rows and outcomes
            failures[words], judged = failures[BASE], judged.with_columns(pl.col(BASE).alias(words))
            continue
        base = known if words == BASE else base
        learnt = known.join(features, on=KEYS, maintain_order="left")
        scorers = {
            kind: scorer for kind in needed if (scorer := fit_scorer(kind, of_kind(learnt, kind), own_train, run)) is not None
        }
        if needed[-1] not in scorers:
            continue
        failures[words] = int(learnt.filter(pl.col("years_known") >= 1)["failed"].sum())
        scores = PdModel(scorers, train.interval, typical(learnt)).predict(rows)
        judged = judged.with_columns(pl.Series(words, expit(scores["log_odds_model"].to_numpy())))
    return [
        {"choice": words, "learnt_failures": count, **judge(judged, words, how),
         **({} if words == BASE or BASE not in failures else {"difference": paired(judged, words, BASE, how)})}
        for words, count in failures.items()
    ]  # fmt: skip
