"""Calibration: observed and predicted failure rates by grade, classical tests, and coverage of the PD intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.special import betainc, betaincinv, chdtrc, expit, logit, ndtr

from quiebra.errors import TrainingError
from quiebra.models.interval import error_from_bound

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


def jeffreys_interval(failures: np.ndarray, rows: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Jeffreys' interval of a failure rate: quantiles of Beta(failures + ½, rows − failures + ½).

    The lower bound is 0 without failures, the upper bound 1 without survivors.
    Source: Brown, Cai and DasGupta (2001); the ECB's test of PDs by grade (2019) uses the same posterior.

    >>> low, high = jeffreys_interval(np.array([3]), np.array([100]), 0.95)
    >>> (round(float(low[0]), 4), round(float(high[0]), 4))
    (0.0085, 0.0779)
    """
    tail = (1 - confidence) / 2
    low, high = (betaincinv(failures + 0.5, rows - failures + 0.5, quantile) for quantile in (tail, 1 - tail))
    return np.where(failures == 0, 0.0, low), np.where(failures == rows, 1.0, high)


def calibration_by_grade(judged: pl.DataFrame, grades: list[str], confidence: float) -> pl.DataFrame:
    """Return grade, rows, failures, mean_pd, observed, low and high (Jeffreys) and inside, best grade first.

    judged: rating, pd_12m and failed. The grade is in column ``rating``; grades without rows are left out.
    inside: mean_pd lies between low and high.
    """
    order = {name: place for place, name in enumerate(grades)}
    table = (
        judged.group_by("rating")
        .agg(rows=pl.len(), failures=pl.col("failed").sum().cast(pl.Int64), mean_pd=pl.col("pd_12m").mean())
        .with_columns(observed=pl.col("failures") / pl.col("rows"))
        .sort(pl.col("rating").replace_strict(order, return_dtype=pl.Int32))
    )
    low, high = jeffreys_interval(table["failures"].to_numpy(), table["rows"].to_numpy(), confidence)
    return table.with_columns(low=pl.Series(low), high=pl.Series(high)).with_columns(
        inside=pl.col("mean_pd").is_between("low", "high")
    )


def interval_coverage(judged: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """Return rating, cells, failures and covered: how often the PD intervals held, over cells of one grade and one fiscal year.

    judged: rating, fiscal_year, failed, pd_12m and its low and high at ``confidence``. Shifting all PDs of a cell by one normal
        error of the intervals' width gives the distribution of its failures. covered is the share of cells whose failures lie in
        the central ``confidence`` of that distribution; a count at the edge counts in part, so that exact intervals have exactly
        this coverage. The last row, with rating ``all``, is over all cells.
    """
    if judged.is_empty():
        raise TrainingError("no scored row with a known outcome: intervals cannot be judged")
    cells = [
        (grade, int(rows["failed"].sum()), _membership(rows, confidence))
        for (grade, _), rows in judged.sort("company_id").group_by("rating", "fiscal_year", maintain_order=True)
    ]
    table = pl.DataFrame(cells, schema=["rating", "failures", "covered"], orient="row")
    one = [pl.len().alias("cells"), pl.col("failures").sum(), pl.col("covered").mean()]
    whole = table.select(pl.lit("all").alias("rating"), *one)
    return pl.concat([table.group_by("rating").agg(one).sort("rating"), whole])


def _membership(rows: pl.DataFrame, confidence: float) -> float:
    """Return how much of a cell's randomised rank (its failures' probability range in their distribution) lies in the centre."""
    pd = rows["pd_12m"].to_numpy()
    middle = logit(pd)
    error = error_from_bound(pd, rows["pd_12m_high"].to_numpy(), confidence)
    rates = [expit(middle + node * error).mean() for node in NODES]
    count, failures = len(middle), int(rows["failed"].sum())
    weights = WEIGHTS / WEIGHTS.sum()
    below = float(weights @ _binomial_cdf(failures - 1, count, np.array(rates)))
    upto = float(weights @ _binomial_cdf(failures, count, np.array(rates)))
    tail = (1 - confidence) / 2
    inside = min(upto, 1 - tail) - max(below, tail)
    return max(inside, 0.0) / max(upto - below, 1e-12)


def _binomial_cdf(most: int, count: int, rates: np.ndarray) -> np.ndarray:
    """Return the probability of at most ``most`` failures among ``count``, at each rate."""
    if most < 0 or most >= count:
        return np.full(rates.shape, float(most >= count))
    return betainc(count - most, most + 1, 1 - rates)


def hosmer_lemeshow(failed: np.ndarray, pd: np.ndarray, groups: int = 10) -> tuple[float, float]:
    """Return the Hosmer-Lemeshow statistic over groups of equal size by PD, and its p-value.

    There are as many degrees of freedom as groups, since the PDs are out of sample. Groups whose PDs are all 0 or all 1 are left
    out.
    Source: Hosmer and Lemeshow (1980).
    """
    order = np.argsort(pd, kind="stable")
    statistic, used = 0.0, 0
    for rows in np.array_split(order, groups):
        expected, variance = pd[rows].sum(), (pd[rows].mean() * (1 - pd[rows].mean())) * len(rows)
        if variance > 0:
            statistic, used = statistic + (failed[rows].sum() - expected) ** 2 / variance, used + 1
    return float(statistic), float(chdtrc(used, statistic))


def spiegelhalter(failed: np.ndarray, pd: np.ndarray) -> tuple[float, float]:
    """Return Spiegelhalter's z and its two-sided p-value: whether the Brier score is what these PDs imply if they are right.

    z = Σ (y − p)(1 − 2p) / sqrt(Σ (1 − 2p)² p (1 − p)). Source: Spiegelhalter (1986).
    """
    z = np.sum((failed - pd) * (1 - 2 * pd)) / np.sqrt(np.sum((1 - 2 * pd) ** 2 * pd * (1 - pd)))
    return float(z), float(2 * ndtr(-abs(z)))


def brier_parts(failed: np.ndarray, pd: np.ndarray, groups: int = 10) -> dict[str, float]:
    """Return the Brier score and its parts over groups of equal size by PD: reliability − resolution + uncertainty + within.

    Source: Murphy (1973); ``within`` is the remainder due to grouping (Stephenson, Coelho and Jolliffe, 2008).
    """
    order = np.argsort(pd, kind="stable")
    base = failed.mean()
    reliability = resolution = 0.0
    for rows in np.array_split(order, groups):
        share = len(rows) / len(pd)
        reliability += share * (pd[rows].mean() - failed[rows].mean()) ** 2
        resolution += share * (failed[rows].mean() - base) ** 2
    brier, uncertainty = float(np.mean((pd - failed) ** 2)), float(base * (1 - base))
    return {
        "brier": brier,
        "reliability": float(reliability),
        "resolution": float(resolution),
        "uncertainty": uncertainty,
        "within": brier - (float(reliability) - float(resolution) + uncertainty),
    }
