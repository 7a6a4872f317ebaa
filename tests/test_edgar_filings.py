"""The SEC's own files of 2009 and 2010, and Tesla's: coverage of items, figures checked by hand, annual facts, times of acceptance."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT
from edgar_stand_in import write_data_set

from quiebra.sources.edgar.company_facts import cover_facts, float_rows, floats_table, read_company_facts
from quiebra.sources.edgar.data_sets import read_data_set
from quiebra.sources.edgar.filings import month_end
from quiebra.sources.edgar.reported_items import reported_items
from quiebra.sources.edgar.submissions import read_submissions
from quiebra.sources.edgar.versions import build_versions, company_id

SEC = ROOT.parent / "shared" / "data" / "edgar"
pytestmark = pytest.mark.skipif(not SEC.is_dir(), reason=f"none of the SEC's files at {SEC}")
FORMS = ["10-K", "10-KT"]
COVERED = {
    "total_assets": 0.97,
    "current_assets": 0.79,
    "cash": 0.97,
    "receivables": 0.76,
    "current_liabilities": 0.79,
    "long_term_debt": 0.77,
    "total_liabilities": 0.96,
    "retained_earnings": 0.925,
    "revenue": 0.88,
    "cost_of_goods_sold": 0.51,
    "depreciation_amortization": 0.86,
    "ebit": 0.71,
    "interest_expense": 0.83,
    "net_income": 0.97,
    "operating_cash_flow": 0.97,
}
"""Least share of 389 annual reports that have an item, as ladders of tags in the open reach."""
CHECKED_ITEMS = (
    "total_assets",
    "total_liabilities",
    "current_assets",
    "revenue",
    "ebit",
    "net_income",
    "operating_cash_flow",
    "depreciation_amortization",
)
CHECKED = {
    "3M CO": (27250.0, 13948.0, 10795.0, 23123.0, 4814.0, 3193.0, 4941.0, 1157.0),
    "AMAZON COM INC": (13813.0, 8556.0, 9797.0, 24509.0, 1129.0, 902.0, 3293.0, 378.0),
    "AT&T INC.": (268752.0, 166427.0, 24334.0, 123018.0, 21492.0, 12535.0, 34445.0, 19714.0),
    "BOEING CO": (62053.0, 59828.0, 35275.0, 68281.0, 2096.0, 1312.0, 5603.0, 1666.0),
    "CATERPILLAR INC": (60038.0, 50738.0, 26789.0, 32396.0, 577.0, 895.0, 6343.0, 2336.0),
    "CHEVRON CORP": (164621.0, 72060.0, 37216.0, 171636.0, 18556.0, 10483.0, 19373.0, 12110.0),
    "COCA COLA CO": (48671.0, 23325.0, 17551.0, 30990.0, 8231.0, 6824.0, 8186.0, 1236.0),
    "EBAY INC": (
        18408.32,
        4620.672,
        8460.208,
        8727.362,
        1456.766,
        2389.097,
        2908.086,
        810.946,
    ),
    "GOOGLE INC.": (40496.778, 4492.554, 29166.958, 23650.563, 8312.186, 6520.448, 9316.198, 1524.308),
    "HERSHEY CO": (3675.031, 2914.692, 1385.434, 5298.668, 762.754, 435.994, 1065.749, 182.411),
    "INTEL CORP": (53095.0, 11391.0, 21157.0, 35127.0, 5711.0, 4369.0, 11170.0, 4744.0),
    "INTERNATIONAL BUSINESS MACHINES CORP": (109022.0, 86267.0, 48935.0, 95758.0, 18540.0, 13425.0, 20773.0, 4994.0),
    "KELLOGG CO": (11200.0, 8925.0, 2558.0, 12575.0, 2001.0, 1212.0, 1643.0, 384.0),
    "MCDONALDS CORP": (30224.9, 16191.0, 3416.3, 22744.7, 6841.0, 4551.0, 5751.0, 1216.2),
    "PFIZER INC": (212949.0, 122503.0, 61670.0, 50009.0, 11762.0, 8635.0, 16587.0, 4757.0),
    "SOUTHWEST AIRLINES CO": (14269.0, 8803.0, 3358.0, 10350.0, 262.0, 99.0, 985.0, 616.0),
    "TEXAS INSTRUMENTS INC": (12119.0, 2397.0, 6114.0, 10427.0, 1991.0, 1470.0, 2643.0, 925.0),
    "UNION PACIFIC CORP": (42410.0, 25469.0, 3680.0, 14143.0, 3392.0, 1898.0, 3234.0, 1444.0),
    "UNITED PARCEL SERVICE INC": (31883.0, 24187.0, 9275.0, 45297.0, 3801.0, 2152.0, 5285.0, 1747.0),
    "VERIZON COMMUNICATIONS INC": (227251.0, 142884.0, 22608.0, 107808.0, 14027.0, 3651.0, 31565.0, 16532.0),
}
"""Millions of dollars of fiscal year 2009, compared by hand with the statements of the annual reports. Liabilities are total assets less
all equity where the report has no sum; EBIT is operating income, else income before taxes plus interest."""


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of 2010 Q1 as a zip file, made of the tables."""
    sub, num = (pl.read_parquet(SEC / f"2010q1_{name}.parquet") for name in ("sub", "num"))
    whole = sub.with_columns(pl.col("sic", "changed", "fy").cast(pl.Int64))
    return write_data_set(tmp_path_factory.mktemp("sec"), "2010q1", whole, num)


def own_items(filings: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """What filings say of their own fiscal year."""
    return items.join(filings.select("accession", period=month_end(pl.col("period"))), on=["accession", "period"], how="semi")


def test_the_items_of_389_annual_reports_are_found(quarter: Path) -> None:
    filings, facts = read_data_set(quarter, FORMS)
    reports = filings.filter(pl.col("form") == "10-K")
    assert reports.height == 389
    items, unbalanced = reported_items(facts)
    counts = dict(own_items(reports, items).group_by("item").len().iter_rows())
    assert {item: round(counts[item] / 389, 3) for item, least in COVERED.items() if counts[item] / 389 < least} == {}
    assert unbalanced.is_empty()


def test_liabilities_by_identity_are_those_that_are_tagged(quarter: Path) -> None:
    filings, facts = read_data_set(quarter, FORMS)
    reports = filings.filter(pl.col("form") == "10-K")
    without = facts.filter(pl.col("tag") != "Liabilities")
    by_identity, tagged = (
        own_items(reports, reported_items(table)[0]).filter(pl.col("item") == "total_liabilities") for table in (without, facts)
    )
    both = by_identity.join(tagged.filter(pl.col("rule") == "Liabilities"), on="accession", suffix="_tagged")
    same = ((both["value"] / both["value_tagged"]) - 1).abs() <= 0.001
    assert both.height > 200
    assert same.mean() >= 0.89


def test_twenty_companies_have_the_figures_of_their_reports(quarter: Path) -> None:
    filings, facts = read_data_set(quarter, FORMS)
    found, lineage = build_versions(filings, reported_items(facts)[0])
    names = filings.select("name", company_id=company_id(pl.col("cik"))).unique()
    rows = found.join(names, on="company_id").filter(pl.col("name").is_in(list(CHECKED))).unique("name", keep="first")
    got = {row["name"]: tuple(row[item] for item in CHECKED_ITEMS) for row in rows.iter_rows(named=True)}
    assert got == {name: pytest.approx(values, abs=1e-6) for name, values in CHECKED.items()}
    assert (lineage["accession"].is_in(filings["accession"].implode())).all()


@pytest.mark.parametrize(("name", "reports"), [("fsds_2009q3.zip", 1), ("fsds_2010q2.zip", 1), ("fsds_daily_20250701.zip", 2)])
def test_the_layouts_of_data_sets_are_read_by_the_names_of_columns(name: str, reports: int) -> None:
    filings, facts = read_data_set(SEC / name, FORMS)
    assert filings.height >= reports and facts.height > 20 * reports
    assert filings["available_at"].null_count() == 0 and (filings["available_at"] >= filings["filed"]).all()
    assert set(facts["accession"]) <= set(filings["accession"])


def test_teslas_annual_facts_are_36_for_13_ends_and_no_other() -> None:
    content = json.loads(gzip.decompress((SEC / "companyfacts_CIK0001318605.json.gz").read_bytes()))
    income = read_company_facts(content, "Tesla").filter(pl.col("tag") == "NetIncomeLoss")
    assert income.height == 36
    assert sorted(set(income["end"])) == [dt.date(year, 12, 31) for year in range(2009, 2022)]
    floats = floats_table(float_rows(cover_facts(content)))
    assert floats.filter(pl.col("accession") == "0001193125-12-081990").row(0)[1:] == (1854.208453, dt.date(2011, 6, 30))


def test_teslas_times_of_acceptance_are_new_yorks_and_late_ones_count_the_next_business_day() -> None:
    body = gzip.decompress((SEC / "submissions_CIK0001318605.json.gz").read_bytes())
    listed, companies = read_submissions([("CIK0001318605.json", body)], lambda form: True)
    assert listed.height == 1001 and companies["former_names"].to_list() == [["TESLA MOTORS INC"]]
    dated = listed.filter(pl.col("form").str.starts_with("10-K"))
    report = dated.filter(pl.col("accession") == "0000950170-22-000796").row(0, named=True)
    assert (report["accepted_at"], report["available_at"]) == (dt.datetime(2022, 2, 4, 20, 11, 27), dt.date(2022, 2, 7))
    assert (dated["available_at"] == dated["filed"]).all()


def test_times_in_greenwich_are_told_by_the_days_of_filing() -> None:
    body = gzip.decompress((SEC / "submissions_CIK0001318605.json.gz").read_bytes())
    listed, _ = read_submissions([("CIK0001318605.json", body)], lambda form: True)
    utc = listed["accepted_at"].dt.replace_time_zone("America/New_York").dt.convert_time_zone("UTC")
    times = dict(zip(listed["accession"], utc, strict=True))
    content = json.loads(body)
    recent = content["filings"]["recent"]
    recent["acceptanceDateTime"] = [f"{times[each]:%Y-%m-%dT%H:%M:%S}.000Z" for each in recent["accessionNumber"]]
    again, _ = read_submissions([("CIK0001318605.json", json.dumps(content).encode())], lambda form: True)
    assert again["accepted_at"].equals(listed["accepted_at"])
