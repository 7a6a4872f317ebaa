"""Companies of Alpha Vantage against a server that counts, refuses with status 200, and repeats the key."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stamina
from conftest import ROOT, command, default_params, new_workspace
from service_stand_in import Reply, Request, Service, running_service

from quiebra.errors import FetchError, ParamsError, SourceError
from quiebra.panels import build_panel
from quiebra.params import MarketService, validate_params
from quiebra.sources import alpha_vantage, rate_limits, raw_store
from quiebra.sources.http import ATTEMPTS, Client
from quiebra.sources.raw_store import RawStore

pytestmark = pytest.mark.slow
RECORDED = ROOT.parent / "shared" / "data" / "alphavantage"
KEY = "AV0KEY1234567890"
LISTS = {
    "active": "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\nAAA,Alpha Inc,NYSE,Stock,2010-01-01,null,Active\r\n"
    'NEW,"New, Owner",NYSE,Stock,2024-01-01,null,Active\r\n',
    "delisted": "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\nGONE,Gone Corp,NYSE,Stock,2001-01-01,2021-03-02,Delisted\r\n"
    "NEW,Old Owner,NYSE,Stock,2001-01-01,2020-01-02,Delisted\r\n",
}
MILLIONS = 1_000_000


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(alpha_vantage.KEY, KEY)
    monkeypatch.setattr(alpha_vantage, "RATES", ((20, 1.0), (25, 86_400.0)))


def options(*symbols: str, **changes: object) -> MarketService:
    given = {"folder": "data/raw/alpha_vantage", "currency": "USD", "filing_lag_days": 90, "failures": None}
    return MarketService(**{**given, "symbols": list(symbols), **changes})


def accounts(symbol: str, years: range = range(2019, 2023), currency: str = "USD", scale: float = 1.0) -> dict[str, object]:
    """Answers about a company by function, with field names of 2021 and later."""

    def amounts(**values: float) -> dict[str, str]:
        return {name: str(round(value * scale * MILLIONS)) for name, value in values.items()}

    def reports(**values: float) -> dict[str, object]:
        dated = [{"fiscalDateEnding": f"{year}-12-31", "reportedCurrency": currency, **amounts(**values)} for year in years]
        return {"symbol": symbol, "annualReports": dated[::-1], "quarterlyReports": []}

    balance = {"totalAssets": 200, "totalLiabilities": 120, "totalCurrentAssets": 90, "totalCurrentLiabilities": 50}
    income = {"totalRevenue": 150, "grossProfit": 60, "costOfRevenue": 97, "operatingIncome": 20, "netIncome": 9}
    return {
        "BALANCE_SHEET": reports(
            **balance, retainedEarnings=-5, inventory=11, currentNetReceivables=17, longTermDebtNoncurrent=40
        ),
        "INCOME_STATEMENT": reports(**income, interestExpense=6, depreciationAndAmortization=3),
        "CASH_FLOW": reports(operatingCashflow=14, depreciationDepletionAndAmortization=8),
        "OVERVIEW": {
            "Symbol": symbol,
            "Name": f"{symbol} Inc",
            "Country": "USA",
            "Sector": "TRADE & SERVICES",
            "MarketCapitalization": "999000000",
        },
    }


class Vantage:
    """Answers as the service does, with status 200 whatever it says. companies: symbol → accounts. refusal: once ``daily`` requests of
    a day were answered."""

    def __init__(self, companies: dict[str, dict[str, object]], daily: int = 1000) -> None:
        self.companies, self.daily, self.answered = companies, daily, 0

    def __call__(self, request: Request) -> Reply:
        assert request.path == "/query" and request.params["apikey"] == KEY
        self.answered += 1
        if self.answered > self.daily:
            said = f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day."
            return Reply(json.dumps({"Information": said}).encode())
        function = request.params["function"]
        if function == "LISTING_STATUS":
            return Reply(LISTS[request.params["state"]].encode(), headers={"Content-Type": "application/x-download"})
        company = self.companies.get(request.params["symbol"])
        if company is None:
            said = f"Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {function}."
            return Reply(json.dumps({"Error Message": said}).encode())
        return Reply(json.dumps(company.get(function, {})).encode())


def asked_of(service: Service, folder: Path, symbols: list[str], monkeypatch: pytest.MonkeyPatch, **more: object):  # type: ignore[no-untyped-def]
    """Fetch from a running service; return what was said and asked, as symbol and function or the state of a list."""
    monkeypatch.setenv(alpha_vantage.MIRROR, service.address)
    begun, said = len(service.requests), list[str]()
    try:
        with Client(alpha_vantage.service(), RawStore(folder)) as client:
            for line in alpha_vantage.fetch(client, options(*symbols), **{"refresh": False, **more}):
                said.append(line)
    except FetchError as error:
        said.append(f"{type(error).__name__}: {error}")
    params = [request.params for request in service.requests[begun:]]
    return said, [(each.get("symbol"), each.get("state", each["function"])) for each in params]


def fetched(
    folder: Path, answer: Callable[[Request], Reply], symbols: list[str], monkeypatch: pytest.MonkeyPatch, **more: object
):  # type: ignore[no-untyped-def]
    with running_service(answer) as service:
        return asked_of(service, folder, symbols, monkeypatch, **more)


def everything_in(*folders: Path) -> str:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return "".join(
        (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode(errors="replace")
        for path in files
    )


COMPANIES = {symbol: accounts(symbol) for symbol in ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH")}


def test_accounts_become_rows_with_their_lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, _ = fetched(tmp_path / "av", Vantage(COMPANIES), ["AAA"], monkeypatch)
    assert said == ["AAA: 4 answers", "1 of 1 companies are complete."]
    panel = build_panel(alpha_vantage.load(tmp_path / "av", options("AAA"), None))
    row = panel.statements.row(-1, named=True)
    assert (row["fiscal_year"], row["period_end"], row["available_at"]) == (2022, dt.date(2022, 12, 31), dt.date(2023, 3, 31))
    expected = {
        "total_assets": 200, "total_liabilities": 120, "current_assets": 90, "current_liabilities": 50, "retained_earnings": -5,
        "inventory": 11, "receivables": 17, "long_term_debt": 40, "revenue": 150, "gross_profit": 60, "cost_of_goods_sold": 90,
        "depreciation_amortization": 8, "ebit": 20, "ebitda": 28, "operating_expenses": 122, "interest_expense": 6, "net_income": 9,
        "operating_cash_flow": 14, "market_value": None, "cash": None,
    }  # fmt: skip
    assert {item: row[item] for item in expected} == expected, "today's market value is not put on past accounts"
    assert panel.companies.row(0) == ("AAA", "AAA Inc", "US", None, "Trade & Services")
    rules = dict(panel.lineage.filter(pl.col("fiscal_year") == 2022).select("item", "rule").iter_rows())
    assert rules["depreciation_amortization"] == "CASH_FLOW.depreciationDepletionAndAmortization"
    assert rules["cost_of_goods_sold"] == "revenue - gross_profit" and rules["ebitda"] == "ebit + depreciation_amortization"
    assert panel.info.assumed_lag_days == 90 and panel.quarantined.is_empty()


def test_field_names_of_2020_are_read_and_none_is_missing(tmp_path: Path) -> None:
    head = {"fiscalDateEnding": "2020-03-31", "reportedCurrency": "USD"}
    answers = {
        "BALANCE_SHEET": {**head, "totalAssets": "5000000", "totalShareholderEquity": "2000000", "cash": "700000", "netReceivables": "300000",
                          "longTermDebt": "900000", "inventory": "None", "retainedEarningsTotalEquity": "-100000"},
        "INCOME_STATEMENT": {**head, "totalRevenue": "4000000", "totalOperatingExpense": "3900000", "costOfRevenue": "-3000000", "ebit": "250000",
                             "operatingIncome": "None", "interestExpense": "None", "netIncome": "-50000"},
        "CASH_FLOW": {**head, "operatingCashflow": "80000", "depreciation": "120000"},
    }  # fmt: skip
    store = RawStore(tmp_path)
    for function, report in answers.items():
        store.keep(f"companies/OLD/{function}.json", json.dumps({"symbol": "OLD", "annualReports": [report]}).encode(), "x")
    row = alpha_vantage.load(tmp_path, options("OLD"), None).statements.row(0, named=True)
    assert (row["fiscal_year"], row["total_liabilities"], row["cash"], row["receivables"]) == (2019, 3.0, 0.7, 0.3)
    assert (row["long_term_debt"], row["retained_earnings"], row["ebit"], row["ebitda"]) == (0.9, -0.1, 0.25, 0.37)
    assert (row["cost_of_goods_sold"], row["gross_profit"], row["inventory"], row["interest_expense"]) == (3.0, 1.0, None, None)


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers at {RECORDED}")
def test_recorded_answers_of_2021_give_the_figures_of_the_annual_reports(tmp_path: Path) -> None:
    store = RawStore(tmp_path)
    for path in sorted(RECORDED.glob("*.json")):
        symbol, _, function = path.stem.rpartition("_")[0].partition("_")
        store.keep(f"companies/{symbol}/{function}.json", path.read_bytes(), "recorded")
    source = alpha_vantage.load(tmp_path, options("AAPL", "IBM"), None)
    panel = build_panel(source)
    assert panel.statements.height == 10 and panel.quarantined.is_empty()
    items = ("total_assets", "total_liabilities", "retained_earnings", "long_term_debt", "gross_profit", "ebit", "net_income")
    rows = {
        (row["company_id"], row["fiscal_year"]): tuple(row[item] for item in items)
        for row in panel.statements.iter_rows(named=True)
    }
    assert rows["AAPL", 2021] == (351002.0, 287912.0, 5562.0, 109106.0, 152836.0, 108949.0, 94680.0)
    assert rows["IBM", 2020] == (155971.0, 135244.0, 162717.0, 54355.0, 35575.0, 4609.0, 5590.0)
    apple = panel.statements.filter(pl.col("company_id") == "AAPL", pl.col("fiscal_year") == 2021).row(0, named=True)
    assert (apple["operating_cash_flow"], apple["depreciation_amortization"], apple["period_end"]) == (
        104038.0,
        11284.0,
        dt.date(2021, 9, 30),
    )
    assert panel.companies["sector"].to_list() == ["Technology", "Technology"] and set(panel.companies["country"]) == {"US"}
    assert panel.statements["market_value"].null_count() == 10


def test_the_days_requests_run_out_and_the_next_day_goes_on_and_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols, begun = sorted(COMPANIES), time.time_ns()
    with running_service(Vantage(COMPANIES)) as service:
        first, asked = asked_of(service, tmp_path / "av", symbols, monkeypatch)
        assert len(asked) == 25
        assert first[-1].startswith("FetchStoppedError: alpha_vantage: its limit of requests is reached. Ask again after")
        assert first[-1].endswith("5 of 8 companies are complete.")
        again, more = asked_of(service, tmp_path / "av", symbols, monkeypatch)
        assert again[-1] == first[-1] and more == [], "nothing is asked while the day lasts"
        day = dt.timedelta(days=1, minutes=5)
        monkeypatch.setattr(time, "time_ns", lambda: begun + int(day.total_seconds() * 1e9))
        monkeypatch.setattr(rate_limits, "_now", lambda: dt.datetime.now(dt.UTC) + day)
        tomorrow, rest = asked_of(service, tmp_path / "av", symbols, monkeypatch)
    assert tomorrow[-1] == "8 of 8 companies are complete." and tomorrow[0] == "AAA: there already"
    assert len(asked + rest) == len({*asked, *rest}) == 2 + 8 * 4
    source = alpha_vantage.load(tmp_path / "av", options(*symbols), None)
    assert source.statements["company_id"].n_unique() == 8


@pytest.mark.parametrize("status", [200, 403, 404, 429])
@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"Information": f"Your API key {KEY}: 25 requests per day"}, "Your API key …: 25 requests per day"),
        ({"Note": "Thank you! Please subscribe."}, "Thank you! Please subscribe."),
        ({"whatever": "it will say tomorrow"}, "it will say tomorrow"),
    ],
)
def test_an_answer_without_what_was_asked_for_is_a_limit_whatever_its_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
    told: dict[str, str],
    words: str,
) -> None:
    replies = Vantage(COMPANIES)

    def answer(request: Request) -> Reply:
        return Reply(json.dumps(told).encode(), status=status) if request.params.get("symbol") == "BBB" else replies(request)

    with running_service(answer) as service:
        said, asked = asked_of(service, tmp_path / "av", ["AAA", "BBB"], monkeypatch)
        later, none = asked_of(service, tmp_path / "av", ["AAA", "BBB"], monkeypatch)
    assert said[0] == "AAA: 4 answers" and said[-1].startswith(f"FetchStoppedError: alpha_vantage: {words}")
    assert "Ask again after 20" in said[-1] and said[-1].endswith("1 of 2 companies are complete.")
    assert asked[-1] == ("BBB", "BALANCE_SHEET") and not list((tmp_path / "av").rglob("BBB*/*"))
    assert none == [] and later[-1] == said[-1], "it is remembered until when"
    assert KEY not in "".join([*said, *later, *capfd.readouterr(), everything_in(tmp_path)])


def test_a_list_that_answers_json_is_a_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, body in enumerate((b'{"Information": "25 requests per day"}', b"{}")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{number}"))
        said, asked = fetched(tmp_path / "av", lambda _, body=body: Reply(body), ["AAA"], monkeypatch)
        assert said[-1].startswith("FetchStoppedError") and asked == [(None, "active")]
        assert RawStore(tmp_path / "av").names() == []


def test_a_burst_is_waited_for_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    replies, told = Vantage(COMPANIES), [f"{KEY}: please spread out your requests (1 request per second), 25 per day"] * 2

    def answer(request: Request) -> Reply:
        return Reply(json.dumps({"Information": told.pop()}).encode()) if told else replies(request)

    with stamina.set_testing(True, attempts=ATTEMPTS):
        said, _ = fetched(tmp_path / "av", answer, ["AAA"], monkeypatch)
    assert said[-1] == "1 of 1 companies are complete."
    shown = "".join(capfd.readouterr())
    assert "please spread out" in shown and KEY not in shown


BAD = [
    Reply(b"<!doctype html><html>maintenance</html>", headers={"Content-Type": "text/html"}),
    Reply(b"<html>not here</html>", status=404),
    Reply(b'{"symbol": "AAA", "annualReports": [{"fiscal'),
    Reply(b'["annualReports"]'),
    Reply(json.dumps(COMPANIES["AAA"]["BALANCE_SHEET"]).encode(), cut=100),
    Reply(b"{}", status=500),
]


@pytest.mark.parametrize("bad", BAD, ids=["page", "404 page", "half a JSON", "a list", "cut off", "500"])
def test_what_is_no_data_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Reply) -> None:
    replies = Vantage(COMPANIES)
    with stamina.set_testing(True, attempts=2):
        said, _ = fetched(
            tmp_path / "av",
            lambda request: bad if request.params.get("symbol") == "BBB" else replies(request),
            ["AAA", "BBB"],
            monkeypatch,
        )
    assert said[-1].startswith("FetchError: ") and "ry again later. 1 of 2 companies are complete." in said[-1]
    store = RawStore(tmp_path / "av")
    assert "companies/BBB/BALANCE_SHEET.json" not in store and len(store.names()) == 6


def test_companies_without_data_are_noted_told_and_never_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = ["AAA", "GONE", "WRONG"]
    answer = Vantage({"AAA": accounts("AAA"), "GONE": {}})
    said, asked = fetched(tmp_path / "av", answer, symbols, monkeypatch)
    assert said[1] == "GONE: no data, delisted on 2021-03-02"
    assert (
        said[2].startswith("WRONG: refused (Invalid API call.")
        and "the ticker is not known, or QUIEBRA_ALPHA_VANTAGE_KEY is wrong" in said[2]
    )
    assert said[3] == "3 of 3 companies are complete; without data: GONE, WRONG."
    assert [each for each in asked if each[0] in ("GONE", "WRONG")] == [("GONE", "BALANCE_SHEET"), ("WRONG", "BALANCE_SHEET")]
    assert fetched(tmp_path / "av", answer, symbols, monkeypatch)[1] == [], "none is asked for again"
    source = alpha_vantage.load(tmp_path / "av", options(*symbols, "LATER"), None)
    told = [str(note) for note in source.warnings]
    assert source.events.is_empty() and set(source.statements["company_id"]) == {"AAA"}
    assert any("not fetched yet: 1 of 4, such as LATER; `quiebra fetch alpha_vantage` goes on" in note for note in told)
    assert any("no accounts, such as dead tickers: 2 of 4, such as GONE" in note for note in told)
    assert any("no longer listed: 1, such as GONE since 2021-03-02; a delisting is no failure" in note for note in told)


def test_a_refused_ticker_is_noted_only_if_the_key_has_been_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        said, asked = fetched(tmp_path / "av", Vantage({}), ["WRONG"], monkeypatch)
        assert said[0].endswith("it is asked for again next time") and asked[-1] == ("WRONG", "BALANCE_SHEET")


def test_a_refused_key_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"Error Message": f"the parameter apikey is invalid or missing. Your key: {KEY}"}).encode()
    replies = Vantage(COMPANIES)
    said, asked = fetched(
        tmp_path / "av",
        lambda request: Reply(body) if "symbol" in request.params else replies(request),
        ["AAA", "BBB"],
        monkeypatch,
    )
    assert "does not take the key: the parameter apikey is invalid" in said[-1] and KEY not in said[-1]
    assert len(asked) == 3 and len(RawStore(tmp_path / "av").names()) == 2


def test_a_refresh_takes_the_oldest_first_and_goes_on_the_next_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpha_vantage, "RATES", ((1000, 1.0),))
    today = dt.datetime.now(dt.UTC).date()
    symbols = ["CCC", "AAA", "BBB"]
    fetched(tmp_path / "av", Vantage(COMPANIES), symbols, monkeypatch)
    assert fetched(tmp_path / "av", Vantage(COMPANIES), symbols, monkeypatch, refresh=True)[1] == [], "it came today"
    later = Vantage({symbol: accounts(symbol, range(2019, 2024)) for symbol in symbols}, daily=7)
    tomorrow = today + dt.timedelta(days=1)
    monkeypatch.setattr(raw_store, "_now", lambda: f"{tomorrow}T06:00:00+00:00")
    said, asked = fetched(tmp_path / "av", later, symbols, monkeypatch, refresh=True, today=tomorrow)
    assert [each[0] for each in asked[2:]] == ["CCC"] * 4 + ["AAA"] * 2, "the one that cannot be answered is the last"
    assert "FetchStoppedError" in said[-1] and said[-1].endswith("1 of 3 companies are complete.")
    source = alpha_vantage.load(tmp_path / "av", options(*symbols), None)
    assert source.statements.filter(pl.col("company_id") == "CCC")["fiscal_year"].max() == 2023
    assert source.statements.filter(pl.col("company_id") == "BBB")["fiscal_year"].max() == 2022


def test_a_ticker_that_is_listed_again_is_not_delisted_and_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {name: body for name, body in accounts("NEW").items() if name != "OVERVIEW"}
    said, _ = fetched(tmp_path / "av", Vantage({"NEW": answers}), ["NEW"], monkeypatch)
    assert said[0] == "NEW: 4 answers"
    source = alpha_vantage.load(tmp_path / "av", options("NEW"), None)
    assert source.companies["name"].to_list() == ["New, Owner"]
    assert source.statements["fiscal_year"].to_list() == [2020, 2021, 2022], "in 2019 the ticker was the old owner's"
    (note,) = source.warnings
    assert "another company had the ticker when they ended, by the list of who was listed: 1" in str(note)


def test_of_two_delistings_the_later_one_is_told(tmp_path: Path) -> None:
    head = "symbol,name,exchange,assetType,ipoDate,delistingDate,status\r\n"
    later, earlier = (
        "AAA,Later,NYSE,Stock,2012-01-01,2023-01-03,Delisted\r\n",
        "AAA,Earlier,NYSE,Stock,1999-01-01,2009-05-01,Delisted\r\n",
    )
    for body in (f"{head}{later}{earlier}", f"{head}{earlier}{later}"):
        keep(tmp_path, {"AAA": accounts("AAA")})
        RawStore(tmp_path).keep("lists/delisted.csv", body.encode(), "x")
        note, *_ = alpha_vantage.load(tmp_path, options("AAA"), None).warnings
        assert str(note).startswith("companies that are no longer listed: 1, such as AAA since 2023-01-03")
    RawStore(tmp_path).keep("lists/delisted.csv", b"one,two\r\n1,2\r\n", "x")
    with pytest.raises(SourceError, match=r"delisted.csv.gz is no answer of Alpha Vantage"):
        alpha_vantage.load(tmp_path, options("AAA"), None)


def keep(folder: Path, companies: dict[str, dict[str, Any]]) -> None:
    for symbol, answers in companies.items():
        for function, content in answers.items():
            RawStore(folder).keep(f"companies/{symbol}/{function}.json", json.dumps(content).encode(), "x")


def with_reports(function: str, change: Callable[[list[dict[str, Any]]], object]) -> dict[str, Any]:
    """Answers about AAA, the latest year first, after a change of one function's annual reports."""
    answers: dict[str, Any] = accounts("AAA")
    change(answers[function]["annualReports"])
    return answers


def shortened(reports: list[dict[str, Any]]) -> None:
    reports[0]["fiscalDateEnding"] = "2022-06-30"


@pytest.mark.parametrize(
    ("function", "change", "aside", "words"),
    [
        ("INCOME_STATEMENT", lambda reports: reports[0].update(reportedCurrency="EUR"), "other_currency", "AAA (EUR, USD)"),
        ("BALANCE_SHEET", lambda reports: reports.append({**reports[0], "totalAssets": "7"}), "no_assets",
         "left out: 1, such as BALANCE_SHEET.totalAssets of AAA on 2022-12-31"),
        ("BALANCE_SHEET", lambda reports: reports[0].update(totalAssets="200000"), "scale_slip", ""),
    ],
    ids=["two currencies", "given twice", "a thousand times off"],
)  # fmt: skip
def test_a_year_that_cannot_be_right_is_set_aside(
    tmp_path: Path, function: str, change: Callable[[list[dict[str, Any]]], object], aside: str, words: str
) -> None:
    keep(tmp_path, {"AAA": with_reports(function, change)})
    source = alpha_vantage.load(tmp_path, options("AAA"), None)
    panel = build_panel(source)
    assert panel.quarantined.select("rule", "fiscal_year").rows() == [(aside, 2022)]
    assert panel.statements["fiscal_year"].to_list() == [2019, 2020, 2021] and words in " ".join(map(str, source.warnings))


def test_a_part_of_a_year_is_no_year(tmp_path: Path) -> None:
    answers = accounts("AAA")
    for function in alpha_vantage.STATEMENTS:
        shortened(answers[function]["annualReports"])
    keep(tmp_path, {"AAA": answers})
    panel = build_panel(alpha_vantage.load(tmp_path, options("AAA"), None))
    assert panel.quarantined.select("rule", "period_end").rows() == [("not_a_year", dt.date(2022, 6, 30))]


def test_a_year_that_has_not_ended_is_left_out_and_a_currency_that_is_not_said_is_told(tmp_path: Path) -> None:
    def ahead(reports: list[dict[str, Any]]) -> None:
        reports[0]["fiscalDateEnding"] = f"{dt.datetime.now(dt.UTC).year + 1}-12-31"
        reports[1]["inventory"] = "-0"

    answers = with_reports("BALANCE_SHEET", ahead)
    for function in alpha_vantage.STATEMENTS:
        del answers[function]["annualReports"][1]["reportedCurrency"]
    keep(tmp_path, {"AAA": answers})
    source = alpha_vantage.load(tmp_path, options("AAA"), None)
    told = " ".join(map(str, source.warnings))
    assert "had not ended when they were fetched, left out: 1" in told
    assert "does not say the currency, taken as USD: 1" in told
    (inventory,) = source.statements.filter(pl.col("fiscal_year") == 2021)["inventory"]
    assert str(inventory) == "0.0", "a zero has no sign"
    assert source.statements["fiscal_year"].max() == 2022


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("BALANCE_SHEET", b'{"symbol": "BBB", "annualReports": []}', "is about BBB: name that ticker in place of AAA"),
        ("OVERVIEW", b'{"Symbol": "BBB"}', "is about BBB: name that ticker in place of AAA"),
        ("CASH_FLOW", b'{"annualReports": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is no answer of Alpha Vantage"),
        ("CASH_FLOW", b'{"symbol": "\\ud800", "annualReports": []}', "is no answer of Alpha Vantage"),
    ],
    ids=["another company", "another overview", "deep", "half a character"],
)
def test_answers_about_another_company_or_none_are_named(tmp_path: Path, name: str, body: bytes, words: str) -> None:
    keep(tmp_path, {"AAA": accounts("AAA")})
    RawStore(tmp_path).keep(f"companies/AAA/{name}.json", body, "x")
    with pytest.raises(SourceError, match=f"{name}.json.gz {words}"):
        alpha_vantage.load(tmp_path, options("AAA"), None)


def test_another_currency_is_set_aside_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    companies = {"AAA": accounts("AAA"), "YEN": accounts("YEN", currency="JPY"), "NIL": accounts("NIL", currency="None")}
    fetched(tmp_path / "av", Vantage(companies), sorted(companies), monkeypatch)
    source = alpha_vantage.load(tmp_path / "av", options(*companies), None)
    panel = build_panel(source)
    assert set(panel.statements["company_id"]) == {"AAA", "NIL"} and set(panel.quarantined["rule"]) == {"other_currency"}
    assert any(
        "another currency than USD, which are set aside: 4, such as those of YEN (JPY)" in str(note) for note in source.warnings
    )
    yen = alpha_vantage.load(tmp_path / "av", options("YEN", currency="JPY"), None)
    assert build_panel(yen).statements.height == 4


def test_failures_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(tmp_path / "av", Vantage(COMPANIES), ["AAA", "BBB"], monkeypatch)
    path = tmp_path / "failures.csv"
    path.write_text("company_id,date,kind\nBBB,2023-09-01,bankruptcy\nXYZ,2020-01-01,bankruptcy\n")
    source = alpha_vantage.load(tmp_path / "av", options("AAA", "BBB"), path)
    assert build_panel(source).events.rows() == [("BBB", dt.date(2023, 9, 1), "bankruptcy", "failures.csv")]
    assert any("failures of companies that have no statements: 1 of 2, such as XYZ" in str(note) for note in source.warnings)
    assert source.info.first_label_year == 2019 and source.info.outcomes_through >= 2023
    assert source.info.sha256 != alpha_vantage.load(tmp_path / "av", options("AAA", "BBB"), None).info.sha256


def test_the_same_files_give_the_same_tables_and_damaged_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        SourceError, match=r"no accounts of the companies of ingest.alpha_vantage.symbols .*`quiebra fetch alpha_vantage`"
    ):
        alpha_vantage.load(tmp_path / "av", options("AAA"), None)
    fetched(tmp_path / "av", Vantage(COMPANIES), ["AAA", "BBB"], monkeypatch)
    one, again = (alpha_vantage.load(tmp_path / "av", options("AAA", "BBB"), None) for _ in range(2))
    assert one.info == again.info
    for name in ("companies", "statements", "events", "lineage"):
        assert getattr(one, name).equals(getattr(again, name)), name
    RawStore(tmp_path / "av").keep("companies/AAA/CASH_FLOW.json", b'{"annualReports": "soon"}', "x")
    with pytest.raises(SourceError, match=r"CASH_FLOW.json.gz is no answer of Alpha Vantage: delete it"):
        alpha_vantage.load(tmp_path / "av", options("AAA", "BBB"), None)


@pytest.mark.parametrize("symbol", ["../X", "aapl", "", "A B", ".A"])
def test_what_is_no_ticker_is_refused(symbol: str) -> None:
    with pytest.raises(ParamsError, match="a ticker has capital letters"):
        validate_params(default_params(ingest={"alpha_vantage": {"symbols": ["AAA", symbol]}}))
    with pytest.raises(ParamsError, match="AAA is named twice"):
        validate_params(default_params(ingest={"alpha_vantage": {"symbols": ["AAA", "AAA"]}}))


FETCHER = """
import sys
from pathlib import Path
from quiebra.params import MarketService
from quiebra.sources import alpha_vantage
from quiebra.sources.http import Client
from quiebra.sources.raw_store import RawStore
alpha_vantage.RATES = ((1000, 1.0),)
options = MarketService(folder="x", symbols=sys.argv[2:], currency="USD", filing_lag_days=90, failures=None)
with Client(alpha_vantage.service(), RawStore(Path(sys.argv[1]))) as client:
    print(*alpha_vantage.fetch(client, options, refresh=False), sep="\\n")
"""


def test_kills_in_the_middle_leave_nothing_half_kept_and_ask_nothing_twice(tmp_path: Path) -> None:
    replies, symbols, folder = Vantage(COMPANIES), sorted(COMPANIES), tmp_path / "av"

    def answer(request: Request) -> Reply:
        time.sleep(0.05)
        return replies(request)

    with running_service(answer) as service:
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), alpha_vantage.MIRROR: service.address}
        words = [sys.executable, "-c", FETCHER, str(folder), *symbols]
        for _ in range(12):
            process, begun = subprocess.Popen(words, env=env), len(service.requests)
            while process.poll() is None and len(service.requests) < begun + 4:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kept = RawStore(folder).names()
            assert all(RawStore(folder).read(name) for name in kept)
            if len(kept) >= 25:
                break
        kept, asked = set(RawStore(folder).names()), len(service.requests)
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=True)
        named = {
            f"companies/{r.params['symbol']}/{r.params['function']}.json"
            for r in service.requests[asked:]
            if "symbol" in r.params
        }
        assert not named & kept, "what was kept was asked for again"
    assert done.stdout.splitlines()[-1] == "8 of 8 companies are complete."
    assert len(RawStore(folder).names()) == 34 and not list(folder.rglob("*.partial*"))


def test_a_workspace_fetches_and_reads(tmp_path: Path) -> None:
    companies = {symbol: accounts(symbol, scale=1 + place / 10) for place, symbol in enumerate(("AAA", "GONE"))}
    workspace = new_workspace(
        tmp_path / "w",
        {
            "ingest": {
                "source": "alpha_vantage",
                "alpha_vantage": {"symbols": [*companies, "ZZZ"], "failures": "data/raw/failed.csv"},
            }
        },
    )
    (workspace / "data/raw/failed.csv").write_text("company_id,date\nGONE,2023-06-01\n")
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), alpha_vantage.KEY: KEY}
    refused = command(workspace, "quiebra", "run", "ingest")
    assert refused.returncode == 1 and "`quiebra fetch alpha_vantage` gets them" in refused.stderr
    assert "0 of 3 companies" in command(workspace, "quiebra", "doctor").stdout
    with running_service(Vantage(companies, daily=6)) as service:
        done = command(workspace, "quiebra", "fetch", "alpha_vantage", **env, **{alpha_vantage.MIRROR: service.address})
    assert done.returncode == 1 and "AAA: 4 answers" in done.stdout
    assert "25 requests per day" in done.stderr and "1 of 3 companies are complete" in done.stderr
    with running_service(Vantage(companies)) as service:
        done = command(workspace, "quiebra", "fetch", "alpha_vantage", **env, **{alpha_vantage.MIRROR: service.address})
    assert done.returncode == 0 and "3 of 3 companies are complete; without data: ZZZ." in done.stdout, done.stderr
    assert "2 of 3" not in command(workspace, "quiebra", "doctor").stdout
    ran = command(workspace, "dvc", "repro", "ingest", **{alpha_vantage.MIRROR: "http://127.0.0.1:9"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    panel = pl.read_parquet(workspace / "data/panel/statements.parquet")
    assert panel.height == 8 and set(panel["source"]) == {"alpha_vantage"}
    assert pl.read_parquet(workspace / "data/panel/events.parquet")["company_id"].to_list() == ["GONE"]
    listed = json.loads((workspace / "data/inputs/ingest.json").read_text())["files"]
    assert {"data/raw/failed.csv", "data/raw/alpha_vantage/answers.jsonl"} <= set(listed)
    assert "data/raw/alpha_vantage/companies/AAA/BALANCE_SHEET.json.gz" in listed
    assert KEY not in everything_in(workspace / "data", tmp_path / "cache") + done.stdout + done.stderr
