"""Monitoring a model in use: what moved, how it did as outcomes came in, and how it should be doing before they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from quiebra.models.importance import importance_shift
from quiebra.models.interval import error_within
from quiebra.params import Limit, Monitor
from quiebra.validation.calibration import jeffreys
from quiebra.validation.judging import Resampling, judge
from quiebra.validation.metrics import Judged
from quiebra.validation.stability import feature_stability, psi
from quiebra.validation.verdict import holds

KEYS = ["company_id", "fiscal_year"]
FINDINGS = {
    "measure": pl.String, "subject": pl.String, "fiscal_year": pl.Int32, "value": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "watch": pl.Float64, "alarm": pl.Float64, "status": pl.String,
}  # fmt: skip
"""Columns of what monitoring finds. subject: a feature's name, or ``scores``. status: ok, watch, alarm, or unknown where there is
no value."""


def performance(history: pl.DataFrame, labels: pl.DataFrame, outcomes_through: int, how: Resampling) -> pl.DataFrame:
    """Return one row a fiscal year whose outcomes are known: rows, failures, mean_pd, observed, low and high (Jeffreys), auc,
    auc_low and auc_high; a year without failures has no AUC.

    history: out-of-time scores; labels: outcomes known by now.
    """
    judged = history.filter(pl.col("fiscal_year") <= outcomes_through).join(labels.select(*KEYS, "failed"), on=KEYS)
    rows = []
    for (year,), own in judged.sort("fiscal_year", "company_id").group_by("fiscal_year", maintain_order=True):
        found, failures = judge(own, "pd_12m", how), int(own["failed"].sum())
        low, high = (float(v[0]) for v in jeffreys(np.array([failures]), np.array([own.height]), how.confidence))
        auc_low, auc_high = found["interval"]["auc"]
        rows.append((year, own.height, failures, own["pd_12m"].mean(), failures / own.height, low, high, found["auc"], auc_low,
                     auc_high))  # fmt: skip
    names = ("rows", "failures", "mean_pd", "observed", "low", "high", "auc", "auc_low", "auc_high")
    schema = {"fiscal_year": pl.Int32, **{name: pl.Int64 if name in names[:2] else pl.Float64 for name in names}}
    return pl.DataFrame(rows, schema=schema, orient="row")


def estimated_performance(scores: pl.DataFrame, interval: float, how: Resampling) -> pl.DataFrame:
    """Return, for each fiscal year, what is to be expected if the PDs are right: failures and AUC, with low and high.

    scores: fiscal_year, pd_12m and pd_12m_high at confidence ``interval``. Nothing about outcomes is used, so that a year can be
    judged before they are known. Outcomes are drawn from the PDs, all of a year's shifted together by an error of the interval's
    width: that is the spread of years. Source: Guillory et al. (2021), and confidence-based performance estimation after it.
    """
    rng = np.random.default_rng(how.seed)
    tails = [(1 - how.confidence) / 2, (1 + how.confidence) / 2]
    rows = []
    for (year,), own in scores.sort("fiscal_year", "company_id").group_by("fiscal_year", maintain_order=True):
        pd = own["pd_12m"].to_numpy()
        error = error_within(pd, own["pd_12m_high"].to_numpy(), interval)
        drawn = []
        for _ in range(how.resamples):
            failed = (rng.random(len(pd)) < expit(logit(pd) + rng.standard_normal() * error)).astype(float)
            drawn.append((failed.sum(), Judged.rank(failed, pd).figures()["auc"]))
        failures, auc = np.array(drawn).T
        auc = auc[np.isfinite(auc)]
        low, high = np.quantile(auc, tails) if len(auc) else (np.nan, np.nan)
        expected = Judged.rank(pd, pd).figures()["auc"]  # each company counts as a failure with the weight of its PD
        rows.append((year, pd.sum(), *np.quantile(failures, tails, method="nearest"), expected, low, high))
    names = ("failures", "failures_low", "failures_high", "auc", "auc_low", "auc_high")
    frame = pl.DataFrame(rows, schema={"fiscal_year": pl.Int32, **dict.fromkeys(names, pl.Float64)}, orient="row")
    return frame.fill_nan(None)


def drift(before: pl.DataFrame, now: pl.DataFrame, names: list[str], options: Monitor) -> pl.DataFrame:
    """Return the findings on features: the stability index of each, today's rows against those that were learnt from."""
    year = int(now["fiscal_year"].max())  # type: ignore[arg-type]
    moved = feature_stability(before, now, names)
    rows = [("feature_csi", name, year, value, None, None) for name, value in moved.iter_rows()]
    return _findings(rows, {"feature_csi": options.feature_csi})


def findings(
    history: pl.DataFrame, scores: pl.DataFrame, known: pl.DataFrame, estimated: pl.DataFrame, importance: pl.DataFrame,
    features: pl.DataFrame, options: Monitor,
) -> pl.DataFrame:  # fmt: skip
    """Return every finding, the features' last: see `FINDINGS`. One with an interval has the status of its milder end, so that a
    handful of failures more or less raises no alarm.

    score_psi: today's PDs against those of the three fiscal years before. auc_shortfall: how far a year's AUC was below what
    its PDs promised (``low`` and ``high`` from its interval). pd_over_observed: mean PD over the observed rate.
    Where no failure was seen the ratio is the least that its interval leaves, its low. importance_correlation: a year's
    importance against the year's before. features_alarmed: the share in alarm of the features that could be compared.
    known, estimated: see `performance` and `estimated_performance`. features: from `drift`.
    """
    year = int(scores["fiscal_year"].max())  # type: ignore[arg-type]
    recent = history.filter(pl.col("fiscal_year").is_between(year - 3, year - 1))
    found = [("score_psi", "scores", year, psi(recent["pd_12m"].to_numpy(), scores["pd_12m"].to_numpy()), None, None)]
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
    found += [("importance_correlation", "scores", y, r, None, None)
              for y, r, _ in importance_shift(importance).tail(3).iter_rows()]  # fmt: skip
    compared = features.filter(pl.col("status") != "unknown")["status"]
    found.append(("features_alarmed", "scores", year, (compared == "alarm").mean(), None, None))
    return pl.concat([_findings(found, {name: getattr(options, name) for name in MEASURES}), features])


STATUSES = ("ok", "watch", "alarm", "unknown")
MEASURES = {
    "score_psi": "most",
    "auc_shortfall": "most",
    "pd_over_observed": "factor",
    "importance_correlation": "least",
    "features_alarmed": "most",
    "feature_csi": "most",
}
"""Whether a value must be at most its threshold, at least, or within that factor of 1."""
RIGHT = {"auc_shortfall": 0.0, "pd_over_observed": 1.0}
"""What a measure with an interval would be, were the model right."""


def _findings(rows: list[tuple[Any, ...]], limits: dict[str, Limit]) -> pl.DataFrame:
    complete = []
    for measure, subject, year, *values in rows:
        limit, (value, low, high) = limits[measure], (None if v is None or not np.isfinite(v) else float(v) for v in values)
        ends = [end for end in (value, low, high) if end is not None]
        if low is not None and low <= RIGHT[measure] <= (np.inf if high is None else high):
            ends = [RIGHT[measure]]
        found = [] if value is None else [_status(end, MEASURES[measure], limit) for end in ends]
        status = min(found, key=STATUSES.index, default="unknown")
        complete.append((measure, subject, year, value, low, high, limit.watch, limit.alarm, status))
    return pl.DataFrame(complete, schema=FINDINGS, orient="row")


def _status(value: float, kind: str, limit: Limit) -> str:
    return next((name for name, bound in (("ok", limit.watch), ("watch", limit.alarm)) if holds(value, kind, bound)), "alarm")


@dataclass(frozen=True)
class Light:
    """Where something that monitoring measures stands in its latest year: its status, how many of its subjects are off (on watch
    or in alarm; features: in alarm), and of how many."""

    measure: str
    status: str
    off: int
    subjects: int
    fiscal_year: int


WORST_LAST = ("ok", "unknown", "watch", "alarm")


def lights(findings: pl.DataFrame) -> list[Light]:
    """Return one light for each thing that monitoring measures: what every page, report, mail and alert says of it.

    What an old year showed is no news. Features have one light, that of the share of them in alarm: a few in alarm are no alarm
    of the model.
    """
    latest, found = findings.filter(pl.col("fiscal_year") == pl.col("fiscal_year").max().over("measure")), []
    features = latest.filter(pl.col("measure") == "feature_csi", pl.col("status") != "unknown")["status"]
    for measure in MEASURES:
        rows = latest.filter(pl.col("measure") == measure)
        if measure == "feature_csi" or rows.is_empty():
            continue
        worst = max(rows["status"].to_list(), key=WORST_LAST.index)
        counted = (features == "alarm") if measure == "features_alarmed" else rows["status"].is_in(["watch", "alarm"])
        found.append(Light(measure, worst, int(counted.sum()), len(counted), int(rows["fiscal_year"][0])))
    return found


def not_compared(findings: pl.DataFrame) -> list[str]:
    """Return the features that drift could not be judged of: they count years, or too few companies have as many years of
    statements as they look back."""
    return findings.filter(pl.col("measure") == "feature_csi", pl.col("status") == "unknown")["subject"].to_list()
