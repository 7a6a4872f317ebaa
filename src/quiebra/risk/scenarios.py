"""Scenarios: states of the economy, what they do to every hazard, and so to every company's PDs."""

from __future__ import annotations

from collections.abc import Mapping
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

    shift: float
    error: float
    source: str

    def ends(self, confidence: float) -> tuple[float, float]:
        """Return the shifts at both ends of an interval: how sure the relation to the economy is, not how sure a PD is."""
        width = ndtri((1 + confidence) / 2)
        return self.shift - width * self.error, self.shift + width * self.error


def scenario(moves: Mapping[str, float], satellite: Satellite | None, spread: float) -> Scenario:
    """Return what moves of the economy do. Where there is a satellite: moves of its series, in standard deviations of their
    yearly values; elsewhere ``years``, in standard deviations between years (``spread``, of log-odds)."""
    if satellite is None:
        return Scenario(moves.get("years", 0.0) * spread, 0.0, "years")
    return Scenario(*satellite.shift(satellite.state(moves)), "macro")


def scenario_scores(
    scores: pl.DataFrame, model: PdModel, options: Stress, satellite: Satellite | None, score: Score
) -> pl.DataFrame:
    """Return scenario, company_id, shift, pd_12m … pd_60m, pd_12m_low, pd_12m_high, rating and watch: every company in each.

    Year k of a scenario has ``path[k − 1]`` of its shift. low and high are at the ends of its shift, at the model's confidence.
    """
    pieces = []
    for kind, scorer in model.scorers.items():
        own = scores.filter(pl.col("scorer") == kind).select("company_id", *COLUMNS)
        for name, moves in options.scenarios.items() if own.height else ():
            case = scenario(moves, satellite, scorer.spread.year)
            bottom, top = case.ends(model.confidence)
            low, middle, high = (
                under_scenario(own, [share * shift for share in options.path]) for shift in (bottom, case.shift, top)
            )
            pieces.append(middle.with_columns(
                scenario=pl.lit(name), shift=pl.lit(case.shift), pd_12m_low=low["pd_12m"], pd_12m_high=high["pd_12m"]
            ))  # fmt: skip
    order = {name: place for place, name in enumerate(options.scenarios)}
    columns = ("scenario", "company_id", "shift", *COLUMNS, "pd_12m_low", "pd_12m_high", "rating", "watch")
    return with_grades(pl.concat(pieces), score).select(columns).sort(pl.col("scenario").replace_strict(order), "company_id")
