"""Scenarios: states of the economy, what they do to every hazard, and so to every company's PDs."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from scipy.special import ndtri

from quiebra.models import PdModel
from quiebra.models.term import COLUMNS
from quiebra.params import Score, Stress
from quiebra.risk.macro import Satellite, under_scenario
from quiebra.risk.scoring import with_grades


@dataclass(frozen=True)
class Scenario:
    """A shift of the log-odds of failure within a year, its standard error, and what it came from: ``macro`` or ``years``."""

    name: str
    shift: float
    error: float
    source: str


def scenarios(options: Stress, satellite: Satellite | None, spread: float) -> list[Scenario]:
    """Return the scenarios in params. Where there is a satellite, by the moves of its series, in standard deviations of their
    yearly values; elsewhere by ``years``, in standard deviations between years (``spread``, of log-odds)."""
    found = []
    for name, moves in options.scenarios.items():
        if satellite is None:
            found.append(Scenario(name, moves.get("years", 0.0) * spread, 0.0, "years"))
            continue
        places = zip(satellite.series, satellite.mean, satellite.scale, strict=True)
        state = {series: mean + moves.get(series, 0.0) * scale for series, mean, scale in places}
        found.append(Scenario(name, *satellite.shift(state), "macro"))
    return found


def scenario_scores(
    scores: pl.DataFrame, model: PdModel, options: Stress, satellite: Satellite | None, score: Score
) -> pl.DataFrame:
    """Return scenario, company_id, shift, pd_12m … pd_60m, pd_12m_low, pd_12m_high, rating and watch: every company in each.

    Year k of a scenario has ``path[k − 1]`` of its shift. low and high move the shift by its own error at the model's
    confidence: they say how sure the relation to the economy is, not how sure the PD is.
    """
    width = ndtri((1 + model.confidence) / 2)
    pieces = []
    for kind, scorer in model.scorers.items():
        own = scores.filter(pl.col("scorer") == kind).select("company_id", *COLUMNS)
        for case in scenarios(options, satellite, scorer.spread.year) if own.height else ():
            low, middle, high = (
                under_scenario(own, [share * shift for share in options.path])
                for shift in (case.shift - width * case.error, case.shift, case.shift + width * case.error)
            )
            pieces.append(middle.with_columns(
                scenario=pl.lit(case.name), shift=pl.lit(case.shift), pd_12m_low=low["pd_12m"], pd_12m_high=high["pd_12m"]
            ))  # fmt: skip
    order = {name: place for place, name in enumerate(options.scenarios)}
    columns = ("scenario", "company_id", "shift", *COLUMNS, "pd_12m_low", "pd_12m_high", "rating", "watch")
    return with_grades(pl.concat(pieces), score).select(columns).sort(pl.col("scenario").replace_strict(order), "company_id")
