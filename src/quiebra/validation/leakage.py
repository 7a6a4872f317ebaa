"""Leakage: features that know too much. No honest ratio ranks failures almost without fault on its own."""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.errors import LeakageError
from quiebra.validation.metrics import Judged

TOO_GOOD = 0.97
"""AUC of a feature alone, of its values or of where it is missing, above which it must have seen the outcome."""
MIN_FAILURES = 20


def alone(features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return feature, auc_value and auc_missing: how well each feature, and its absence, ranks first-year failures by itself.

    features: keys and inputs. labels: company_id, fiscal_year and failed. The AUC is of the better direction, 0.5 at least;
    missing where there are fewer than 20 failures among the values.
    """
    keys = ["company_id", "fiscal_year", "available_at"]
    rows = features.join(labels.select(*keys, "failed"), on=keys)
    names = [name for name, kind in features.schema.items() if kind == pl.Float64]
    failed = rows["failed"].to_numpy()
    found = []
    for name in names:
        column = rows[name].fill_nan(None)
        there = column.is_not_null().to_numpy()
        found.append(
            {
                "feature": name,
                "auc_value": _auc(failed[there], column.drop_nulls().to_numpy()),
                "auc_missing": _auc(failed, (~there).astype(float)),
            }
        )
    return pl.DataFrame(found, schema={"feature": pl.String, "auc_value": pl.Float64, "auc_missing": pl.Float64})


def refuse_leaks(features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return `alone`; raises LeakageError naming the features that rank failures better than anything honest can."""
    table = alone(features, labels)
    guilty = table.filter((pl.col("auc_value") > TOO_GOOD) | (pl.col("auc_missing") > TOO_GOOD))["feature"].to_list()
    if guilty:
        raise LeakageError(
            f"{', '.join(guilty)}: alone it ranks failures with an AUC above {TOO_GOOD:g}, so it must have seen the outcome. "
            "Take it out of quiebra.features, or make it from what was published by available_at."
        )
    return table


def _auc(failed: np.ndarray, values: np.ndarray) -> float | None:
    if failed.sum() < MIN_FAILURES or failed.all():
        return None
    auc = Judged.rank(failed, values).figures()["auc"]
    return max(auc, 1 - auc)
