"""The public American panel: NYSE and NASDAQ companies, fiscal years 1999-2018 (Lombardo et al., 2022, CC BY 4.0)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from quiebra.canonical import (
    COMPANY_SCHEMA,
    EVENT_SCHEMA,
    MACRO_SCHEMA,
    STATEMENT_SCHEMA,
    Source,
    SourceInfo,
    conform_to_schema,
    latest_year,
)
from quiebra.errors import SourceError
from quiebra.provenance import file_sha256
from quiebra.sources.cells import cast_columns, require_columns
from quiebra.sources.currency import unit_doubts
from quiebra.sources.reading import read_file

KAGGLE_DATASET = "utkarshx27/american-companies-bankruptcy-prediction-dataset"
ITEM_OF_COLUMN = {
    "X1": "current_assets",
    "X2": "cost_of_goods_sold",
    "X3": "depreciation_amortization",
    "X4": "ebitda",
    "X5": "inventory",
    "X6": "net_income",
    "X7": "receivables",
    "X8": "market_value",
    "X10": "total_assets",
    "X11": "long_term_debt",
    "X12": "ebit",
    "X13": "gross_profit",
    "X14": "current_liabilities",
    "X15": "retained_earnings",
    "X16": "revenue",
    "X17": "total_liabilities",
    "X18": "operating_expenses",
}
FIRST_LABEL_YEAR = 2003
SOURCE_NOTES = (
    "Failure is Chapter 11 or Chapter 7. The file marks companies, not years: the last statement of a failed company is "
    "taken as its last before the filing, dated at the end of the next year (known filings came one year after it in 66 % "
    "of cases, two in 24 %). Filings before about September 2004 are not marked, so learning starts in 2003. The file has "
    "no dates: period_end is taken as 31 December and available_at as 30 April after it. X9 repeats X16 and is not kept."
)


def download_instructions(path: Path) -> str:
    """Return the command that downloads the file to ``path``."""
    return f"kaggle datasets download -d {KAGGLE_DATASET} -p {path.parent} --unzip"


def load(path: Path) -> Source:
    """Read the Kaggle file (csv or csv.gz): company_name, status_label (alive/failed), year, and X1 to X18 in USD millions.

    Raise SourceError; where the file is missing, with the command that downloads it.
    """
    if not path.is_file():
        raise SourceError(
            f"no American panel at {path}. Get it with\n    {download_instructions(path)}\n"
            "(pip install kaggle, free account), or set ingest.american.path in params.yaml to where it is."
        )
    table = read_file(path)
    require_columns(table, ["company_name", "status_label", "year", *ITEM_OF_COLUMN])
    frame = cast_columns(table, {"year": pl.Int32, **dict.fromkeys(ITEM_OF_COLUMN, pl.Float64)})
    unknown = set(frame["status_label"].drop_nulls().unique()) - {"alive", "failed"}
    if unknown:
        raise SourceError(f"{path}: status_label must be 'alive' or 'failed', not {sorted(unknown)[0]!r}")
    return _canonical(frame, file_sha256(path))


def _canonical(frame: pl.DataFrame, file_hash: str) -> Source:
    year, last = pl.col("year"), latest_year(frame["year"])
    frame = frame.rename({"company_name": "company_id", **ITEM_OF_COLUMN})
    statements = frame.with_columns(
        fiscal_year=year,
        period_end=pl.date(year, 12, 31),
        available_at=pl.date(year + 1, 4, 30),
        currency=pl.lit("USD"),
        source=pl.lit("american"),
    )
    events = (
        frame.filter(pl.col("status_label") == "failed")
        .group_by("company_id")
        .agg(event_date=pl.date(year.max() + 1, 12, 31))
        .with_columns(kind=pl.lit("bankruptcy"), source=pl.lit("american"))
    )
    companies = frame.select("company_id").unique().with_columns(name=pl.col("company_id"), country=pl.lit("US"))
    info = SourceInfo(
        source="american",
        title="American companies, NYSE and NASDAQ",
        simulated=False,
        currency="USD",
        first_label_year=FIRST_LABEL_YEAR,
        outcomes_through=last,
        as_of=dt.date(last + 1, 4, 30),
        sha256=file_hash,
        notes=SOURCE_NOTES,
    )
    return Source(
        info,
        conform_to_schema(companies, COMPANY_SCHEMA),
        conform_to_schema(statements, STATEMENT_SCHEMA),
        conform_to_schema(events, EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        tuple(unit_doubts(statements, None)),
    )
