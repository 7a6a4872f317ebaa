"""US companies from the SEC's files: rows by accession, versions, lineage, failures, and what a fetch asks for."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import polars as pl
import pytest
from conftest import SMALL, command, new_workspace
from edgar_stand_in import TAG_OF_ITEM, Edgar, Filing, generated
from service_stand_in import Reply, running_service

from quiebra.errors import FetchError, FetchStoppedError, SourceError
from quiebra.panels import build_panel
from quiebra.params import Edgar as Options
from quiebra.params import load_params
from quiebra.sources import edgar
from quiebra.sources.edgar import fetching
from quiebra.sources.http import Client
from quiebra.sources.input_files import ingest_files
from quiebra.sources.raw_store import RawStore
from quiebra.workspace import Workspace

pytestmark = pytest.mark.slow
OPTIONS = Options(
    folder="data/raw/edgar",
    first_year=2009,
    last_year=None,
    forms=["10-K", "10-KT"],
    min_assets=0.0,
    leave_out_sic=["6000-6799"],
    failures=None,
)
TODAY = dt.date(2026, 1, 5)
SMALL_MODEL = {name: SMALL[name] for name in ("train", "validate")}


@pytest.fixture(autouse=True)
def contact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("QUIEBRA_SEC_CONTACT", "Test Person person@example.com")
    monkeypatch.setattr(fetching, "RATES", ((1000, 1.0),))


def fetched(folder: Path, sec: Edgar, monkeypatch: pytest.MonkeyPatch, **options: object) -> tuple[list[str], list[str]]:
    """Fetch all that there is; return what was said and which paths were asked for."""
    with running_service(sec) as service:
        monkeypatch.setenv("QUIEBRA_SEC_MIRROR", service.address)
        with Client(fetching.service(), RawStore(folder)) as client:
            said = list(fetching.fetch(client, OPTIONS, refresh=False, **options))
        assert all(request.headers["User-Agent"] == "Test Person person@example.com" for request in service.requests)
        return said, service.paths()


def report(cik: int, year: int, day: str, form: str = "10-K", **facts: float) -> Filing:
    end = dt.date(year, 12, 31)
    base = {
        "Assets": 100e6,
        "LiabilitiesAndStockholdersEquity": 100e6,
        "Liabilities": 60e6,
        "Revenues": 80e6,
        "OperatingIncomeLoss": 8e6,
    }
    accepted = dt.datetime.fromisoformat(day if "T" in day else f"{day}T12:00:00")
    chosen = {**(base if form == "10-K" else {}), **facts}
    values = {
        (tag.removesuffix("_before"), end.replace(year=year - 1) if tag.endswith("_before") else end): value
        for tag, value in chosen.items()
    }
    return Filing(
        f"{cik:010}-{accepted:%y}-{abs(hash((cik, day, form))) % 10**6:06}", cik, f"COMPANY {cik}", form, end, accepted, values
    )


def loaded(tmp_path: Path, sec: Edgar, monkeypatch: pytest.MonkeyPatch, options: Options = OPTIONS):  # type: ignore[no-untyped-def]
    fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    return edgar.load(tmp_path / "edgar", options, None)


def test_what_was_generated_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sec, made = generated(companies=60, years=5)
    source = loaded(tmp_path, sec, monkeypatch)
    panel = build_panel(source)
    assert panel.quarantined.is_empty() and source.info.source == "edgar"
    first = made.unique(["company_id", "fiscal_year"], keep="first", maintain_order=True)
    got = panel.statements.unique(["company_id", "fiscal_year"], keep="first", maintain_order=True)
    both = first.with_columns(company_id=pl.format("CIK{}", pl.col("cik").cast(pl.String).str.zfill(10))).join(
        got, on=["company_id", "fiscal_year"], suffix="_got"
    )
    assert both.height == first.height == got.height
    for item in [*TAG_OF_ITEM, "market_value"]:
        off = (both[item] - both[f"{item}_got"]).abs()
        assert (off.drop_nulls() < 1e-5).all(), item
        assert (both[item].is_null() | both[f"{item}_got"].is_not_null()).all(), item
    assert set(panel.events["company_id"]) == {f"CIK{cik:010}" for cik in sec.cases}
    assert panel.companies["sector"].null_count() == 0 and set(panel.companies["country"]) == {"US"}


def test_the_same_files_give_the_same_tables_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sec, _ = generated(companies=20, years=5)
    one = loaded(tmp_path, sec, monkeypatch)
    monkeypatch.setenv("QUIEBRA_SEC_MIRROR", "http://127.0.0.1:9")
    again = edgar.load(tmp_path / "edgar", OPTIONS, None)
    for name in ("companies", "statements", "events", "lineage", "filings"):
        assert getattr(one, name).equals(getattr(again, name)), name
    assert one.info == again.info


def test_an_amendment_is_a_version_that_is_known_from_its_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [
        report(7, 2012, "2013-02-20"),
        report(7, 2012, "2013-06-03", "10-K/A", Revenues=70e6),
        report(7, 2013, "2014-02-20"),
    ]
    source = loaded(tmp_path, Edgar(filings, {}), monkeypatch)
    rows = source.statements.filter(pl.col("fiscal_year") == 2012)
    assert rows["available_at"].to_list() == [dt.date(2013, 2, 20), dt.date(2013, 6, 3)]
    assert rows["revenue"].to_list() == [80.0, 70.0] and rows["total_assets"].to_list() == [100.0, 100.0]
    as_of = rows.filter(pl.col("available_at") <= dt.date(2013, 6, 2))
    assert as_of["revenue"].to_list() == [80.0]
    told = source.lineage.filter(pl.col("fiscal_year") == 2012, pl.col("item") == "revenue")
    assert told["accession"].to_list() == [filings[0].accession, filings[1].accession] and set(told["rule"]) == {"Revenues"}


def test_a_report_and_its_amendment_of_one_day_are_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [report(7, 2012, "2013-02-20T10:00:00"), report(7, 2012, "2013-02-20T15:00:00", "10-K/A", Revenues=70e6)]
    source = loaded(tmp_path, Edgar(filings, {}), monkeypatch)
    (row,) = source.statements.iter_rows(named=True)
    assert (row["revenue"], row["total_assets"]) == (70.0, 100.0)
    assert (row["accession"], row["accepted_at"]) == (filings[1].accession, dt.datetime(2013, 2, 20, 15))
    assert source.filings.height == 2, "both filings are on record"
    assert build_panel(source).quarantined.is_empty()


@pytest.mark.parametrize(
    ("later", "versions"),
    [({"Revenues_before": 81e6}, 2), ({"Revenues_before": 80e6}, 1), ({"Revenues_before": 80.6e6, "Assets_before": 100e6}, 2)],
    ids=["restated", "the same", "restated, not rounded"],
)
def test_figures_for_comparison_are_a_version_where_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: dict[str, float], versions: int
) -> None:
    source = loaded(tmp_path, Edgar([report(7, 2012, "2013-02-20"), report(7, 2013, "2014-02-20", **later)], {}), monkeypatch)
    rows = source.statements.filter(pl.col("fiscal_year") == 2012)
    assert rows.height == versions
    assert rows["available_at"].to_list()[-1] == (dt.date(2014, 2, 20) if versions == 2 else dt.date(2013, 2, 20))


def test_a_figure_that_is_only_rounded_is_no_other_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = report(
        7, 2012, "2013-02-20", Assets=100_123_456.0, LiabilitiesAndStockholdersEquity=100_123_456.0, Revenues=80_456_789.0
    )
    rounded = report(7, 2013, "2014-02-20", Assets_before=100e6, Revenues_before=80e6, OperatingIncomeLoss=8_000_000.0)
    source = loaded(tmp_path, Edgar([fine, rounded], {}), monkeypatch)
    assert source.statements.filter(pl.col("fiscal_year") == 2012)["revenue"].to_list() == [80.456789]


def test_years_known_from_comparison_alone_are_no_firm_years(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = loaded(tmp_path, Edgar([report(7, 2012, "2013-02-20", Revenues_before=75e6, Assets_before=90e6)], {}), monkeypatch)
    assert source.statements["fiscal_year"].to_list() == [2012]


@pytest.mark.parametrize(
    ("accepted", "available"),
    [("2013-02-20T17:30:00", "2013-02-20"), ("2013-02-20T17:30:01", "2013-02-21"), ("2013-02-22T20:00:00", "2013-02-25")],
)
def test_what_is_accepted_late_is_known_the_next_business_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: str, available: str
) -> None:
    source = loaded(tmp_path, Edgar([report(7, 2012, accepted)], {}), monkeypatch)
    assert source.statements["available_at"].to_list() == [dt.date.fromisoformat(available)]


def test_a_second_8k_within_four_years_is_part_of_the_case_and_later_rows_are_out_of_the_risk_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filings = [report(7, year, f"{year + 1}-02-20") for year in (2011, 2012, 2013)] + [report(8, 2012, "2013-02-20")]
    petition, plan = dt.date(2013, 9, 10), dt.date(2014, 7, 1)
    source = loaded(tmp_path, Edgar(filings, {7: [petition, plan], 8: [dt.date(2004, 8, 20)]}), monkeypatch)
    assert source.events.select("company_id", "event_date").rows() == [("CIK0000000007", petition)]
    panel = build_panel(source)
    assert panel.quarantined.select("rule", "fiscal_year").rows() == [("after_event", 2013)]


PETITION = "<p>Item 1.03 Bankruptcy or Receivership</p><p>{}</p><p>Signatures</p>"
SUBSIDIARYS = PETITION.format(
    "On September 9, 2013, Sub LLC, a wholly-owned subsidiary of Company 7, filed a petition under Chapter 11."
)
OWN = PETITION.format(
    "On March 3, 2014 (the &#147;Petition Date&#148;) Company 7 and its subsidiaries filed petitions under Chapter 11."
)


def test_a_subsidiarys_case_is_no_event_and_a_later_case_of_its_own_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [report(cik, 2012, "2013-02-20") for cik in (7, 8, 9)]
    first, own, unread = dt.date(2013, 9, 10), dt.date(2014, 3, 5), dt.date(2013, 10, 1)
    sec = Edgar(filings, {7: [first, own], 8: [unread], 9: [unread]})
    sec.documents = {
        (7, first): Reply(SUBSIDIARYS.encode()),
        (7, own): Reply(OWN.encode()),
        (9, unread): Reply(b"<p>See exhibit.</p>"),
    }
    said, _ = fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    assert said[-1] == "8-Ks with item 1.03: 4 documents"
    source = edgar.load(tmp_path / "edgar", OPTIONS, None)
    assert source.events.select("event_date", "source").rows() == [
        (dt.date(2014, 3, 3), f"{sec.case_accession(7, own)} (registrant)"),
        (unread, sec.case_accession(8, unread)),
        (unread, f"{sec.case_accession(9, unread)} (unclear)"),
    ]
    counts, aside = [str(note) for note in source.warnings][-2:]
    assert counts.startswith(
        "8-Ks with item 1.03: 4; by their texts 1 are about the company's own case, 1 about a subsidiary's, 0 "
    )
    assert "not clear: 1, and without a text: 1" in counts
    assert f"COMPANY 7 ({sec.case_accession(7, first)}, subsidiary)" in aside
    path = tmp_path / "failures.csv"
    path.write_text("cik,date,kind,source\n7,2014-03-03,none,press\n7,2013-09-09,bankruptcy,court\n")
    corrected = edgar.load(tmp_path / "edgar", OPTIONS, path).events.filter(pl.col("company_id") == "CIK0000000007")
    assert corrected.select("event_date", "source").rows() == [(dt.date(2013, 9, 9), "court")]


def test_documents_are_asked_for_once_and_where_the_sec_refuses_the_next_fetch_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [dt.date(2013, 9, 10), dt.date(2018, 9, 10), dt.date(2023, 9, 12)]
    sec = Edgar([report(7, 2012, "2013-02-20")], {7: days})
    sec.documents = {(7, days[0]): Reply(OWN.encode()), (7, days[1]): Reply(b"<html>slow down", status=403)}
    with pytest.raises(FetchStoppedError, match=r"refuses .403"):
        fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    without = edgar.load(tmp_path / "edgar", OPTIONS, None)
    assert without.events["event_date"].to_list() == [days[0]], "what was not fetched counts by its day of filing"
    sec.documents[7, days[1]] = Reply(OWN.encode())
    next((tmp_path / "cache").rglob("*.until")).unlink()
    said, asked = fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    documents = [path for path in asked if path.startswith("/Archives/edgar/data/")]
    assert documents == [f"/Archives/edgar/data/7/{sec.case_accession(7, day).replace('-', '')}/8k.htm" for day in days[1:]]
    said, asked = fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    assert said[-1] == "8-Ks with item 1.03: 3 documents, 3 there already"
    assert not [path for path in asked if path.startswith("/Archives/")], "nor is one that is not there asked for again"


def test_corrections_take_a_case_out_and_put_one_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [report(cik, 2012, "2013-02-20") for cik in (7, 8)]
    fetched(tmp_path / "edgar", Edgar(filings, {7: [dt.date(2013, 9, 10)]}), monkeypatch, today=TODAY)
    path = tmp_path / "failures.csv"
    path.write_text("cik,date,kind,source\n7,2013-09-12,parent,press\n8,2013-05-02,bankruptcy,court\n")
    events = edgar.load(tmp_path / "edgar", OPTIONS, path).events
    assert events.select("company_id", "event_date", "kind").rows() == [("CIK0000000008", dt.date(2013, 5, 2), "bankruptcy")]
    path.write_text("cik,date\n7,2013-09-12\n")
    with pytest.raises(SourceError, match="kind"):
        edgar.load(tmp_path / "edgar", OPTIONS, path)


def test_slips_of_scale_and_balance_sheets_that_do_not_balance_are_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slip = report(7, 2013, "2014-02-20", Assets=100e3, LiabilitiesAndStockholdersEquity=100e3, Liabilities=60e3)
    filings = [report(7, 2012, "2013-02-20"), slip, report(8, 2012, "2013-02-20", LiabilitiesAndStockholdersEquity=90e6)]
    panel = build_panel(loaded(tmp_path, Edgar(filings, {}), monkeypatch))
    assert panel.quarantined.select("rule", "company_id", "fiscal_year").sort("rule").rows() == [
        ("scale_slip", "CIK0000000007", 2013),
        ("unbalanced", "CIK0000000008", 2012),
    ]
    assert panel.quality["rows_in"] == panel.quality["rows_kept"] + 2


def test_a_comparison_that_does_not_balance_is_no_fault_of_the_filings_own_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = report(7, 2013, "2014-02-20", Assets_before=100e6, LiabilitiesAndStockholdersEquity_before=90e6)
    panel = build_panel(loaded(tmp_path, Edgar([report(7, 2012, "2013-02-20"), later], {}), monkeypatch))
    assert panel.statements["fiscal_year"].to_list() == [2012, 2013] and panel.quarantined.is_empty()


def test_financials_small_companies_and_other_years_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, small = (
        report(7, 2012, "2013-02-20"),
        report(8, 2012, "2013-02-20", Assets=0.5e6, LiabilitiesAndStockholdersEquity=0.5e6),
    )
    bank.sic = 6021
    filings = [bank, small, report(9, 2012, "2013-02-20"), report(9, 2014, "2015-02-20")]
    options = OPTIONS.model_copy(update={"min_assets": 1.0, "last_year": 2013})
    source = loaded(tmp_path, Edgar(filings, {}), monkeypatch, options)
    assert source.statements.select("company_id", "fiscal_year").rows() == [("CIK0000000009", 2012)]
    assert any("left out for their size" in str(note) for note in source.warnings)


def priced(tmp_path: Path, sec: Edgar, monkeypatch: pytest.MonkeyPatch, text: str):  # type: ignore[no-untyped-def]
    fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    path = tmp_path / "prices.csv"
    path.write_text(text)
    return edgar.load(tmp_path / "edgar", OPTIONS, None, path)


def values_of(source) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    told = source.lineage.filter(pl.col("item") == "market_value")
    keys = ["company_id", "fiscal_year", "available_at"]
    rows = source.statements.join(told.select(*keys, "rule"), on=keys, how="left").sort(keys)
    return rows.select(pl.col("company_id").str.slice(-1), "fiscal_year", "market_value", "market_value_date", "rule").rows()


COVER_RULE, SHEET_RULE = "EntityCommonStockSharesOutstanding x close", "CommonStockSharesOutstanding x close"


def test_market_values_of_shares_and_price_where_there_are_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cover, sheet, file, old, none = (report(cik, 2012, "2013-02-20") for cik in (1, 2, 3, 4, 5))
    for filing in (cover, file, old):
        filing.cover_shares, filing.cover_date, filing.public_float = 20e6, dt.date(2013, 2, 10), 90e6  # a Sunday
    sheet.facts["CommonStockSharesOutstanding", dt.date(2012, 12, 31)] = 5e6
    none.public_float = 70e6
    prices = (
        "cik,date,close,shares\n"
        "1,2013-02-07,9.0,\n1,2013-02-08,8.5,\n1,2013-02-11,1.0,\n"  # the Friday before counts, not the Monday after
        "2,2012-12-31,4.0,\n"
        "3,2013-02-08,2.0,30000000\n"
        "4,2013-02-02,7.0,\n"  # eight days before
    )
    source = priced(tmp_path, Edgar([cover, sheet, file, old, none], {}), monkeypatch, prices)
    assert values_of(source) == [
        ("1", 2012, 170.0, dt.date(2013, 2, 8), COVER_RULE),
        ("2", 2012, 20.0, dt.date(2012, 12, 31), SHEET_RULE),
        ("3", 2012, 60.0, dt.date(2013, 2, 8), "shares of the price file x close"),
        ("4", 2012, 90.0, dt.date(2012, 6, 30), "EntityPublicFloat"),
        ("5", 2012, 70.0, dt.date(2012, 6, 30), "EntityPublicFloat"),
    ]
    assert any("market value of shares and price: 3 of 5" in str(note) for note in source.warnings)
    without = edgar.load(tmp_path / "edgar", OPTIONS, None)
    assert (
        without.statements["market_value"].to_list() == [90.0, None, 90.0, 90.0, 70.0]
        and without.info.sha256 != source.info.sha256
    )
    assert without.statements.drop("market_value", "market_value_date").equals(
        source.statements.drop("market_value", "market_value_date")
    )


def test_counts_and_closes_that_cannot_be_right_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [report(1, year, f"{year + 1}-02-20") for year in (2011, 2012, 2013)] + [
        report(cik, 2012, "2013-02-20") for cik in (2, 3)
    ]
    for filing, shares in zip(filings, (20e6, 21e3, 21e6, 100.0, 1e6), strict=True):
        filing.cover_shares, filing.cover_date, filing.public_float = shares, filing.filed - dt.timedelta(days=1), 50e6
    days = "".join(f"1,{year}-02-19,2,\n" for year in (2012, 2013, 2014))
    source = priced(tmp_path, Edgar(filings, {}), monkeypatch, f"cik,date,close,shares\n{days}2,2013-02-19,3,\n3,2013-02-19,0,\n")
    assert [(row[0], row[1], row[2]) for row in values_of(source)] == [
        ("1", 2011, 40.0), ("1", 2012, 50.0), ("1", 2013, 42.0), ("2", 2012, 50.0), ("3", 2012, 50.0),
    ]  # fmt: skip
    assert any(str(note).endswith("a close not above zero): 3") for note in source.warnings)


def test_of_two_counts_the_one_that_can_be_right_counts_and_none_where_the_files_own_is_in_thousands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placeholder, thousands = report(1, 2012, "2013-02-20"), report(2, 2012, "2013-02-20")
    placeholder.cover_shares, placeholder.cover_date = 100.0, dt.date(2013, 2, 10)
    placeholder.facts["CommonStockSharesOutstanding", dt.date(2012, 12, 31)] = 20e6
    thousands.cover_shares, thousands.cover_date, thousands.public_float = 20e6, dt.date(2013, 2, 19), 50e6
    prices = "cik,date,close,shares\n1,2012-12-31,2,\n2,2013-02-19,2,20000\n"
    source = priced(tmp_path, Edgar([placeholder, thousands], {}), monkeypatch, prices)
    assert values_of(source) == [
        ("1", 2012, 40.0, dt.date(2012, 12, 31), SHEET_RULE),
        ("2", 2012, 50.0, dt.date(2012, 6, 30), "EntityPublicFloat"),
    ]
    assert any(str(note).endswith("a close not above zero): 2") for note in source.warnings)


def test_a_count_that_lost_exactly_three_digits_is_a_slip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filings = [report(1, year, f"{year + 1}-02-20") for year in (2011, 2012, 2013)]
    for filing, shares in zip(filings, (555_555_000.0, 555_555.0, 500_000_000.0), strict=True):
        filing.cover_shares, filing.cover_date, filing.public_float = shares, filing.filed - dt.timedelta(days=1), 50e6
    days = "".join(f"1,{year}-02-19,2\n" for year in (2012, 2013, 2014))
    source = priced(tmp_path, Edgar(filings, {}), monkeypatch, f"cik,date,close\n{days}")
    assert [row[2] for row in values_of(source)] == [1111.11, 50.0, 1000.0]


def test_no_close_is_later_than_the_filing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filing = report(1, 2012, "2013-02-20")
    filing.cover_shares, filing.cover_date = 20e6, dt.date(2013, 3, 1)  # a slip of the cover
    source = priced(tmp_path, Edgar([filing], {}), monkeypatch, "cik,date,close\n1,2013-02-19,2\n1,2013-03-01,9\n")
    assert values_of(source) == [("1", 2012, 40.0, dt.date(2013, 2, 19), COVER_RULE)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cik,date\n1,2013-02-19\n", "close"),
        ("cik,date,close\n1,,2\n", "date must be given in each row"),
        ("cik,date,close\n1,2013-02-19,2\n1,2013-02-19,3\n", "two closes of cik 1 on 2013-02-19: remove one row"),
        ("cik,date,close\n1,9999-12-31,2\n", "9999-12-31, which is none"),
        ("cik,date,close\n1,2013-02-19,dear\n", "row 2"),
    ],
)
def test_a_price_file_that_is_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        priced(tmp_path, Edgar([report(1, 2012, "2013-02-20")], {}), monkeypatch, text)


def test_the_files_that_a_run_depends_on_are_those_of_the_person_and_of_the_store(tmp_path: Path) -> None:
    workspace = new_workspace(
        tmp_path / "w",
        {"ingest": {"source": "edgar", "edgar": {"prices": "data/raw/prices.csv", "failures": "data/raw/failures.csv"}}},
    )
    files = ingest_files(load_params(Workspace(workspace)).ingest, workspace)
    assert {workspace / "data/raw/prices.csv", workspace / "data/raw/failures.csv"} <= set(files)


def test_foreign_reports_that_are_not_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = [report(20, year, f"{year + 1}-03-20", "20-F") for year in (2011, 2012)] + [report(21, 2012, "2013-03-20", "40-F")]
    amended, pesos = report(20, 2012, "2013-06-20", "20-F/A"), report(22, 2012, "2013-03-21")
    pesos.currency = "MXN"
    bank = report(23, 2012, "2013-03-20", "20-F")
    bank.sic = 6021
    source = loaded(tmp_path, Edgar([report(7, 2012, "2013-02-20"), *foreign, amended, pesos, bank], {}), monkeypatch)
    said = [str(note) for note in source.warnings]
    assert said[0] == (
        "annual reports of foreign companies that are not read: 3 (20-F 2, 40-F 1), such as COMPANY 20; COMPANY 21; most report under "
        "IFRS or in another currency"
    )
    assert said[1] == (
        "annual reports (10-K) whose amounts are all in another currency than dollars, not read: 1, such as COMPANY 22"
    )
    assert not any("without a figure in dollars" in note for note in said), "each report is counted once"
    assert set(source.statements["company_id"]) == {"CIK0000000007"}


def test_a_fetch_goes_on_where_it_stopped_and_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sec, _ = generated(companies=20, years=5)
    said, asked = fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    assert f"/files/{sec.quarters()[0]}.zip" in asked and said[-1].startswith("companyfacts.zip")
    _, again = fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)
    assert [path for path in again if "data-sets" not in path] == []


def test_what_was_filed_since_is_fetched_by_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = dt.datetime.now(dt.UTC).date()
    sec = Edgar([report(7, 2012, "2013-02-20"), report(8, 2012, "2013-02-20")], {})
    fetched(tmp_path / "edgar", sec, monkeypatch, today=today)
    day = next(day for ahead in range(1, 4) if (day := today + dt.timedelta(days=ahead)).weekday() < 5)
    sec.filings.append(report(7, 2013, str(day), Revenues=66e6))
    sec.filings.append(report(9, 2013, str(day)))  # a company that has never filed before
    sec.cases[8] = [day]
    _, asked = fetched(tmp_path / "edgar", sec, monkeypatch, today=day + dt.timedelta(days=1))
    assert {path for path in asked if "CIK" in path} == {
        "/submissions/CIK0000000007.json",
        "/api/xbrl/companyfacts/CIK0000000007.json",
        "/submissions/CIK0000000008.json",
        "/submissions/CIK0000000009.json",
        "/api/xbrl/companyfacts/CIK0000000009.json",
    }
    source = edgar.load(tmp_path / "edgar", OPTIONS, None)
    newer = source.statements.filter(pl.col("fiscal_year") == 2013).sort("company_id")
    assert newer.select("company_id", "revenue", "available_at").rows() == [
        ("CIK0000000007", 66.0, day),
        ("CIK0000000009", 80.0, day),
    ]
    assert source.events["company_id"].to_list() == ["CIK0000000008"]


@pytest.mark.parametrize(
    ("page", "error", "words"),
    [
        (
            b"<html>Your Request Originates from an Undeclared Automated Tool</html>",
            FetchError,
            "does not accept who asks: set QUIEBRA_SEC_CONTACT",
        ),
        (b"<html>Request Rate Threshold Exceeded</html>", FetchStoppedError, "refuses .403.*Ask again after 20"),
    ],
)
def test_the_secs_refusals_stop_and_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bytes, error: type[Exception], words: str
) -> None:
    sec = Edgar([report(7, 2012, "2013-02-20")], {}, refuse=[Reply(page, status=403, headers={"Content-Type": "text/html"})])
    with pytest.raises(error, match=words):
        fetched(tmp_path / "edgar", sec, monkeypatch, today=TODAY)


@pytest.mark.parametrize("given", ["", "ana", "ana@example.com", "Ana Ruiz"])
def test_nothing_is_asked_before_it_is_said_who_asks(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("QUIEBRA_SEC_CONTACT", given)
    with pytest.raises(FetchError, match="the SEC wants to know who asks: set QUIEBRA_SEC_CONTACT"):
        fetching.service()


def test_nothing_fetched_and_damaged_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="`quiebra fetch edgar`"):
        edgar.load(tmp_path / "edgar", OPTIONS, None)
    fetched(tmp_path / "edgar", Edgar([report(7, 2012, "2013-02-20")], {}), monkeypatch, today=TODAY)
    path = tmp_path / "edgar/data_sets/2013q1.zip"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"2013q1\.zip is damaged .*delete it, and fetch it again"):
        edgar.load(tmp_path / "edgar", OPTIONS, None)


def test_a_whole_run_on_a_generated_edgar(tmp_path: Path) -> None:
    sec, _ = generated(companies=260, years=7, first_year=2012)
    workspace = new_workspace(
        tmp_path / "w", {"ingest": {"source": "edgar", "edgar": {"min_assets": 0.0, "leave_out_sic": []}}, **SMALL_MODEL}
    )
    with running_service(sec) as service:
        env = {
            "QUIEBRA_SEC_MIRROR": service.address,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "QUIEBRA_SEC_CONTACT": "Test Person t@example.com",
        }
        asked = command(workspace, "quiebra", "doctor")
        assert asked.returncode == 1 and "none of the SEC's data sets" in asked.stdout
        refused = command(workspace, "quiebra", "run", "ingest")
        assert refused.returncode == 1 and "`quiebra fetch edgar`" in refused.stderr
        done = command(workspace, "quiebra", "fetch", "edgar", **env)
        assert done.returncode == 0 and "companyfacts.zip" in done.stdout, done.stderr
    assert "with lists of filings and market values" in command(workspace, "quiebra", "doctor").stdout
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "US companies, SEC EDGAR" in done.stdout and "SIMULATED" not in done.stdout
    scores = pl.read_parquet(workspace / "data/scores/scores.parquet")
    assert scores.height > 100 and scores["pd_12m"].is_between(0, 1).all()
    lineage = pl.read_parquet(workspace / "data/panel/lineage.parquet")
    statements = pl.read_parquet(workspace / "data/panel/statements.parquet")
    assert set(statements["accession"]) <= set(lineage["accession"])
    assert "GENERATED" in (workspace / "reports/build/risk_report.html").read_text()
    again = command(workspace, "quiebra", "run")
    assert re.findall("Running stage '(.*)'", again.stdout) == ["inputs"]
    assert "Test Person" not in "".join(
        path.read_text(errors="ignore") for path in (workspace / "data").rglob("*") if path.is_file()
    )
