"""Monitor a model in use: drift, performance as outcomes become known, and estimated performance before they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from quiebra.canonical import latest_year, mean_value
from quiebra.items import FIRM_YEAR_KEYS
from quiebra.models.importance import importance_shift
from quiebra.models.interval import error_from_bound
from quiebra.params import Limit, Monitor
from quiebra.validation.calibration import jeffreys_interval
from quiebra.validation.comparison import Bootstrap, judge_score
from quiebra.validation.metrics import RankedOutcomes
from quiebra.validation.stability import feature_stability, psi
from quiebra.validation.verdict import meets_bound

FINDING_SCHEMA = {
    "measure": pl.String,
    "subject": pl.String,
    "fiscal_year": pl.Int32,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "watch": pl.Float64,
    "alarm": pl.Float64,
    "status": pl.String,
}
"""Columns of monitoring findings. subject: a feature's name, or ``scores``. status: ok, watch, alarm, or unknown without a value.
"""


def performance_by_year(history: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int, how: Bootstrap) -> pl.DataFrame:
    """Return one row per fiscal year with known outcomes.

    Columns: fiscal_year, rows, failures, mean_pd, observed, low and high (Jeffreys), auc, auc_low and auc_high; no AUC in a year
        without failures. history: out-of-time scores. labels: outcomes known by now.
    """
    judged = history.filter(pl.col("fiscal_year") <= outcomes_through).join(
        labels.select(*FIRM_YEAR_KEYS, "failed"), on=FIRM_YEAR_KEYS
    )
    rows = []
    for (year,), own in judged.sort("fiscal_year", "company_id").group_by("fiscal_year", maintain_order=True):
        found, failures = judge_score(own, "pd_12m", how), int(own["failed"].sum())
        low, high = (float(v[0]) for v in jeffreys_interval(np.array([failures]), np.array([own.height]), how.confidence))
        auc_low, auc_high = found["interval"]["auc"]
        rows.append(
            (year, own.height, failures, own["pd_12m"].mean(), failures / own.height, low, high, found["auc"], auc_low, auc_high)
        )
    names = ("rows", "failures", "mean_pd", "observed", "low", "high", "auc", "auc_low", "auc_high")
    schema = {"fiscal_year": pl.Int32, **{name: pl.Int64 if name in names[:2] else pl.Float64 for name in names}}
    return pl.DataFrame(rows, schema=schema, orient="row")


def estimated_performance(scores: pl.DataFrame, interval: float, how: Bootstrap) -> pl.DataFrame:
    """Return, by fiscal year, the failures and AUC to expect if the PDs are right, with low and high.

    scores: fiscal_year, pd_12m and pd_12m_high at confidence ``interval``. No outcomes are used, so that a year can be judged
        before they are known. Outcomes are drawn from the PDs, with all of a year's PDs shifted by one error of the interval's
        width (the spread between years). Source: Guillory et al. (2021), and confidence-based performance estimation after it.
    """
    rng = np.random.default_rng(how.seed)
    tails = [(1 - how.confidence) / 2, (1 + how.confidence) / 2]
    rows = []
    for (year,), own in scores.sort("fiscal_year", "company_id").group_by("fiscal_year", maintain_order=True):
        pd = own["pd_12m"].to_numpy()
        error = error_from_bound(pd, own["pd_12m_high"].to_numpy(), interval)
        drawn = []
        for _ in range(how.resamples):
            failed = (rng.random(len(pd)) < expit(logit(pd) + rng.standard_normal() * error)).astype(float)
            drawn.append((failed.sum(), RankedOutcomes.rank(failed, pd).figures()["auc"]))
        failures, auc = np.array(drawn).T
        auc = auc[np.isfinite(auc)]
        low, high = np.quantile(auc, tails) if len(auc) else (np.nan, np.nan)
        expected = RankedOutcomes.rank(pd, pd).figures()["auc"]  # each company is a failure with weight PD
        rows.append((year, pd.sum(), *np.quantile(failures, tails, method="nearest"), expected, low, high))
    names = ("failures", "failures_low", "failures_high", "auc", "auc_low", "auc_high")
    frame = pl.DataFrame(rows, schema={"fiscal_year": pl.Int32, **dict.fromkeys(names, pl.Float64)}, orient="row")
    return frame.fill_nan(None)


def feature_drift(before: pl.DataFrame, now: pl.DataFrame, names: list[str], options: Monitor) -> pl.DataFrame:
    """Return the findings on features: each one's stability index, of today's rows against the training rows."""
    year = latest_year(now["fiscal_year"])
    moved = feature_stability(before, now, names)
    rows = [("feature_csi", name, year, value, None, None) for name, value in moved.iter_rows()]
    return _findings(rows, {"feature_csi": options.feature_csi})


def monitoring_findings(
    history: pl.DataFrame,
    scores: pl.DataFrame,
    known: pl.DataFrame,
    estimated: pl.DataFrame,
    importance: pl.DataFrame,
    features: pl.DataFrame,
    options: Monitor,
) -> pl.DataFrame:
    """Return every finding, those on features last; columns `FINDING_SCHEMA`.

    A finding with an interval has the status of the mildest value in it, so that a few failures more or less raise no alarm.
    score_psi: today's PDs against those of the three fiscal years before. auc_shortfall: the AUC that a year's PDs imply less its
        AUC (``low`` and ``high`` from its interval). pd_over_observed: mean PD over the observed rate; without failures it is the
        least value in its interval. importance_correlation: a year's importance against the year's before. features_alarmed:
        share in alarm of the features that could be compared.
    known: from `performance_by_year`. estimated: from `estimated_performance`. features: from `feature_drift`.
    """
    year = latest_year(scores["fiscal_year"])
    recent = history.filter(pl.col("fiscal_year").is_between(year - 3, year - 1))
    found: list[tuple[Any, ...]] = [
        ("score_psi", "scores", year, psi(recent["pd_12m"].to_numpy(), scores["pd_12m"].to_numpy()), None, None)
    ]
    found += [
        ("auc_shortfall", "scores", y, expected - auc, expected - high, expected - low)
        for y, auc, low, high, expected in known.drop_nulls("auc")
        .join(estimated.select("fiscal_year", expected="auc"), on="fiscal_year")
        .select("fiscal_year", "auc", "auc_low", "auc_high", "expected")
        .iter_rows()
        if low is not None
    ]
    found += [
        ("pd_over_observed", "scores", y, pd / (rate or high), pd / high, pd / low if low else None)
        for y, pd, rate, low, high in known.select("fiscal_year", "mean_pd", "observed", "low", "high").iter_rows()
    ]
    found += [
        ("importance_correlation", "scores", y, r, None, None) for y, r, _ in importance_shift(importance).tail(3).iter_rows()
    ]
    compared = features.filter(pl.col("status") != "unknown")["status"]
    found.append(("features_alarmed", "scores", year, mean_value(compared == "alarm"), None, None))
    return pl.concat([_findings(found, {name: getattr(options, name) for name in MEASURE_BOUND_KINDS}), features])


STATUSES = ("ok", "watch", "alarm", "unknown")
MEASURE_BOUND_KINDS = {
    "score_psi": "most",
    "auc_shortfall": "most",
    "pd_over_observed": "factor",
    "importance_correlation": "least",
    "features_alarmed": "most",
    "feature_csi": "most",
}
"""Whether a value must be at most its threshold, at least its threshold, or within that factor of 1."""
VALUE_IF_MODEL_RIGHT = {"auc_shortfall": 0.0, "pd_over_observed": 1.0}
"""Value of a measure with an interval where the model is right."""


def _findings(rows: list[tuple[Any, ...]], limits: dict[str, Limit]) -> pl.DataFrame:
    complete = []
    for measure, subject, year, *values in rows:
        limit, (value, low, high) = limits[measure], (None if v is None or not np.isfinite(v) else float(v) for v in values)
        ends = [end for end in (value, low, high) if end is not None]
        if low is not None and low <= VALUE_IF_MODEL_RIGHT[measure] <= (np.inf if high is None else high):
            ends = [VALUE_IF_MODEL_RIGHT[measure]]
        found = [] if value is None else [_status(end, MEASURE_BOUND_KINDS[measure], limit) for end in ends]
        status = min(found, key=STATUSES.index, default="unknown")
        complete.append((measure, subject, year, value, low, high, limit.watch, limit.alarm, status))
    return pl.DataFrame(complete, schema=FINDING_SCHEMA, orient="row")


def _status(value: float, kind: str, limit: Limit) -> str:
    return next(
        (name for name, bound in (("ok", limit.watch), ("watch", limit.alarm)) if meets_bound(value, kind, bound)), "alarm"
    )


@dataclass(frozen=True)
class Light:
    """Status of one monitored measure in its latest year.

    off: number of its subjects on watch or in alarm (features: in alarm). subjects: number of all its subjects.
    """

    measure: str
    status: str
    off: int
    subjects: int
    fiscal_year: int


STATUS_ORDER = ("ok", "unknown", "watch", "alarm")


def monitoring_lights(findings: pl.DataFrame) -> list[Light]:
    """Return one light per monitored measure, as shown by every page, report, mail and alert.

    Only the latest year counts. Features have one light, on the share of them in alarm: a few in alarm are no alarm of the model.
    """
    latest, found = findings.filter(pl.col("fiscal_year") == pl.col("fiscal_year").max().over("measure")), []
    features = latest.filter(pl.col("measure") == "feature_csi", pl.col("status") != "unknown")["status"]
    for measure in MEASURE_BOUND_KINDS:
        rows = latest.filter(pl.col("measure") == measure)
        if measure == "feature_csi" or rows.is_empty():
            continue
        worst = max(rows["status"].to_list(), key=STATUS_ORDER.index)
        counted = (features == "alarm") if measure == "features_alarmed" else rows["status"].is_in(["watch", "alarm"])
        found.append(Light(measure, worst, int(counted.sum()), len(counted), int(rows["fiscal_year"][0])))
    return found


def uncompared_features(findings: pl.DataFrame) -> list[str]:
    """Return the features whose drift could not be judged.

    They count years, or too few companies have as many years of statements as the feature looks back.
    """
    return findings.filter(pl.col("measure") == "feature_csi", pl.col("status") == "unknown")["subject"].to_list()
