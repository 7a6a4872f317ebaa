"""What research does with a scikit-learn classifier: refuse what cannot be judged, fit a fresh copy, and predict."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.base import clone

from quiebra.canonical import latest_year
from quiebra.errors import ResearchError, suggestion
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.altman import ALTMAN_SCORES
from quiebra.research.identity import fitted_parts

OUTCOME_COLUMNS = ("company_id", "fiscal_year", "years_to_failure", "years_known")
"""Columns of ``outcomes``, which an estimator's fit gets if it has a parameter of that name."""
ROUNDING = 1e-6
"""What a probability may be outside 0 and 1, in single precision."""


def feature_names(features: str | Sequence[str]) -> list[str]:
    """Return the names as a list, each once. ResearchError for one that the feature table does not have."""
    try:
        names = [features] if isinstance(features, str) else [str(name) for name in features]
    except TypeError:
        raise ResearchError(f"features are names in a list, not {type(features).__name__}") from None
    if not names:
        raise ResearchError("name at least one feature: `quiebra dictionary` lists them")
    known = (*FEATURES_BY_NAME, *ALTMAN_SCORES)
    for name in names:
        if name not in known:
            raise ResearchError(f"no feature '{name}'{suggestion(str(name), known)}: `quiebra dictionary` lists them")
    return list(dict.fromkeys(names))


def refuse_unusable(estimator: Any) -> None:
    """Raise ResearchError where the estimator cannot be copied, fitted or asked for probabilities."""
    if isinstance(estimator, type):
        raise ResearchError(f"give an estimator, not its class: {estimator.__name__}()")
    lacking = [name for name in ("get_params", "fit") if not hasattr(estimator, name)]
    lacking += (
        [] if hasattr(type(estimator), "predict_proba") or hasattr(estimator, "predict_proba") else ["predict_proba"]
    )  # some have it only when they are fitted
    if lacking:
        raise ResearchError(
            f"{type(estimator).__name__} has no {' and no '.join(lacking)}: give a scikit-learn classifier; one that only ranks "
            "can be wrapped in sklearn.calibration.CalibratedClassifierCV"
        )
    try:
        fresh = clone(estimator)
    except Exception as error:
        raise ResearchError(
            f"{estimator_name(estimator)} cannot be copied by sklearn.base.clone, so that each year cannot have a fresh one: its "
            f"__init__ must keep each parameter as it is given ({_first_line(error)})"
        ) from error
    if fitted := fitted_parts([fresh, *fresh.get_params(deep=True).values()]):
        raise ResearchError(
            f"{', '.join(dict.fromkeys(fitted))} is fitted already, so that it may know later years: give it unfitted; "
            "each year's copy is fitted on what was known then"
        )


def input_frame(rows: pl.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the features as an estimator gets them: floats, NaN where one is missing or infinite."""
    matrix = rows.select(pl.col(names).cast(pl.Float64)).to_numpy()
    return pd.DataFrame(np.where(np.isfinite(matrix), matrix, np.nan), columns=list(names))


def fit_estimator(estimator: Any, train: pl.DataFrame, names: Sequence[str]) -> Any:
    """Return a fresh copy of the estimator, fitted on training rows (see `quiebra.validation.folds.YearFold`).

    Raise ResearchError where one outcome is missing among them, or a missing value is not taken.
    """
    failed = (train["years_to_failure"] == 1).fill_null(False).to_numpy().astype(int)
    if not 0 < failed.sum() < len(failed):
        raise ResearchError(f"{failed.sum()} of {len(failed)} training rows failed: an estimator needs failures and survivors")
    fresh = clone(estimator)
    wanted = _outcomes_parameter(fresh)
    extra = {wanted: train.select(OUTCOME_COLUMNS).to_pandas()} if wanted else {}
    rows = input_frame(train, names)
    try:
        fitted = fresh.fit(rows, failed, **extra)
    except ResearchError:
        raise
    except Exception as error:
        if "contains NaN" in str(error) and rows.isna().to_numpy().any() and not extra:
            raise ResearchError(
                f"{estimator_name(estimator)} takes no missing value: put a sklearn.impute.SimpleImputer before it with "
                "sklearn.pipeline.make_pipeline"
            ) from error
        raise ResearchError(
            f"{estimator_name(estimator)} could not be fitted on the rows up to fiscal year {latest_year(train['fiscal_year'])}: "
            f"{type(error).__name__}: {_first_line(error)}"
        ) from error
    return fresh if fitted is None else fitted


def _outcomes_parameter(estimator: Any) -> str | None:
    """Return the name under which an estimator's fit takes ``outcomes``: ``STEP__outcomes`` of a pipeline's last step; None: it
    takes none."""
    if "outcomes" in inspect.signature(estimator.fit).parameters:
        return "outcomes"
    if steps := getattr(estimator, "steps", None):
        name, last = steps[-1]
        inner = _outcomes_parameter(last) if hasattr(last, "fit") else None
        return f"{name}__{inner}" if inner else None
    return None


def predict_pds(fitted: Any, rows: pd.DataFrame, name: str) -> np.ndarray:
    """Return the PD of each row. ResearchError where the estimator gives none, or something that is no probability."""
    if not hasattr(fitted, "predict_proba"):
        raise ResearchError(
            f"{name} has no predict_proba: one that only ranks can be wrapped in sklearn.calibration.CalibratedClassifierCV"
        )
    try:
        classes = [int(each) for each in getattr(fitted, "classes_", (0, 1))]
    except (TypeError, ValueError):
        raise ResearchError(f"{name} knows no classes 0 and 1 (classes_): it must be fitted on one outcome") from None
    if 1 not in classes:
        raise ResearchError(f"{name} knows the classes {classes} and no 1: it must be fitted on 0 (survived) and 1 (failed)")
    try:
        found = np.asarray(copy.deepcopy(fitted).predict_proba(rows.copy()))  # copies, as some change what they get, or keep it
    except ResearchError:
        raise
    except Exception as error:
        raise ResearchError(f"{name} could not predict: {type(error).__name__}: {_first_line(error)}") from error
    try:
        numbers = found.astype(float, casting="safe" if found.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError):
        raise ResearchError(f"{name}: predict_proba gives something that is no number") from None
    pds: np.ndarray = numbers
    if numbers.ndim == 2 and numbers.shape[1] == len(classes):
        pds = numbers[:, classes.index(1)]
    wrong = pds.shape != (len(rows),) or not np.isfinite(pds).all()
    if wrong or pds.min(initial=0) < -ROUNDING or pds.max(initial=0) > 1 + ROUNDING:
        raise ResearchError(f"{name}: predict_proba must give each row a probability between 0 and 1, and no NaN")
    return np.asarray(np.clip(pds, 0.0, 1.0))


def estimator_name(estimator: Any) -> str:
    """Return the class of the estimator, or of a pipeline's last step."""
    steps = getattr(estimator, "steps", None)
    return estimator_name(steps[-1][1]) if steps else type(estimator).__name__


def describe_estimator(estimator: Any) -> str:
    """Return the estimator with its parameters as one line, without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(estimator).split()))


def _first_line(error: Exception) -> str:
    return f"{(str(error).splitlines() or [type(error).__name__])[0]:.200}"
