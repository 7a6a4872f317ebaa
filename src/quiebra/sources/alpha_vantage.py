"""Companies of Alpha Vantage by ticker: annual accounts, sector and country, and the lists of who is and was listed.

The free plan has 25 requests a day: a fetch takes several days, and goes on where the day before ended. That a limit is reached
is told by an answer without what was asked for, in words that change: they settle nothing but how long to wait.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from quiebra.canonical import COMPANY_SCHEMA, Source
from quiebra.environment import redact_secrets
from quiebra.errors import FetchError, LocalisedMessage, RefusedError, SourceError
from quiebra.params import MarketService
from quiebra.sources.company_queue import CompanyQueue
from quiebra.sources.given_amounts import GivenAmounts
from quiebra.sources.item_ladders import ItemLadder, ItemRule, difference_rule, field_rules, fields_of
from quiebra.sources.market_services import (
    COMPANIES,
    LISTS,
    MarketSource,
    MarketTables,
    build_source,
    company_answer,
    parse_object,
    require_company,
)
from quiebra.sources.raw_store import RawStore

if TYPE_CHECKING:  # a run reads, and needs no client
    from quiebra.sources.http import Answer, Client, Service
    from quiebra.sources.rate_limits import RateLimit

SITE, MIRROR = "https://www.alphavantage.co", "QUIEBRA_ALPHA_VANTAGE_MIRROR"
QUERY = "/query"
KEY = "QUIEBRA_ALPHA_VANTAGE_KEY"
RATES = ((1, 1.5), (25, 86_400.0))
"""Of the free plan: one a second, and 25 a day."""
BURST_SECONDS, DAY_SECONDS = 15.0, 12 * 3600.0
"""To wait where the service says that it is asked too fast, or refuses otherwise: when its day begins is not known."""
BALANCE, INCOME, CASH_FLOW, OVERVIEW = "BALANCE_SHEET", "INCOME_STATEMENT", "CASH_FLOW", "OVERVIEW"
STATEMENTS = (BALANCE, INCOME, CASH_FLOW)
FUNCTIONS = (*STATEMENTS, OVERVIEW)
"""What is asked for of a company, in this order: where there is no balance sheet nothing else is asked for."""
EXPECTED = {**dict.fromkeys(STATEMENTS, "annualReports"), OVERVIEW: "Symbol"}
"""What an answer must have."""
LISTING = "LISTING_STATUS"
STATES = ("active", "delisted")
MISSING = ("", "-", "none", "null")


def _fields(function: str, *names: str) -> tuple[ItemRule, ...]:
    return field_rules(*(f"{function}.{name}" for name in names))


def _balance(*names: str) -> tuple[ItemRule, ...]:
    return _fields(BALANCE, *names)


def _income(*names: str) -> tuple[ItemRule, ...]:
    return _fields(INCOME, *names)


def _pre_tax_with_interest() -> ItemRule:
    fields = (f"{INCOME}.incomeBeforeTax", f"{INCOME}.interestExpense")
    return ItemRule(" + ".join(fields), fields, pl.col(fields[0]) + pl.col(fields[1]).abs())


def _cost_without_gross_profit() -> tuple[ItemRule, ...]:
    """Where gross profit is given the cost follows from it: the fields of the cost hold other expenses in some years."""
    gross = f"{INCOME}.grossProfit"
    costs = (f"{INCOME}.costOfRevenue", f"{INCOME}.costofGoodsAndServicesSold")
    return tuple(ItemRule(cost, (cost, gross), pl.when(pl.col(gross).is_null()).then(pl.col(cost))) for cost in costs)


LADDERS: tuple[ItemLadder, ...] = (
    ItemLadder("total_assets", _balance("totalAssets")),
    ItemLadder("current_assets", _balance("totalCurrentAssets")),
    ItemLadder("cash", _balance("cashAndCashEquivalentsAtCarryingValue", "cash", "cashAndShortTermInvestments")),
    ItemLadder("receivables", _balance("currentNetReceivables", "netReceivables")),
    ItemLadder("inventory", _balance("inventory")),
    ItemLadder("current_liabilities", _balance("totalCurrentLiabilities")),
    ItemLadder("long_term_debt", _balance("longTermDebtNoncurrent", "longTermDebt")),
    ItemLadder(
        "total_liabilities",
        (
            *_balance("totalLiabilities"),
            difference_rule(f"{BALANCE}.totalAssets", f"{BALANCE}.totalShareholderEquity"),
        ),
    ),
    ItemLadder("retained_earnings", _balance("retainedEarnings", "retainedEarningsTotalEquity")),
    ItemLadder("revenue", _income("totalRevenue")),
    ItemLadder("cost_of_goods_sold", _cost_without_gross_profit(), expense=True),
    ItemLadder("gross_profit", _income("grossProfit")),
    ItemLadder(
        "depreciation_amortization",
        (
            *_fields(CASH_FLOW, "depreciationDepletionAndAmortization", "depreciation"),
            *_income("depreciationAndAmortization", "depreciation"),
        ),
        expense=True,
    ),
    ItemLadder("ebit", (*_income("operatingIncome", "ebit"), _pre_tax_with_interest())),
    ItemLadder("interest_expense", _income("interestExpense", "interestAndDebtExpense"), expense=True),
    ItemLadder("net_income", (*_income("netIncome"), *_fields(CASH_FLOW, "netIncome", "profitLoss"))),
    ItemLadder("operating_cash_flow", _fields(CASH_FLOW, "operatingCashflow")),
)
"""Fields of 2020 (such as ``netReceivables``) and of 2021 on; see `quiebra.sources.item_ladders`."""
SOURCE = MarketSource(
    "alpha_vantage",
    "Companies by ticker, Alpha Vantage",
    "Annual accounts by ticker as Alpha Vantage has them today, restated, and without the day of their publication: they are "
    "taken as public some time after the end of the fiscal year. There is no market value: the service has today's alone, which "
    "says nothing of the past. Failures are those of ingest.alpha_vantage.failures; a delisting is none.",
    tuple(f"{function}.json" for function in FUNCTIONS),
    lambda body: parse_object(body) == {},
    LADDERS,
)


def service() -> Service:
    """Return how the service is asked. FetchError where there is no key."""
    from quiebra.sources.http import Service

    return Service(
        "alpha_vantage",
        RATES,
        key=KEY,
        key_parameter="apikey",
        key_help=" to the one that alphavantage.co gives",
        judge=judge,
    )


def judge(answer: Answer, limit: RateLimit) -> None:
    """Raise FetchError where an answer has not what was asked for: RefusedError where the service says that the request is wrong.

    Whatever else it says is taken for a limit: AskAgain where it speaks of seconds or minutes, FetchStoppedError otherwise.
    """
    from quiebra.sources.http import REFUSED_FOR_NOW, AskAgain

    function = str(answer.params.get("function"))
    if function == LISTING and answer.body.removeprefix(codecs.BOM_UTF8).startswith(b"symbol,"):
        return
    content = parse_object(answer.body)
    if content is None:
        if answer.status in REFUSED_FOR_NOW:
            return
        raise FetchError(f"Alpha Vantage answers {function} with no data ({answer.status}): try again later")
    if function != LISTING and (not content or EXPECTED[function] in content):
        return
    said = redact_secrets(" ".join(map(str, content.values()))) or "it gives no list"
    if "Error Message" in content:
        raise RefusedError(said)
    if any(unit in said.lower() for unit in ("second", "minute")):
        raise AskAgain(f"alpha_vantage: {said}", BURST_SECONDS)
    raise limit.refuse_for(DAY_SECONDS, said)


def fetch(client: Client, options: MarketService, *, refresh: bool, today: dt.date | None = None) -> Iterator[str]:
    """Bring the store up to date, and yield a line about each company; see `CompanyQueue`."""
    from quiebra.sources.http import service_address

    address, store = service_address(SITE, MIRROR) + QUERY, client.store
    queue = CompanyQueue(store, SOURCE, options, today or dt.datetime.now(dt.UTC).date(), refresh)

    def ask(symbol: str, name: str) -> str | None:
        answer = company_answer(symbol, name)
        try:
            client.fetch(answer, address, {"function": name.removesuffix(".json"), "symbol": symbol}, again=True)
        except RefusedError as error:
            return _refused(store, answer, f"{address}?symbol={symbol}", str(error))
        return None

    with queue.telling_progress():
        for state in STATES:
            if not queue.is_fresh(f"{LISTS}{state}.csv"):
                client.fetch(f"{LISTS}{state}.csv", address, {"function": LISTING, "state": state}, again=True)
    listings = read_listings(store)
    for line in queue.fetch(ask):
        until = _last_day(listings.get(line.partition(":")[0]))
        yield f"{line}, delisted on {until}" if until else line


def _refused(store: RawStore, name: str, address: str, said: str) -> str:
    """Return that the service refuses a company, which is noted if the key has been good for others: its words are the same for
    an unknown ticker and a wrong key. FetchError where they name the key."""
    if "apikey" in said.lower().replace(" ", ""):
        raise FetchError(f"Alpha Vantage does not take the key: {said} Set {KEY} to the one that alphavantage.co gives.")
    later = "it is asked for again next time"
    if store.names(COMPANIES):
        store.keep_absent(name, address)
        later = "it is asked for again with --refresh alone"
    return f"refused ({said}): the ticker is not known, or {KEY} is wrong; {later}"


def load(folder: Path, options: MarketService, failures: Path | None) -> Source:
    """Return the tables of the companies that params name, from what was fetched; the network is not asked.

    failures: the user's file of failures. SourceError where nothing was fetched, or an answer is damaged.
    """
    store = RawStore(folder)
    given = _read_fields(store, options.symbols)
    listings = {symbol: told for symbol, told in read_listings(store).items() if symbol in options.symbols}
    fields = given.table(fields_of(LADDERS))
    own = fields.filter(~_of_an_earlier_company(listings))
    warnings = [*given.notes(), *_about_delisted(listings, fields.height - own.height)]
    read = MarketTables(own, _companies(store, options.symbols, listings), warnings)
    return build_source(SOURCE, read, store, options, failures)


@dataclass(frozen=True)
class Listing:
    """A company under a ticker. since, until: first day and day of delisting; None: not said, or still listed."""

    name: str
    since: dt.date | None
    until: dt.date | None

    def follows(self, earlier: Listing) -> bool:
        """Return whether this is another company, which took the ticker after the earlier one had left it."""
        took = self.since and earlier.until and self.since >= earlier.until
        return bool(took) and self.name.casefold() != earlier.name.casefold()


def read_listings(store: RawStore) -> dict[str, list[Listing]]:
    """Return, for each ticker of the lists, the companies that had it, the last one last. SourceError where a list is none."""
    found: dict[str, list[Listing]] = {}
    for state in STATES:
        for row in _listed(store, f"{LISTS}{state}.csv"):
            told = Listing(row.get("name") or "", _day(row.get("ipoDate")), _day(row.get("delistingDate")))
            found.setdefault(row["symbol"], []).append(told)
    return {symbol: sorted(told, key=lambda each: each.until or dt.date.max) for symbol, told in found.items()}


def _last_day(listings: list[Listing] | None) -> dt.date | None:
    """Return the day on which the last company that had a ticker was delisted; None: it is listed, or not known."""
    return listings[-1].until if listings else None


def _day(text: str | None) -> dt.date | None:
    with contextlib.suppress(ValueError):  # what is listed has null
        return dt.date.fromisoformat(text or "")
    return None


def _listed(store: RawStore, name: str) -> list[dict[str, str]]:
    if name not in store.names(LISTS):
        return []
    try:
        rows = list(csv.DictReader(store.read(name).decode("utf-8-sig", errors="replace").splitlines()))
    except csv.Error:
        rows = [{}]
    if any("symbol" not in row for row in rows):
        raise SourceError("{path} is no answer of Alpha Vantage: delete it, and fetch it again", path=store.path(name))
    return rows


def _of_an_earlier_company(listings: dict[str, list[Listing]]) -> pl.Expr:
    """Return whether accounts end before another company had left their ticker."""
    left = {
        symbol: max(days)
        for symbol, (*before, last) in listings.items()
        if (days := [each.until for each in before if each.until and last.follows(each)])
    }
    until = pl.col("company_id").replace_strict(left, default=None, return_dtype=pl.Date)
    return (pl.col("period_end") <= until).fill_null(False)


def _about_delisted(listings: dict[str, list[Listing]], early: int) -> Iterator[LocalisedMessage]:
    if gone := [(symbol, day) for symbol, told in listings.items() if (day := _last_day(told))]:
        yield LocalisedMessage(
            "companies that are no longer listed: {n}, such as {example} since {date}; a delisting is no failure: those are in "
            "the file of ingest.alpha_vantage.failures",
            {"n": len(gone), "example": gone[0][0], "date": str(gone[0][1])},
        )
    if early:
        yield LocalisedMessage(
            "accounts left out, since another company had the ticker when they ended, by the list of who was listed: {n}",
            {"n": early},
        )


def _read_fields(store: RawStore, symbols: list[str]) -> GivenAmounts:
    """Return the fields of annual accounts."""
    given = GivenAmounts()
    for symbol in symbols:
        for function in STATEMENTS:
            for report in _reports(store, symbol, company_answer(symbol, f"{function}.json")):
                known = {key: str(value).strip() for key, value in report.items() if _is_given(value)}
                named = {f"{function}.{key}": amount for key, value in known.items() if (amount := _amount(value)) is not None}
                given.add(symbol, str(report.get("fiscalDateEnding")), known.get("reportedCurrency"), named)
    return given


def _is_given(value: object) -> bool:
    return str(value).strip().lower() not in MISSING


def _amount(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None


def _reports(store: RawStore, symbol: str, name: str) -> list[dict[str, Any]]:
    if name not in store.names(name):
        return []
    content = parse_object(store.read(name))
    reports = [] if content == {} else (content or {}).get("annualReports")
    if content is None or not isinstance(reports, list) or not all(isinstance(each, dict) for each in reports):
        raise SourceError("{path} is no answer of Alpha Vantage: delete it, and fetch it again", path=store.path(name))
    require_company(content.get("symbol"), symbol, store.path(name))
    return reports


def _companies(store: RawStore, symbols: list[str], listings: dict[str, list[Listing]]) -> pl.DataFrame:
    """Return names, countries and sectors; names of the lists where the service has no overview."""
    rows = []
    for symbol in symbols:
        name = company_answer(symbol, f"{OVERVIEW}.json")
        about = parse_object(store.read(name)) or {} if name in store.names(name) else {}
        require_company(about.get("Symbol"), symbol, store.path(name))
        known = {key: str(value) for key, value in about.items() if _is_given(value)}
        listed = listings[symbol][-1].name if symbol in listings else ""
        country = known.get("Country")
        rows.append(
            {
                "company_id": symbol,
                "name": known.get("Name") or listed or symbol,
                "country": "US" if country == "USA" else country,
                "sector": known.get("Sector", "").title() or None,
            }
        )
    return pl.DataFrame(rows, schema=COMPANY_SCHEMA)
