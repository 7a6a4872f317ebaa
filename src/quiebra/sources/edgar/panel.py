"""Canonical tables of US companies, from the files that `quiebra fetch edgar` has kept; the network is not asked."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from quiebra import canonical
from quiebra.canonical import (
    COMPANY_SCHEMA,
    EVENT_SCHEMA,
    MACRO_SCHEMA,
    STATEMENT_SCHEMA,
    Source,
    SourceInfo,
    conform_to_schema,
    earliest_year,
    latest_day,
)
from quiebra.errors import LocalisedMessage, SourceError
from quiebra.params import Edgar
from quiebra.progress import report_progress
from quiebra.sources.edgar.bankruptcy_reports import NONE, NOT_ITS_OWN, PARENT, REGISTRANT, SUBSIDIARY, UNCLEAR, judge_reports
from quiebra.sources.edgar.company_facts import (
    cover_facts,
    float_rows,
    floats_table,
    read_company_facts,
    read_covers,
    share_rows,
    shares_table,
)
from quiebra.sources.edgar.data_sets import read_data_set, read_filings
from quiebra.sources.edgar.failures import (
    apply_corrections,
    bankruptcy_filings,
    first_case_events,
    first_cases,
    read_corrections,
)
from quiebra.sources.edgar.filings import AMENDED, FILING_SCHEMA, FOREIGN_FORMS, month_end, with_available_at
from quiebra.sources.edgar.market_values import balance_sheet_shares, market_values, read_prices
from quiebra.sources.edgar.reported_items import reported_items, without_dollars
from quiebra.sources.edgar.sectors import ABROAD, region_of_state, sector_of_sic
from quiebra.sources.edgar.submissions import (
    archive_members,
    lists_bankruptcy,
    member_cik,
    parse_object,
    read_submissions,
)
from quiebra.sources.edgar.versions import build_versions, company_id
from quiebra.sources.fiscal_years import outcomes_through
from quiebra.sources.raw_store import RawStore
from quiebra.sources.slips import assets_slipped

DATA_SETS, FILED, FACTS = "data_sets/", "submissions/", "company_facts/"
"""Folders of the store."""
FILED_ARCHIVE, FACTS_ARCHIVE = "submissions.zip", "companyfacts.zip"
TITLE = "US companies, SEC EDGAR"
NOTES = (
    "Annual reports (10-K) as filed with the SEC: each figure from the tags of the filing itself, each version dated by its "
    "acceptance. Failure is the first 8-K with item 1.03 (bankruptcy or receivership) since 23 August 2004."
)
EXAMPLES = 5


@dataclass(frozen=True)
class _Read:
    """What the files say: filings (`FILING_SCHEMA`), items (`reported_items`), those that do not balance, list of filings, whose
    cases reports are about (`JUDGED_SCHEMA`), annual reports of foreign companies, those that have no amount in dollars;
    market values and counts of shares on covers, and counts on balance sheets."""

    filings: pl.DataFrame
    items: pl.DataFrame
    unbalanced: pl.DataFrame
    listed: pl.DataFrame
    judged: pl.DataFrame
    floats: pl.DataFrame
    cover_shares: pl.DataFrame
    sheet_shares: pl.DataFrame
    foreign: pl.DataFrame
    other_currency: set[str]


def load(folder: Path, options: Edgar, corrections: Path | None, prices: Path | None = None) -> Source:
    """Return the tables of the companies and years that ``options`` name.

    folder: of the raw answers. corrections: file of failures; see `quiebra.sources.edgar.failures`. prices: file of closes;
    see `quiebra.sources.edgar.market_values`. SourceError where nothing was
    fetched, or a file is damaged.
    """
    store = RawStore(folder)
    sets = [name for name in store.names(DATA_SETS) if options.covers(_year_of(name))]
    if not sets:
        raise SourceError(
            "no data set of {year} or later in {folder}: `quiebra fetch edgar` gets them from the SEC (some gigabytes; "
            "QUIEBRA_SEC_CONTACT must say who asks)",
            year=options.first_year,
            folder=folder,
        )
    read = _read(store, sets, options)
    statements, lineage = build_versions(read.filings, read.items)
    values, notes = _market_values(read, prices)
    statements, lineage = _with_market_value(statements, lineage, values)
    small = statements["total_assets"] < options.min_assets
    statements = statements.filter(~small.fill_null(False))
    statements = statements.with_columns(currency=pl.lit("USD"), source=pl.lit("edgar"))
    faults = _faults(statements, read)
    cases = first_cases(read.listed, read.judged)
    if corrections is not None:
        cases = apply_corrections(cases, read_corrections(corrections))
    as_of = latest_day(pl.concat([read.filings["filed"], read.listed["filed"]]))
    info = SourceInfo(
        source="edgar",
        title=TITLE,
        simulated=False,
        currency="USD",
        first_label_year=earliest_year(statements["fiscal_year"]) if statements.height else options.first_year,
        outcomes_through=outcomes_through(as_of),
        as_of=as_of,
        sha256=_hash(store, corrections, prices),
        notes=NOTES,
    )
    return Source(
        info,
        conform_to_schema(_companies(read, cases), COMPANY_SCHEMA),
        conform_to_schema(statements.filter(faults.is_null()), STATEMENT_SCHEMA),
        conform_to_schema(first_case_events(cases), EVENT_SCHEMA),
        pl.DataFrame(schema=MACRO_SCHEMA),
        (*_notes(read, cases, int(small.sum())), *notes),
        set_aside=conform_to_schema(
            statements.with_columns(rule=faults).filter(faults.is_not_null()), {**STATEMENT_SCHEMA, "rule": pl.String}
        ),
        lineage=lineage.join(
            statements.select("company_id", "fiscal_year", "available_at"),
            on=["company_id", "fiscal_year", "available_at"],
            how="semi",
        ),
        filings=conform_to_schema(read.filings.with_columns(company_id=company_id(pl.col("cik"))), canonical.FILING_SCHEMA),
    )


def _year_of(name: str) -> int:
    return int(name.removeprefix(DATA_SETS)[:4])


def _read(store: RawStore, sets: list[str], options: Edgar) -> _Read:
    filings, items, unbalanced, foreign, sheet = [], [], [], [], []
    other_currency: set[str] = set()
    for number, name in enumerate(sets, start=1):
        report_progress(f"data set {number} of {len(sets)}")
        filed, facts = read_data_set(store.path(name), options.forms)
        filed = filed.filter(_wanted(options))
        facts = facts.join(filed, on="accession", how="semi")
        said, wrong = reported_items(facts)
        other_currency |= without_dollars(facts)
        sheet.append(balance_sheet_shares(facts, filed))
        foreign.append(read_filings(store.path(name), FOREIGN_FORMS).filter(_wanted(options)))
        filings.append(filed)
        items.append(said)
        unbalanced.append(wrong)
    known = pl.concat(filings).unique("accession", keep="first", maintain_order=True)
    report_progress("lists of filings")
    since = {cik for name in store.names(FACTS) if (cik := member_cik(name)) is not None}  # new companies among them
    listed, companies = read_submissions(_submissions(store, {*known["cik"], *since}), _of_interest(options))
    known = _with_listed(known, listed)
    newer = _newer(listed, companies, known).filter(_wanted(options))
    floats, shares = ([table] for table in _archived_covers(store, set(known["cik"])))
    for name in store.names(FACTS):
        content = parse_object(name, store.read(name))
        facts = read_company_facts(content, name).join(newer, on="accession", how="semi")
        said, wrong = reported_items(facts)
        other_currency |= without_dollars(facts)
        items.append(said)
        unbalanced.append(wrong)
        sheet.append(balance_sheet_shares(facts, newer))
        floats.append(floats_table(float_rows(cover_facts(content))))
        shares.append(shares_table(share_rows(cover_facts(content))))
    values = [pl.concat(each).unique("accession", keep="last", maintain_order=True) for each in (floats, shares, sheet)]
    every = pl.concat([known, newer])
    judged = judge_reports(store, bankruptcy_filings(listed), _names(every, companies))
    return _Read(
        filings=every,
        items=pl.concat(items),
        unbalanced=pl.concat(unbalanced),
        listed=listed,
        judged=judged,
        floats=values[0],
        cover_shares=values[1],
        sheet_shares=values[2],
        foreign=pl.concat(foreign),
        other_currency=other_currency,
    )


def _names(filings: pl.DataFrame, companies: pl.DataFrame) -> dict[int, set[str]]:
    """Return the names of companies, present and former."""
    former = companies.select("cik", name="former_names").explode("name")
    told = pl.concat([filings.select("cik", "name"), companies.select("cik", "name"), former]).drop_nulls()
    return {cik: set(names) for cik, names in told.group_by("cik").agg("name").iter_rows()}


def _wanted(options: Edgar) -> pl.Expr:
    left_out = [pl.col("sic").is_between(first, last) for first, last in options.sic_ranges()]
    return ~pl.any_horizontal(pl.lit(False), *left_out).fill_null(False)


def _of_interest(options: Edgar) -> Callable[[str], bool]:
    forms = {*options.forms, *(f"{form}{AMENDED}" for form in options.forms), "8-K", "8-K/A"}
    return forms.__contains__


def _submissions(store: RawStore, ciks: set[int]) -> Iterator[tuple[str, bytes]]:
    """Yield the lists of filings that were fetched one by one, which are newer, then those of the archive."""
    for name in store.names(FILED):
        if member_cik(name) in ciks:
            yield name, store.read(name)
    if FILED_ARCHIVE in store:
        yield from archive_members(store.path(FILED_ARCHIVE), ciks)


def _archived_covers(store: RawStore, ciks: set[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    return read_covers(store.path(FACTS_ARCHIVE), ciks) if FACTS_ARCHIVE in store else (floats_table([]), shares_table([]))


def _with_listed(filings: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Return filings with the exact end of the period and time of acceptance where the list of filings has them.

    The data sets round the end of a period to a month's end; the list's is taken where it is within half a month of it.
    """
    told = listed.select("accession", listed_period="period", listed_at="accepted_at").unique("accession", keep="first")
    both = filings.join(told, on="accession", how="left", maintain_order="left")
    near = (pl.col("listed_period") - pl.col("period")).dt.total_days().abs() <= 16
    exact = both.with_columns(
        period=pl.when(near | pl.col("period").is_null()).then("listed_period").otherwise("period"),
        accepted_at=pl.coalesce("accepted_at", "listed_at"),
    )
    return with_available_at(exact).select(list(FILING_SCHEMA))


def _newer(listed: pl.DataFrame, companies: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the annual reports of the list that no data set has; their sector is the company's of today."""
    annual = listed.filter(~pl.col("form").str.starts_with("8-K")).join(known, on="accession", how="anti")
    latest = known["filed"].max()
    newer = annual.filter(pl.col("filed") > latest) if isinstance(latest, dt.date) else annual
    return conform_to_schema(newer.join(companies.select("cik", "name", "sic", "state"), on="cik", how="left"), FILING_SCHEMA)


def _market_values(read: _Read, prices: Path | None) -> tuple[pl.DataFrame, list[LocalisedMessage]]:
    """Return the market value of each filing, by shares and price where there are both, else that on its cover; and notes."""
    floats = read.floats.with_columns(rule=pl.lit("EntityPublicFloat"))
    if prices is None:
        return floats, []
    priced, notes = market_values(read.filings, read.cover_shares, read.sheet_shares, read_prices(prices))
    return pl.concat([priced, floats.join(priced, on="accession", how="anti")]), notes


def _with_market_value(
    statements: pl.DataFrame, lineage: pl.DataFrame, values: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return statements with the market value of the filing, and its date; a version without one has that of before."""
    year = ["company_id", "period_end"]
    valued = statements.join(values, on="accession", how="left", maintain_order="left")
    own = valued.filter(pl.col("market_value").is_not_null()).with_columns(
        item=pl.lit("market_value"), value=pl.col("market_value")
    )
    filled = valued.drop("rule").with_columns(pl.col("market_value", "market_value_date").forward_fill().over(year))
    return filled, pl.concat([lineage, conform_to_schema(own, canonical.LINEAGE_SCHEMA)])


def _faults(statements: pl.DataFrame, read: _Read) -> pl.Series:
    """Return, for each version, the rule that it breaks: the balance sheet does not balance, or the scale slipped; or null."""
    wrong = read.unbalanced.select("accession", "period", wrong=pl.lit(True))
    said = statements.select("accession", period=month_end(pl.col("period_end")))
    unbalanced = said.join(wrong, on=["accession", "period"], how="left", maintain_order="left")["wrong"].fill_null(False)
    return statements.select(
        pl.when(unbalanced).then(pl.lit("unbalanced")).when(assets_slipped()).then(pl.lit("scale_slip"))
    ).to_series()


def _companies(read: _Read, cases: pl.DataFrame) -> pl.DataFrame:
    """Return companies by their latest annual report, or the latest before they failed: shells change their sector after it."""
    failed = cases.group_by("cik").agg(event_date=pl.col("event_date").min())
    dated = read.filings.join(failed, on="cik", how="left")
    alive = (pl.col("filed") <= pl.col("event_date")).fill_null(True)
    latest = (
        dated.with_columns(alive=alive).sort("cik", "alive", "filed", "accession").unique("cik", keep="last", maintain_order=True)
    )
    state = pl.col("state")
    return latest.select(
        company_id=company_id(pl.col("cik")),
        name="name",
        country=pl.coalesce("country", pl.when(region_of_state(state) != ABROAD).then(pl.lit("US"))),
        region=region_of_state(state),
        sector=sector_of_sic(pl.col("sic")),
    )


def _notes(read: _Read, cases: pl.DataFrame, small: int) -> Iterator[LocalisedMessage]:
    first = read.foreign.filter(pl.col("form").is_in(FOREIGN_FORMS))  # without amendments
    if first.height:
        by_form = dict(first.group_by("form").len().iter_rows())
        yield LocalisedMessage(
            "annual reports of foreign companies that are not read: {n} (20-F {f20}, 40-F {f40}), such as {examples}; most "
            "report under IFRS or in another currency",
            {"n": first.height, "f20": by_form.get("20-F", 0), "f40": by_form.get("40-F", 0), "examples": _some_names(first)},
        )
    unread = read.filings.filter(~pl.col("accession").is_in(read.items["accession"].implode()))
    abroad = unread.filter(pl.col("accession").is_in(sorted(read.other_currency)))
    if abroad.height:
        yield LocalisedMessage(
            "annual reports (10-K) whose amounts are all in another currency than dollars, not read: {n}, such as {examples}",
            {"n": abroad.height, "examples": _some_names(abroad)},
        )
    if without := unread.height - abroad.height:
        yield LocalisedMessage("annual reports without a figure in dollars that could be read: {n}", {"n": without})
    if small:
        yield LocalisedMessage("versions of firm-years left out for their size (ingest.edgar.min_assets): {n}", {"n": small})
    if read.listed.is_empty():
        yield LocalisedMessage("no list of filings was fetched, so that no failure is known: `quiebra fetch edgar` gets it")
    elif cases.is_empty():
        yield LocalisedMessage("no failure is in the lists of filings that were fetched")
    if read.judged.height:
        yield from _notes_of_judgement(read)


def _some_names(filings: pl.DataFrame) -> list[str]:
    """Return some companies of filings, those with most of them first."""
    return filings.group_by("name").len().sort(["len", "name"], descending=[True, False])["name"].head(EXAMPLES).to_list()


def _notes_of_judgement(read: _Read) -> Iterator[LocalisedMessage]:
    """Yield how many reports are about whose case by their texts, and examples of those that are set aside."""
    told = bankruptcy_filings(read.listed).join(read.judged, on="accession", how="left", maintain_order="left")
    counts = dict(told.group_by("who").len().iter_rows())
    by = {
        "n": told.height,
        **{who: counts.get(who, 0) for who in (REGISTRANT, SUBSIDIARY, PARENT, NONE, UNCLEAR)},
        "unread": counts.get(None, 0),
    }
    yield LocalisedMessage(
        "8-Ks with item 1.03: {n}; by their texts {registrant} are about the company's own case, {subsidiary} about a "
        "subsidiary's, {parent} about its parent's and {none} about none, which do not count; not clear: {unclear}, and without "
        "a text: {unread}, which count as its own",
        by,
    )
    aside = told.filter(pl.col("who").is_in(NOT_ITS_OWN))
    if aside.height:
        names = read.filings.sort("filed", "accession").unique("cik", keep="last").select("cik", "name")
        first = aside.unique("cik", keep="first", maintain_order=True).join(names, on="cik", maintain_order="left").head(EXAMPLES)
        yield LocalisedMessage(
            "8-Ks of a subsidiary's or a parent's case or of none, set aside: {examples}; ingest.edgar.failures corrects this",
            {
                "examples": [
                    f"{name} ({accession}, {who})"
                    for name, accession, who in first.select("name", "accession", "who").iter_rows()
                ]
            },
        )


def _hash(store: RawStore, *own: Path | None) -> str:
    """Return a hash over what was read: the hashes of the store's files, and a person's own files."""
    told = hashlib.sha256()
    for name in store.names():
        answer = store.answer(name)
        told.update(f"{name} {answer.sha256 if answer else ''}\n".encode())
    for path in own:
        if path is not None:
            told.update(path.read_bytes())
    return told.hexdigest()


def annual_report_filers(store: RawStore, options: Edgar) -> set[int]:
    """Return the companies (CIK) with an annual report in the data sets."""
    found: set[int] = set()
    for name in store.names(DATA_SETS):
        if options.covers(_year_of(name)):
            found |= set(read_filings(store.path(name), options.forms).filter(_wanted(options))["cik"])
    return found


def bankruptcy_filings_listed(store: RawStore, ciks: set[int]) -> pl.DataFrame:
    """Return the 8-Ks with item 1.03 that the lists of filings of companies have, and of those with an annual report since."""
    since = {cik for name in store.names(FACTS) if (cik := member_cik(name)) is not None}
    files = (each for each in _submissions(store, ciks | since) if lists_bankruptcy(each[1]))
    return bankruptcy_filings(read_submissions(files, lambda form: form in ("8-K", "8-K/A"))[0])
