"""The SEC's company facts: what a company has ever filed as XBRL, by tag, with true dates.

Facts are taken by accession, start and end; ``fy``, ``fp`` and ``frame`` tell of the filing that repeats a fact, not of the fact.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import polars as pl

from quiebra.canonical import conform_to_schema
from quiebra.errors import SourceError
from quiebra.sources.edgar.filings import FACT_SCHEMA
from quiebra.sources.edgar.submissions import member_cik
from quiebra.sources.edgar.tags import ANNUAL, INSTANT, SHARES_TAG, SHARES_UNIT, tags_of

SHORTEST_YEAR, LONGEST_YEAR = 350, 380
"""Days of a fiscal year, first and last day counted: 52 and 53 weeks, and the days about them."""
FLOAT_TAG = "EntityPublicFloat"
FLOAT_SCHEMA: dict[str, Any] = {"accession": pl.String, "market_value": pl.Float64, "market_value_date": pl.Date}
"""market_value: held by others than affiliates, in millions of dollars, on the date."""
COVER_SHARES_TAG = "EntityCommonStockSharesOutstanding"
SHARES_SCHEMA: dict[str, Any] = {"accession": pl.String, "shares": pl.Float64, "shares_date": pl.Date, "tag": pl.String}
"""shares: as filed, of all classes if the filing gives one count. tag: where they stand."""
HEAD = 1 << 18
"""Bytes of a member that are read at once, until its cover page facts (dei) end."""


def read_company_facts(content: dict[str, Any], name: str) -> pl.DataFrame:
    """Return the facts of a file of company facts that items are made of (`FACT_SCHEMA`), each once a filing.

    SourceError naming the file where it has another form.
    """
    kinds = {**dict.fromkeys((*tags_of(INSTANT), SHARES_TAG), INSTANT), **dict.fromkeys(tags_of(ANNUAL), ANNUAL)}
    try:
        gaap = (content.get("facts") or {}).get("us-gaap") or {}
        rows = [
            (fact.get("accn"), tag, kinds[tag], fact.get("start"), fact.get("end"), unit, fact.get("val"))
            for tag in sorted(kinds.keys() & gaap.keys())
            for unit, facts in gaap[tag]["units"].items()
            for fact in facts
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{name} has no company's facts ({error!r}): fetch it again") from None
    schema = {
        "accession": pl.String,
        "tag": pl.String,
        "kind": pl.String,
        "start": pl.String,
        "end": pl.String,
        "unit": pl.String,
    }
    raw = pl.DataFrame(rows, schema={**schema, "value": pl.Float64}, orient="row", strict=False)
    dated = raw.with_columns(pl.col("start", "end").str.to_date("%Y-%m-%d", strict=False))
    days = (pl.col("end") - pl.col("start")).dt.total_days() + 1
    instant = pl.col("start").is_null() & (pl.col("kind") == INSTANT)
    annual = days.is_between(SHORTEST_YEAR, LONGEST_YEAR) & (pl.col("kind") == ANNUAL)
    return (
        dated.filter(instant | annual)
        .select(list(FACT_SCHEMA))
        .drop_nulls(["accession", "end", "value"])
        .unique(maintain_order=True)
    )


def read_covers(path: Path, ciks: set[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the market values (`FLOAT_SCHEMA`) and counts of shares (`SHARES_SCHEMA`) on the cover pages of companies' filings,
    from the archive of company facts.

    Only the beginning of each member is read. SourceError where the archive is damaged.
    """
    floats: list[tuple[str, float, str]] = []
    shares: list[tuple[str, float, str]] = []
    try:
        with ZipFile(path) as archive:
            for info in archive.infolist():
                if member_cik(info.filename) in ciks:
                    cover = _cover(_chunks(archive, info.filename))
                    floats += float_rows(cover)
                    shares += share_rows(cover)
    except (BadZipFile, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is damaged ({error}): delete it, and fetch it again") from error
    return floats_table(floats), shares_table(shares)


def float_rows(facts: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Yield accession, dollars and date of each market value of a file's cover page facts; zero is none."""
    yield from _rows(facts, FLOAT_TAG, "USD")


def share_rows(facts: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Yield accession, count and date of each count of shares of a file's cover page facts; zero is none."""
    yield from _rows(facts, COVER_SHARES_TAG, SHARES_UNIT)


def _rows(facts: dict[str, Any], tag: str, unit: str) -> Iterator[tuple[str, float, str]]:
    for fact in (facts.get(tag) or {}).get("units", {}).get(unit, []):
        if fact.get("val") and fact.get("accn") and fact.get("end"):
            yield fact["accn"], float(fact["val"]), fact["end"]


def floats_table(rows: Iterable[tuple[str, float, str]]) -> pl.DataFrame:
    """Return `FLOAT_SCHEMA`; of several values of a filing the latest counts."""
    table = pl.DataFrame(list(rows), schema=["accession", "dollars", "day"], orient="row") if (rows := list(rows)) else None
    if table is None:
        return pl.DataFrame(schema=FLOAT_SCHEMA)
    dated = table.select(
        "accession",
        market_value=(pl.col("dollars") / 1e6).round(6),
        market_value_date=pl.col("day").str.to_date("%Y-%m-%d", strict=False),
    )
    latest = (
        dated.drop_nulls()
        .sort("accession", "market_value_date", "market_value")
        .unique("accession", keep="last", maintain_order=True)
    )
    return conform_to_schema(latest, FLOAT_SCHEMA)


def shares_table(rows: Iterable[tuple[str, float, str]]) -> pl.DataFrame:
    """Return `SHARES_SCHEMA`; of several counts of a filing the latest counts."""
    table = pl.DataFrame(list(rows), schema={"accession": pl.String, "shares": pl.Float64, "day": pl.String}, orient="row")
    dated = table.with_columns(shares_date=pl.col("day").str.to_date("%Y-%m-%d", strict=False), tag=pl.lit(COVER_SHARES_TAG))
    latest = dated.drop_nulls().sort("accession", "shares_date", "shares").unique("accession", keep="last", maintain_order=True)
    return conform_to_schema(latest, SHARES_SCHEMA)


def cover_facts(content: dict[str, Any]) -> dict[str, Any]:
    """Return the cover page facts of a whole file of company facts."""
    found: dict[str, Any] = (content.get("facts") or {}).get("dei") or {}
    return found


def _chunks(archive: ZipFile, name: str) -> Iterator[bytes]:
    with archive.open(name) as member:
        while chunk := member.read(HEAD):
            yield chunk


def _cover(chunks: Iterable[bytes]) -> dict[str, Any]:
    """Return the cover page facts of a member, of which only the beginning is read, as ``dei`` comes before the rest."""
    head = b""
    for chunk in chunks:
        head += chunk
        text = head.decode(errors="ignore")
        if found := re.search(r'"dei"\s*:\s*', text):
            with contextlib.suppress(ValueError):  # it ends in a later chunk
                cover: dict[str, Any] = json.JSONDecoder().raw_decode(text, found.end())[0]
                return cover
    return {}
