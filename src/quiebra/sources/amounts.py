"""The currency and the unit of a person's amounts: what the file itself says is used or refused, never overwritten."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl

from quiebra.errors import Said, SourceError

LOWEST, HIGHEST = 0.005, 50_000.0
"""Median total assets of a panel, in millions, that are taken without a word: 5,000 units of currency to 50 thousand millions."""
LARGEST = 1_000_000.0
"""The same of a few companies, which may be the largest that there are."""
FEW = 5
USUAL = 300.0
"""Median of a usual panel: of two remedies the one that comes nearer to it is named first."""
WRITTEN = {"€": "EUR", "EURO": "EUR", "EUROS": "EUR", "US$": "USD", "£": "GBP"}
"""Other ways to write a currency."""
FACTORS = (0.001, 0.000001, 1000.0, 1000000.0)


def currencies(frame: pl.DataFrame) -> pl.Expr:
    """Return a file's currency column as ISO codes; what is no code stays as it is, and empty cells are missing."""
    if "currency" not in frame.columns:
        return pl.lit(None, pl.String)
    code = pl.col("currency").cast(pl.String, strict=False).str.strip_chars().str.to_uppercase().replace(WRITTEN)
    return pl.when(code != "").then(code)


def with_currency(frame: pl.DataFrame, expected: str, path: Path, learnt: str | None = None) -> pl.DataFrame:
    """Return the rows with ``currency``: that of their own column, and the accepted one where they give none.

    Accepted is ``expected`` (ingest.table.currency), or ``learnt``, that of the panel behind a model, where the file has it. Some
    rows in another currency go to quarantine later. SourceError, naming the remedy, where half of those that give one or more
    are in another: then the parameter is wrong, or the file has to be converted.
    """
    rows = frame.with_columns(currency=currencies(frame))
    given = rows["currency"].drop_nulls()
    accepted = learnt if learnt and (given.is_empty() or (given == learnt).any()) else expected
    if len(given) and 2 * (given == accepted).sum() <= len(given):
        found = given.value_counts().sort("count", "currency", descending=[True, False])
        listed = ", ".join(f"{code} ({rows})" for code, rows in found.head(5).iter_rows())
        raise SourceError(
            "{path}: its column 'currency' says {found}, and ingest.table.currency is {expected}. Set ingest.table.currency to "
            "the currency of the file, or convert the amounts: a panel has one currency.",
            path=path, found=listed, expected=expected,
        )  # fmt: skip
    return rows.with_columns(pl.col("currency").fill_null(accepted))


def one_currency(frame: pl.DataFrame, path: Path) -> None:
    """Raise SourceError where the rows of a file of exposures are in several currencies, which cannot be added up."""
    found = sorted(frame.select(code=currencies(frame))["code"].drop_nulls().unique())
    if len(found) > 1:
        raise SourceError(
            "{path}: its column 'currency' says {found}: exposures in several currencies cannot be added up. Convert them.",
            path=path, found=", ".join(found),
        )  # fmt: skip


def plain(value: float) -> str:
    """Return a number with three significant digits, never with an exponent.

    >>> plain(1e-06), plain(205775.5), plain(0.2057)
    ('0.000001', '206000', '0.206')
    """
    digits = f"{float(f'{value:.3g}'):.12f}"
    return digits.rstrip("0").rstrip(".")


def about_units(statements: pl.DataFrame, units: float | None) -> list[Said]:
    """Return what is said where the median of total assets cannot be in millions, with the values of ingest.table.units that
    would mend it; units: the present one, None where there is no such parameter.

    statements: company_id and total_assets in millions; rows without assets do not count.
    """
    rows = statements.filter(pl.col("total_assets").is_finite() & (pl.col("total_assets") > 0))
    if rows.is_empty():
        return []
    median = float(rows["total_assets"].median())  # type: ignore[arg-type]
    highest = HIGHEST if rows["company_id"].n_unique() >= FEW else LARGEST
    if LOWEST <= median <= highest:
        return []
    values = {"median": plain(median), "remedy": _remedy(median, units)}
    return [Said("the median of total assets is {median} millions, which is implausible: the amounts are in another "
                 "unit.{remedy}", values)]  # fmt: skip


def about_known(statements: pl.DataFrame, known: pl.DataFrame, units: float) -> list[Said]:
    """Return what is said where the total assets of companies that the panel knows are a thousand or a million times, or a
    thousandth or millionth of, those in the panel.

    statements: company_id, fiscal_year and total_assets; known: company_id, fiscal_year and log_assets (of millions).
    """
    year = ["company_id", "fiscal_year"]
    both = statements.join(known.unique(year, keep="first", maintain_order=True), on=year)
    ratios = both.with_columns(ratio=(pl.col("total_assets").log() - pl.col("log_assets")).exp())
    ratio = ratios["ratio"].median()
    factor = next((f for f in FACTORS if ratio is not None and 0.5 < ratio * f < 2), None)
    if factor is None:
        off = ratios.filter(pl.any_horizontal(pl.col("ratio").mul(f).is_between(0.5, 2) for f in FACTORS))
        values = {"rows": off.height, "company": off["company_id"].first(), "year": off["fiscal_year"].first()}
        return [Said("rows whose total assets are about a thousand or a million times those of the panel, or the reverse: "
                     "{rows}, such as {company} in {year}; are they in one unit?", values)] if off.height else []  # fmt: skip
    values = {"n": both["company_id"].n_unique(), "times": plain(1 / factor), "units": plain(units * factor)}
    return [Said("total assets are {times} times those of the panel, in companies that it knows ({n}): set ingest.table.units to "
                 "{units}", values)]  # fmt: skip


def _remedy(median: float, units: float | None) -> Said | str:
    """Return the values of ingest.table.units that bring the median to where it can be, the most usual size first."""
    if units is None:
        return ""
    mended = [(factor, median * factor) for factor in FACTORS if LOWEST <= median * factor <= LARGEST]
    shown = [
        Said("{units} (median {median})", {"units": plain(units * factor), "median": plain(round(size) or size)})
        for factor, size in sorted(mended, key=lambda pair: abs(math.log(pair[1] / USUAL)))
    ]
    if len(shown) == 2:
        return Said(" Set ingest.table.units to {one} or {other}.", {"one": shown[0], "other": shown[1]})
    return Said(" Set ingest.table.units to {units}.", {"units": shown[0]}) if shown else ""
