"""Losses of a portfolio, and what a scenario or a shock would do to all companies."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
import polars as pl
from fastapi import Request, Response
from pydantic import ConfigDict, Field, JsonValue

from quiebra.api.predicting import record_access
from quiebra.api.problems import request_language
from quiebra.api.routes.companies import current_view
from quiebra.api.routing import guarded, json_answer, router
from quiebra.api.schemas import Body, Id
from quiebra.api.service import service_of
from quiebra.errors import ParamsError
from quiebra.identity import Permission
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.portfolio import ScoredPortfolio, download_table, exposures_portfolio, row_problems
from quiebra.services.stress import (
    StressCase,
    expected_loss_range,
    hit_hardest,
    mean_term_structure,
    portfolio_totals,
    scenario_moves,
    shock_from_levers,
    stressed_pds,
)
from quiebra.text.words import Words

routes = router()
MOST_EXPOSURES = 50_000
FIRST_ROW = 2
"""Number of the first exposure's row in a table, whose header is the first."""
EXAMPLE_EXPOSURE: dict[str, JsonValue] = {"company_id": "SIM-00001", "exposure": 2.5, "lgd": 0.4}
Move = Annotated[float, Field(ge=-20, le=20)]


class Exposure(Body):
    company_id: Id
    exposure: Annotated[float, Field(ge=0, le=1e15, description="in one currency and unit for all; losses are in it too")]
    lgd: Annotated[float | None, Field(ge=0, le=1, description="loss given default; default: that of params")] = None


class PortfolioIn(Body):
    """Exposures to companies that the last run has scored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"exposures": [{"company_id": "SIM-00001", "exposure": 2.5, "lgd": 0.4}]}]}
    )

    exposures: Annotated[list[Exposure], Field(min_length=1, max_length=MOST_EXPOSURES)]


class ShockIn(Body):
    """A change to every company within a year."""

    revenue: Annotated[float, Field(ge=-0.95, le=5, description="share of revenue")] = 0.0
    margin: Annotated[float, Field(ge=-1, le=1, description="added to EBITDA over revenue")] = 0.0
    rates: Annotated[float, Field(ge=-0.2, le=1, description="added to the interest rate on long-term debt")] = 0.0
    leverage: Annotated[float, Field(ge=-0.9, le=0.9, description="debt raised and paid out, of assets")] = 0.0
    market_value: Annotated[float, Field(ge=-0.99, le=10, description="share of the market value")] = 0.0


class StressIn(Body):
    """A scenario of params, or moves of the economy in standard deviations, and a shock to every company."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"shock": {"revenue": -0.2, "rates": 0.02}, "companies": 5}]})

    scenario: Annotated[Id | None, Field(description="a name of stress.scenarios")] = None
    moves: Annotated[
        dict[Id, Move], Field(max_length=20, description="of macro series; one counts in the place of the scenario's own")
    ] = Field(default_factory=dict)
    shock: ShockIn = Field(default_factory=ShockIn)
    companies: Annotated[int, Field(ge=0, le=1000, description="how many of the companies that are hit hardest")] = 20


@routes.post("/portfolio", summary="Losses of a portfolio", **guarded(Permission.PREDICT), operation_id="portfolio")
async def portfolio(request: Request, given: PortfolioIn) -> Response:
    """Return expected loss, value at risk and shortfall, concentration, and each company's share; unusable rows are listed."""
    view = await current_view(service_of(request))
    table = pl.DataFrame([exposure.model_dump() for exposure in given.exposures], infer_schema_length=None)
    made = await anyio.to_thread.run_sync(exposures_portfolio, view, table)
    answer = _portfolio(view, made, Words(request_language(request)))
    await record_access(request, given.model_dump(mode="json"), view.run["model_sha256"][:12], made.table.height)
    return json_answer(request, answer)


def _portfolio(view: FinishedRunView, made: ScoredPortfolio, words: Words) -> dict[str, Any]:
    losses = {name: value for name, value in made.report.items() if name not in ("options", "economy", "portfolio_notes")}
    return {
        "run_id": view.run["run_id"],
        "losses": losses,
        "companies": download_table(made.table, words).to_dicts(),
        "left_out": [
            {"field": f"exposures[{row - FIRST_ROW}]", "problem": problem}
            for row, problem in row_problems(made.faults, words).iter_rows()
        ],
        "notes": [words.say(note) for note in made.notes],
    }


@routes.post("/stress", summary="A scenario or a shock", **guarded(Permission.PREDICT), operation_id="stress")
async def stress(request: Request, given: StressIn) -> Response:
    """Return mean PDs, companies on watch and the portfolio's expected loss, before and after, and the companies hit hardest."""
    view = await current_view(service_of(request))
    words = Words(request_language(request))
    answer = await anyio.to_thread.run_sync(_stress, view, given, words)
    await record_access(request, given.model_dump(mode="json"), view.run["model_sha256"][:12], view.scores.height)
    return json_answer(request, answer)


def _stress(view: FinishedRunView, given: StressIn, words: Words) -> dict[str, Any]:
    moves = {**_scenario(view, given.scenario), **given.moves}
    _require_known(moves, view.economy.levers, "moves")
    case = StressCase(moves, shock_from_levers(given.shock.model_dump()))
    before, after = stressed_pds(view, StressCase()), stressed_pds(view, case)
    ends = expected_loss_range(view, case)
    return {
        "run_id": view.run["run_id"],
        "moves": moves,
        "before": {**portfolio_totals(view, before), "term_structure": mean_term_structure(before)},
        "after": {**portfolio_totals(view, after), "term_structure": mean_term_structure(after)},
        "expected_loss_interval": ends,
        "companies": hit_hardest(view, after, words).head(given.companies).to_dicts(),
    }


def _scenario(view: FinishedRunView, name: str | None) -> dict[str, float]:
    if name is None:
        return {}
    _require_known([name], view.params.stress.scenarios, "scenario")
    return scenario_moves(view, name)


def _require_known(names: Any, known: Any, field: str) -> None:
    for name in names:
        if name not in known:
            raise ParamsError(
                "{field}: there is no '{name}'; there are {all}",
                field=field,
                name=name,
                all=", ".join(known) or "none",
            )
