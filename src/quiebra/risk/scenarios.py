"""Scenarios: states of the economy, their shift of every hazard, and the PDs that follow."""

from __future__ import annotations

from typing import Any

import polars as pl

from quiebra.models.term import PD_COLUMNS
from quiebra.params import Score
from quiebra.params.stress import Stress
from quiebra.risk.economy import Economy
from quiebra.risk.macro import shift_pds
from quiebra.risk.scoring import add_grades

SCENARIO_SCHEMA = {
    "scenario": pl.String,
    "company_id": pl.String,
    "shift": pl.Float64,
    **dict.fromkeys((*PD_COLUMNS, "pd_12m_low", "pd_12m_high"), pl.Float64),
    "rating": pl.String,
    "watch": pl.Boolean,
}


def scenario_scores(scores: pl.DataFrame, options: Stress, economy: Economy, score: Score) -> pl.DataFrame:
    """Return every company's PDs in each scenario.

    Columns: scenario, company_id, shift, pd_12m … pd_60m, pd_12m_low, pd_12m_high, rating and watch. Year k of a scenario has
        ``path[k − 1]`` of its shift. low and high are the PDs at the ends of the shift's interval: uncertainty of the relation to
        the economy, not of a PD; null where unknown. Without a known relation to the economy there are no rows.
    """
    own, pieces = scores.select("company_id", *PD_COLUMNS), []
    for name, moves in options.scenarios.items() if economy.levers else ():
        case = economy.scenario(moves)
        low, middle, high = (
            shift_pds(own, [share * shift for share in options.path]) for shift in (case.ends[0], case.shift, case.ends[1])
        )
        known = case.low is not None
        pieces.append(
            middle.with_columns(
                scenario=pl.lit(name),
                shift=pl.lit(case.shift),
                pd_12m_low=pl.when(known).then(low["pd_12m"]),
                pd_12m_high=pl.when(known).then(high["pd_12m"]),
            )
        )
    if not pieces:
        return pl.DataFrame(schema=SCENARIO_SCHEMA)
    order = {name: place for place, name in enumerate(options.scenarios)}
    rows = add_grades(pl.concat(pieces), score).select(list(SCENARIO_SCHEMA))
    return rows.sort(pl.col("scenario").replace_strict(order), "company_id")


def scenario_totals(moved: pl.DataFrame, held: pl.DataFrame) -> list[dict[str, Any]]:
    """Return one row per scenario, in the order of `scenario_scores`, as plain JSON values.

    Keys: scenario, mean PDs, companies on watch, shift, and the portfolio's expected loss with low and high.
    held: company_id, exposure and lgd.
    """
    at_stake = held.select("company_id", at_stake=pl.col("lgd") * pl.col("exposure"))
    ends = {"expected": "pd_12m", "low": "pd_12m_low", "high": "pd_12m_high"}
    losses = {
        f"loss_{name}": pl.when(pl.col(column).is_not_null().all()).then((pl.col(column) * pl.col("at_stake")).sum())
        for name, column in ends.items()
    }
    means = moved.group_by("scenario", maintain_order=True).agg(
        pl.col(*PD_COLUMNS).mean(), watch=pl.col("watch").sum(), shift=pl.col("shift").mean()
    )
    of_held = moved.join(at_stake, on="company_id").group_by("scenario").agg(**losses)
    return means.join(of_held, on="scenario", maintain_order="left").with_columns(pl.selectors.float().round(9)).to_dicts()
