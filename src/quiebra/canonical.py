"""The canonical tables that every source gives, before the contract has checked their rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from quiebra.errors import Said
from quiebra.items import ITEM_NAMES, STATEMENT_KEYS

FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2200, 12, 31)
"""Days outside are no dates of statements or failures: 9999-12-31, or 1899-12-30 for an empty cell."""


@dataclass(frozen=True)
class SourceInfo:
    """What a source says about itself.

    first_label_year: first fiscal year whose failures the source records completely.
    outcomes_through: last fiscal year whose one-year outcome is known.
    as_of: the date the tables show the world at; the default scoring date.
    sha256: of the file, or of the parameters that simulated it. macro_sha256: of the macro files beside it; None: none.
    assumed_lag_days: after period_end, where available_at was not given and is assumed; None: nothing was assumed.
    """

    source: str
    title: str
    simulated: bool
    currency: str
    first_label_year: int
    outcomes_through: int
    as_of: dt.date
    sha256: str
    notes: str
    macro_sha256: str | None = None
    assumed_lag_days: int | None = None

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """Companies, statements, events and macro series of one source, in canonical columns and millions.

    warnings: what a reader should know of how the source was read.
    """

    info: SourceInfo
    companies: pl.DataFrame
    statements: pl.DataFrame
    events: pl.DataFrame
    macro: pl.DataFrame
    warnings: tuple[Said, ...] = ()


COMPANIES = {"company_id": pl.String, "name": pl.String, "country": pl.String, "region": pl.String, "sector": pl.String}
EVENTS = {"company_id": pl.String, "event_date": pl.Date, "kind": pl.String, "source": pl.String}
MACRO = {"series": pl.String, "date": pl.Date, "value": pl.Float64, "available_at": pl.Date}
STATEMENTS = {
    **dict(zip(STATEMENT_KEYS, (pl.String, pl.Int32, pl.Date, pl.Date, pl.String, pl.String), strict=True)),
    **dict.fromkeys(ITEM_NAMES, pl.Float64),
}


def conform(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    """Return exactly the schema's columns in its order and types; absent columns come as missing."""
    have = set(frame.columns)
    return frame.select(
        (pl.col(name) if name in have else pl.lit(None)).cast(kind).alias(name) for name, kind in schema.items()
    )
