"""Judge an estimator as the champion is judged: same firm-years, folds, embargo, outcomes known then, and resamples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from quiebra.errors import ResearchError
from quiebra.items import FIRM_YEAR_KEYS, VERSION_KEYS
from quiebra.provenance import json_sha256
from quiebra.research.checks import refuse_memory, refuse_other_rows
from quiebra.research.estimation import (
    describe_estimator,
    estimator_name,
    feature_names,
    fit_estimator,
    input_frame,
    predict_pds,
    refuse_unusable,
)
from quiebra.research.frames import FrameKind, refuse_kind
from quiebra.research.identity import idea_hash
from quiebra.research.own_features import OwnFeatures, add_own_features, coverage, kind_of, refuse_outcomes, unchecked
from quiebra.research.run import ResearchRun, open_run
from quiebra.research.trials import log_verdict, refuse_second_opening, refuse_unwritable_log, sealed_year_opening
from quiebra.research.verdict import Verdict, compare_scores
from quiebra.validation.challengers import SIX_RATIOS, rows_that_all_score
from quiebra.validation.folds import YearFold, yearly_folds

CHAMPION = "champion"
"""The champion's name in verdicts."""
RESERVED_NAMES = (CHAMPION, *FIRM_YEAR_KEYS, "failed", "figure", "difference")
LONGEST_NAME = 80


def walk_forward(
    estimator: Any,
    features: str | Sequence[str] = SIX_RATIOS,
    *,
    own: OwnFeatures = None,
    name: str | None = None,
    open_last_year: bool = False,
    frame: FrameKind | None = None,
    workspace: str | Path | None = None,
) -> Verdict:
    """Judge a scikit-learn classifier out of time against the champion, log the verdict and return it.

    For each year that the champion is judged on, a fresh copy of the estimator is fitted on the firm-years whose outcome was
    known then, less the embargo, and gives that year's statements, as first published, a PD. Both are compared on the same
    firm-years and the same resamples of whole companies. The last year is sealed unless it is opened.

    estimator: anything that scikit-learn can clone, with fit and predict_proba. It gets a pandas DataFrame of the features, NaN
        where one is missing, and 0 or 1. If its fit has a parameter ``outcomes``, it also gets the training rows' company_id,
        fiscal_year, years_to_failure (missing: none known) and years_known.
    features: names of the feature table, which `quiebra dictionary` describes.
    own: features of your own: a function that makes them from the statements (a pandas DataFrame, or Polars with
        ``frame="polars"``), which is checked for looking ahead; or a DataFrame by company_id and fiscal_year (and available_at,
        for one version alone), which is not.
    name: of the idea, in the log; None: the estimator's and its number of features.
    open_last_year: also judge the last year. It is opened for one idea, which must have a name, and never for another; an idea is
        the estimator with its parameters and your code, and the features, whatever it is called.
    frame: kind of the tables that the verdict gives and that ``own`` gets, pandas or polars; None: that of ``own``, or pandas.

    Raise ResearchError where estimator or features cannot be used; LeakageError where the estimator uses more than its training
    rows and each row's own values, or a feature looks ahead. What an estimator reads from files by itself is not seen.
    """
    if frame is not None:
        refuse_kind(frame)
    run = open_run(workspace)
    refuse_unusable(estimator)
    refuse_unwritable_log(run.workspace)
    names = feature_names(features)
    refuse_name(name)
    years, sealed = run.test_years[:-1], run.test_years[-1]
    if open_last_year:
        if not name:
            raise ResearchError(f"say name='…': fiscal year {sealed} is opened for one idea, by its name")
        years = [*years, sealed]
    if not years:
        raise ResearchError(f"the champion is judged on {sealed} alone, which is sealed: set validate.first_test_year earlier")
    kind = frame or kind_of(own)
    table, added = run.features, list[str]()
    if own is not None:
        table, added = add_own_features(table, own, run.statements, kind)
        names = [*names, *added]
        refuse_outcomes(table, run.outcomes, added, run.params.validate_.accept_features)
    said = name or f"{estimator_name(estimator)}, {len(names)} features"
    idea = _idea(estimator, names, table if own is not None else None)
    if open_last_year:
        refuse_second_opening(run.workspace, run.source["source"], sealed, idea)
    rows = _judged_rows(run, years, walk_estimator(run, estimator, table, names, years, said), said)
    found = compare_scores(rows, (said, CHAMPION), run.bootstrap, years=years, frame=kind)
    difference, opened = found.figures_of["difference"], sealed if open_last_year else None
    ideas = log_verdict(
        run.workspace,
        {
            "idea": idea,
            "name": said,
            "estimator": describe_estimator(estimator),
            "features": names,
            "source": run.source["source"],
            "panel": json_sha256(run.run["data"]["panel"])[:12],
            "years": years,
            "opened": opened,
            "rows": rows.height,
            "failures": int(rows["failed"].sum()),
            "auc": found.figures_of[said]["auc"],
            "auc_less_champion": difference["auc"],
            "low": difference["interval"]["auc"][0],
            "high": difference["interval"]["auc"][1],
        },
    )
    return Verdict.of(
        found,
        features=tuple(names),
        sealed=None if open_last_year else sealed,
        opened_before=sealed_year_opening(run.workspace, run.source["source"], sealed),
        ideas=ideas,
        simulated=run.simulated,
        banners=tuple(run.banners),
        unchecked=unchecked(own),
        coverage=coverage(table, names),
    )


def refuse_name(name: str | None) -> None:
    """Raise ResearchError where an idea's name cannot be a column beside those of its verdict, or a line of the log."""
    if name is None:
        return
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ResearchError(f"name must be a text of 1 to {LONGEST_NAME} printable characters, not {name!r:.100}")
    if name in RESERVED_NAMES or name.endswith((" low", " high")) or name.startswith(("_", "^")) or name == "*":
        raise ResearchError(f"call the idea something else: '{name}' would be taken for a column of its verdict")


def _idea(estimator: Any, names: Sequence[str], own: pl.DataFrame | None) -> str:
    """Return a short hash that is the same for the same estimator, features in the same order, and values of one's own."""
    values = None if own is None else own.select(*VERSION_KEYS, *sorted(names)).hash_rows(seed=1).sum()
    return json_sha256([idea_hash(estimator), list(names), values])[:12]


def walk_estimator(
    run: ResearchRun, estimator: Any, table: pl.DataFrame, names: Sequence[str], years: Sequence[int], said: str
) -> pl.DataFrame:
    """Return company_id, fiscal_year and pd of the years' statements, after the checks of the estimator."""
    folds = list(
        yearly_folds(
            table, run.statements, run.events, years=years, first_year=run.first_year, embargo=run.embargo, labels=run.labels
        )
    )
    if not folds:
        raise ResearchError(f"the fiscal years {years[0]} to {years[-1]} have no statement")

    def walked(fold: YearFold) -> tuple[pl.DataFrame, np.ndarray]:
        test = fold.test.sort("available_at", "company_id", maintain_order=True)
        rows, fitted = input_frame(test, names), fit_estimator(estimator, fold.train, names)
        pds = predict_pds(fitted, rows, said)
        refuse_other_rows(partial(predict_pds, fitted, name=said), rows, pds, said)
        return test.select(FIRM_YEAR_KEYS).with_columns(pl.Series("pd", pds)), pds

    _, first_before = walked(folds[0])  # before it has been given anything of later years
    _, last_before = walked(folds[-1])
    found = [walked(fold) for fold in folds]
    refuse_memory(first_before, found[0][1], folds[0].year, said)
    refuse_memory(last_before, found[-1][1], folds[-1].year, said)
    return pl.concat([scores for scores, _ in found]).sort(FIRM_YEAR_KEYS)


def _judged_rows(run: ResearchRun, years: Sequence[int], pds: pl.DataFrame, said: str) -> pl.DataFrame:
    """Return company_id, fiscal_year, failed, and the PDs of the idea and the champion: the rows of the benchmark table."""
    history = rows_that_all_score(run.history.filter(pl.col("fiscal_year").is_in(list(years))))
    outcomes = run.outcomes.select(*FIRM_YEAR_KEYS, "failed")
    rows = history.join(outcomes, on=FIRM_YEAR_KEYS).join(pds, on=FIRM_YEAR_KEYS).sort(FIRM_YEAR_KEYS)
    if not 0 < rows["failed"].sum() < rows.height:
        raise ResearchError(f"fiscal years {years[0]} to {years[-1]} have {rows['failed'].sum()} failures in {rows.height} rows")
    return rows.select(*FIRM_YEAR_KEYS, "failed", pl.col("pd").alias(said), pl.col("pd_12m").alias(CHAMPION))
