"""The SEC's Financial Statement Data Sets: filings and facts of a quarter, read from the zip file as it was sent.

Columns are found by name: three layouts are known (without ``segments``, with it, and a daily one with few columns).
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from quiebra.canonical import conform_to_schema
from quiebra.errors import SourceError
from quiebra.sources.edgar.filings import FACT_SCHEMA, FILING_SCHEMA, US_DATE, is_annual, with_available_at
from quiebra.sources.edgar.tags import ANNUAL, INSTANT, SHARES_TAG, tags_of

NEEDED = {
    "sub.txt": ("adsh", "cik", "name", "form", "period", "filed"),
    "num.txt": ("adsh", "tag", "version", "ddate", "qtrs", "uom", "value"),
}


def read_data_set(path: Path, forms: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the filings of the forms (`FILING_SCHEMA`), and the facts that items are made of (`FACT_SCHEMA`).

    Facts of segments and of co-registrants are left out, and those over other times than a year. SourceError where the file is
    damaged, or has other columns.
    """
    filings = read_filings(path, forms)
    with _opened(path) as archive:
        return filings, _facts(_member(archive, path, "num.txt"), filings)


def read_filings(path: Path, forms: Sequence[str]) -> pl.DataFrame:
    """Return the filings of the forms alone."""
    with _opened(path) as archive:
        return _filings(_member(archive, path, "sub.txt"), forms)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} is damaged ({str(error).splitlines()[0]:.200}): delete it, and fetch it again") from error


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> pl.LazyFrame:
    """Return a table of the archive, all of its columns as text. SourceError where one that is needed is missing."""
    member = next((each for each in archive.namelist() if each.rpartition("/")[2] == name), None)
    if member is None:
        raise SourceError(f"{path} has no {name}: it is no data set of financial statements")
    # no mark of quotation: texts have single ones
    table = pl.scan_csv(
        io.BytesIO(archive.read(member)), separator="\t", quote_char=None, infer_schema=False, encoding="utf8-lossy"
    )
    missing = [column for column in NEEDED[name] if column not in table.collect_schema().names()]
    if missing:
        raise SourceError(f"{path}: {name} has no column {', '.join(missing)}: its layout is not known")
    return table


def _filings(table: pl.LazyFrame, forms: Sequence[str]) -> pl.DataFrame:
    names = table.collect_schema().names()

    def text(column: str) -> pl.Expr:
        return pl.col(column).str.strip_chars() if column in names else pl.lit(None, pl.String)

    country = text("countryba")
    found = (
        table.filter(is_annual(pl.col("form"), forms))
        .select(
            accession=text("adsh"),
            cik=text("cik").cast(pl.Int64),
            name=text("name"),
            form=text("form"),
            sic=text("sic").cast(pl.Float64, strict=False).cast(pl.Int32),
            state=text("stprba"),
            country=pl.when(country != "").then(country),
            period=text("period").str.to_date(US_DATE, strict=False),
            filed=text("filed").str.to_date(US_DATE, strict=False),
            accepted_at=text("accepted").str.slice(0, 19).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False),
        )
        .filter(pl.col("accession").is_not_null(), pl.col("cik").is_not_null(), pl.col("filed").is_not_null())
        .unique("accession", keep="first", maintain_order=True)
        .collect()
    )
    return with_available_at(found).select(list(FILING_SCHEMA))


def _facts(table: pl.LazyFrame, filings: pl.DataFrame) -> pl.DataFrame:
    names = table.collect_schema().names()
    kinds = pl.DataFrame(
        [*((tag, "0", INSTANT) for tag in (*tags_of(INSTANT), SHARES_TAG)), *((tag, "4", ANNUAL) for tag in tags_of(ANNUAL))],
        schema=["tag", "qtrs", "kind"],
        orient="row",
    )
    whole = [pl.col(name).is_null() | (pl.col(name) == "") for name in ("segments", "coreg") if name in names]
    found = (
        table.filter(*whole, pl.col("qtrs").is_in(["0", "4"]), pl.col("version").str.starts_with("us-gaap"))
        .select("adsh", "tag", "ddate", "qtrs", "uom", "value")
        .join(kinds.lazy(), on=["tag", "qtrs"])
        .join(filings.lazy().select("accession"), left_on="adsh", right_on="accession", how="semi")
        .select(
            accession=pl.col("adsh"),
            tag=pl.col("tag"),
            kind=pl.col("kind"),
            end=pl.col("ddate").str.to_date(US_DATE, strict=False),
            unit=pl.col("uom"),
            value=pl.col("value").cast(pl.Float64, strict=False),
        )
        .drop_nulls(["end", "value"])
        .collect()
    )
    return conform_to_schema(found, FACT_SCHEMA)
