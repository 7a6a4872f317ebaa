"""The section ``stress`` of params.yaml: macro scenarios and company shocks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from quiebra.errors import InvalidValue, LocalisedMessage, suggestion_message
from quiebra.params.section import Section

MAX_SCENARIO_MOVE = 10.0
"""Most standard deviations by which a scenario can move a series, either way."""
MAX_PATH_SHARE = 2.0
"""Largest multiple of a scenario's shift that can apply in a year; 1: the whole shift."""
MAX_SHOCK_SIZE = 1.0
"""Largest size of a shock's lever, either way."""
LEVER_UNITS = {
    "revenue": LocalisedMessage("a share: -0.2 is a fifth less"),
    "market_value": LocalisedMessage("a share: -0.4 is two fifths less"),
    "leverage": LocalisedMessage("a share of assets: 0.1 is new debt of a tenth of them"),
    "margin": LocalisedMessage("EBITDA over revenue: -0.03 is three points less"),
    "rates": LocalisedMessage("0.02 is 200 basis points"),
}
"""Lever of a shock → its unit."""


def _within(low: float, high: float, value: float, unit: LocalisedMessage) -> float:
    if not low <= value <= high:
        raise InvalidValue("must lie between {low} and {high} ({unit})", low=f"{low:g}", high=f"{high:g}", unit=unit)
    return value


def _named(name: str, low: float, high: float, value: float, unit: LocalisedMessage) -> None:
    """Raise InvalidValue, with the value's name, where it is out of bounds."""
    try:
        _within(low, high, value, unit)
    except InvalidValue as error:
        raise InvalidValue("{name}: {why}, not {value}", name=name, why=error.said, value=value) from None


def _shock(levers: dict[str, float]) -> dict[str, float]:
    """Return a shock unchanged.

    Raise InvalidValue where a lever is out of bounds, as one given in per cent or basis points is, or where nothing is moved.
    """
    for lever, size in levers.items():
        _named(lever, -MAX_SHOCK_SIZE, MAX_SHOCK_SIZE, size, LEVER_UNITS[lever])
    if not any(levers.values()):
        raise InvalidValue("moves nothing: give it one of {all}, or take it away", all=", ".join(LEVER_UNITS))
    return levers


def _share(share: float) -> float:
    return _within(0.0, MAX_PATH_SHARE, share, LocalisedMessage("how much of a scenario there is: 1 is all of it"))


class BadYear(Section):
    """The failure rate of a year one standard deviation worse than average, as about one in six is, and the figure's source."""

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
                    near = suggestion_message(move, known)
                    raise InvalidValue("scenarios.{name}: '{move}' is not in stress.macro{near}", name=name, move=move, near=near)
                _named(
                    f"scenarios.{name}.{move}",
                    -MAX_SCENARIO_MOVE,
                    MAX_SCENARIO_MOVE,
                    size,
                    LocalisedMessage("standard deviations of yearly values"),
                )
        return self
