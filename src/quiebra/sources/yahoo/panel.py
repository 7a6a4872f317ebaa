"""Canonical tables of companies of Yahoo Finance, from the answers that were kept; the network is not asked."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.canonical import COMPANY_SCHEMA, Source
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params import Yahoo
from quiebra.sources.given_amounts import GivenAmounts
from quiebra.sources.item_ladders import ItemLadder, difference_rule, field_rules, fields_of, sum_rule
from quiebra.sources.market_services import (
    MILLION,
    MarketSource,
    MarketTables,
    build_source,
    company_answer,
    parse_object,
    require_company,
)
from quiebra.sources.raw_store import RawStore
from quiebra.sources.slips import plausible_shares

CHART, ACCOUNTS, PROFILE = "chart.json", "accounts.json", "profile.json"
ANNUAL = "annual"
"""What Yahoo's names of annual figures begin with."""
SHARES = ("OrdinarySharesNumber", "BasicAverageShares")
DAILY = "1d"
DAYS_OF_ONE_SPLIT = 7
"""The same split is at times given again, some days later."""
DIRECTLY_LISTED = ("US", "Canada")
"""Countries whose companies have their shares themselves on American exchanges. Others may have depositary receipts there, each
for several shares or a part of one, which Yahoo does not say."""
DAYS_TO_PRICE = 7
"""A price counts for a day this long after it."""
DAYS_OF_GAP = 90
"""Days without a price after which a ticker may be another company's."""

LADDERS: tuple[ItemLadder, ...] = (
    ItemLadder("total_assets", field_rules("TotalAssets")),
    ItemLadder("current_assets", field_rules("CurrentAssets")),
    ItemLadder("cash", field_rules("CashAndCashEquivalents", "CashCashEquivalentsAndShortTermInvestments")),
    ItemLadder("receivables", field_rules("AccountsReceivable", "Receivables")),
    ItemLadder("inventory", field_rules("Inventory")),
    ItemLadder("current_liabilities", field_rules("CurrentLiabilities")),
    ItemLadder("long_term_debt", field_rules("LongTermDebt", "LongTermDebtAndCapitalLeaseObligation")),
    ItemLadder(
        "total_liabilities",
        (
            *field_rules("TotalLiabilitiesNetMinorityInterest"),
            difference_rule("TotalAssets", "TotalEquityGrossMinorityInterest"),
        ),
    ),
    ItemLadder("retained_earnings", field_rules("RetainedEarnings")),
    ItemLadder("revenue", field_rules("TotalRevenue", "OperatingRevenue")),
    ItemLadder("cost_of_goods_sold", field_rules("CostOfRevenue"), expense=True),
    ItemLadder("gross_profit", field_rules("GrossProfit")),
    ItemLadder(
        "depreciation_amortization",
        field_rules("DepreciationAndAmortization", "DepreciationAmortizationDepletion", "ReconciledDepreciation"),
        expense=True,
    ),
    ItemLadder("ebit", (*field_rules("OperatingIncome", "EBIT"), sum_rule("PretaxIncome", "InterestExpense"))),
    ItemLadder("interest_expense", field_rules("InterestExpense", "InterestExpenseNonOperating"), expense=True),
    ItemLadder("net_income", field_rules("NetIncome", "NetIncomeCommonStockholders")),
    ItemLadder("operating_cash_flow", field_rules("OperatingCashFlow", "CashFlowFromContinuingOperatingActivities")),
)
"""See `quiebra.sources.item_ladders`."""
ASKED_FIELDS = sorted({*fields_of(LADDERS), *SHARES})
SOURCE = MarketSource(
    "yahoo",
    "Companies by ticker, Yahoo Finance",
    "Annual accounts by ticker as Yahoo Finance has them today (four or five years), restated, and without the day of their "
    "publication: they are taken as public some time after the end of the fiscal year. Market value is the shares of the "
    "accounts times the price at the end of the fiscal year, before later splits. Yahoo has next to nothing of companies that "
    "left the exchange; failures are those of ingest.yahoo.failures.",
    (CHART, ACCOUNTS, PROFILE),
    lambda body: not _has_prices(body),
    LADDERS,
)
PRICE_SCHEMA: dict[str, Any] = {"company_id": pl.String, "day": pl.Date, "close": pl.Float64, "price_currency": pl.String}
"""close: as Yahoo gives it, divided by all splits since."""
SPLIT_SCHEMA: dict[str, Any] = {"company_id": pl.String, "split_day": pl.Date, "factor": pl.Float64}
"""factor: shares after the split for one before it; below one where shares are put together."""


def _has_prices(body: bytes) -> bool:
    results = ((parse_object(body) or {}).get("chart") or {}).get("result") or [{}]
    return bool(results[0].get("timestamp"))


def load(folder: Path, options: Yahoo, failures: Path | None) -> Source:
    """Return the tables of the companies that params name, from what was fetched; the network is not asked.

    failures: the user's file of failures. SourceError where nothing was fetched, or an answer is damaged.
    """
    store, given = RawStore(folder), GivenAmounts()
    read = [_read_company(store, symbol, given) for symbol in options.symbols]
    accounts = given.table(ASKED_FIELDS)
    prices = pl.concat([pl.DataFrame(schema=PRICE_SCHEMA), *(each.prices for each in read)])
    splits = pl.DataFrame([row for each in read for row in each.splits], schema=SPLIT_SCHEMA, orient="row")
    sound, prices = _after_gaps(accounts, prices)
    companies = pl.DataFrame([each.about for each in read], schema=COMPANY_SCHEMA)
    valued = _with_market_value(sound, prices, splits, companies, options.filing_lag_days)
    notes = [*given.notes(), *_notes(valued, accounts.height - sound.height)]
    return build_source(SOURCE, MarketTables(valued, companies, notes), store, options, failures)


@dataclass(frozen=True)
class _Company:
    """What Yahoo says of a company beside its accounts: rows of `PRICE_SCHEMA`, `SPLIT_SCHEMA` and `COMPANY_SCHEMA`."""

    prices: pl.DataFrame
    splits: list[tuple[Any, ...]]
    about: dict[str, str | None]


def _read_company(store: RawStore, symbol: str, given: GivenAmounts) -> _Company:
    """Return what Yahoo says of a company. given: gets its accounts."""
    prices: tuple[pl.DataFrame, list[tuple[Any, ...]], str | None] = (pl.DataFrame(schema=PRICE_SCHEMA), [], None)
    about: dict[str, str | None] = {}
    for name, key in ((CHART, "chart"), (ACCOUNTS, "timeseries"), (PROFILE, "quoteSummary")):
        answer = company_answer(symbol, name)
        if answer not in store.names(answer):
            continue
        path = store.path(answer)
        try:
            results = _results(store.read(answer), key)
            if name == CHART:
                prices = _read_chart(symbol, results, path)
            elif name == ACCOUNTS:
                _read_accounts(symbol, results, path, given)
            else:
                about = _read_profile(results)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, pl.exceptions.PolarsError):
            raise SourceError("{path} is no answer of Yahoo: delete it, and fetch it again", path=path) from None
    closes, splits, long_name = prices
    return _Company(closes, splits, {"company_id": symbol, "name": long_name or symbol, **about})


def _results(body: bytes, key: str) -> list[dict[str, Any]]:
    """Return the results of an answer, none where they are null. ValueError, KeyError or TypeError where it is no such answer."""
    found: list[dict[str, Any]] = (parse_object(body) or {})[key]["result"] or []
    return found


def _read_chart(symbol: str, results: list[dict[str, Any]], path: Path) -> tuple[pl.DataFrame, list[tuple[Any, ...]], str | None]:
    """Return prices, splits and the company's name. Days are those of the exchange; days without a price are left out."""
    if not results:
        return pl.DataFrame(schema=PRICE_SCHEMA), [], None
    (chart,) = results
    meta = chart["meta"]
    require_company(meta.get("symbol"), symbol, path)
    if meta.get("dataGranularity", DAILY) != DAILY:
        raise ValueError("the prices are not of days")
    offset = int(meta.get("gmtoffset") or 0)
    closes = chart["indicators"]["quote"][0].get("close") or []
    prices = pl.DataFrame(
        {"company_id": symbol, "day": chart.get("timestamp") or [], "close": closes, "price_currency": meta.get("currency")},
        schema={**PRICE_SCHEMA, "day": pl.Int64},
        strict=False,
    ).with_columns(pl.from_epoch(pl.col("day") + offset).dt.date())
    told = sorted(
        (_day(each["date"] + offset), each["numerator"] / each["denominator"])
        for each in ((chart.get("events") or {}).get("splits") or {}).values()
    )
    splits: list[tuple[Any, ...]] = []
    for day, factor in told:
        if not 0 < factor < math.inf:
            raise ValueError("a split gives no shares")
        if not any(factor == other and (day - before).days <= DAYS_OF_ONE_SPLIT for _, before, other in splits):
            splits.append((symbol, day, factor))
    return prices.filter(pl.col("close") > 0), splits, meta.get("longName") or meta.get("shortName")


def _day(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _read_accounts(symbol: str, results: list[dict[str, Any]], path: Path, given: GivenAmounts) -> None:
    """Add the fields of annual accounts; figures of other than twelve months are left out."""
    for result in results:
        require_company(next(iter(result["meta"].get("symbol") or []), None), symbol, path)
        kind = result["meta"]["type"][0]
        for each in result.get(kind) or []:
            raw = ((each or {}).get("reportedValue") or {}).get("raw")
            field = kind.removeprefix(ANNUAL)
            if raw is not None and each.get("periodType") == "12M" and kind.startswith(ANNUAL) and field in ASKED_FIELDS:
                end = dt.date.fromisoformat(each["asOfDate"])
                given.add(symbol, str(end), each.get("currencyCode"), {field: float(raw)})


def _read_profile(results: list[dict[str, Any]]) -> dict[str, str | None]:
    about = (results[0].get("assetProfile") or {}) if results else {}
    country = about.get("country")
    return {"country": "US" if country == "United States" else country, "sector": about.get("sector")}


def _after_gaps(accounts: pl.DataFrame, prices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return accounts and prices from where a ticker's prices begin anew: before a gap it may have been another company's."""
    ordered = prices.sort("company_id", "day")
    gap = pl.col("day").diff().over("company_id").dt.total_days() > DAYS_OF_GAP
    begun = ordered.filter(gap).group_by("company_id").agg(begun=pl.col("day").max())

    def after(table: pl.DataFrame, day: str) -> pl.DataFrame:
        joined = table.join(begun, on="company_id", how="left", maintain_order="left")
        return joined.filter((pl.col(day) >= pl.col("begun")).fill_null(True)).drop("begun")

    return after(accounts, "period_end"), after(ordered, "day")


def _with_market_value(
    accounts: pl.DataFrame, prices: pl.DataFrame, splits: pl.DataFrame, companies: pl.DataFrame, lag_days: int
) -> pl.DataFrame:
    """Return accounts with market_value (millions), its date and its rule: shares of the accounts times the price at their end.

    Yahoo's prices are divided by all later splits, and shares are as they were, so the price is multiplied by the splits after
    its day. There is no value where the price is in another currency, or may be that of depositary receipts; nor where a split
    came between the end of the year and publication, since the accounts may give shares before or after it.
    """
    priced = accounts.sort("period_end").join_asof(
        prices.with_columns(market_value_date="day").sort("day"),
        left_on="period_end",
        right_on="day",
        by="company_id",
        strategy="backward",
        tolerance=f"{DAYS_TO_PRICE}d",
        check_sortedness=False,
    )
    later = priced.select("company_id", "period_end", "market_value_date").join(splits, on="company_id")
    since = later.filter(pl.col("split_day") > pl.col("market_value_date"))
    public = pl.col("period_end") + pl.duration(days=lag_days)
    by_row = since.group_by("company_id", "period_end").agg(
        factor=pl.col("factor").product(), doubtful=(pl.col("split_day") <= public).any()
    )
    rows = priced.join(by_row, on=["company_id", "period_end"], how="left", maintain_order="left")
    abroad = companies.filter(~pl.col("country").is_in(DIRECTLY_LISTED).fill_null(True))["company_id"].implode()
    receipts = pl.col("company_id").is_in(abroad) & (pl.col("price_currency") == "USD")
    counts = {name: plausible_shares(pl.col(name), "company_id") for name in SHARES}
    shares = pl.coalesce(counts.values())
    named = pl.coalesce(pl.when(count.is_not_null()).then(pl.lit(f"{name} * close")) for name, count in counts.items())
    same_currency = pl.col("price_currency") == pl.col("currency")
    sound = same_currency & ~receipts & ~pl.col("doubtful").fill_null(False) & shares.is_not_null()
    value = shares * pl.col("close") * pl.col("factor").fill_null(1.0) / MILLION
    return rows.select(
        *accounts.columns,
        market_value=pl.when(sound).then(value.round(6)),
        market_value_rule=pl.when(sound).then(named),
        market_value_date=pl.when(sound).then("market_value_date"),
    )


def _notes(accounts: pl.DataFrame, early: int) -> Iterator[LocalisedMessage]:
    if early:
        yield LocalisedMessage(
            "accounts left out, since the ticker had no prices for more than {days} days after them and may have been another "
            "company's: {n}",
            {"n": early, "days": DAYS_OF_GAP},
        )
    if without := accounts["market_value"].null_count():
        yield LocalisedMessage(
            "accounts without a market value (no price, one in another currency or of what may be "
            "depositary receipts, shares that cannot be right, or a split soon after): {n} of {all}",
            {"n": without, "all": accounts.height},
        )
