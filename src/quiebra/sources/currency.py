"""Check the currency and the unit of a user's amounts; a currency in the file is used or refused, never overwritten."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import polars as pl

from quiebra.canonical import median_value
from quiebra.errors import LocalisedMessage, SourceError

MIN_MEDIAN_ASSETS, MAX_MEDIAN_ASSETS = 0.005, 50_000.0
"""Range of a panel's median total assets, in millions, without a warning: 5,000 currency units to 50 thousand millions."""
MAX_MEDIAN_ASSETS_OF_FEW = 1_000_000.0
"""Upper end of that range for fewer than `FEW_COMPANIES` companies, which may be the largest there are."""
FEW_COMPANIES = 5
TYPICAL_MEDIAN_ASSETS = 300.0
"""Median total assets of a typical panel, in millions; of two remedies the one closer to it is named first."""
CURRENCY_SPELLINGS = {"€": "EUR", "EURO": "EUR", "EUROS": "EUR", "US$": "USD", "£": "GBP"}
"""Other spellings of a currency, and its ISO code."""
UNIT_FACTORS = (0.001, 0.000001, 1000.0, 1000000.0)
Amounts = TypeVar("Amounts", np.ndarray, pl.Expr)


def in_millions(amounts: Amounts, units: float) -> Amounts:
    """Return amounts in millions. units: millions that one unit of them is.

    Thousands are divided by 1000 and not multiplied by 0.001, which is no double: the result is the one nearest to the quotient,
    the same as that of an amount that was given in millions.

    >>> in_millions(np.array([8675.0]), 0.001)
    array([8.675])
    """
    parts = round(1 / units) if 0 < units < 1 else 1
    return amounts / parts if parts > 1 and math.isclose(parts * units, 1, rel_tol=1e-12) else amounts * units


def currency_codes(frame: pl.DataFrame) -> pl.Expr:
    """Return a file's currency column as ISO codes; unknown text is kept, empty cells are null."""
    if "currency" not in frame.columns:
        return pl.lit(None, pl.String)
    code = pl.col("currency").cast(pl.String, strict=False).str.strip_chars().str.to_uppercase().replace(CURRENCY_SPELLINGS)
    return pl.when(code != "").then(code)


def resolve_currency(frame: pl.DataFrame, expected: str, path: Path, learnt: str | None = None) -> pl.DataFrame:
    """Return the rows with ``currency`` filled in: from their own column, else the accepted currency.

    Accepted is ``learnt``, the currency of the model's panel, where a row of the file has it or no row has any; else ``expected``
    (ingest.table.currency). Rows in another currency are quarantined later.
    Raise SourceError, with the remedy, where at least half of the rows with a currency have another: then the parameter is wrong,
    or the file has to be converted.
    """
    rows = frame.with_columns(currency=currency_codes(frame))
    given = rows["currency"].drop_nulls()
    accepted = learnt if learnt and (given.is_empty() or (given == learnt).any()) else expected
    if len(given) and 2 * (given == accepted).sum() <= len(given):
        found = given.value_counts().sort("count", "currency", descending=[True, False])
        listed = ", ".join(f"{code} ({rows})" for code, rows in found.head(5).iter_rows())
        raise SourceError(
            "{path}: its column 'currency' says {found}, and ingest.table.currency is {expected}. Set ingest.table.currency to "
            "the currency of the file, or convert the amounts: a panel has one currency.",
            path=path,
            found=listed,
            expected=expected,
        )
    return rows.with_columns(pl.col("currency").fill_null(accepted))


def require_one_currency(frame: pl.DataFrame, path: Path) -> None:
    """Raise SourceError where the rows of a file of exposures have several currencies, which cannot be added up."""
    found = sorted(frame.select(code=currency_codes(frame))["code"].drop_nulls().unique())
    if len(found) > 1:
        raise SourceError(
            "{path}: its column 'currency' says {found}: exposures in several currencies cannot be added up. Convert them.",
            path=path,
            found=", ".join(found),
        )


def format_plain(value: float) -> str:
    """Return a number with three significant digits and without an exponent.

    >>> format_plain(1e-06), format_plain(205775.5), format_plain(0.2057)
    ('0.000001', '206000', '0.206')
    """
    digits = f"{float(f'{value:.3g}'):.12f}"
    return digits.rstrip("0").rstrip(".")


def unit_doubts(statements: pl.DataFrame, units: float | None) -> list[LocalisedMessage]:
    """Return a warning where the median of total assets is implausible in millions, with ingest.table.units that correct it.

    statements: company_id and total_assets in millions; rows without assets do not count.
    units: the current parameter; None where the source has none.
    """
    rows = statements.filter(pl.col("total_assets").is_finite() & (pl.col("total_assets") > 0))
    if rows.is_empty():
        return []
    median = float(cast("float", rows["total_assets"].median()))
    highest = MAX_MEDIAN_ASSETS if rows["company_id"].n_unique() >= FEW_COMPANIES else MAX_MEDIAN_ASSETS_OF_FEW
    if MIN_MEDIAN_ASSETS <= median <= highest:
        return []
    values = {"median": format_plain(median), "remedy": _remedy(median, units)}
    return [
        LocalisedMessage(
            "the median of total assets is {median} millions, which is implausible: the amounts are in another unit.{remedy}",
            values,
        )
    ]


def known_company_doubts(statements: pl.DataFrame, known: pl.DataFrame, units: float) -> list[LocalisedMessage]:
    """Return a warning where total assets are 10^3 or 10^6 times (or that fraction of) those in the panel, for companies in both.

    statements: company_id, fiscal_year and total_assets. known: company_id, fiscal_year and log_assets (of millions).
    """
    year = ["company_id", "fiscal_year"]
    both = statements.join(known.unique(year, keep="first", maintain_order=True), on=year)
    ratios = both.with_columns(ratio=(pl.col("total_assets").log() - pl.col("log_assets")).exp())
    ratio = median_value(ratios["ratio"])
    factor = next((f for f in UNIT_FACTORS if ratio is not None and 0.5 < ratio * f < 2), None)
    if factor is None:
        off = ratios.filter(pl.any_horizontal(pl.col("ratio").mul(f).is_between(0.5, 2) for f in UNIT_FACTORS))
        values = {"rows": off.height, "company": off["company_id"].first(), "year": off["fiscal_year"].first()}
        return (
            [
                LocalisedMessage(
                    "rows whose total assets are about a thousand or a million times those of the panel, or the reverse: "
                    "{rows}, such as {company} in {year}; are they in one unit?",
                    values,
                )
            ]
            if off.height
            else []
        )
    values = {"n": both["company_id"].n_unique(), "times": format_plain(1 / factor), "units": format_plain(units * factor)}
    return [
        LocalisedMessage(
            "total assets are {times} times those of the panel, in companies that it knows ({n}): set ingest.table.units to "
            "{units}",
            values,
        )
    ]


def _remedy(median: float, units: float | None) -> LocalisedMessage | str:
    """Return the values of ingest.table.units that make the median plausible, the one with the most typical median first."""
    if units is None:
        return ""
    mended = [
        (factor, median * factor) for factor in UNIT_FACTORS if MIN_MEDIAN_ASSETS <= median * factor <= MAX_MEDIAN_ASSETS_OF_FEW
    ]
    shown = [
        LocalisedMessage(
            "{units} (median {median})", {"units": format_plain(units * factor), "median": format_plain(round(size) or size)}
        )
        for factor, size in sorted(mended, key=lambda pair: abs(math.log(pair[1] / TYPICAL_MEDIAN_ASSETS)))
    ]
    if len(shown) == 2:
        return LocalisedMessage(" Set ingest.table.units to {one} or {other}.", {"one": shown[0], "other": shown[1]})
    return LocalisedMessage(" Set ingest.table.units to {units}.", {"units": shown[0]}) if shown else ""
