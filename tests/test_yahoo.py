"""Companies of Yahoo: what recorded and written answers say, and the real transport against a proxy that answers in Yahoo's place."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import trustme
from conftest import ROOT, command, new_workspace
from service_stand_in import Reply, Request, Service, running_service

from quiebra.errors import FetchError, SourceError
from quiebra.panels import build_panel
from quiebra.params import Yahoo
from quiebra.sources import yahoo
from quiebra.sources.raw_store import RawStore
from quiebra.sources.yahoo import fetching

pytestmark = pytest.mark.slow
RECORDED = ROOT.parent / "shared" / "data" / "yahoo"
MILLION = 1_000_000
CRUMB = "s0me.Crumb"
FIELDS = {
    "TotalAssets": 200,
    "TotalLiabilitiesNetMinorityInterest": 150,
    "CurrentAssets": 80,
    "CurrentLiabilities": 60,
    "TotalRevenue": 120,
    "GrossProfit": 30,
    "CostOfRevenue": 90,
    "OperatingIncome": -10,
    "ReconciledDepreciation": 4,
    "NetIncome": -15,
    "RetainedEarnings": -70,
    "InterestExpense": 5,
    "OperatingCashFlow": 2,
}


def options(*symbols: str, **changes: object) -> Yahoo:
    given = {"folder": "data/raw/yahoo", "currency": "USD", "filing_lag_days": 90, "failures": None, "accept_terms": True}
    return Yahoo(**{**given, "symbols": list(symbols), **changes})


def seconds(day: str) -> int:
    return int(dt.datetime.fromisoformat(f"{day}T14:30:00+00:00").timestamp())


def chart(
    closes: dict[str, float | None], splits: dict[str, tuple[int, int]] | None = None, currency: str = "USD", weekly: bool = True
) -> bytes:
    """An answer with prices, divided by the later splits as Yahoo's are, and splits: day → shares after and before.

    weekly: a price of 7.0 each Wednesday between the days that are given."""
    if weekly:
        first, last = (dt.date.fromisoformat(day) for day in (min(closes), max(closes)))
        days = (first + dt.timedelta(days=ahead) for ahead in range((last - first).days))
        closes = dict(sorted({**{str(day): 7.0 for day in days if day.weekday() == 2}, **closes}.items()))
    events = {
        str(seconds(day)): {"date": seconds(day), "numerator": after, "denominator": before, "splitRatio": f"{after}:{before}"}
        for day, (after, before) in (splits or {}).items()
    }
    result = {
        "meta": {"currency": currency, "gmtoffset": -18000, "longName": "Distressed Corp", "symbol": "X"},
        "timestamp": [seconds(day) for day in closes],
        "events": {"splits": events},
        "indicators": {"quote": [{"close": list(closes.values())}], "adjclose": [{"adjclose": list(closes.values())}]},
    }
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def accounts(*ends: str, shares: float = 100 * MILLION, currency: str = "USD", months: int = 12) -> bytes:
    values = {**{name: value * MILLION for name, value in FIELDS.items()}, "OrdinarySharesNumber": shares}
    results = [
        {
            "meta": {"symbol": ["X"], "type": [f"annual{name}"]},
            "timestamp": [seconds(end) for end in ends],
            f"annual{name}": [
                {"asOfDate": end, "periodType": f"{months}M", "currencyCode": currency, "reportedValue": {"raw": value}}
                for end in ends
            ],
        }
        for name, value in values.items()
    ]
    nothing = {"meta": {"symbol": ["X"], "type": ["annualInventory"]}}
    return json.dumps({"timeseries": {"result": [*results, nothing], "error": None}}).encode()


PROFILE = json.dumps(
    {"quoteSummary": {"result": [{"assetProfile": {"sector": "Energy", "country": "United States"}}], "error": None}}
).encode()
NOT_FOUND = json.dumps(
    {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}}
).encode()


def of(symbol: str, body: bytes) -> bytes:
    """An answer about X as one about another company."""
    return body.replace(b'"X"', json.dumps(symbol).encode())


def stored(folder: Path, prices: bytes, reports: bytes | None = None, symbol: str = "X") -> None:
    store = RawStore(folder)
    store.keep(f"companies/{symbol}/chart.json", of(symbol, prices), "x")
    if reports is not None:
        store.keep(f"companies/{symbol}/accounts.json", of(symbol, reports), "x")
        store.keep(f"companies/{symbol}/profile.json", PROFILE, "x")


def market_values(folder: Path, **changes: object) -> list[float | None]:
    return yahoo.load(folder, options("X", **changes), None).statements["market_value"].to_list()


def test_accounts_become_rows_with_their_lineage(tmp_path: Path) -> None:
    stored(tmp_path, chart({"2022-12-30": 2.5, "2023-01-03": 9.0}), accounts("2022-12-31"))
    panel = build_panel(yahoo.load(tmp_path, options("X"), None))
    (row,) = panel.statements.iter_rows(named=True)
    expected = {
        "fiscal_year": 2022, "period_end": dt.date(2022, 12, 31), "available_at": dt.date(2023, 3, 31), "total_assets": 200, "ebit": -10,
        "total_liabilities": 150, "gross_profit": 30, "cost_of_goods_sold": 90, "ebitda": -6, "operating_expenses": 126, "inventory": None,
        "operating_cash_flow": 2, "market_value": 250, "market_value_date": dt.date(2022, 12, 30), "source": "yahoo", "currency": "USD",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected, "the price of the last trading day of the year"
    assert panel.companies.row(0) == ("X", "Distressed Corp", "US", None, "Energy")
    rules = dict(panel.lineage.select("item", "rule").iter_rows())
    assert rules["market_value"] == "OrdinarySharesNumber * close" and rules["ebitda"] == "ebit + depreciation_amortization"
    assert panel.quarantined.is_empty() and panel.info.assumed_lag_days == 90


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers at {RECORDED}")
def test_recorded_answers_give_apples_figures(tmp_path: Path) -> None:
    def results(name: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads((RECORDED / name).read_bytes())["timeseries"]["result"]
        return found

    both = [
        *results("fundamentalsTimeSeries_AAPL_financials_annual.json"),
        *results("fundamentalsTimeSeries_AAPL_balance_sheet_annual.json"),
    ]
    store = RawStore(tmp_path)
    store.keep("companies/AAPL/chart.json", (RECORDED / "chart_AAPL_2020-08-31_2020-11-07.json").read_bytes(), "recorded")
    store.keep("companies/AAPL/accounts.json", json.dumps({"timeseries": {"result": both}}).encode(), "recorded")
    store.keep("companies/AAPL/profile.json", (RECORDED / "quoteSummary_all_AAPL.json").read_bytes(), "recorded")
    source = yahoo.load(tmp_path, options("AAPL"), None)
    panel = build_panel(source)
    items = (
        "total_assets",
        "current_assets",
        "total_liabilities",
        "revenue",
        "gross_profit",
        "ebit",
        "net_income",
        "retained_earnings",
    )
    rows = {row["fiscal_year"]: tuple(row[item] for item in items) for row in panel.statements.iter_rows(named=True)}
    assert sorted(rows) == [2022, 2023, 2024]
    assert rows[2022] == (352755.0, 135405.0, 302083.0, 394328.0, 170782.0, 119437.0, 99803.0, -3068.0)
    assert rows[2024] == (364980.0, 152987.0, 308030.0, 391035.0, 180683.0, 123216.0, 93736.0, -19154.0)
    assert panel.companies.row(0) == ("AAPL", "Apple Inc.", "US", None, "Technology")
    assert panel.statements["market_value"].null_count() == 3, "the recorded prices end in 2020"
    assert any("without a market value (no price" in str(note) and "3 of 3" in str(note) for note in source.warnings)


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers at {RECORDED}")
def test_the_recorded_price_and_the_split_of_that_day(tmp_path: Path) -> None:
    recorded = (RECORDED / "chart_AAPL_2020-08-31_2020-11-07.json").read_bytes()
    stored(tmp_path, recorded, accounts("2020-09-26", shares=16_976_763_000), "AAPL")  # a Saturday
    (row,) = yahoo.load(tmp_path, options("AAPL"), None).statements.iter_rows(named=True)
    assert row["market_value_date"] == dt.date(2020, 9, 25)
    assert row["market_value"] == pytest.approx(16_976.763 * 112.28, rel=1e-4), "the split of 31 August came before"


def test_a_reverse_split_of_a_distressed_company_does_not_make_it_large(tmp_path: Path) -> None:
    # 100 million shares at 0.10; later every 50 are put together, then every 20: Yahoo shows the old price times 1000
    splits = {"2023-09-01": (1, 50), "2024-05-02": (1, 20)}
    stored(tmp_path, chart({"2022-12-30": 100.0, "2023-12-29": 60.0, "2024-06-03": 2.0}, splits), accounts("2022-12-31"))
    assert market_values(tmp_path) == [10.0]
    stored(tmp_path, chart({"2022-12-30": 100.0, "2023-12-29": 60.0}, splits), accounts("2023-12-31", shares=2 * MILLION))
    assert market_values(tmp_path) == [6.0], "2 million shares at 3.00: only the split after that day counts"


def test_a_split_of_the_day_is_in_its_price_and_a_forward_split_counts_the_other_way(tmp_path: Path) -> None:
    prices = {"2022-12-30": 5.0, "2023-12-29": 6.0}
    stored(tmp_path, chart(prices, {"2022-12-30": (4, 1)}), accounts("2022-12-31"))
    assert market_values(tmp_path) == [500.0]
    stored(tmp_path, chart(prices, {"2023-12-29": (4, 1)}), accounts("2022-12-31"))
    assert market_values(tmp_path) == [2000.0]


def test_a_split_between_the_end_of_the_year_and_publication_leaves_the_value_out(tmp_path: Path) -> None:
    stored(tmp_path, chart({"2022-12-30": 5.0, "2023-03-01": 6.0}, {"2023-02-01": (1, 10)}), accounts("2022-12-31"))
    assert market_values(tmp_path) == [None] and market_values(tmp_path, filing_lag_days=20) == [50.0]


@pytest.mark.parametrize(
    ("prices", "reports"),
    [
        (chart({"2022-12-20": 5.0}), accounts("2022-12-31")),
        (chart({"2022-12-30": None, "2023-01-03": 5.0}), accounts("2022-12-31")),
        (chart({"2022-12-30": 0.0}), accounts("2022-12-31")),
        (chart({"2022-12-30": 5.0}, currency="GBp"), accounts("2022-12-31")),
        (chart({"2022-12-30": 5.0}), accounts("2022-12-31", shares=100)),
    ],
    ids=["more than a week before", "no price", "zero", "pence", "shares in millions"],
)
def test_a_market_value_that_cannot_be_had_is_missing(tmp_path: Path, prices: bytes, reports: bytes) -> None:
    stored(tmp_path, prices, reports)
    source = yahoo.load(tmp_path, options("X"), None)
    assert source.statements["market_value"].to_list() == [None] and source.statements["market_value_date"].to_list() == [None]
    assert "market_value" not in source.lineage["item"].to_list()


def test_before_a_gap_a_ticker_may_be_another_companys(tmp_path: Path) -> None:
    later = {str(dt.date(2023, 5, 1) + dt.timedelta(days=ahead)): 8.0 for ahead in range(0, 240, 30)}
    prices = {"2021-12-31": 30.0, "2022-01-03": 29.0, **later, "2023-12-29": 9.0}
    stored(tmp_path, chart(prices, weekly=False), accounts("2021-12-31", "2022-12-31", "2023-12-31"))
    source = yahoo.load(tmp_path, options("X"), None)
    assert source.statements.select("fiscal_year", "market_value").rows() == [(2023, 900.0)]
    assert any("may have been another company's: 2" in str(note) for note in source.warnings)


def test_parts_of_a_year_and_other_currencies_are_no_rows_of_the_panel(tmp_path: Path) -> None:
    stored(tmp_path, chart({"2022-12-30": 5.0}), accounts("2022-12-31", months=9), symbol="PART")
    stored(tmp_path, chart({"2022-12-30": 5.0}, currency="EUR"), accounts("2022-12-31", currency="EUR"), symbol="EURO")
    stored(tmp_path, chart({"2022-12-30": 5.0}), accounts("2022-12-31"))
    source = yahoo.load(tmp_path, options("PART", "EURO", "X"), None)
    panel = build_panel(source)
    assert panel.statements["company_id"].to_list() == ["X"]
    assert panel.quarantined.select("company_id", "rule").rows() == [("EURO", "other_currency")]
    assert any(
        "another currency than USD, which are set aside: 1, such as those of EURO (EUR)" in str(note) for note in source.warnings
    )


@pytest.mark.parametrize(("country", "values"), [("United Kingdom", [None]), ("Canada", [500.0]), ("United States", [500.0])])
def test_a_price_in_dollars_of_a_company_from_abroad_may_be_that_of_a_receipt(
    tmp_path: Path, country: str, values: list[float | None]
) -> None:
    stored(tmp_path, chart({"2022-12-30": 5.0}), accounts("2022-12-31"))
    RawStore(tmp_path).keep("companies/X/profile.json", PROFILE.replace(b"United States", country.encode()), "x")
    assert market_values(tmp_path) == values


def test_a_split_that_is_given_again_some_days_later_counts_once(tmp_path: Path) -> None:
    splits = {"2023-11-30": (4, 1), "2023-12-01": (4, 1), "2024-03-01": (4, 1)}
    stored(tmp_path, chart({"2022-12-30": 5.0, "2024-12-30": 5.0}, splits), accounts("2022-12-31"))
    assert market_values(tmp_path) == [500.0 * 4 * 4]


def test_a_count_of_shares_a_thousand_times_off_the_others_is_not_used(tmp_path: Path) -> None:
    stored(tmp_path, chart({"2021-12-31": 5.0, "2022-12-30": 5.0}), accounts("2021-12-31", "2022-12-31"))
    body = RawStore(tmp_path).read("companies/X/accounts.json").replace(b"100000000}", b"100000}", 1)
    RawStore(tmp_path).keep("companies/X/accounts.json", body, "x")
    assert market_values(tmp_path) == [None, 500.0]


def changed(body: bytes, key: str, change: Callable[[Any], object]) -> bytes:
    content = json.loads(body)
    change(content[key]["result"])
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found[0]["indicators"]["quote"][0]["close"].pop(), "is no answer of Yahoo"),
        (lambda found: found[0]["meta"].update(dataGranularity="1wk"), "is no answer of Yahoo"),
        (lambda found: found[0]["meta"].update(longName="half \ud800"), "is no answer of Yahoo"),
        (
            lambda found: found[0]["events"].update(splits={"1": {"date": 1, "numerator": 0, "denominator": 1}}),
            "is no answer of Yahoo",
        ),
        (lambda found: found[0]["meta"].update(symbol="META"), "is about META: name that ticker in place of X"),
    ],
    ids=["prices cut", "weeks", "half a character", "split into none", "another company"],
)
def test_prices_that_are_not_what_was_asked_for_are_named(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    stored(tmp_path, changed(chart({"2022-12-30": 5.0}), "chart", change), accounts("2022-12-31"))
    with pytest.raises(SourceError, match=f"chart.json.gz {words}"):
        yahoo.load(tmp_path, options("X"), None)


def test_fields_in_several_currencies_and_amounts_given_twice_are_not_mixed(tmp_path: Path) -> None:
    def euros(found: list[dict[str, Any]]) -> None:
        found[4]["annualTotalRevenue"][0]["currencyCode"] = "EUR"

    def twice(found: list[dict[str, Any]]) -> None:
        found[4]["annualTotalRevenue"].append({**found[4]["annualTotalRevenue"][0], "reportedValue": {"raw": 1}})

    stored(tmp_path, chart({"2022-12-30": 5.0}), changed(accounts("2022-12-31"), "timeseries", twice))
    stored(tmp_path, chart({"2022-12-30": 5.0}), changed(accounts("2022-12-31"), "timeseries", euros), symbol="EURO")
    source = yahoo.load(tmp_path, options("X", "EURO"), None)
    panel = build_panel(source)
    assert panel.statements.select("company_id", "total_assets", "net_income").rows() == [("X", 200.0, -15.0)]
    assert panel.quarantined.select("company_id", "rule").rows() == [("EURO", "other_currency")]
    assert "TotalRevenue" not in source.lineage.filter(pl.col("company_id") == "X")["rule"].to_list()
    assert any("twice for one day, and differently, left out: 1, such as TotalRevenue of X" in str(n) for n in source.warnings)


def test_dead_tickers_are_told_and_are_no_failures(tmp_path: Path) -> None:
    stored(tmp_path, chart({"2022-12-30": 5.0}), accounts("2022-12-31"))
    store = RawStore(tmp_path)
    store.keep_absent("companies/DEAD/chart.json", "x")
    store.keep("companies/NULL/chart.json", NOT_FOUND, "x")
    empty = {"meta": {"currency": None}, "indicators": {"quote": [{}]}}
    store.keep("companies/EMPTY/chart.json", json.dumps({"chart": {"result": [empty]}}).encode(), "x")
    failed = tmp_path / "failed.csv"
    failed.write_text("company_id,date\nX,2023-08-01\n")
    source = yahoo.load(tmp_path, options("X", "DEAD", "NULL", "EMPTY", "LATER"), failed)
    told = [str(note) for note in source.warnings]
    assert any("no accounts, such as dead tickers: 3 of 5, such as DEAD" in note for note in told)
    assert any("not fetched yet: 1 of 5, such as LATER; `quiebra fetch yahoo` goes on" in note for note in told)
    assert source.events.select("company_id", "event_date").rows() == [("X", dt.date(2023, 8, 1))]


def test_the_same_files_give_the_same_tables_and_damaged_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="`quiebra fetch yahoo` gets them"):
        yahoo.load(tmp_path, options("X"), None)
    stored(tmp_path, chart({"2022-12-30": 5.0}), accounts("2022-12-31"))
    one, again = (yahoo.load(tmp_path, options("X"), None) for _ in range(2))
    assert one.info == again.info and one.statements.equals(again.statements) and one.lineage.equals(again.lineage)
    for body in (b"<html>", b"{}", b'{"timeseries": {"result": [{"meta": {}}]}}'):
        RawStore(tmp_path).keep("companies/X/accounts.json", body, "x")
        with pytest.raises(SourceError, match=r"accounts.json.gz is no answer of Yahoo: delete it"):
            yahoo.load(tmp_path, options("X"), None)


def test_it_is_off_until_the_terms_are_accepted_and_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match=r"personal use only.*set ingest\.yahoo\.accept_terms: true"):
        fetching.service(options("X", accept_terms=False))
    monkeypatch.setitem(sys.modules, "yfinance.data", None)
    with pytest.raises(FetchError, match=r"not installed: pip install 'quiebra\[yahoo\]'"):
        fetching.service(options("X"))


def test_its_library_is_imported_for_a_fetch_alone() -> None:
    code = (
        "import sys, quiebra.cli.app, quiebra.doctor, quiebra.sources, quiebra.sources.yahoo.fetching\n"
        "print([name for name in ('yfinance', 'curl_cffi') if name in sys.modules])"
    )
    assert command(ROOT, sys.executable, "-c", code).stdout.strip() == "[]"


class Finance:
    """Answers as Yahoo's hosts do: a cookie, a crumb, and data of the companies that it has."""

    def __init__(self, *symbols: str, crumb: Reply | None = None, data: Reply | None = None) -> None:
        self.symbols, self.crumb, self.data = symbols, crumb or Reply(CRUMB.encode()), data

    def __call__(self, request: Request) -> Reply:
        host, path = request.headers["Host"], request.path
        if host == "fc.yahoo.com":
            return Reply(
                b"", status=404, headers={"Set-Cookie": "A3=c00kie; Domain=.yahoo.com; Path=/; Max-Age=31557600; Secure"}
            )
        if not host.startswith("query"):
            return Reply(b"<html>consent</html>", headers={"Content-Type": "text/html"})
        if path.endswith("/getcrumb"):
            return self.crumb
        if self.data is not None:
            return self.data
        if path.rpartition("/")[2] not in self.symbols:
            return Reply(NOT_FOUND, status=404, headers={"Content-Type": "application/json"})
        if "/chart/" in path:
            assert request.params["events"] == "div,splits" and request.params["interval"] == "1d"
            return Reply(of(path.rpartition("/")[2], chart({"2022-12-30": 2.5})))
        if "/timeseries/" in path:
            assert "annualTotalAssets" in request.params["type"].split(",")
            return Reply(of(path.rpartition("/")[2], accounts("2022-12-31")))
        assert request.params["crumb"] == CRUMB and request.params["modules"] == "assetProfile"
        return Reply(PROFILE)


FETCHER = """
from quiebra.cli.app import app
from quiebra.sources.yahoo import fetching
from quiebra.terminal import run_cli
fetching.RATES = ((1000, 1.0),)
run_cli(lambda: app(["fetch", "yahoo"], prog_name="quiebra"))
"""


@pytest.fixture
def workspace_of_yahoo(tmp_path: Path) -> Path:
    return new_workspace(
        tmp_path / "w", {"ingest": {"source": "yahoo", "yahoo": {"symbols": ["AAA", "DEAD", "BBB"], "accept_terms": True}}}
    )


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[ssl.SSLContext]:
    """A certificate for Yahoo's hosts, of an authority whose file is authority.pem."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("*.finance.yahoo.com", "*.yahoo.com").configure_cert(context)
    return context


def through(service: Service, tmp_path: Path) -> dict[str, str]:
    return {
        "HTTPS_PROXY": service.address,
        "https_proxy": service.address,
        "NO_PROXY": "",
        "no_proxy": "",
        **dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), str(tmp_path / "authority.pem")),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def fetched(service: Service, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return command(tmp_path / "w", sys.executable, "-c", FETCHER, **through(service, tmp_path))


def data_asked(service: Service) -> list[str]:
    return [
        request.path
        for request in service.requests
        if request.headers["Host"].startswith("query") and "getcrumb" not in request.path
    ]


def test_a_workspace_fetches_as_a_browser_does_and_reads(
    workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    assert "0 of 3 companies" in command(workspace_of_yahoo, "quiebra", "doctor").stdout
    with running_service(Finance("AAA", "BBB"), certificate) as service:
        done = fetched(service, tmp_path)
        assert done.returncode == 0, done.stderr
        assert [*done.stdout.splitlines()[:4]] == [
            "AAA: 3 answers",
            "DEAD: no data",
            "BBB: 3 answers",
            "3 of 3 companies are complete; without data: DEAD.",
        ]
        assert "Chrome" in {name.lower(): value for name, value in service.requests[0].headers.items()}["user-agent"]
        asked = data_asked(service)
        assert asked.count("/v8/finance/chart/AAA") == 1 and not [
            path for path in asked if "DEAD" in path and "chart" not in path
        ]
        again = fetched(service, tmp_path)
        assert again.returncode == 0 and "AAA: there already" in again.stdout and data_asked(service) == asked
    store = RawStore(workspace_of_yahoo / "data/raw/yahoo")
    assert store.read("companies/AAA/accounts.json") == of("AAA", accounts("2022-12-31")), "the body as it came"
    assert store.names("companies/DEAD/") == [] and "companies/DEAD/chart.json" in store
    assert CRUMB not in store.list_of_answers.read_text() and "period1=" in store.list_of_answers.read_text()
    ran = command(workspace_of_yahoo, "dvc", "repro", "ingest", HTTPS_PROXY="http://127.0.0.1:9")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    statements = pl.read_parquet(workspace_of_yahoo / "data/panel/statements.parquet")
    assert statements.select("company_id", "market_value").rows() == [("AAA", 250.0), ("BBB", 250.0)]
    assert "data/raw/yahoo/companies/AAA/chart.json.gz" in (workspace_of_yahoo / "data/inputs/ingest.json").read_text()


@pytest.mark.parametrize(
    ("crumb", "data", "words"),
    [
        (Reply(b"Too Many Requests"), None, "yahoo: it answers Too Many Requests. Ask again after 20"),
        (Reply(b"Too Many Requests\r\n", status=429), None, "yahoo: it answers Too Many Requests. Ask again after 20"),
        (None, Reply(b"Edge: Too Many Requests", status=429), "yahoo: it answers Too Many Requests. Ask again after 20"),
        (Reply(b"<html>who are you?</html>"), None, "Yahoo gives no session (200)"),
        (
            None,
            Reply(b"<!doctype html><html>oops</html>", headers={"Content-Type": "text/html"}),
            "Yahoo answers with no data (200)",
        ),
        (None, Reply(b"<html>gone</html>", status=404), "Yahoo answers with no data (404)"),
        (None, Reply(chart({"2022-12-30": 2.5})[:200]), "Yahoo answers with no data (200)"),
        (None, Reply(b'{"finance": {"result": null, "error": {"code": "Unauthorized"}}}', status=401), "answers 401"),
        (None, Reply(b'{"chart": {"result": null, "error": {"code": "Unauthorized"}}}'), "Yahoo answers with no data (200)"),
        (None, Reply(b'{"chart": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "Yahoo answers with no data (200)"),
    ],
    ids=[
        "crumb says so",
        "crumb refused",
        "data refused",
        "crumb is a page",
        "page",
        "404 page",
        "half a JSON",
        "unauthorized",
        "crumb has expired",
        "deep",
    ],
)
def test_refusals_are_told_and_nothing_of_them_is_kept(
    workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path, crumb: Reply | None, data: Reply | None, words: str
) -> None:
    with running_service(Finance("AAA", crumb=crumb, data=data), certificate) as service:
        done = fetched(service, tmp_path)
        asked = len(service.requests)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert RawStore(workspace_of_yahoo / "data/raw/yahoo").names() == []
        assert not (workspace_of_yahoo / "data/raw/yahoo/answers.jsonl").exists()
        if "Ask again" in words:
            assert "0 of 3 companies are complete" in done.stderr
            again = fetched(service, tmp_path)
            assert words in again.stderr and len(service.requests) == asked, "it is remembered until when"


def test_a_ticker_without_a_price_in_those_years_does_not_stop_the_others(
    workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    finance = Finance("AAA", "BBB")
    said = {"code": "Bad Request", "description": "Data doesn't exist for startDate = 946684800, endDate = 1764288000"}
    body = json.dumps({"chart": {"result": None, "error": said}}).encode()
    with running_service(
        lambda request: Reply(body, status=400) if "/chart/DEAD" in request.path else finance(request), certificate
    ) as service:
        done = fetched(service, tmp_path)
    assert done.returncode == 0 and "3 of 3 companies are complete; without data: DEAD." in done.stdout, done.stderr


def test_a_body_that_is_cut_off_is_asked_for_again(workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path) -> None:
    finance, cut = Finance("AAA", "BBB"), [True]

    def answer(request: Request) -> Reply:
        if "/chart/AAA" in request.path and cut:
            cut.pop()
            return Reply(chart({"2022-12-30": 2.5}), cut=100)
        return finance(request)

    with running_service(answer, certificate) as service:
        done = fetched(service, tmp_path)
    assert done.returncode == 0 and "the connection failed" in done.stderr, done.stderr
    assert RawStore(workspace_of_yahoo / "data/raw/yahoo").read("companies/AAA/chart.json") == of(
        "AAA", chart({"2022-12-30": 2.5})
    )


def test_a_kill_leaves_nothing_half_kept_and_asks_nothing_twice(
    workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    finance, folder = Finance("AAA", "BBB"), workspace_of_yahoo / "data/raw/yahoo"

    def answer(request: Request) -> Reply:
        time.sleep(0.1)
        return finance(request)

    with running_service(answer, certificate) as service:
        words = [sys.executable, "-c", FETCHER]
        process = subprocess.Popen(words, cwd=workspace_of_yahoo, env={**os.environ, **through(service, tmp_path)})
        while process.poll() is None and len(data_asked(service)) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept, begun = RawStore(folder).names(), len(data_asked(service))
        assert kept and all(RawStore(folder).read(name) for name in kept)
        assert fetched(service, tmp_path).returncode == 0
        later = " ".join(data_asked(service)[begun:])
    assert "chart/AAA" not in later and "timeseries/BBB" in later
    assert len(RawStore(folder).names()) == 6 and not list(folder.rglob("*.partial*"))


def test_without_the_terms_the_command_refuses(workspace_of_yahoo: Path, certificate: ssl.SSLContext, tmp_path: Path) -> None:
    params = workspace_of_yahoo / "params.yaml"
    params.write_text(params.read_text().replace("accept_terms: true", "accept_terms: false"))
    with running_service(Finance("AAA"), certificate) as service:
        done = fetched(service, tmp_path)
    assert done.returncode == 1 and "accept_terms: true" in done.stderr and service.requests == []
