"""Several sources in one panel: companies of all, each firm-year once, and outcomes where the row's source vouches for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from quiebra.canonical import MACRO_SCHEMA, Source, SourceInfo, conform_to_schema, statement_schema
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.items import FIRM_YEAR_KEYS, ITEM_NAMES
from quiebra.provenance import json_sha256

CIK = r"^(?i:CIK)0*(\d{1,10})$"
LARGEST_GAP = 0.0006
"""Amounts in millions this far apart at most are the same, rounded to thousands."""
LEAST_AMOUNT = 0.1
"""Amounts in millions below which equality to the thousand says little: those of shells."""
NOT_COMPARED = ("total_assets", "market_value", "gross_profit", "ebitda", "operating_expenses")
"""Items that are looked up by, differ by day, or follow from others."""
LEAST_ITEMS = 3
"""Fewest amounts, besides total assets, that must be the same in two firm-years for them to be one."""
SHARE_OF_ITEMS = 0.75
"""Least share that is the same of the amounts that both firm-years have."""
YEARS_OF_A_COMPANY = 2
"""Fewest firm-years that two companies must share to be one."""
_ROW = [*FIRM_YEAR_KEYS, "source"]


def combine(sources: Mapping[str, Source]) -> Source:
    """Return the tables of several sources as one.

    Sources with companies' names go before those without, else the order given holds. Companies are one where they have the same
    CIK, or share firm-years by their amounts (`same_firm_years`); other ids that two sources use are told apart by the source's
    name. Of a firm-year that two sources have, the row of the first is kept and the other set aside. A company's failure counts
    whichever source has it, unless the company published accounts after it in the other. ``labelled`` says where a source vouches
    for the outcome. SourceError where the sources have different currencies.
    """
    _refuse_currencies(sources)
    order = sorted(sources, key=lambda name: not _has_names(sources[name]))
    made = {name: _labelled(source) for name, source in _with_own_ids({name: sources[name] for name in order}).items()}
    matches = same_firm_years(_statements(made), list(made))
    links = _links(matches)
    linked = {name: _renamed(source, pl.col("company_id").replace(links)) for name, source in made.items()}
    rows = _statements(linked)
    gone = pl.concat(
        [matches.with_columns(pl.col("company_id").replace(links)).select(_ROW), _doubles(rows, list(linked)).select(_ROW)]
    ).unique()
    events, notes = _events(linked, rows)
    aside = rows.join(gone, on=_ROW, how="semi").with_columns(rule=pl.lit("same_firm_year"))
    schema = {**_schema(linked), "rule": pl.String}
    if aside.height:
        values = {"rows": aside.height, "companies": len(links)}
        text = "firm-years that two sources have count once: {rows} set aside; companies that are one in both: {companies}"
        notes.append(LocalisedMessage(text, values))
    every = list(linked.values())
    return Source(
        _info(linked),
        _companies(every),
        rows.join(gone, on=_ROW, how="anti"),
        events,
        pl.concat([conform_to_schema(source.macro, MACRO_SCHEMA) for source in every]).unique(
            ["series", "date", "available_at"], keep="first", maintain_order=True
        ),
        (*(said for source in every for said in source.warnings), *notes),
        set_aside=pl.concat([conform_to_schema(table, schema) for table in (*(source.set_aside for source in every), aside)]),
        lineage=pl.concat([source.lineage for source in every]),
        filings=pl.concat([source.filings for source in every]),
    )


def same_firm_years(statements: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """Return the rows that are, by their amounts, the firm-year of a company of an earlier source: company_id, fiscal_year,
    source and ``other``, that company.

    Two rows are the same where total assets, and most of the other amounts that both have, are equal to the thousand; fiscal
    years may be counted one apart. order: names of the sources.
    """
    first = statements.sort("company_id", "fiscal_year", "available_at").unique(_ROW, keep="first", maintain_order=True)
    large = first.filter(pl.col("total_assets") >= LEAST_AMOUNT)
    rows = large.select(*_ROW, *ITEM_NAMES, rank=_place(order), key=(pl.col("total_assets") * 1000).round().cast(pl.Int64))
    near = pl.concat([rows.with_columns(pl.col("key") + step) for step in (-1, 0, 1)])
    pairs = rows.join(near, on="key", suffix="_other").filter(
        pl.col("rank") > pl.col("rank_other"),
        pl.col("company_id") != pl.col("company_id_other"),
        (pl.col("fiscal_year") - pl.col("fiscal_year_other")).abs() <= 1,
    )
    others = [name for name in ITEM_NAMES if name not in NOT_COMPARED]
    both = [(pl.col(name).abs() >= LEAST_AMOUNT) & pl.col(f"{name}_other").is_not_null() for name in others]
    equal = [
        given & ((pl.col(name) - pl.col(f"{name}_other")).abs() <= LARGEST_GAP) for name, given in zip(others, both, strict=True)
    ]
    judged = pairs.with_columns(same=pl.sum_horizontal(equal), of=pl.sum_horizontal(both))
    found = judged.filter(pl.col("same") >= LEAST_ITEMS, pl.col("same") >= SHARE_OF_ITEMS * pl.col("of"))
    best = found.sort("same", "company_id_other", descending=[True, False]).unique(_ROW, keep="first", maintain_order=True)
    return best.select(*_ROW, other="company_id_other").sort(_ROW)


def _links(matches: pl.DataFrame) -> dict[str, str]:
    """Return company → the company of an earlier source that it is, where they share firm-years enough."""
    counts = matches.group_by("company_id", "other").len().filter(pl.col("len") >= YEARS_OF_A_COMPANY)
    best = counts.sort("len", "other", descending=[True, False]).unique("company_id", keep="first", maintain_order=True)
    links = dict(best.select("company_id", "other").iter_rows())
    return {company: _first_of(links, company) for company in links}


def _first_of(links: Mapping[str, str], company: str) -> str:
    """Return the company that a chain of links ends at: each leads to an earlier source."""
    while company in links:
        company = links[company]
    return company


def _doubles(rows: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """Return the rows of firm-years that several sources have under one company, without those of the first of them."""
    return rows.with_columns(place=_place(order)).filter(pl.col("place") > pl.col("place").min().over(FIRM_YEAR_KEYS))


def _place(order: Sequence[str]) -> pl.Expr:
    return pl.col("source").replace_strict({name: at for at, name in enumerate(order)}, return_dtype=pl.Int64)


def _has_names(source: Source) -> bool:
    named = source.companies.select((pl.col("name") != pl.col("company_id")).fill_null(False).mean()).item()
    return bool(named is not None and named > 0.5)


def _refuse_currencies(sources: Mapping[str, Source]) -> None:
    codes = {name: source.info.currency for name, source in sources.items()}
    if len(set(codes.values())) > 1:
        raise SourceError(
            "ingest.sources: a panel has one currency, and the sources have {list}. Convert your file: ingest.table.units times "
            "the rate, and ingest.table.currency that of the others.",
            list=", ".join(f"{name} {code}" for name, code in codes.items()),
        )


def _with_own_ids(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Return the sources with ids that mean one company each; a CIK is written as EDGAR's ids."""
    made: dict[str, Source] = {}
    known: set[str] = set()
    for name, source in sources.items():
        ids = source.companies["company_id"].to_list()
        if "edgar" in sources and ids and all(re.match(CIK, each) for each in ids):
            source = _renamed(source, pl.format("CIK{}", pl.col("company_id").str.extract(CIK).str.zfill(10)))
        elif known & set(ids):
            source = _renamed(source, pl.format("{}:{}", pl.lit(name), "company_id"))
        made[name] = source
        known |= set(source.companies["company_id"].to_list())
    return made


def _renamed(source: Source, company_id: pl.Expr) -> Source:
    names = ("companies", "statements", "events", "set_aside", "lineage", "filings")
    return replace(source, **{name: getattr(source, name).with_columns(company_id=company_id) for name in names})


def _labelled(source: Source) -> Source:
    """Return a source whose statements say whether it vouches for the failure or survival of the year after."""
    years = pl.col("fiscal_year").is_between(source.info.first_label_year, source.info.outcomes_through)
    return replace(source, statements=source.statements.with_columns(labelled=years, source=pl.lit(source.info.source)))


def _schema(sources: Mapping[str, Source]) -> dict[str, Any]:
    return statement_schema(column.name for source in sources.values() for column in source.info.own_columns)


def _statements(sources: Mapping[str, Source]) -> pl.DataFrame:
    return pl.concat([conform_to_schema(source.statements, _schema(sources)) for source in sources.values()])


def _companies(sources: Sequence[Source]) -> pl.DataFrame:
    """Return one row a company, with what the first source that knows it says."""
    rows = pl.concat([source.companies for source in sources])
    return rows.group_by("company_id", maintain_order=True).agg(pl.all().drop_nulls().first()).sort("company_id")


def _events(sources: Mapping[str, Source], rows: pl.DataFrame) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return the events of all sources. One before accounts that another source has of the company is left out: the company went
    on, as where a subsidiary failed."""
    events = pl.concat([source.events.with_columns(source_of=pl.lit(source.info.source)) for source in sources.values()])
    last = rows.group_by("company_id", "source").agg(last=pl.col("period_end").max())
    later = events.join(last, on="company_id", suffix="_rows").filter(
        pl.col("source_of") != pl.col("source_rows"), pl.col("last") > pl.col("event_date")
    )
    kept = events.join(later, on=["company_id", "event_date", "source_of"], how="anti").drop("source_of")
    if later.is_empty():
        return kept, []
    text = "failures of one source left out, since another has accounts of the company after them: {n}, such as {example}"
    values = {"n": later["company_id"].n_unique(), "example": later["company_id"].sort()[0]}
    return kept, [LocalisedMessage(text, values)]


def _info(sources: Mapping[str, Source]) -> SourceInfo:
    infos = [source.info for source in sources.values()]
    lags = [info.assumed_lag_days for info in infos if info.assumed_lag_days is not None]
    return SourceInfo(
        source="+".join(sorted(info.source for info in infos)),
        title=" + ".join(info.title for info in infos),
        simulated=any(info.simulated for info in infos),
        currency=infos[0].currency,
        first_label_year=min(info.first_label_year for info in infos),
        outcomes_through=max(info.outcomes_through for info in infos),
        as_of=max(info.as_of for info in infos),
        sha256=json_sha256([info.sha256 for info in infos]),
        notes=" ".join(info.notes for info in infos),
        assumed_lag_days=max(lags, default=None),
        own_columns=tuple(column for info in infos for column in info.own_columns),
    )
