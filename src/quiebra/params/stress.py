"""The section ``stress`` of params.yaml: what scenarios and shocks are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from quiebra.errors import Refused, did_you_mean
from quiebra.params.section import Section


class BadYear(Section):
    """The failure rate of a year that is one standard deviation worse than others, as about one in six is, and its source."""

    rate: Annotated[float, Field(gt=0, lt=1)]
    source: Annotated[str, Field(min_length=3, max_length=200)]


class Stress(Section):
    macro: dict[str, Literal["level", "change"]]
    scenarios: Annotated[dict[str, dict[str, float]], Field(min_length=1)]
    bad_year: BadYear | None
    path: Annotated[list[float], Field(min_length=5, max_length=5)]
    shocks: dict[str, dict[Literal["revenue", "rates", "margin", "leverage", "market_value"], float]]

    @model_validator(mode="after")
    def _known_moves(self) -> Stress:
        for name, moves in self.scenarios.items():
            for move in moves:
                if move != "years" and move not in self.macro:
                    known = [*self.macro, "years"]
                    near = did_you_mean(move, known)
                    raise Refused("scenarios.{name}: '{move}' is not in stress.macro{near}", name=name, move=move, near=near)
        return self
