"""A generated EDGAR: the simulated companies as annual reports, 8-Ks and company facts, in the files and on the addresses of the SEC."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from service_stand_in import Reply, Request

from quiebra.panels import build_panel
from quiebra.params import Demo
from quiebra.sources import demo
from quiebra.sources.edgar.tags import SHARES_TAG

TAG_OF_ITEM = {
    "total_assets": "Assets",
    "current_assets": "AssetsCurrent",
    "cash": "CashAndCashEquivalentsAtCarryingValue",
    "receivables": "AccountsReceivableNetCurrent",
    "inventory": "InventoryNet",
    "current_liabilities": "LiabilitiesCurrent",
    "long_term_debt": "LongTermDebtNoncurrent",
    "total_liabilities": "Liabilities",
    "retained_earnings": "RetainedEarningsAccumulatedDeficit",
    "revenue": "Revenues",
    "cost_of_goods_sold": "CostOfRevenue",
    "ebit": "OperatingIncomeLoss",
    "depreciation_amortization": "DepreciationDepletionAndAmortization",
    "interest_expense": "InterestExpense",
    "net_income": "NetIncomeLoss",
    "operating_cash_flow": "NetCashProvidedByUsedInOperatingActivities",
}
INSTANTS = {*list(TAG_OF_ITEM.values())[:9], "LiabilitiesAndStockholdersEquity", "StockholdersEquity", SHARES_TAG}
SIC_OF_SECTOR = (2834, 3711, 4911, 5411, 7372, 1311)
STATES = ("CA", "TX", "NY", "OH", "DE")


@dataclass
class Filing:
    """An annual report: period, day and time of acceptance, and dollars by tag and end of year."""

    accession: str
    cik: int
    name: str
    form: str
    period: dt.date
    accepted: dt.datetime
    facts: dict[tuple[str, dt.date], float]
    public_float: float | None = None
    sic: int = 3711
    state: str = "CA"
    currency: str = "USD"
    cover_shares: float | None = None
    cover_date: dt.date | None = None

    @property
    def filed(self) -> dt.date:
        return self.accepted.date()

    @property
    def quarter(self) -> str:
        return f"{self.filed.year}q{(self.filed.month + 2) // 3}"


@dataclass
class Edgar:
    """filings: annual reports. cases: company → days of its 8-Ks with item 1.03. documents: texts of these, by company and day."""

    filings: list[Filing]
    cases: dict[int, list[dt.date]]
    refuse: list[Reply] = field(default_factory=list)
    documents: dict[tuple[int, dt.date], Reply] = field(default_factory=dict)

    def data_set(self, quarter: str) -> bytes:
        mine = [filing for filing in self.filings if filing.quarter == quarter]
        sub = ["adsh\tcik\tname\tsic\tcountryba\tstprba\tform\tperiod\tfy\tfp\tfiled\taccepted"]
        num = ["adsh\ttag\tversion\tddate\tqtrs\tuom\tsegments\tcoreg\tvalue\tfootnote"]
        for f in mine:
            sub.append(
                f"{f.accession}\t{f.cik}\t{f.name}\t{f.sic}\tUS\t{f.state}\t{f.form}\t{f.period:%Y%m%d}\t{f.period.year + 7}\tFY\t"
                f"{f.filed:%Y%m%d}\t{f.accepted:%Y-%m-%d %H:%M:%S}.0"
            )
            for (tag, end), value in f.facts.items():
                qtrs = 0 if tag in INSTANTS else 4
                unit = "shares" if tag == SHARES_TAG else f.currency
                num.append(f"{f.accession}\t{tag}\tus-gaap/2012\t{end:%Y%m%d}\t{qtrs}\t{unit}\t\t\t{value:.4f}\t")
                num.append(
                    f"{f.accession}\t{tag}\tus-gaap/2012\t{end:%Y%m%d}\t{qtrs}\t{f.currency}\tSegment=One;\t\t{value / 3:.4f}\t"
                )
        return zipped({"sub.txt": "\n".join(sub), "num.txt": "\n".join(num), "tag.txt": "tag\n", "pre.txt": "adsh\n"})

    def quarters(self) -> list[str]:
        return sorted({filing.quarter for filing in self.filings})

    def submissions(self, cik: int) -> dict[str, object]:
        rows = [(f.accession, f.form, f.filed, f.period, f.accepted, "", "report.htm") for f in self.filings if f.cik == cik]
        rows += [
            (f"{cik:010}-{day:%y}-{number:06}", "8-K", day, day, dt.datetime.combine(day, dt.time(9)), "1.03,9.01", "8k.htm")
            for number, day in enumerate(self.cases.get(cik, []), start=900)
        ]
        rows.sort(key=lambda row: row[2], reverse=True)
        first = next(f for f in self.filings if f.cik == cik)
        names = ("accessionNumber", "form", "filingDate", "reportDate", "acceptanceDateTime", "items", "primaryDocument")
        texts = [[f"{v:%Y-%m-%dT%H:%M:%S}.000Z" if isinstance(v, dt.datetime) else str(v) for v in row] for row in rows]
        return {
            "cik": str(cik),
            "name": first.name,
            "sic": str(first.sic),
            "formerNames": [],
            "addresses": {"business": {"stateOrCountry": first.state}},
            "filings": {"recent": dict(zip(names, map(list, zip(*texts, strict=True)), strict=True)), "files": []},
        }

    def company_facts(self, cik: int) -> dict[str, object]:
        mine = [filing for filing in self.filings if filing.cik == cik]
        floats = [
            {
                "end": str(dt.date(f.period.year, 6, 30)),
                "val": f.public_float,
                "accn": f.accession,
                "form": f.form,
                "filed": str(f.filed),
            }
            for f in mine
            if f.public_float
        ]
        shares = [{"end": str(f.cover_date), "val": f.cover_shares, "accn": f.accession} for f in mine if f.cover_shares]
        gaap: dict[str, list[dict[str, object]]] = {}
        for f in mine:
            for (tag, end), value in f.facts.items():
                start = {} if tag in INSTANTS else {"start": str(end.replace(year=end.year - 1) + dt.timedelta(days=1))}
                gaap.setdefault(tag, []).append(
                    {**start, "end": str(end), "val": value, "accn": f.accession, "fy": f.period.year + 7, "form": f.form}
                )
        return {
            "cik": cik,
            "entityName": mine[0].name,
            "facts": {
                "dei": {
                    "EntityCommonStockSharesOutstanding": {"units": {"shares": shares}},
                    "EntityPublicFloat": {"units": {"USD": floats}},
                },
                "us-gaap": {tag: {"units": {"USD": facts}} for tag, facts in gaap.items()},
            },
        }

    def archive(self, make: str) -> bytes:
        ciks = sorted({filing.cik for filing in self.filings})
        return zipped({f"CIK{cik:010}.json": json.dumps(getattr(self, make)(cik)) for cik in ciks})

    def __call__(self, request: Request) -> Reply:
        """Answer as the SEC's website and data site do."""
        if self.refuse:
            return self.refuse.pop(0)
        path = request.path
        if path.endswith("financial-statement-data-sets"):
            links = "".join(f'<a href="/files/{quarter}.zip">{quarter}</a>' for quarter in self.quarters())
            return Reply(f"<!doctype html>{links}".encode(), headers={"Content-Type": "text/html"})
        if path.startswith("/files/"):
            return Reply(self.data_set(path[7:13]), headers={"ETag": f'"{path}"'}, ranges=True)
        if path.endswith("submissions.zip"):
            return Reply(self.archive("submissions"), headers={"ETag": '"s"'}, ranges=True)
        if path.endswith("companyfacts.zip"):
            return Reply(self.archive("company_facts"), headers={"ETag": '"f"'}, ranges=True)
        if path.endswith(".idx"):
            return self._index(path)
        if path.startswith("/Archives/edgar/data/"):
            return self._document(path)
        cik = int(path.rpartition("CIK")[2].removesuffix(".json"))
        return Reply(json.dumps(self.submissions(cik) if "submissions" in path else self.company_facts(cik)).encode())

    def case_accession(self, cik: int, day: dt.date) -> str:
        return f"{cik:010}-{day:%y}-{900 + self.cases[cik].index(day):06}"

    def _document(self, path: str) -> Reply:
        *_, cik, folder, file = path.split("/")
        days = {self.case_accession(int(cik), day).replace("-", ""): day for day in self.cases.get(int(cik), [])}
        there = self.documents.get((int(cik), days[folder])) if file == "8k.htm" and folder in days else None
        return there or Reply(b"<html>NoSuchKey</html>", status=404, headers={"Content-Type": "text/html"})

    def _index(self, path: str) -> Reply:
        day = dt.datetime.strptime(path.split(".")[-2], "%Y%m%d").date()
        lines = [f"{f.cik}|{f.name}|{f.form}|{day:%Y%m%d}|edgar/data/{f.accession}.txt" for f in self.filings if f.filed == day]
        lines += [f"{cik}|X|8-K|{day:%Y%m%d}|edgar/data/x.txt" for cik, days in self.cases.items() if day in days]
        return (
            Reply(
                "\n".join(["Description: Daily Index", "CIK|Company Name|Form Type|Date Filed|File Name", "---", *lines]).encode()
            )
            if lines
            else Reply(status=404)
        )


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def generated(companies: int = 120, years: int = 6, first_year: int = 2011, seed: int = 5) -> tuple[Edgar, pl.DataFrame]:
    """Return a generated EDGAR, and the statements that it was made of (amounts in millions)."""
    panel = build_panel(demo.load(Demo(companies=companies, first_year=first_year, years=years, seed=seed)))
    statements = panel.statements.sort("company_id", "fiscal_year", "available_at")
    ciks = {company: 1000 + 7 * place for place, company in enumerate(statements["company_id"].unique().sort())}
    filings, seen = [], set()
    for number, row in enumerate(statements.iter_rows(named=True)):
        cik, end = ciks[row["company_id"]], dt.date(row["fiscal_year"], 12, 31)
        day = row["available_at"]
        while day.weekday() > 4:
            day += dt.timedelta(days=1)
        facts = {(tag, end): round(row[item] * 1e6, 0) for item, tag in TAG_OF_ITEM.items() if row[item] is not None}
        if row["total_assets"] is not None:
            facts["LiabilitiesAndStockholdersEquity", end] = facts["Assets", end]
        filings.append(
            Filing(
                accession=f"{cik:010}-{day:%y}-{number:06}",
                cik=cik,
                name=f"GENERATED {cik} INC",
                form="10-K" if (cik, end) not in seen else "10-K/A",
                period=end,
                accepted=dt.datetime.combine(day, dt.time(16, 30)),
                facts=facts,
                public_float=None if row["market_value"] is None else round(row["market_value"] * 1e6, 0),
                sic=SIC_OF_SECTOR[cik % 6],
                state=STATES[cik % 5],
            )
        )
        seen.add((cik, end))
    cases = {
        ciks[row["company_id"]]: [row["event_date"]] for row in panel.events.iter_rows(named=True) if row["company_id"] in ciks
    }
    return Edgar(filings, cases), statements.with_columns(cik=pl.col("company_id").replace_strict(ciks))


def write_data_set(folder: Path, quarter: str, sub: pl.DataFrame, num: pl.DataFrame) -> Path:
    """Write the zip file of a quarter, as the SEC does, from its tables."""
    path = folder / f"{quarter}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in (("sub", sub), ("num", num)):
            archive.writestr(f"{name}.txt", table.write_csv(separator="\t", quote_style="never"))
    return path
