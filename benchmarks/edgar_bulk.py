"""Time and memory of reading a year of the SEC's bulk data, made up at its real size.

    python benchmarks/edgar_bulk.py [--quarters 4] [--filings 6250] [--facts 3750000] [--members 900000] [--documents 4000]

Data sets are read into a panel: one quarter, and all, whose ratio shows whether time grows with the number of quarters. The
archive of lists of filings is searched for 8-Ks with item 1.03, and whose case documents are about (HTML of 20 to 200 kB, as word
processors write it) is judged from the store. Prints seconds and the peak memory of each process, and writes
results/edgar_bulk.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from quiebra.sources.edgar.tags import ANNUAL, INSTANT, tags_of

HERE = Path(__file__).parent
COLUMNS = {"tag": pl.String, "qtrs": pl.Int64, "ddate": pl.Int64, "share": pl.Float64}
SHARES = {
    "Assets": 100.0, "LiabilitiesAndStockholdersEquity": 100.0, "AssetsNet": 100.0, "AssetsCurrent": 50.0, "Liabilities": 60.0,
    "LiabilitiesCurrent": 25.0, "StockholdersEquity": 40.0, "Revenues": 90.0, "CostOfRevenue": 50.0, "GrossProfit": 40.0,
    "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest": 40.0, "OperatingIncomeLoss": 10.0,
}  # fmt: skip
"""Percent of total assets; other tags: one."""
OTHER_TAGS = [f"SomethingElse{number:04}" for number in range(2000)]


def data_set(path: Path, quarter: int, filings: int, facts: int) -> None:
    """Write a quarter: some hundred facts a filing are those that items are made of, a third of the others are of segments."""
    rng = np.random.default_rng(quarter)
    ciks = np.arange(filings) + 1000 + quarter * filings
    adsh = np.array([f"{cik:010}-15-{quarter:06}" for cik in ciks])
    sub = pl.DataFrame({"adsh": adsh, "cik": ciks, "name": [f"COMPANY {cik}" for cik in ciks]}).with_columns(
        sic=pl.lit(3711),
        countryba=pl.lit("US"),
        stprba=pl.lit("CA"),
        form=pl.lit("10-K"),
        period=pl.lit(20141231),
        filed=pl.lit(20150015 + quarter * 300),
        accepted=pl.lit(f"2015-{quarter * 3:02}-15 16:20:00.0"),
    )
    kinds = [*((tag, 0) for tag in tags_of(INSTANT)), *((tag, 4) for tag in tags_of(ANNUAL))]
    years = [20141231, 20131231]
    used = pl.DataFrame(
        [(tag, qtrs, year, SHARES.get(tag, 1.0)) for year in years for tag, qtrs in kinds], schema=COLUMNS, orient="row"
    )
    size = pl.DataFrame({"adsh": adsh, "size": np.exp(rng.normal(12, 1.5, filings)).round() * 1000})
    value = (pl.col("size") * pl.col("share") / 100).round()
    own = size.join(used, how="cross").select("adsh", "tag", "qtrs", "ddate", value=value, segments=pl.lit(""))
    more = max(facts - own.height, 0)
    other = pl.DataFrame(
        {
            "adsh": adsh[rng.integers(0, filings, more)],
            "tag": np.asarray(OTHER_TAGS)[rng.integers(0, len(OTHER_TAGS), more)],
            "qtrs": rng.choice([0, 1, 3, 4], more),
            "ddate": np.full(more, years[0]),
            "value": rng.integers(1, 10**9, more).astype(float),
            "segments": np.where(rng.random(more) < 0.33, "BusinessSegments=Other;", ""),
        }
    )
    num = pl.concat([own, other.cast(dict(own.schema))]).select(
        "adsh", "tag", pl.lit("us-gaap/2014").alias("version"), "ddate", "qtrs", pl.lit("USD").alias("uom"), "segments",
        pl.lit("").alias("coreg"), "value", pl.lit("").alias("footnote"),
    )  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, table in (("sub", sub), ("num", num)):
            archive.writestr(f"{name}.txt", table.write_csv(separator="\t", quote_style="never"))


def lists_of_filings(path: Path, members: int) -> int:
    """Write an archive of lists of filings, a hundredth of which have an 8-K with item 1.03; return how many."""
    names = ("accessionNumber", "form", "filingDate", "reportDate", "acceptanceDateTime", "items", "primaryDocument")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for cik in range(members):
            items = "1.03,9.01" if cik % 100 == 0 else "2.02,9.01"
            row = (f"{cik:010}-15-000001", "8-K", "2015-05-05", "2015-05-05", "2015-05-05T12:00:00.000Z", items, "8k.htm")
            recent = {name: [value] * 12 for name, value in zip(names, row, strict=True)}
            content = {
                "cik": str(cik),
                "name": f"COMPANY {cik}",
                "sic": "3711",
                "formerNames": [],
                "filings": {"recent": recent, "files": []},
            }
            archive.writestr(f"CIK{cik:010}.json", json.dumps(content))
    return (members + 99) // 100


CASES = (
    'On May 4, 2015 (the "Petition Date"), {name} Inc. (the "Company") and certain of its subsidiaries (the "Debtors") filed '
    "voluntary petitions for relief under chapter 11 of the Bankruptcy Code.",
    'On May 4, 2015, Mill LLC, a subsidiary of {name} Inc. (the "Company"), filed a voluntary petition under Chapter 7. '
    "The Company is not a debtor.",
    "On May 4, 2015, Holdings LLC, the Company's parent, filed a petition. The Company has not filed a petition.",
)
SENTENCES = (
    "The Debtors continue to operate their business as debtors in possession under the jurisdiction of the Bankruptcy Court.",
    'The Company entered into a credit agreement (the "DIP Facility") with a group of lenders, which the Court has to approve.',
    "The commencement of the cases is an event of default under the indenture of the Company's 9&#189;% senior notes due 2018.",
    "Forward-looking statements are subject to risks, as the ability of the Company and its subsidiaries to obtain approval.",
    "The description is qualified by reference to the agreement, a copy of which is Exhibit 10.1 to this report.",
)
STYLE = 'style="font-family:Times New Roman;font-size:10pt;margin-top:0pt;margin-bottom:6pt;text-indent:36pt"'


def reports(folder: Path, documents: int) -> int:
    """Keep made-up reports with item 1.03 in a store, a third of each of `CASES`; return the bytes of their HTML."""
    from quiebra.sources.raw_store import RawStore

    rng, store, size = np.random.default_rng(1), RawStore(folder), 0

    def paragraphs(letters: int) -> str:
        told = [SENTENCES[place] for place in rng.integers(0, len(SENTENCES), letters // 240 + 1)]
        return "".join(f"<p {STYLE}><font size=2>{each}</font></p>" for each in told)

    for number in range(documents):
        letters = int(np.exp(rng.uniform(np.log(20_000), np.log(200_000))))
        case = CASES[number % len(CASES)].format(name=f"Company {number}").replace('"', "&#147;")
        body = (
            f"<html><head><title>8-K</title></head><body>{paragraphs(letters // 4)}<p {STYLE}><b>Item&nbsp;1.03 Bankruptcy or "
            f"Receivership.</b></p><p {STYLE}>{case}</p>{paragraphs(letters // 4)}<p><b>Item&nbsp;2.04 Triggering Events.</b></p>"
            f"{paragraphs(letters // 2)}<p>SIGNATURES</p></body></html>"
        ).encode()
        size += len(body)
        store.keep(f"documents/{number:010}-15-000001", body, "made up")
    return size


READ = """
import json, sys, time
from pathlib import Path
from quiebra.panels import build_panel
from quiebra.params import Edgar
from quiebra.sources import edgar
options = Edgar(folder="", first_year=2009, last_year=None, forms=["10-K"], min_assets=0.0, leave_out_sic=[], failures=None)
begun = time.perf_counter()
panel = build_panel(edgar.load(Path(sys.argv[1]), options, None))
seconds, peak = time.perf_counter() - begun, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "rows": panel.statements.height, "peak_mb": peak}))
"""
SCAN = """
import json, sys, time
from pathlib import Path
from quiebra.sources.edgar.failures import first_cases
from quiebra.sources.edgar.submissions import bankruptcy_members, read_submissions
begun = time.perf_counter()
listed, _ = read_submissions(bankruptcy_members(Path(sys.argv[1])), lambda form: form == "8-K")
seconds, peak = time.perf_counter() - begun, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "rows": first_cases(listed).height, "peak_mb": peak}))
"""

JUDGE = """
import json, sys, time
from pathlib import Path
import polars as pl
from quiebra.sources.edgar.bankruptcy_reports import judge_reports
from quiebra.sources.raw_store import RawStore
store = RawStore(Path(sys.argv[1]))
names = store.names("documents/")
told = pl.DataFrame({"cik": range(len(names)), "accession": [name[10:] for name in names]})
told = told.with_columns(filed=pl.date(2015, 5, 6))
begun = time.perf_counter()
judged = judge_reports(store, told, {cik: {f"COMPANY {cik} INC"} for cik in range(len(names))})
seconds, peak = time.perf_counter() - begun, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak, **dict(judged.group_by("who").len().sort("who").iter_rows())}))
"""


def measured(program: str, path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("quarters", 4), ("filings", 6250), ("facts", 3_750_000), ("members", 900_000), ("documents", 4000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    from quiebra.sources.raw_store import RawStore

    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, object] = {**vars(chosen)}
        for quarters in (1, chosen.quarters):
            store = RawStore(Path(folder) / f"{quarters}")
            for quarter in range(1, quarters + 1):
                name = f"data_sets/2015q{quarter}.zip"
                data_set(store.partial(name), quarter, chosen.filings, chosen.facts)
                store.keep_partial(name, "made up")
            size = sum(store.path(name).stat().st_size for name in store.names()) / 1e6
            results[f"{quarters} quarters"] = {"zip_mb": size, **measured(READ, store.folder)}
            print(quarters, results[f"{quarters} quarters"], flush=True)
        archive = Path(folder) / "submissions.zip"
        begun = time.perf_counter()
        expected = lists_of_filings(archive, chosen.members)
        print(f"archive of {archive.stat().st_size / 1e6:.0f} MB made in {time.perf_counter() - begun:.0f} s", flush=True)
        results["scan"] = measured(SCAN, archive)
        assert results["scan"]["rows"] == expected  # type: ignore[index]
        print("scan", results["scan"])
        size = reports(Path(folder) / "reports", chosen.documents)
        results["judge"] = {"html_mb": size / 1e6, **measured(JUDGE, Path(folder) / "reports")}
        print("judge", results["judge"])
    (HERE / "results/edgar_bulk.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
