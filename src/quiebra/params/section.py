"""The base class and shared types of the sections of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from quiebra.errors import InvalidNameError, InvalidValue
from quiebra.text.person_input import clean_comment


def _one_line(value: str) -> str:
    try:
        return clean_comment(value, "")
    except InvalidNameError:
        raise InvalidValue("must be one line, without signs that cannot be seen") from None


Share = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, AfterValidator(_one_line)]
Year = Annotated[int, Field(ge=1900, le=2200)]


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, no implicit conversion from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
