"""Format of a user's file. Null: inferred from the file, which is refused where that is uncertain."""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from quiebra.errors import InvalidValue
from quiebra.params.section import Section


class FileFormat(Section):
    """Format options of a user's file.

    decimal, thousands: marks in numbers; empty thousands: none. date_format: a strftime format. header_row: counted from 1.
    header_rows: how many rows the columns' names take; the lower ones are added to the upper one. missing: marks of a missing
    value in any column, besides the usual ones. memory_mb: limit for reading a CSV or Parquet file.
    """

    sheet: str | None = None
    header_row: Annotated[int | None, Field(ge=1, le=100)] = None
    header_rows: Annotated[int, Field(ge=1, le=3)] = 1
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'", ""] | None = None
    date_format: str | None = None
    missing: list[str] = Field(default_factory=list)
    memory_mb: Annotated[int, Field(ge=50, le=1_000_000)] = 4000

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                if not codecs.lookup(encoding)._is_text_encoding:  # such as rot13, which does not decode bytes to text
                    raise LookupError(encoding)
            except (LookupError, ValueError):
                raise InvalidValue(
                    "no encoding is called '{name}'; usual ones are utf-8, cp1252, latin-1, utf-16", name=encoding
                ) from None
        return encoding

    @field_validator("date_format")
    @classmethod
    def _whole_date(cls, date_format: str | None) -> str | None:
        if date_format is not None and not _names_a_day(date_format):
            raise InvalidValue("'{format}' does not name day, month and year, as %d/%m/%Y does", format=date_format)
        return date_format

    @model_validator(mode="after")
    def _two_marks(self) -> FileFormat:
        if self.decimal is not None and self.decimal == self.thousands:
            raise InvalidValue("decimal and thousands cannot both be '{mark}'", mark=self.decimal)
        return self


def _names_a_day(date_format: str) -> bool:
    found = set(re.findall(r"%-?([a-zA-Z])", date_format))
    return bool(found & set("FDx")) or bool(found & set("Yy") and found & set("mbBh") and found & set("de"))
