"""Leakage: features suspected of having seen the outcome. No honest ratio ranks failures almost without fault on its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri, stdtrit

from quiebra.errors import LeakageError, ParamsError, Said, did_you_mean
from quiebra.features import FEATURES_BY_NAME
from quiebra.validation.metrics import Judged

TOO_GOOD = 0.97
"""AUC of a feature alone, of its values or of where it is missing, that no honest feature has."""
MIN_FAILURES = 20
CONFIDENCE = 0.95
"""That none of the features looked at is suspected by chance alone."""
LEAST_SPREAD = 1.0
"""Of failures, in standard deviations of survivors, at the lower end: that a few failures lie close together is no proof."""
KEYS = ["company_id", "fiscal_year", "available_at"]


def auc_interval(failed: np.ndarray, values: np.ndarray, tail: float) -> tuple[float, float, float]:
    """Return the AUC of values alone, of the better direction, and both ends of its interval, beyond each of which ``tail`` lies.

    failed: 0/1, with at least two of each. The interval is the binormal one (Hanley, 1988): each failure's place among survivors,
    as a normal score, has a mean and a spread with their errors, and AUC = Φ(mean / sqrt(1 + spread²)). Ties count half.
    """
    auc = Judged.rank(failed, values).figures()["auc"]
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
    return auc, min(end(max(seen, LEAST_SPREAD), -1), auc), max(end(seen, 1), auc)


@dataclass(frozen=True)
class Suspicion:
    """A feature that ranks failures too well: its values, or (``missing``) where it is missing; AUC with its interval."""

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


def alone(features: pl.DataFrame, labels: pl.DataFrame, names: Iterable[str] | None = None) -> pl.DataFrame:
    """Return feature, missing, auc, low and high: how well each feature, and its absence, ranks first-year failures by itself.

    features: keys and inputs. labels: company_id, fiscal_year, available_at and failed. names: of the features looked at; None:
    all. The AUC is of the better direction, 0.5 at least. The intervals hold for all of them together, so that the more are
    looked at the wider they are. Missing where there are fewer than 20 failures, or survivors, to tell from.
    """
    rows = features.join(labels.select(*KEYS, "failed"), on=KEYS)
    wanted = [name for name, kind in features.schema.items() if kind == pl.Float64] if names is None else list(names)
    failed, tail = rows["failed"].to_numpy(), (1 - CONFIDENCE) / (2 * max(len(wanted), 1))
    found = []
    for name in wanted:
        column = rows[name].fill_nan(None)
        there = column.is_not_null().to_numpy()
        of = {False: (failed[there], column.drop_nulls().to_numpy()), True: (failed, (~there).astype(float))}
        for missing, (outcome, values) in of.items():
            enough = outcome.sum() >= MIN_FAILURES and (outcome == 0).sum() >= MIN_FAILURES
            figures = auc_interval(outcome, values, tail) if enough else (None, None, None)
            found.append((name, missing, *figures))
    schema = {"feature": pl.String, "missing": pl.Boolean, **dict.fromkeys(("auc", "low", "high"), pl.Float64)}
    return pl.DataFrame(found, schema=schema, orient="row")


def suspicions(table: pl.DataFrame) -> list[Suspicion]:
    """Return what of `alone` ranks failures better than any honest figure, its interval's lower end too, the strongest first."""
    rows = table.filter(pl.col("low") > TOO_GOOD).sort("low", "feature", descending=[True, False])
    return [Suspicion(**row) for row in rows.to_dicts()]


def refuse_leaks(
    features: pl.DataFrame, labels: pl.DataFrame, names: Iterable[str] | None = None, accepted: Iterable[str] = ()
) -> tuple[pl.DataFrame, list[Suspicion]]:
    """Return `alone` and the suspicions that somebody ``accepted`` by the feature's name. Raises LeakageError naming the others,
    with what can be done: a suspicion is no proof."""
    table = alone(features, labels, names)
    found, accepted = suspicions(table), set(accepted)
    standing = [suspicion for suspicion in found if suspicion.feature not in accepted]
    if standing:
        raise LeakageError(
            "suspicion of leakage: alone, these rank failures better than an honest figure does, whose AUC is {bound} at most: "
            "{found}. Look whether they were known when the statement came out. Then leave them out of training "
            "(train.drop_features: [{names}]), or accept them where they are honest (validate.accept_features), which trains "
            "nothing anew.", bound=TOO_GOOD, found=[Said(str(suspicion)) for suspicion in standing],
            names=", ".join(dict.fromkeys(suspicion.feature for suspicion in standing)),
        )  # fmt: skip
    return table, found


def check_names(names: Iterable[str], key: str) -> None:
    """Raise ParamsError where a name in params (``key`` says where) is that of no feature."""
    for name in names:
        if name not in FEATURES_BY_NAME:
            near = did_you_mean(name, FEATURES_BY_NAME)
            text = "{key}: '{name}' is not a feature{near}; `quiebra dictionary` lists them"
            raise ParamsError(text, key=key, name=name, near=near)
