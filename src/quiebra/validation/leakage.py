"""Leakage: features suspected of containing the outcome, since alone they rank failures almost perfectly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri, stdtrit

from quiebra.errors import LeakageError, LocalisedMessage, ParamsError, suggestion_message
from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.items import VERSION_KEYS
from quiebra.validation.metrics import RankedOutcomes

MAX_HONEST_AUC = 0.97
"""AUC above which a feature alone, by its values or by where it is missing, is suspected of leakage."""
MIN_FAILURES_TO_TEST_LEAKAGE = 20
CONFIDENCE = 0.95
"""Confidence that none of the tested features is suspected by chance alone."""
MIN_FAILURE_SPREAD = 1.0
"""Least spread of failures for the lower bound, in standard deviations of survivors: a few close failures are no proof."""


def auc_interval(failed: np.ndarray, values: np.ndarray, tail: float) -> tuple[float, float, float]:
    """Return the AUC of values alone, in the better direction, and the bounds of its interval with ``tail`` beyond each.

    failed: 0/1, with at least two of each. The interval is the binormal one (Hanley, 1988): each failure's rank among survivors,
        as a normal score, has a mean and a spread with standard errors, and AUC = Φ(mean / sqrt(1 + spread²)). Ties count half.
    """
    auc = RankedOutcomes.rank(failed, values).figures()["auc"]
    places = values if auc >= 0.5 else -values
    survivors = np.sort(places[failed == 0])
    asked = places[failed == 1]
    below, upto = (np.searchsorted(survivors, asked, side) for side in ("left", "right"))
    scores = ndtri(((below + upto) / 2 + 0.5) / (len(survivors) + 1))
    seen, far = float(scores.std(ddof=1)), float(stdtrit(len(scores) - 1, 1 - tail))

    mean, count = float(scores.mean()), len(scores)

    def end(spread: float, way: int) -> float:
        total = 1 + spread**2
        error = (spread**2 / count + 1 / len(survivors)) / total + mean**2 * spread**4 / (2 * count * total**3)
        return float(ndtr(mean / np.sqrt(total) + way * far * np.sqrt(error)))

    auc = max(auc, 1 - auc)
    return auc, min(end(max(seen, MIN_FAILURE_SPREAD), -1), auc), max(end(seen, 1), auc)


@dataclass(frozen=True)
class LeakageSuspicion:
    """A feature that ranks failures too well, by its values or (``missing``) by where it is missing; its AUC with an interval."""

    feature: str
    missing: bool
    auc: float
    low: float
    high: float

    def __str__(self) -> str:
        what = f"where {self.feature} is missing" if self.missing else self.feature
        return f"{what}: AUC {self.auc:.3f} ({self.low:.3f} to {self.high:.3f})"

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        ends = [round(self.auc, 6), round(self.low, 6), round(self.high, 6)]
        return {"feature": self.feature, "missing": self.missing, "auc": ends[0], "interval": ends[1:]}


def single_feature_auc(features: pl.DataFrame, labels: pl.DataFrame, names: Iterable[str] | None = None) -> pl.DataFrame:
    """Return feature, missing, auc, low and high: how well each feature, and its absence, ranks first-year failures alone.

    features: keys and inputs. labels: company_id, fiscal_year, available_at and failed. names: features to test; None: all. The
        AUC is that of the better direction, at least 0.5. The intervals hold jointly (Bonferroni), so that they widen with the
        number of features. Null where there are fewer than 20 failures or 20 survivors.
    """
    rows = features.join(labels.select(*VERSION_KEYS, "failed"), on=VERSION_KEYS)
    wanted = [name for name, kind in features.schema.items() if kind == pl.Float64] if names is None else list(names)
    failed, tail = rows["failed"].to_numpy(), (1 - CONFIDENCE) / (2 * max(len(wanted), 1))
    found = []
    for name in wanted:
        column = rows[name].fill_nan(None)
        there = column.is_not_null().to_numpy()
        of = {False: (failed[there], column.drop_nulls().to_numpy()), True: (failed, (~there).astype(float))}
        for missing, (outcome, values) in of.items():
            enough = outcome.sum() >= MIN_FAILURES_TO_TEST_LEAKAGE and (outcome == 0).sum() >= MIN_FAILURES_TO_TEST_LEAKAGE
            figures = auc_interval(outcome, values, tail) if enough else (None, None, None)
            found.append((name, missing, *figures))
    schema = {"feature": pl.String, "missing": pl.Boolean, **dict.fromkeys(("auc", "low", "high"), pl.Float64)}
    return pl.DataFrame(found, schema=schema, orient="row")


def suspected_leaks(table: pl.DataFrame) -> list[LeakageSuspicion]:
    """Return the rows of `single_feature_auc` whose lower bound is above `MAX_HONEST_AUC`, the strongest first."""
    rows = table.filter(pl.col("low") > MAX_HONEST_AUC).sort("low", "feature", descending=[True, False])
    return [LeakageSuspicion(**row) for row in rows.to_dicts()]


def refuse_leaks(
    features: pl.DataFrame, labels: pl.DataFrame, names: Iterable[str] | None = None, accepted: Iterable[str] = ()
) -> tuple[pl.DataFrame, list[LeakageSuspicion]]:
    """Return `single_feature_auc`, and the suspicions on features whose names the user ``accepted``.

    Raise LeakageError naming the other suspicions, with the remedies: a suspicion is not a proof.
    """
    table = single_feature_auc(features, labels, names)
    found, accepted = suspected_leaks(table), set(accepted)
    standing = [suspicion for suspicion in found if suspicion.feature not in accepted]
    if standing:
        raise LeakageError(
            "suspicion of leakage: alone, these rank failures better than an honest figure does, whose AUC is {bound} at most: "
            "{found}. Look whether they were known when the statement came out. Then leave them out of training "
            "(train.drop_features: [{names}]), or accept them where they are honest (validate.accept_features), which trains "
            "nothing anew.",
            bound=MAX_HONEST_AUC,
            found=[LocalisedMessage(str(suspicion)) for suspicion in standing],
            names=", ".join(dict.fromkeys(suspicion.feature for suspicion in standing)),
        )
    return table, found


def check_feature_names(names: Iterable[str], key: str) -> None:
    """Raise ParamsError where a name in params is not a feature. key: where in params, for the message."""
    for name in names:
        if name not in FEATURES_BY_NAME:
            near = suggestion_message(name, FEATURES_BY_NAME)
            text = "{key}: '{name}' is not a feature{near}; `quiebra dictionary` lists them"
            raise ParamsError(text, key=key, name=name, near=near)
