"""The stress page in figures: a state of the economy and a shock to firms, for all companies or for one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import polars as pl

from quiebra.dashboards.base import Base
from quiebra.models.term import COLUMNS
from quiebra.risk.losses import expected_loss
from quiebra.risk.macro import under_scenario
from quiebra.risk.rating import migration
from quiebra.risk.scoring import with_grades
from quiebra.risk.shocks import Shock, idle_levers, reverse_stress
from quiebra.words import Words, mark

LEVERS = {
    "revenue": (mark("Revenue"), -0.6, 0.3), "margin": (mark("Margin, points"), -0.15, 0.1),
    "rates": (mark("Interest rates, points"), 0.0, 0.1),
    "leverage": (mark("New debt, of assets"), -0.2, 0.4), "market_value": (mark("Market value"), -0.9, 0.5),
}  # fmt: skip
"""Lever of a `Shock` → its words and how far it can be moved."""
SERIES = {"GDP_GROWTH": mark("GDP growth, %"), "POLICY_RATE": mark("Policy rate, %")}
"""The demo's macro series in words; a series of one's own is called what params call it."""
ECONOMY = 4.0
"""How far the economy can be moved either way, in standard deviations."""
WORST = {"revenue": -0.9, "margin": -0.4, "leverage": 0.9, "rates": 0.3, "market_value": -0.95}
"""How far a lever is tried in a reverse stress."""


@dataclass(frozen=True)
class Case:
    """moves: of the economy, as a scenario in params has them; none: as now. shock: to every company."""

    moves: dict[str, float] = field(default_factory=dict)
    shock: Shock = Shock()  # noqa: RUF009


def to_start_with(base: Base) -> str:
    """Return the riskiest company that is not on the watch list: the one a shock takes there first."""
    calm = base.scores.filter(~pl.col("watch"))
    return (calm if calm.height else base.scores).sort("pd_12m", "company_id", descending=[True, False])["company_id"][0]


def reach(base: Base, lever: str) -> tuple[float, float]:
    """Return how far a lever of the economy can be moved: at least as far as the scenarios of params go."""
    moves = [scenario.get(lever, 0.0) for scenario in base.params.stress.scenarios.values()]
    return min(-ECONOMY, *moves), max(ECONOMY, *moves)


def in_scenario(base: Base, name: str) -> dict[str, float]:
    """Return the moves of a scenario in params."""
    moves = base.params.stress.scenarios[name]
    return {lever: moves[lever] for lever in base.economy.levers if lever in moves}


def _moved(base: Base, table: pl.DataFrame, shift: float) -> pl.DataFrame:
    """Return the table with its PDs after a shift of the log-odds."""
    return under_scenario(table, [share * shift for share in base.params.stress.path])


def now(base: Base) -> pl.DataFrame:
    """Return company_id, scorer, the PDs, rating and watch as they are."""
    return base.scores.select("company_id", "scorer", *COLUMNS, "rating", "watch")


def under(base: Base, case: Case) -> pl.DataFrame:
    """Return company_id, scorer, the PDs, rating and watch of all companies in a case."""
    score, table = base.params.score, now(base)
    if case.shock != Shock():
        hit = base.desk.under({"case": case.shock})
        table = table.select("company_id", "scorer").join(
            hit.select("company_id", *COLUMNS), on="company_id", maintain_order="left"
        )
    effect = base.economy.scenario(case.moves)
    if effect.shift:
        table = _moved(base, table, effect.shift)
    return with_grades(table, score).sort("company_id").select("company_id", "scorer", *COLUMNS, "rating", "watch")


def totals(base: Base, table: pl.DataFrame) -> dict[str, float]:
    """Return mean PD over one and five years, companies on watch and the portfolio's expected loss."""
    return {
        "pd_12m": table["pd_12m"].mean(), "pd_60m": table["pd_60m"].mean(), "watch": int(table["watch"].sum()),
        "loss": _loss(base, table),
    }  # type: ignore[dict-item]  # fmt: skip


def _loss(base: Base, table: pl.DataFrame) -> float:
    held = base.shares.select("company_id", "exposure", "lgd").join(table, on="company_id")
    return float(expected_loss(*(held[name].to_numpy() for name in ("pd_12m", "lgd", "exposure"))).sum())


def loss_range(base: Base, case: Case) -> tuple[float, float] | None:
    """Return the portfolio's expected loss at both ends of the interval of what the economy does; None where it moves nothing,
    where that is not known, and with a shock, of whose error nothing is known."""
    effect = base.economy.scenario(case.moves)
    if case.shock != Shock() or effect.low is None:
        return None
    low, high = (_loss(base, _moved(base, now(base), end)) for end in effect.ends)
    return low, high


def shocked(base: Base, words: Words) -> tuple[list[str], list[float]]:
    """Return the shocks of the run and the mean PD after each, the worst first."""
    means_ = base.shocks.group_by("shock").agg(pl.col("pd_12m").mean()).filter(pl.col("shock") != "none")
    rows = means_.sort("pd_12m", "shock", descending=[True, False])
    return [words(name) for name in rows["shock"]], rows["pd_12m"].to_list()


def means(table: pl.DataFrame) -> list[float]:
    """Return the mean PD over one to five years."""
    return [float(table[name].mean()) for name in COLUMNS]  # type: ignore[arg-type]


def moves(base: Base, after: pl.DataFrame) -> pl.DataFrame:
    """Return companies by grade now (rows) and in the case (columns)."""
    return migration(now(base), after, base.params.score.grades).drop("gone")


def hit_hardest(base: Base, after: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return companies with their PD and grade now and in the case, those whose PD rises most first."""
    rows = base.scores.select("company_id", "name", "sector", before="rating", pd_before="pd_12m")
    rows = rows.join(after.select("company_id", "rating", "pd_12m"), on="company_id")
    return rows.with_columns(rise=pl.col("pd_12m") - pl.col("pd_before")).sort("rise", "company_id", descending=[True, False])


def levers(base: Base) -> list[str]:
    """Return the levers of a shock that move any company at all."""
    return [lever for lever in LEVERS if lever not in idle_levers(base.desk)]


def presets(base: Base) -> list[str]:
    """Return the shocks of params that move any company at all."""
    return [name for name in base.params.stress.shocks if name not in base.losses["idle_shocks"]]


def reverse(base: Base, company_id: str, grade: str) -> list[tuple[str, float | None]]:
    """Return each lever and the least change of it alone that brings the company to ``grade`` or worse; None: none does."""
    furthest = {lever: WORST[lever] for lever in WORST if lever in levers(base)}
    return list(reverse_stress(base.desk, company_id, furthest, grade, steps=20).items())


def shock_of(values: dict[str, float]) -> Shock:
    return replace(Shock(), **{f.name: float(values[f.name]) for f in fields(Shock) if f.name in values})


def preset(base: Base, name: str) -> dict[str, Any]:
    """Return lever → size of a shock in params."""
    return dict(base.params.stress.shocks[name])
