"""Market values of shares and price: the count on a filing's cover times a close of a person's price file.

Closes and counts must be as of their day: a close that was divided by later splits does not go with the count of that day.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from quiebra.canonical import LAST_DAY, conform_to_schema
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import Kind, cast_columns, require_columns
from quiebra.sources.edgar.company_facts import SHARES_SCHEMA
from quiebra.sources.edgar.filings import month_end
from quiebra.sources.edgar.tags import SHARES_TAG, SHARES_UNIT
from quiebra.sources.reading import read_file
from quiebra.sources.slips import FEWEST_SHARES, LARGEST_JUMP, are_near, plausible_shares

MAX_DAYS_BEFORE = 7
"""Age of a close on the day of the shares: weekends and holidays."""
PRICE_COLUMNS = ("cik", "date", "close")
PRICE_SCHEMA: dict[str, Any] = {"cik": pl.Int64, "date": pl.Date, "close": pl.Float64, "shares": pl.Float64}
VALUE_SCHEMA: dict[str, Any] = {
    "accession": pl.String,
    "market_value": pl.Float64,
    "market_value_date": pl.Date,
    "rule": pl.String,
}
"""market_value: in millions. market_value_date: of the close."""


def read_prices(path: Path) -> pl.DataFrame:
    """Return a file of closes (`PRICE_SCHEMA`), with shares where it has them. SourceError where it lacks a column, a value
    cannot be read, or a company has two closes of a day."""
    table = read_file(path)
    require_columns(table, PRICE_COLUMNS)
    kinds: dict[str, Kind] = {"cik": pl.Int32, "date": pl.Date, "close": pl.Float64}
    if "shares" in table.columns:
        kinds["shares"] = pl.Float64
    found = conform_to_schema(cast_columns(table, kinds), PRICE_SCHEMA)
    if missing := [name for name in ("cik", "date") if found[name].null_count()]:
        raise SourceError("{path}: {columns} must be given in each row", path=path, columns=", ".join(missing))
    found = found.drop_nulls("close")
    if (later := found.filter(pl.col("date") > LAST_DAY)).height:
        raise SourceError(
            "{path} has the date {date}, which is none: correct or remove its row", path=path, date=later["date"][0]
        )
    twice = found.filter(pl.struct("cik", "date").is_duplicated())
    if twice.height:
        raise SourceError(
            "{path} has two closes of cik {cik} on {date}: remove one row", path=path, cik=twice["cik"][0], date=twice["date"][0]
        )
    return found.sort("cik", "date")


def balance_sheet_shares(facts: pl.DataFrame, filings: pl.DataFrame) -> pl.DataFrame:
    """Return the counts of shares on the balance sheets of filings, at the end of their own fiscal year (`SHARES_SCHEMA`)."""
    told = facts.filter(pl.col("tag") == SHARES_TAG, pl.col("unit") == SHARES_UNIT).join(
        filings.select("accession", "period"), on="accession"
    )
    own = told.filter(month_end(pl.col("end")) == month_end(pl.col("period"))).sort("accession", "end", "value")
    latest = own.unique("accession", keep="last", maintain_order=True)
    return conform_to_schema(latest.rename({"value": "shares", "period": "shares_date"}), SHARES_SCHEMA)


def market_values(
    filings: pl.DataFrame, cover: pl.DataFrame, sheet: pl.DataFrame, prices: pl.DataFrame
) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return the market value of each filing for which there are shares and a close (`VALUE_SCHEMA`), and notes.

    filings: `FILING_SCHEMA`. cover, sheet: counts on covers, which count first, and on balance sheets (`SHARES_SCHEMA`). prices:
    `PRICE_SCHEMA`; its own shares count before both, unless they differ by a slip of scale: then none counts. The close is that
    on the day of the shares, or the last one within `MAX_DAYS_BEFORE`; never one after the filing was public. Where a filing
    gives no count, ``available_at`` stands for the day of the shares.
    """
    of = filings.select("accession", "cik")
    (cover, on_covers), (sheet, on_sheets) = (_plausible(each.join(of, on="accession")) for each in (cover, sheet))
    counts = pl.concat([cover, sheet.join(cover, on="accession", how="anti")]).drop("cik")
    told = filings.select("accession", "cik", "available_at").join(counts, on="accession", how="left", maintain_order="left")
    known, of_file = _plausible(prices, keep_rows=True)
    above = known.filter(pl.col("close") > 0, pl.col("close").is_finite())
    day = pl.min_horizontal(pl.coalesce("shares_date", "available_at"), "available_at")
    closes = above.select("cik", close_date="date", close="close", own="shares")
    found = (
        told.with_columns(day=day)
        .sort("cik", "day", "accession")
        .join_asof(
            closes.sort("cik", "close_date"),
            left_on="day",
            right_on="close_date",
            by="cik",
            strategy="backward",
            tolerance=f"{MAX_DAYS_BEFORE}d",
            check_sortedness=False,
        )
        .with_columns(apart=~are_near(pl.col("own"), pl.col("shares")).fill_null(True))
        .with_columns(rule=pl.when(pl.col("own").is_not_null()).then(pl.lit("shares of the price file")).otherwise("tag"))
        .with_columns(
            market_value=(pl.coalesce("own", "shares") * pl.col("close") / 1e6).round(6), rule=pl.format("{} x close", "rule")
        )
        .drop_nulls("market_value")
        .rename({"close_date": "market_value_date"})
    )
    apart = int(found["apart"].sum())
    found = found.filter(~pl.col("apart"))
    notes = [
        LocalisedMessage(
            "annual reports with a market value of shares and price: {n} of {all}; the others have what outsiders held",
            {"n": found.height, "all": filings.height},
        )
    ]
    if wrong := on_covers + on_sheets + of_file + apart + known.height - above.height:
        notes.append(
            LocalisedMessage(
                "counts of shares and closes that cannot be right, not used (below {fewest} shares, {jump} times off the "
                "company's others, a close not above zero): {n}",
                {"fewest": f"{FEWEST_SHARES:,}", "jump": f"{LARGEST_JUMP:,.0f}", "n": wrong},
            )
        )
    return conform_to_schema(found.sort("accession"), VALUE_SCHEMA), notes


def _plausible(counts: pl.DataFrame, *, keep_rows: bool = False) -> tuple[pl.DataFrame, int]:
    """Return a table without those counts of shares that are placeholders or slips of scale, and how many these are.

    keep_rows: their rows stay, without the count.
    """
    kept = counts.with_columns(shares=plausible_shares(pl.col("shares"), "cik"))
    wrong = kept["shares"].null_count() - counts["shares"].null_count()
    return (kept if keep_rows else kept.drop_nulls("shares")), wrong
