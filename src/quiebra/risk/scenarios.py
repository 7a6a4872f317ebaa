"""Scenarios: states of the economy, what they do to every hazard, and so to every company's PDs."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra.models.term import COLUMNS
from quiebra.params import Score, Stress
from quiebra.risk.economy import Economy
from quiebra.risk.macro import under_scenario
from quiebra.risk.scoring import with_grades

SCENARIOS = {
    "scenario": pl.String, "company_id": pl.String, "shift": pl.Float64,
    **dict.fromkeys((*COLUMNS, "pd_12m_low", "pd_12m_high"), pl.Float64), "rating": pl.String, "watch": pl.Boolean,
}  # fmt: skip


def scenario_scores(scores: pl.DataFrame, options: Stress, economy: Economy, score: Score) -> pl.DataFrame:
    """Return scenario, company_id, shift, pd_12m … pd_60m, pd_12m_low, pd_12m_high, rating and watch: every company in each.

    Year k of a scenario has ``path[k − 1]`` of its shift. low and high are at the ends of its shift's interval: how sure the
    relation to the economy is, not how sure a PD is; missing where that is not known. Without rows where nothing is known about
    the economy.
    """
    own, pieces = scores.select("company_id", *COLUMNS), []
    for name, moves in options.scenarios.items() if economy.levers else ():
        case = economy.scenario(moves)
        low, middle, high = (
            under_scenario(own, [share * shift for share in options.path]) for shift in (case.ends[0], case.shift, case.ends[1])
        )
        known = case.low is not None
        pieces.append(middle.with_columns(
            scenario=pl.lit(name), shift=pl.lit(case.shift), pd_12m_low=pl.when(known).then(low["pd_12m"]),
            pd_12m_high=pl.when(known).then(high["pd_12m"]),
        ))  # fmt: skip
    if not pieces:
        return pl.DataFrame(schema=SCENARIOS)
    order = {name: place for place, name in enumerate(options.scenarios)}
    rows = with_grades(pl.concat(pieces), score).select(list(SCENARIOS))
    return rows.sort(pl.col("scenario").replace_strict(order), "company_id")


def scenario_totals(moved: pl.DataFrame, held: pl.DataFrame) -> list[dict[str, Any]]:
    """Return one row a scenario, in the order of `scenario_scores`: mean PDs, companies on watch, shift, and the portfolio's
    expected loss with low and high, as plain JSON values. held: company_id, exposure and lgd."""
    at_stake = held.select("company_id", at_stake=pl.col("lgd") * pl.col("exposure"))
    ends = {"expected": "pd_12m", "low": "pd_12m_low", "high": "pd_12m_high"}
    losses = {
        f"loss_{name}": pl.when(pl.col(column).is_not_null().all()).then((pl.col(column) * pl.col("at_stake")).sum())
        for name, column in ends.items()
    }
    means = moved.group_by("scenario", maintain_order=True).agg(
        pl.col(*COLUMNS).mean(), watch=pl.col("watch").sum(), shift=pl.col("shift").mean()
    )
    of_held = moved.join(at_stake, on="company_id").group_by("scenario").agg(**losses)
    return means.join(of_held, on="scenario", maintain_order="left").with_columns(pl.selectors.float().round(9)).to_dicts()
