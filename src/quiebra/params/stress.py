"""The section ``stress`` of params.yaml: what scenarios and shocks are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from quiebra.errors import Refused, Said, did_you_mean
from quiebra.params.section import Section

FURTHEST = 10.0
"""Standard deviations by which a scenario can move anything, either way."""
MOST_OF_IT = 2.0
"""How much of a scenario there can be in a year; 1: all of it."""
LARGEST = 1.0
"""How large a part of a shock can be, either way."""
UNITS = {
    "revenue": Said("a share: -0.2 is a fifth less"),
    "market_value": Said("a share: -0.4 is two fifths less"),
    "leverage": Said("a share of assets: 0.1 is new debt of a tenth of them"),
    "margin": Said("EBITDA over revenue: -0.03 is three points less"),
    "rates": Said("0.02 is 200 basis points"),
}
"""Lever of a shock → its unit."""


def _within(low: float, high: float, value: float, unit: Said) -> float:
    if not low <= value <= high:
        raise Refused("must lie between {low} and {high} ({unit})", low=f"{low:g}", high=f"{high:g}", unit=unit)
    return value


def _named(name: str, low: float, high: float, value: float, unit: Said) -> None:
    """Raise Refused, with the name of a value, where that is not within bounds."""
    try:
        _within(low, high, value, unit)
    except Refused as error:
        raise Refused("{name}: {why}, not {value}", name=name, why=error.said, value=value) from None


def _shock(levers: dict[str, float]) -> dict[str, float]:
    """Return a shock as it is. Refused where a part of it is out of bounds, as one in percent or basis points is, or where it
    moves nothing."""
    for lever, size in levers.items():
        _named(lever, -LARGEST, LARGEST, size, UNITS[lever])
    if not any(levers.values()):
        raise Refused("moves nothing: give it one of {all}, or take it away", all=", ".join(UNITS))
    return levers


def _share(share: float) -> float:
    return _within(0.0, MOST_OF_IT, share, Said("how much of a scenario there is: 1 is all of it"))


class BadYear(Section):
    """The failure rate of a year that is one standard deviation worse than others, as about one in six is, and its source."""

    rate: Annotated[float, Field(gt=0, lt=1)]
    source: Annotated[str, Field(min_length=3, max_length=200)]


class Stress(Section):
    macro: dict[str, Literal["level", "change"]]
    scenarios: Annotated[dict[str, dict[str, float]], Field(min_length=1)]
    bad_year: BadYear | None
    path: Annotated[list[Annotated[float, AfterValidator(_share)]], Field(min_length=5, max_length=5)]
    shocks: dict[
        str, Annotated[dict[Literal["revenue", "rates", "margin", "leverage", "market_value"], float], AfterValidator(_shock)]
    ]

    @model_validator(mode="after")
    def _known_moves(self) -> Stress:
        for name, moves in self.scenarios.items():
            for move, size in moves.items():
                if move != "years" and move not in self.macro:
                    known = [*self.macro, "years"]
                    near = did_you_mean(move, known)
                    raise Refused("scenarios.{name}: '{move}' is not in stress.macro{near}", name=name, move=move, near=near)
                _named(f"scenarios.{name}.{move}", -FURTHEST, FURTHEST, size, Said("standard deviations of yearly values"))
        return self
