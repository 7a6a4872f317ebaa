"""From what filings say to the versions of firm-years: the first filing, and each later one that says something else.

A later filing may be an amendment of the same year's, or a later year's with other figures for comparison. What it does not
repeat stays as it was; a figure that it only rounds is no other figure. Filings of one day make one version, the last one counts.
"""

from __future__ import annotations

import polars as pl

from quiebra.canonical import LINEAGE_SCHEMA, conform_to_schema
from quiebra.sources.edgar.filings import month_end
from quiebra.sources.edgar.reported_items import MILLION
from quiebra.sources.edgar.tags import LADDERS
from quiebra.sources.fiscal_years import fiscal_year
from quiebra.sources.item_ladders import with_derived

ITEMS = [ladder.item for ladder in LADDERS]
_YEAR = ["cik", "period"]
_VERSION = [*_YEAR, "available_at"]


def company_id(cik: pl.Expr) -> pl.Expr:
    """Return a company's id: its CIK, which stays while names change."""
    return pl.format("CIK{}", cik.cast(pl.String).str.zfill(10))


def build_versions(filings: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the versions of firm-years, and their lineage (`LINEAGE_SCHEMA`).

    filings: `FILING_SCHEMA`. items: `ITEM_SCHEMA`. Years of which there is no filing of their own, but only figures for
    comparison, are left out: only companies that went on have those.

    A version: company_id, fiscal_year, period_end, available_at, accepted_at, accession (of its latest filing), and the items in
    millions, those that follow from others included.
    """
    dated = filings.with_columns(own=month_end(pl.col("period")))
    said = items.join(dated.select("accession", "cik", "own", "available_at", "accepted_at", "filed"), on="accession")
    own = said.filter(pl.col("period") == pl.col("own"), pl.col("item") == "total_assets")
    first = own.group_by(_YEAR).agg(first_at=pl.col("available_at").min())
    order = [*_YEAR, "item", "available_at", "accepted_at", "accession"]
    known = said.join(first, on=_YEAR).filter(pl.col("available_at") >= pl.col("first_at")).sort(order, nulls_last=False)
    of_day = known.unique([*_VERSION, "item"], keep="last", maintain_order=True)
    changed = of_day.filter(_differs())
    ends = _period_ends(dated)
    made = (
        _filled(changed)
        .join(ends, on=_YEAR)
        .select(
            company_id=company_id(pl.col("cik")),
            fiscal_year=fiscal_year(pl.col("period_end")),
            period_end="period_end",
            available_at="available_at",
            accepted_at="accepted_at",
            accession="accession",
            **{item: pl.col(item) for item in ITEMS},
        )
        .sort("company_id", "period_end", "available_at")
    )
    reported = changed.join(ends, on=_YEAR).with_columns(
        company_id=company_id(pl.col("cik")), fiscal_year=fiscal_year(pl.col("period_end"))
    )
    complete, worked_out = with_derived(made)
    lineage = pl.concat([conform_to_schema(reported, LINEAGE_SCHEMA), worked_out])
    return complete, lineage.sort("company_id", "period_end", "available_at", "item")


def _differs() -> pl.Expr:
    """Return whether a figure differs from the one said before by more than the coarser of the two is rounded to."""
    before = [pl.col(name).shift().over([*_YEAR, "item"]) for name in ("value", "unit")]
    tolerance = pl.max_horizontal(pl.col("unit"), before[1], pl.lit(1 / MILLION)) / 2
    return before[0].is_null() | ((pl.col("value") - before[0]).abs() > tolerance)


def _filled(changed: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each version with all of its items: those of before where it says nothing of them."""
    wide = (
        changed.group_by(_VERSION, maintain_order=True)
        .agg(
            *(pl.col("value").filter(pl.col("item") == item).first().alias(item) for item in ITEMS),
            latest=pl.struct("accepted_at", "accession").sort_by("accepted_at", "accession", nulls_last=False).last(),
        )
        .unnest("latest")
        .sort(_VERSION)
    )
    return wide.with_columns(pl.col(ITEMS).forward_fill().over(_YEAR))


def _period_ends(dated: pl.DataFrame) -> pl.DataFrame:
    """Return the end of each company's period: the day that its first filing says, where filings round it differently."""
    order = [*_YEAR, "available_at", "accession"]
    ends = (
        dated.select("cik", "available_at", "accession", period="own", period_end="period").drop_nulls("period_end").sort(order)
    )
    return ends.unique(_YEAR, keep="first", maintain_order=True).select(*_YEAR, "period_end")
