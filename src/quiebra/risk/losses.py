"""The portfolio's losses: what to expect, how concentrated it is, how bad it can get, and who contributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from quiebra.params import Portfolio
from quiebra.words import Words


def expected_loss(pd: np.ndarray, lgd: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Return PD × LGD × exposure of each company, in the exposure's unit."""
    return pd * lgd * exposure


def hhi(amounts: np.ndarray) -> float:
    """Return the Herfindahl-Hirschman index of shares: 1 / count where all are alike, 1 where one has all, NaN without any.

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
    """Simulated losses of a year, sorted, in the exposure's unit. contributions: each company's mean loss in the
    worst years, as many as ``1 − confidence`` says; they add up to the expected shortfall, the portfolio's mean loss in those."""

    losses: np.ndarray
    expected: float
    value_at_risk: float
    shortfall: float
    contributions: np.ndarray


def simulate_losses(
    pd: np.ndarray, lgd: np.ndarray, exposure: np.ndarray, *, correlation: float, confidence: float, draws: int, seed: int
) -> Losses:
    """Simulate a year's losses with one common factor (Vasicek, 2002; the model behind Basel's capital formula).

    A company fails where sqrt(ρ) Z + sqrt(1 − ρ) ε < Φ⁻¹(PD), Z being common to all and ε its own; ρ is ``correlation``.
    All arrays are of one length; LGD is a share. Contributions are by Euler (Tasche, 1999).
    """
    rng = np.random.default_rng(seed)
    at_stake, threshold = lgd * exposure, ndtri(pd)
    common = ndtri((np.arange(draws) + rng.random(draws)) / draws)  # one draw in each of as many equal parts
    losses = np.empty(draws)
    failed: list[np.ndarray] = []
    for draw, z in enumerate(common):
        chance = ndtr((threshold - np.sqrt(correlation) * z) / np.sqrt(1 - correlation))
        hit = np.flatnonzero(rng.random(len(pd)) < chance)
        failed.append(hit)
        losses[draw] = at_stake[hit].sum()
    level = float(np.quantile(losses, confidence, method="higher"))
    tail = (1 - confidence) * draws  # draws at the value at risk count in part, so that the tail has its size exactly
    ties = (tail - np.sum(losses > level)) / np.sum(losses == level)
    weight = np.where(losses > level, 1.0, np.where(losses == level, ties, 0.0)) / tail
    contributions = np.zeros(len(pd))
    for draw in np.flatnonzero(weight):
        contributions[failed[draw]] += weight[draw] * at_stake[failed[draw]]
    expected = float(expected_loss(pd, lgd, exposure).sum())
    return Losses(np.sort(losses), expected, level, float(weight @ losses), contributions)


def loss_report(
    held: pl.DataFrame, companies: pl.DataFrame, options: Portfolio, seed: int
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return the portfolio's figures as plain JSON values, and each company's share of them.

    held: company_id, pd_12m, exposure and lgd. companies: company_id, sector and region; concentration by either is missing where
    no company has one. Shares: company_id, exposure, lgd, pd_12m, expected_loss and contribution (to the expected shortfall),
    the largest contribution first. Money is in the exposure's unit.
    """
    held = held.join(companies.select("company_id", "sector", "region"), on="company_id", how="left").sort("company_id")
    pd, lgd, exposure = (held[name].to_numpy() for name in ("pd_12m", "lgd", "exposure"))
    losses = simulate_losses(
        pd, lgd, exposure, correlation=options.correlation, confidence=options.confidence, draws=options.draws, seed=seed
    )
    sums = {name: held.drop_nulls(name).group_by(name).agg(pl.col("exposure").sum())["exposure"] for name in ("sector", "region")}
    report: dict[str, Any] = {
        "companies": held.height, "exposure": float(exposure.sum()), "expected_loss": losses.expected,
        "confidence": options.confidence, "correlation": options.correlation, "value_at_risk": losses.value_at_risk,
        "expected_shortfall": losses.shortfall,
        "hhi": {"name": hhi(exposure), **{n: hhi(v.sort().to_numpy()) if len(v) else None for n, v in sums.items()}},
        "pd": pd_indices(pd, exposure),
        "quantiles": {str(q): float(np.quantile(losses.losses, q)) for q in (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)},
    }  # fmt: skip
    report = {name: _rounded(value) for name, value in report.items()}
    shares = held.select("company_id", "exposure", "lgd", "pd_12m").with_columns(
        expected_loss=pl.Series(expected_loss(pd, lgd, exposure)), contribution=pl.Series(losses.contributions)
    )
    return report, shares.sort("contribution", "expected_loss", "company_id", descending=[True, True, False])


MOST_IDS = 10
"""Companies without a score that are named; others are counted."""


def unscored_companies_sentence(report: Mapping[str, Any], words: Words) -> str:
    """Return in a sentence which companies of the portfolio no figure counts; empty where all have a score. report: the
    portfolio's figures with those of `quiebra.risk.exposures.exposures`; one of an earlier version has no exposure."""
    unknown = report["without_score"]
    if not unknown:
        return ""
    more = words(" and {n} more", n=len(unknown) - MOST_IDS) if len(unknown) > MOST_IDS else ""
    counted = {
        "n": words.number(len(unknown)), "all": words.number(report["companies"] + len(unknown)),
        "ids": ", ".join(unknown[:MOST_IDS]) + more,
    }  # fmt: skip
    if (lost := report.get("exposure_without_score")) is None:
        return words("Companies of the portfolio without a score, which no figure counts: {n} of {all} ({ids}).", **counted)
    return words(
        "Companies of the portfolio without a score: {n} of {all} ({ids}); exposure of {lost} of {total} is in no figure.",
        **counted, lost=words.number(lost, 2), total=words.number(report["exposure"] + lost, 2),
    )  # fmt: skip


def _rounded(value: Any) -> Any:
    """Round figures to what they are good for, so that the order of additions does not show."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 9) if isinstance(value, float) else value
