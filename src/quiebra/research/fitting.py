"""Fit an estimator on chosen years, predict with it, and explain its PDs or the champion's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy.special import logit

from quiebra.canonical import earliest_year, latest_year, mean_value
from quiebra.errors import ResearchError, suggestion
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.items import FIRM_YEAR_KEYS, VERSION_KEYS
from quiebra.models.reasons import ALTMAN_LABELS
from quiebra.panels.horizons import outcome_horizons
from quiebra.research.estimation import estimator_name, feature_names, fit_estimator, input_frame, predict_pds, refuse_unusable
from quiebra.research.frames import FrameKind, to_frame
from quiebra.research.own_features import OwnFeatures, add_own_features, kind_of
from quiebra.research.run import ResearchRun, open_run
from quiebra.validation.challengers import SIX_RATIOS

BACKGROUND_ROWS = 100
"""Training rows that an explanation averages over."""
LEAST_PD = 1e-6
"""PDs nearer to 0 or 1 are explained as this far from them: their log-odds would be infinite."""


@dataclass(frozen=True)
class FittedEstimator:
    """An estimator fitted on some fiscal years of the panel, with all outcomes known today.

    estimator: the fitted scikit-learn estimator. features: its inputs. years: the first and last that it learnt from. rows,
    failures: what it learnt from.
    """

    estimator: Any
    features: tuple[str, ...]
    years: tuple[int, int]
    rows: int
    failures: int
    run: ResearchRun = field(repr=False)
    table: pl.DataFrame = field(repr=False)
    background: pl.DataFrame = field(repr=False)
    frame: FrameKind = "pandas"

    @property
    def name(self) -> str:
        return f"{estimator_name(self.estimator)}, {len(self.features)} features"

    def predict(self, year: int | None = None) -> Any:
        """Return company_id, fiscal_year, available_at and pd of a fiscal year's statements, as first published; None: of the
        statements that today's scores rest on. PDs of the years learnt from are not out of time."""
        rows = self.rows_of(year)
        return to_frame(rows.select(VERSION_KEYS).with_columns(pd=pl.Series(self.pds(rows))), self.frame)

    def rows_of(self, year: int | None) -> pl.DataFrame:
        """Return the feature rows of a year, or of today."""
        if year is None:
            return self.table.join(self.run.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi").sort("company_id")
        if isinstance(year, bool) or not isinstance(year, (int, np.integer)):
            raise ResearchError(f"year is a fiscal year, such as 2015, not {year!r:.100}")
        rows = self.table.filter(pl.col("fiscal_year") == int(year)).sort(VERSION_KEYS)
        if rows.is_empty():
            known = self.table["fiscal_year"]
            raise ResearchError(f"no statement of fiscal year {year}: there are {earliest_year(known)} to {latest_year(known)}")
        return rows.unique(FIRM_YEAR_KEYS, keep="first", maintain_order=True)

    def pds(self, rows: pl.DataFrame) -> np.ndarray:
        """Return the PD of each feature row."""
        return predict_pds(self.estimator, input_frame(rows, self.features), self.name)


def fit(
    estimator: Any,
    features: str | Sequence[str] = SIX_RATIOS,
    *,
    years: tuple[int, int] | None = None,
    own: OwnFeatures = None,
    frame: FrameKind | None = None,
    workspace: str | Path | None = None,
) -> FittedEstimator:
    """Fit a fresh copy of a scikit-learn classifier on the firm-years whose outcome is known today.

    years: first and last fiscal year to learn from; None: all that the source vouches for. Other parameters as in `walk_forward`,
    which judges out of time: a fit judges nothing. Raise ResearchError where estimator, features or years cannot be used.
    """
    run = open_run(workspace)
    refuse_unusable(estimator)
    names, kind, table = feature_names(features), frame or kind_of(own), run.features
    if own is not None:
        table, added = add_own_features(table, own, run.statements, kind)
        names = [*names, *added]
    first, last = _first_and_last(years) or (run.first_year, run.source["outcomes_through"])
    known = outcome_horizons(run.outcomes, run.source["outcomes_through"], exits_survive=run.labels.alive_exits == "survived")
    known = known.filter(pl.col("fiscal_year").is_between(first, last), pl.col("years_known") >= 1)
    train = known.select(*VERSION_KEYS, "years_to_failure", "years_known").join(table, on=VERSION_KEYS, maintain_order="left")
    if train.is_empty():
        raise ResearchError(
            f"no firm-year of {first} to {last} has a known outcome: {run.first_year} to {run.source['outcomes_through']} have"
        )
    fitted = fit_estimator(estimator, train, names)
    failures = int((train["years_to_failure"] == 1).sum())
    background = train.gather_every(max(1, train.height // BACKGROUND_ROWS)).head(BACKGROUND_ROWS)
    return FittedEstimator(fitted, tuple(names), (first, last), train.height, failures, run, table, background, kind)


def _first_and_last(years: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the years as given. ResearchError where they are not two whole numbers, the first not after the last."""
    if years is None:
        return None
    ends = list(years) if isinstance(years, (tuple, list)) else []
    whole = [isinstance(end, (int, np.integer)) and not isinstance(end, bool) for end in ends]
    if len(ends) != 2 or not all(whole) or ends[0] > ends[1]:
        raise ResearchError(f"years is (first, last), such as (2003, 2011), not {years!r:.100}")
    return int(ends[0]), int(ends[1])


def explain(
    what: FittedEstimator | None = None,
    company: str | None = None,
    *,
    frame: FrameKind | None = None,
    workspace: str | Path | None = None,
) -> Any:
    """Return how much each feature moves PDs, in log-odds, strongest first.

    what: a fitted estimator; None: the champion. company: one scored company: feature, label, value and effect, where effects add
        up, with that of ``base``, to the log-odds of its PD; None: feature, label and mean_abs, the mean absolute effect over
        today's companies (over a hundred of them for a fitted estimator).
    An estimator's effects are Shapley values by permutation against a hundred training rows (shap); the champion's are those of
    its own trees and of Altman. ResearchError where the company was not scored.
    """
    if what is not None and not isinstance(what, FittedEstimator):
        raise ResearchError(
            f"explain takes what fit has given, or nothing for the champion, not {type(what).__name__}; a company is company='…'"
        )
    run = what.run if what else open_run(workspace)
    kind = frame or (what.frame if what else "pandas")
    today = _todays_rows(run, what, company)
    parts, base = run.model.explain(today) if what is None else _shapley(what, today)
    if company is None:
        means = [(name, _label(name), mean_value(parts[name].abs())) for name in parts.columns]
        table = pl.DataFrame(means, schema=["feature", "label", "mean_abs"], orient="row")
        return to_frame(table.sort("mean_abs", "feature", descending=[True, False]), kind)
    row = today.row(0, named=True)
    effects = [(name, _label(name), row.get(name), parts[name][0]) for name in parts.columns]
    schema = {"feature": pl.String, "label": pl.String, "value": pl.Float64, "effect": pl.Float64}
    table = pl.DataFrame(effects, schema=schema, orient="row").sort(pl.col("effect").abs(), descending=True)
    start = pl.DataFrame([("base", "where every company starts", None, float(base[0]))], schema=schema, orient="row")
    return to_frame(pl.concat([start, table]), kind)


def _todays_rows(run: ResearchRun, what: FittedEstimator | None, company: str | None) -> pl.DataFrame:
    rows = what.rows_of(None) if what else run.features.join(run.scores.select(VERSION_KEYS), on=VERSION_KEYS, how="semi")
    if company is not None:
        rows = rows.filter(pl.col("company_id") == str(company))
        if rows.is_empty():
            near = suggestion(str(company), run.scores["company_id"])
            raise ResearchError(f"no company with the id '{company}' was scored{near}")
    elif what is not None:
        rows = rows.gather_every(max(1, rows.height // BACKGROUND_ROWS)).head(BACKGROUND_ROWS)
    return rows


def _shapley(what: FittedEstimator, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """Return each feature's Shapley value by row, in log-odds, and the mean log-odds of the background rows."""
    import shap  # takes half a second to import

    def log_odds(inputs: np.ndarray) -> np.ndarray:
        pds = predict_pds(what.estimator, pd.DataFrame(inputs, columns=list(what.features)), what.name)
        found: np.ndarray = logit(np.clip(pds, LEAST_PD, 1 - LEAST_PD))
        return found

    background = input_frame(what.background, what.features).to_numpy()
    explainer = shap.explainers.Permutation(log_odds, background, seed=1)
    evaluations = max(500, 2 * len(what.features) + 1)  # the fewest that it needs
    found = explainer(input_frame(rows, what.features).to_numpy(), max_evals=evaluations, silent=True)
    return pl.DataFrame(found.values, schema=list(what.features)), np.asarray(found.base_values)


def _label(name: str) -> str:
    return FEATURES_BY_NAME[name].label if name in FEATURES_BY_NAME else ALTMAN_LABELS.get(name, name)
