"""Figures of the stress page: a state of the economy and a shock to firms, for all companies or for one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import polars as pl

from quiebra.models.term import PD_COLUMNS
from quiebra.risk.losses import expected_loss
from quiebra.risk.macro import shift_pds
from quiebra.risk.rating import migration
from quiebra.risk.scoring import add_grades
from quiebra.risk.shocks import Shock, missing_lever_items, reverse_stress
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words, translatable

LEVER_RANGES = {
    "revenue": (translatable("Revenue"), -0.6, 0.3),
    "margin": (translatable("Margin, points"), -0.15, 0.1),
    "rates": (translatable("Interest rates, points"), 0.0, 0.1),
    "leverage": (translatable("New debt, of assets"), -0.2, 0.4),
    "market_value": (translatable("Market value"), -0.9, 0.5),
}
"""Lever of a `Shock` → its label and the range it can be moved over."""
SERIES_LABELS = {"GDP_GROWTH": translatable("GDP growth, %"), "POLICY_RATE": translatable("Policy rate, %")}
"""Labels of the demo's macro series; other series are shown by their name in params."""
ECONOMY_RANGE = 4.0
"""Range of the economy's levers, up and down, in standard deviations."""
LEVER_LIMITS = {"revenue": -0.9, "margin": -0.4, "leverage": 0.9, "rates": 0.3, "market_value": -0.95}
"""Largest change of a lever tried in a reverse stress test."""


@dataclass(frozen=True)
class StressCase:
    """A stress case. moves: of the economy, as in a scenario of params; empty: unchanged. shock: applied to every company."""

    moves: dict[str, float] = field(default_factory=dict)
    shock: Shock = Shock()  # noqa: RUF009


def default_company(view: FinishedRunView) -> str:
    """Return the riskiest company that is not on the watch list, the first that a shock would put there."""
    calm = view.scores.filter(~pl.col("watch"))
    return str((calm if calm.height else view.scores).sort("pd_12m", "company_id", descending=[True, False])["company_id"][0])


def lever_range(view: FinishedRunView, lever: str) -> tuple[float, float]:
    """Return the range of a lever of the economy, which covers at least the scenarios of params."""
    moves = [scenario.get(lever, 0.0) for scenario in view.params.stress.scenarios.values()]
    return min(-ECONOMY_RANGE, *moves), max(ECONOMY_RANGE, *moves)


def scenario_moves(view: FinishedRunView, name: str) -> dict[str, float]:
    """Return the moves of a scenario in params."""
    moves = view.params.stress.scenarios[name]
    return {lever: moves[lever] for lever in view.economy.levers if lever in moves}


def _moved(view: FinishedRunView, table: pl.DataFrame, shift: float) -> pl.DataFrame:
    """Return the table with its PDs after a shift of the log-odds."""
    return shift_pds(table, [share * shift for share in view.params.stress.path])


def current_pds(view: FinishedRunView) -> pl.DataFrame:
    """Return company_id, scorer, the PDs, rating and watch without stress."""
    return view.scores.select("company_id", "scorer", *PD_COLUMNS, "rating", "watch")


def stressed_pds(view: FinishedRunView, case: StressCase) -> pl.DataFrame:
    """Return company_id, scorer, the PDs, rating and watch of all companies under a stress case."""
    score, table = view.params.score, current_pds(view)
    if case.shock != Shock():
        hit = view.shock_engine.shocked_scores({"case": case.shock})
        table = table.select("company_id", "scorer").join(
            hit.select("company_id", *PD_COLUMNS), on="company_id", maintain_order="left"
        )
    effect = view.economy.scenario(case.moves)
    if effect.shift:
        table = _moved(view, table, effect.shift)
    return add_grades(table, score).sort("company_id").select("company_id", "scorer", *PD_COLUMNS, "rating", "watch")


def portfolio_totals(view: FinishedRunView, table: pl.DataFrame) -> dict[str, float]:
    """Return mean PD over one and five years, number of companies on watch, and the portfolio's expected loss."""
    return {
        "pd_12m": cast("float", table["pd_12m"].mean()),
        "pd_60m": cast("float", table["pd_60m"].mean()),
        "watch": int(table["watch"].sum()),
        "loss": _loss(view, table),
    }


def _loss(view: FinishedRunView, table: pl.DataFrame) -> float:
    held = view.portfolio_losses.select("company_id", "exposure", "lgd").join(table, on="company_id")
    return float(expected_loss(*(held[name].to_numpy() for name in ("pd_12m", "lgd", "exposure"))).sum())


def expected_loss_range(view: FinishedRunView, case: StressCase) -> tuple[float, float] | None:
    """Return the portfolio's expected loss at both ends of the interval of the economy's effect; None without an effect, without
    a known interval, or with a shock, whose error is not known."""
    effect = view.economy.scenario(case.moves)
    if case.shock != Shock() or effect.low is None:
        return None
    low, high = (_loss(view, _moved(view, current_pds(view), end)) for end in effect.ends)
    return low, high


def shock_summary(view: FinishedRunView, words: Words) -> tuple[list[str], list[float]]:
    """Return the labels of the run's shocks and the mean PD after each, the worst first."""
    means_ = view.shocks.group_by("shock").agg(pl.col("pd_12m").mean()).filter(pl.col("shock") != "none")
    rows = means_.sort("pd_12m", "shock", descending=[True, False])
    return [words(name) for name in rows["shock"]], rows["pd_12m"].to_list()


def mean_term_structure(table: pl.DataFrame) -> list[float]:
    """Return the mean PDs over one to five years."""
    return [float(cast("float", table[name].mean())) for name in PD_COLUMNS]


def shocked_grade_migration(view: FinishedRunView, after: pl.DataFrame) -> pl.DataFrame:
    """Return the number of companies by grade now (rows) and under the case (columns)."""
    return migration(current_pds(view), after, view.params.score.grades).drop("gone")


def hit_hardest(view: FinishedRunView, after: pl.DataFrame, words: Words) -> pl.DataFrame:
    """Return the companies whose PD rises under the case, with PD and grade now and then, largest rise first."""
    rows = view.scores.select("company_id", "name", "sector", before="rating", pd_before="pd_12m")
    rows = rows.join(after.select("company_id", "rating", "pd_12m"), on="company_id")
    risen = rows.with_columns(rise=pl.col("pd_12m") - pl.col("pd_before")).filter(pl.col("rise") > 0)
    return risen.sort("rise", "company_id", descending=[True, False])


def active_levers(view: FinishedRunView) -> list[str]:
    """Return the levers of a shock that have an effect on any company."""
    return [lever for lever in LEVER_RANGES if lever not in missing_lever_items(view.shock_engine)]


def active_presets(view: FinishedRunView) -> list[str]:
    """Return the shocks of params that have an effect on any company."""
    return [name for name in view.params.stress.shocks if name not in view.losses["idle_shocks"]]


def reverse_stress_company(view: FinishedRunView, company_id: str, grade: str) -> list[tuple[str, float | None]]:
    """Return each lever with the smallest change of it alone that moves the company to ``grade`` or worse; None: no change
    does."""
    furthest = {lever: LEVER_LIMITS[lever] for lever in LEVER_LIMITS if lever in active_levers(view)}
    return list(reverse_stress(view.shock_engine, company_id, furthest, grade, steps=20).items())


def shock_from_levers(values: dict[str, float]) -> Shock:
    return replace(Shock(), **{f.name: float(values[f.name]) for f in fields(Shock) if f.name in values})


def preset_sizes(view: FinishedRunView, name: str) -> dict[str, Any]:
    """Return lever → size of a shock in params."""
    return {str(lever): size for lever, size in view.params.stress.shocks[name].items()}
