"""The canonical tables that every source returns, before the data contract checks their rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import polars as pl

from quiebra.errors import LocalisedMessage
from quiebra.items import ITEM_NAMES, STATEMENT_KEYS

FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2200, 12, 31)
"""Dates outside this range are placeholders, not dates: 9999-12-31, or 1899-12-30 for an empty cell."""


@dataclass(frozen=True)
class OwnColumn:
    """A column of a person's file that is a feature as it is. sign: +1 where a higher value is never safer, -1 never riskier."""

    name: str
    label: str
    label_es: str
    sign: int = 0


@dataclass(frozen=True)
class SourceInfo:
    """Metadata of a source.

    first_label_year: first fiscal year whose failures the source records completely.
    outcomes_through: last fiscal year whose one-year outcome is known.
    as_of: date whose state of knowledge the tables show; the default scoring date.
    sha256: hash of the file, or of the parameters of the simulation. macro_sha256: hash of the extra macro files; None: no such
        file.
    own_columns: further columns of the statements that are features.
    assumed_lag_days: days after period_end assumed for a missing available_at; None: nothing was assumed.
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
    own_columns: tuple[OwnColumn, ...] = ()

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """Companies, statements, events and macro series of one source, in canonical columns; amounts in millions.

    warnings: notes for the reader on how the source was read. set_aside: statements that the source itself found wrong, with
    ``rule``. lineage, filings: where the source keeps them; see `LINEAGE_SCHEMA` and `FILING_SCHEMA`.
    """

    info: SourceInfo
    companies: pl.DataFrame
    statements: pl.DataFrame
    events: pl.DataFrame
    macro: pl.DataFrame
    warnings: tuple[LocalisedMessage, ...] = ()
    set_aside: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={**STATEMENT_SCHEMA, "rule": pl.String}))
    lineage: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINEAGE_SCHEMA))
    filings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FILING_SCHEMA))


COMPANY_SCHEMA: dict[str, Any] = {
    "company_id": pl.String,
    "name": pl.String,
    "country": pl.String,
    "region": pl.String,
    "sector": pl.String,
}
EVENT_SCHEMA: dict[str, Any] = {"company_id": pl.String, "event_date": pl.Date, "kind": pl.String, "source": pl.String}
MACRO_SCHEMA: dict[str, Any] = {"series": pl.String, "date": pl.Date, "value": pl.Float64, "available_at": pl.Date}
STATEMENT_SCHEMA: dict[str, Any] = {
    **dict(zip(STATEMENT_KEYS, (pl.String, pl.Int32, pl.Date, pl.Date, pl.String, pl.String), strict=True)),
    "accepted_at": pl.Datetime("us"),
    "accession": pl.String,
    "market_value_date": pl.Date,
    "labelled": pl.Boolean,
    **dict.fromkeys(ITEM_NAMES, pl.Float64),
}
"""accepted_at, accession: time (of the source's own zone) and number of the latest filing that a version is made of, where the
source has filings. market_value_date: day of the market value, where it is not that of publication. labelled: whether the source
vouches for the outcome of the year; null: as `SourceInfo` says."""
FILING_COLUMNS = ("accepted_at", "accession", "market_value_date", "labelled")
"""Columns of statements that sources set themselves; in a person's file they mean nothing."""
LINEAGE_SCHEMA: dict[str, Any] = {
    "company_id": pl.String,
    "fiscal_year": pl.Int32,
    "period_end": pl.Date,
    "available_at": pl.Date,
    "item": pl.String,
    "value": pl.Float64,
    "rule": pl.String,
    "accession": pl.String,
}
"""How an amount of a version was had. rule: the source's fields that it was made of. accession: of the filing that says so."""
FILING_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "company_id": pl.String,
    "name": pl.String,
    "form": pl.String,
    "sic": pl.Int32,
    "state": pl.String,
    "period": pl.Date,
    "filed": pl.Date,
    "accepted_at": pl.Datetime("us"),
    "available_at": pl.Date,
}
"""The filings of a source that has them, with the company's name, industry and state as of each."""


def statement_schema(own: Iterable[str]) -> dict[str, Any]:
    """Return the columns of statements, those of own features, by their names, after the canonical ones."""
    return {**STATEMENT_SCHEMA, **dict.fromkeys(own, pl.Float64)}


def conform_to_schema(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    """Return exactly the schema's columns, in its order and types; columns that are absent are null."""
    have = frame.schema
    return frame.select(
        name if have.get(name) == kind else (pl.col(name) if name in have else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )


def mean_value(column: pl.Series) -> float | None:
    """Return the mean of a numeric column; None where it has no values.

    Here and below a cast is needed, since the types of Polars allow any type of value.
    """
    return cast("float | None", column.mean())


def median_value(column: pl.Series) -> float | None:
    """Return the median of a numeric column; None where it has no values."""
    return cast("float | None", column.median())


def earliest_year(column: pl.Series) -> int:
    """Return the earliest year of a column, which must have at least one value."""
    return int(cast("int", column.min()))


def latest_year(column: pl.Series) -> int:
    """Return the latest year of a column, which must have at least one value."""
    return int(cast("int", column.max()))


def earliest_day(column: pl.Series) -> dt.date:
    """Return the earliest date of a column, which must have at least one value."""
    return cast("dt.date", column.min())


def latest_day(column: pl.Series) -> dt.date:
    """Return the latest date of a column, which must have at least one value."""
    return cast("dt.date", column.max())
