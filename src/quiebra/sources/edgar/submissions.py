"""The SEC's list of a company's filings (submissions): when each was accepted, which period it is about, and items of 8-Ks."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.errors import SourceError
from quiebra.sources.edgar.filings import in_new_york, with_available_at

LISTED_SCHEMA: dict[str, Any] = {
    "cik": pl.Int64,
    "accession": pl.String,
    "form": pl.String,
    "filed": pl.Date,
    "period": pl.Date,
    "accepted_at": pl.Datetime("us"),
    "available_at": pl.Date,
    "items": pl.String,
    "document": pl.String,
}
"""period: of the report, null where there is none. items: of an 8-K, with commas between. document: its main file."""
COMPANY_SCHEMA: dict[str, Any] = {
    "cik": pl.Int64,
    "name": pl.String,
    "former_names": pl.List(pl.String),
    "sic": pl.Int32,
    "state": pl.String,
}
BANKRUPTCY_ITEM = "1.03"
MEMBER = re.compile(r"CIK(\d{10})(?:-submissions-\d+)?\.json")
_MARKS = tuple(f"{before}{BANKRUPTCY_ITEM}{after}".encode() for before in '",' for after in '",')
_COLUMNS = ("accessionNumber", "form", "filingDate", "reportDate", "acceptanceDateTime", "items", "primaryDocument")


def member_cik(name: str) -> int | None:
    """Return the CIK that a file of submissions or company facts is named after; None for another file."""
    found = MEMBER.fullmatch(name.rpartition("/")[2])
    return int(found[1]) if found else None


def read_submissions(files: Iterable[tuple[str, bytes]], forms: Callable[[str], bool]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the listed filings of the forms (`LISTED_SCHEMA`) and the companies (`COMPANY_SCHEMA`) of files of submissions.

    files: name and content. Of an accession that is listed twice the first counts, of a company the first file that names it.
    SourceError naming a file that is no list of filings.
    """
    rows: list[tuple[Any, ...]] = []
    companies: dict[int, tuple[Any, ...]] = {}
    for name, body in files:
        cik = member_cik(name)
        if cik is None:
            continue
        content = parse_object(name, body)
        if "filings" in content and cik not in companies:
            companies[cik] = _company(cik, content)
        try:
            rows += _rows(cik, name, content.get("filings", {}).get("recent", content), forms)
        except (KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"{name} is no list of filings: {error!r}") from None
    raw_schema = {"cik": pl.Int64, "file": pl.String, **dict.fromkeys(_COLUMNS, pl.String)}
    raw = pl.DataFrame(rows, schema=raw_schema, orient="row")
    listed = raw.select(
        "cik",
        "file",
        accession="accessionNumber",
        form="form",
        filed=pl.col("filingDate").str.to_date("%Y-%m-%d", strict=False),
        period=pl.col("reportDate").str.to_date("%Y-%m-%d", strict=False),
        accepted_at=pl.col("acceptanceDateTime").str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False),
        items="items",
        document="primaryDocument",
    ).unique("accession", keep="first", maintain_order=True)
    listed = listed.filter(pl.col("accession").str.contains(r"^\d{10}-\d{2}-\d{6}$"))  # files are named after it
    dated = with_available_at(in_new_york(listed, "file"))
    return dated.select(list(LISTED_SCHEMA)), pl.DataFrame(list(companies.values()), schema=COMPANY_SCHEMA, orient="row")


def archive_members(path: Path, ciks: set[int] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members of an archive of the SEC, read in place; only of the companies ``ciks`` if given.

    SourceError where the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                cik = member_cik(info.filename)
                if cik is not None and (ciks is None or cik in ciks):
                    yield info.filename, archive.read(info)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise SourceError(f"{path} is damaged ({error}): delete it, and fetch it again") from error


def bankruptcy_members(path: Path, ciks: set[int] | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the members that list an 8-K with item 1.03, found without reading the others as JSON."""
    yield from (each for each in archive_members(path, ciks) if lists_bankruptcy(each[1]))


def lists_bankruptcy(body: bytes) -> bool:
    """Return whether a file of submissions may list an 8-K with item 1.03."""
    return any(mark in body for mark in _MARKS)


def parse_object(name: str, body: bytes) -> dict[str, Any]:
    """Return the JSON object of a file of the SEC. SourceError where it is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{name} is no JSON ({error}): fetch it again") from None
    if not isinstance(content, dict):
        raise SourceError(f"{name} is none of the SEC's files: fetch it again")
    return content


def _company(cik: int, content: dict[str, Any]) -> tuple[Any, ...]:
    former = [each["name"] for each in content.get("formerNames", []) if each.get("name")]
    sic = str(content.get("sic") or "")
    state = ((content.get("addresses") or {}).get("business") or {}).get("stateOrCountry") or None
    return cik, content.get("name"), former, int(sic) if sic.isdigit() else None, state


def _rows(cik: int, name: str, recent: dict[str, list[Any]], forms: Callable[[str], bool]) -> Iterator[tuple[Any, ...]]:
    columns = [recent[column] for column in _COLUMNS]
    for row in zip(*columns, strict=True):
        if forms(row[1]):
            yield (cik, name, *row)
