"""What every section of params.yaml is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from quiebra.errors import NameRefused, Refused
from quiebra.names import comment


def _one_line(value: str) -> str:
    try:
        return comment(value, "")
    except NameRefused:
        raise Refused("must be one line, without signs that cannot be seen") from None


Share = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, AfterValidator(_one_line)]
Year = Annotated[int, Field(ge=1900, le=2200)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, no silent conversions from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
