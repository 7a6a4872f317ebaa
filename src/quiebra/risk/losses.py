"""Portfolio losses: expected loss, concentration, value at risk, expected shortfall and contributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from quiebra.params import Portfolio
from quiebra.text.words import Words


def expected_loss(pd: np.ndarray, lgd: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Return PD × LGD × exposure of each company, in the exposure's unit."""
    lost: np.ndarray = pd * lgd * exposure
    return lost


def hhi(amounts: np.ndarray) -> float:
    """Return the Herfindahl-Hirschman index: 1 / count for equal amounts, 1 where one has everything, NaN where all are zero.

    >>> hhi(np.array([1.0, 1.0, 2.0]))
    0.375
    """
    total = amounts.sum()
    return float(np.sum((amounts / total) ** 2)) if total > 0 else float("nan")


def pd_indices(pd: np.ndarray, exposure: np.ndarray, tail: float = 0.1) -> dict[str, float]:
    """Return the median PD, the exposure-weighted mean, and the mean of the riskiest ``tail`` of companies."""
    worst = np.sort(pd)[-max(1, int(np.ceil(tail * len(pd)))) :]
    return {"median": float(np.median(pd)), "weighted": float(np.average(pd, weights=exposure)), "tail": float(worst.mean())}


@dataclass(frozen=True)
class Losses:
    """Simulated losses of a year, sorted, in the exposure's unit.

    shortfall: expected shortfall, the mean loss in the worst ``1 − confidence`` of years. contributions: each company's mean loss
        in those years; they add up to the shortfall.
    """

    losses: np.ndarray
    expected: float
    value_at_risk: float
    shortfall: float
    contributions: np.ndarray


def simulate_losses(
    pd: np.ndarray, lgd: np.ndarray, exposure: np.ndarray, *, correlation: float, confidence: float, draws: int, seed: int
) -> Losses:
    """Simulate a year's losses with one common factor (Vasicek, 2002; the model behind Basel's capital formula).

    A company fails where sqrt(ρ) Z + sqrt(1 − ρ) ε < Φ⁻¹(PD), with Z common to all, ε its own, and ρ the ``correlation``. All
    arrays have one length; LGD is a share. Contributions are Euler allocations (Tasche, 1999).
    """
    rng = np.random.default_rng(seed)
    at_stake, threshold = lgd * exposure, ndtri(pd)
    common = ndtri((np.arange(draws) + rng.random(draws)) / draws)  # stratified: one draw in each of ``draws`` equal parts
    losses = np.empty(draws)
    failed: list[np.ndarray] = []
    for draw, z in enumerate(common):
        chance = ndtr((threshold - np.sqrt(correlation) * z) / np.sqrt(1 - correlation))
        hit = np.flatnonzero(rng.random(len(pd)) < chance)
        failed.append(hit)
        losses[draw] = at_stake[hit].sum()
    level = float(np.quantile(losses, confidence, method="higher"))
    tail = (1 - confidence) * draws  # draws at the value at risk count in part, so that the tail has exactly this size
    ties = (tail - np.sum(losses > level)) / np.sum(losses == level)
    weight = np.where(losses > level, 1.0, np.where(losses == level, ties, 0.0)) / tail
    contributions = np.zeros(len(pd))
    for bad in np.flatnonzero(weight):
        contributions[failed[bad]] += weight[bad] * at_stake[failed[bad]]
    expected = float(expected_loss(pd, lgd, exposure).sum())
    return Losses(np.sort(losses), expected, level, float(weight @ losses), contributions)


def loss_report(
    held: pl.DataFrame, companies: pl.DataFrame, options: Portfolio, seed: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return the portfolio's figures as plain JSON values, and each company's share of them.

    held: company_id, pd_12m, exposure and lgd. companies: company_id, sector and region; concentration by either is None where no
        company has one.
    Shares: company_id, exposure, lgd, pd_12m, expected_loss and contribution (to the expected shortfall), largest contribution
        first. Amounts are in the exposure's unit.
    """
    held = held.join(companies.select("company_id", "sector", "region"), on="company_id", how="left").sort("company_id")
    pd, lgd, exposure = (held[name].to_numpy() for name in ("pd_12m", "lgd", "exposure"))
    losses = simulate_losses(
        pd, lgd, exposure, correlation=options.correlation, confidence=options.confidence, draws=options.draws, seed=seed
    )
    sums = {name: held.drop_nulls(name).group_by(name).agg(pl.col("exposure").sum())["exposure"] for name in ("sector", "region")}
    report: dict[str, Any] = {
        "companies": held.height,
        "exposure": float(exposure.sum()),
        "expected_loss": losses.expected,
        "confidence": options.confidence,
        "correlation": options.correlation,
        "value_at_risk": losses.value_at_risk,
        "expected_shortfall": losses.shortfall,
        "hhi": {"name": hhi(exposure), **{n: hhi(v.sort().to_numpy()) if len(v) else None for n, v in sums.items()}},
        "pd": pd_indices(pd, exposure),
        "quantiles": {str(q): float(np.quantile(losses.losses, q)) for q in (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)},
    }
    report = {name: _rounded(value) for name, value in report.items()}
    shares = held.select("company_id", "exposure", "lgd", "pd_12m").with_columns(
        expected_loss=pl.Series(expected_loss(pd, lgd, exposure)), contribution=pl.Series(losses.contributions)
    )
    return report, shares.sort("contribution", "expected_loss", "company_id", descending=[True, True, False])


MAX_IDS_SHOWN = 10
"""Most companies without a score that are named; the others are counted."""


def unscored_companies_sentence(report: Mapping[str, Any], words: Words) -> str:
    """Return the sentence on companies of the portfolio without a score, which no figure counts; empty where all have one.

    report: the portfolio's figures and the report of `quiebra.risk.exposures.portfolio_exposures`; one of an earlier version
        lacks exposure_without_score.
    """
    unknown = report["without_score"]
    if not unknown:
        return ""
    more = words(" and {n} more", n=len(unknown) - MAX_IDS_SHOWN) if len(unknown) > MAX_IDS_SHOWN else ""
    counted = {
        "n": words.number(len(unknown)),
        "all": words.number(report["companies"] + len(unknown)),
        "ids": ", ".join(unknown[:MAX_IDS_SHOWN]) + more,
    }
    if (lost := report.get("exposure_without_score")) is None:
        return words("Companies of the portfolio without a score, which no figure counts: {n} of {all} ({ids}).", **counted)
    return words(
        "Companies of the portfolio without a score: {n} of {all} ({ids}); exposure of {lost} of {total} is in no figure.",
        **counted,
        lost=words.number(lost, 2),
        total=words.number(report["exposure"] + lost, 2),
    )


def _rounded(value: Any) -> Any:
    """Round figures to nine decimals, so that the order of additions does not show."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 9) if isinstance(value, float) else value
