"""What `quiebra fetch edgar` gets from the SEC: bulk files first, then what companies have filed since."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urljoin

from quiebra.environment import SEC_CONTACT
from quiebra.errors import FetchError
from quiebra.params import Edgar
from quiebra.sources.edgar.bankruptcy_reports import DOCUMENTS
from quiebra.sources.edgar.panel import (
    DATA_SETS,
    FACTS,
    FACTS_ARCHIVE,
    FILED,
    FILED_ARCHIVE,
    annual_report_filers,
    bankruptcy_filings_listed,
)
from quiebra.sources.http import Answer, Client, Progress, Service, service_address
from quiebra.sources.rate_limits import RateLimit
from quiebra.sources.raw_store import RawStore

WEBSITE, DATA_SITE = "https://www.sec.gov", "https://data.sec.gov"
MIRROR = "QUIEBRA_SEC_MIRROR"
"""Environment variable with an address that stands for both of the SEC's."""
DATA_SETS_PAGE = "/data-research/sec-markets-data/financial-statement-data-sets"
FACTS_BULK = "/Archives/edgar/daily-index/xbrl/companyfacts.zip"
FILED_BULK = "/Archives/edgar/daily-index/bulkdata/submissions.zip"
RATES = ((5, 1.0),)
"""Half of the ten a second that the SEC allows."""
REFUSED_MINUTES = 10
DATA_SET_LINK = re.compile(r'href="([^"]*?(\d{4}q[1-4])\.zip)"', re.IGNORECASE)
MASTER_LINE = re.compile(rb"^(\d+)\|[^|]*\|([^|]+)\|[^|]*\|[^|]*$", re.MULTILINE)


def service() -> Service:
    """Return how the SEC is asked. FetchError where it is not said who asks, which it requires."""
    contact = os.environ.get(SEC_CONTACT, "").strip()
    if "@" not in contact or len(contact.split()) < 2:
        raise FetchError(
            f"the SEC wants to know who asks: set {SEC_CONTACT} to a name and a mail address, as in 'Ana Ruiz ana@example.com'. "
            "They are sent with each request, and kept nowhere."
        )
    return Service("edgar", RATES, headers={"User-Agent": contact}, judge=judge)


def judge(answer: Answer, limit: RateLimit) -> None:
    """Raise FetchError where the SEC refuses: it does so with 403 and a page, not with 429."""
    if answer.status != 403:
        return
    if b"undeclared automated tool" in answer.body.lower():
        raise FetchError(f"the SEC does not accept who asks: set {SEC_CONTACT} to a name and a mail address that are yours")
    raise limit.refuse_for(
        REFUSED_MINUTES * 60, f"the SEC refuses (403), as it does when asked too often; {SEC_CONTACT} must be yours"
    )


def fetch(
    client: Client, options: Edgar, *, refresh: bool, progress: Progress | None = None, today: dt.date | None = None
) -> Iterator[str]:
    """Bring the store up to date, and yield a line about each thing that was done.

    Data sets of the years in ``options``; the archives of company facts and of lists of filings, once, or again with ``refresh``
    if they have changed; then, for each day since, lists and facts of the companies that have filed an annual report or an 8-K;
    then the main document of each 8-K with item 1.03 of a company with annual reports.
    """
    yield from _data_sets(client, options, progress, refresh)
    for name, address in ((FILED_ARCHIVE, FILED_BULK), (FACTS_ARCHIVE, FACTS_BULK)):
        came = client.download(name, _address(WEBSITE, address), progress, again=refresh)
        yield f"{name}: {_size(client.store, name)}{'' if came else ', there already'}"
    known = annual_report_filers(client.store, options)
    yield from _since(client, options, known, today or dt.datetime.now(dt.UTC).date())
    yield from _documents(client, known)


def _data_sets(client: Client, options: Edgar, progress: Progress | None, refresh: bool) -> Iterator[str]:
    """Fetch the data sets that the SEC's page links to: their addresses have moved more than once."""
    page = client.ask(_address(WEBSITE, DATA_SETS_PAGE))
    links = {quarter.lower(): link for link, quarter in DATA_SET_LINK.findall(page.body.decode(errors="replace"))} if page else {}
    if not links:
        raise FetchError(f"{_address(WEBSITE, DATA_SETS_PAGE)} links to no data set: has the page moved?")
    for quarter in sorted(each for each in links if options.covers(int(each[:4]))):
        name = f"{DATA_SETS}{quarter}.zip"
        came = client.download(name, urljoin(_address(WEBSITE, DATA_SETS_PAGE), links[quarter]), progress, again=refresh)
        yield f"{quarter}: {_size(client.store, name)}{'' if came else ', there already'}"


def _since(client: Client, options: Edgar, known: set[int], today: dt.date) -> Iterator[str]:
    """Fetch what was filed after the archives were made, by the SEC's index of each day."""
    first = _made_on(client.store) + dt.timedelta(days=1)
    for day in (first + dt.timedelta(days=ahead) for ahead in range((today - first).days)):
        if day.weekday() > 4:
            continue
        index = f"index/{day:%Y%m%d}.idx"
        quarter = (day.month + 2) // 3
        client.fetch(index, _address(WEBSITE, f"/Archives/edgar/daily-index/{day.year}/QTR{quarter}/master.{day:%Y%m%d}.idx"))
        if index not in client.store.names(index):  # a holiday
            continue
        annual, told = _filed_on(client.store.read(index), options.forms)
        wanted = sorted(annual | (told & known))
        for cik in wanted:
            if not _later_than(client.store, f"{FILED}CIK{cik:010}.json", day):
                client.fetch(f"{FILED}CIK{cik:010}.json", _address(DATA_SITE, f"/submissions/CIK{cik:010}.json"), again=True)
            if cik in annual and not _later_than(client.store, f"{FACTS}CIK{cik:010}.json", day):
                client.fetch(
                    f"{FACTS}CIK{cik:010}.json", _address(DATA_SITE, f"/api/xbrl/companyfacts/CIK{cik:010}.json"), again=True
                )
        yield f"{day}: {len(wanted)} companies, {len(annual)} of them with an annual report"


def _documents(client: Client, known: set[int]) -> Iterator[str]:
    """Fetch the main document of each 8-K with item 1.03, or the whole submission where the list names none."""
    told = bankruptcy_filings_listed(client.store, known).select("cik", "accession", "document").rows()
    asked = 0
    for cik, accession, document in told:
        whole = f"/Archives/edgar/data/{cik}/{accession}.txt"
        main = f"/Archives/edgar/data/{cik}/{accession.replace('-', '')}/{quote(document or '')}"
        asked += client.fetch(f"{DOCUMENTS}{accession}", _address(WEBSITE, main if document else whole))
    if told:
        yield f"8-Ks with item 1.03: {len(told)} documents{f', {len(told) - asked} there already' if asked < len(told) else ''}"


def _filed_on(index: bytes, forms: Sequence[str]) -> tuple[set[int], set[int]]:
    """Return the companies that filed an annual report, and those that filed an 8-K, by a day's index."""
    reports = {*forms, *(f"{form}/A" for form in forms)}
    filed = [(int(cik), form.decode(errors="replace").strip()) for cik, form in MASTER_LINE.findall(index)]
    return {cik for cik, form in filed if form in reports}, {cik for cik, form in filed if form.startswith("8-K")}


def _made_on(store: RawStore) -> dt.date:
    """Return the day on which the older of the archives came."""
    answers = [answer for name in (FILED_ARCHIVE, FACTS_ARCHIVE) if (answer := store.answer(name))]
    return min(dt.datetime.fromisoformat(answer.at).date() for answer in answers)


def _later_than(store: RawStore, name: str, day: dt.date) -> bool:
    """Return whether an answer came after a day had ended."""
    answer = store.answer(name)
    return answer is not None and name in store and dt.datetime.fromisoformat(answer.at).date() > day


def _address(site: str, path: str) -> str:
    return f"{service_address(site, MIRROR)}{path}"


def _size(store: RawStore, name: str) -> str:
    answer = store.answer(name)
    return f"{(answer.size if answer else 0) / 1e6:,.1f} MB"
