"""What `quiebra fetch yahoo` gets: prices with splits, annual accounts and the profile of each company.

Yahoo has no public interface and refuses most programs. yfinance, of the extra ``quiebra[yahoo]``, is used for its session alone:
what comes is kept as it is.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from quiebra.errors import FetchError
from quiebra.params import Yahoo
from quiebra.sources.company_queue import CompanyQueue
from quiebra.sources.http import REFUSED_FOR_NOW, Answer, Client, Params, Service
from quiebra.sources.market_services import company_answer, parse_object
from quiebra.sources.rate_limits import RateLimit
from quiebra.sources.yahoo.panel import ACCOUNTS, ANNUAL, ASKED_FIELDS, CHART, SOURCE

SITE = "https://query2.finance.yahoo.com"
CRUMB = f"{SITE}/v1/test/getcrumb"
RATES = ((1, 2.0),)
"""Half a request a second: yfinance may send some of its own for each, and limits are not made known."""
REFUSED_SECONDS = 3600.0
TOO_MANY = b"Too Many Requests"
TIMEOUT_SECONDS = 30
NO_PRICES = b"Data doesn't exist"
"""What Yahoo says, with status 400 or 422, of a ticker that had no price in the years that were asked for."""
NOT_FOUND = "Not Found"
FIRST_DAY = dt.date(2000, 1, 1)
EXPECTED = ("chart", "timeseries", "quoteSummary")
"""One of these is in each answer with data."""


def service(options: Yahoo) -> Service:
    """Return how Yahoo is asked. FetchError where the user has not said that the use is personal, or the extra is missing."""
    if not options.accept_terms:
        raise FetchError(
            "Yahoo's terms allow personal use only. If yours is, set ingest.yahoo.accept_terms: true in params.yaml, and pass "
            "nothing on of what is fetched."
        )
    return Service("yahoo", RATES, judge=judge, transport=_transport())


def _transport() -> Callable[[str, Params], Answer]:
    """Return a function that asks as a browser does, with yfinance's cookies and crumb."""
    try:
        from yfinance.data import YfData
        from yfinance.exceptions import YFException, YFRateLimitError
    except ImportError:
        raise FetchError("Yahoo is asked through yfinance, which is not installed: pip install 'quiebra[yahoo]'") from None

    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what it would go on without is judged here

    def ask(address: str, params: Params) -> Answer:
        try:
            response = YfData().get(address, {**params}, timeout=TIMEOUT_SECONDS)
        except YFRateLimitError:
            return Answer(429, {}, TOO_MANY, address, params)
        except YFException as error:
            raise FetchError(f"Yahoo gives no session ({error}): try again later") from None
        status = 404 if response.status_code in (400, 422) and NO_PRICES in response.content else response.status_code
        return Answer(status, response.headers, response.content, address, params)

    return ask


def judge(answer: Answer, limit: RateLimit) -> None:
    """Raise FetchError where an answer is no data; FetchStoppedError where Yahoo is asked too often, as a crumb may say too."""
    if answer.status == 429 or TOO_MANY in answer.body[:500]:
        raise limit.refuse_for(REFUSED_SECONDS, "it answers Too Many Requests")
    if answer.status in REFUSED_FOR_NOW:
        return
    if answer.address == CRUMB:
        if answer.status != 200 or answer.is_html or not answer.body.strip():
            raise FetchError(f"Yahoo gives no session ({answer.status}): try again later, or from another network")
        return
    content = parse_object(answer.body)
    if content is None or (answer.status == 200 and not _is_answered(content)):
        raise FetchError(f"Yahoo answers with no data ({answer.status}): try again later, or from another network")


def _is_answered(content: dict[str, Any]) -> bool:
    """Return whether an answer has data, or says that there are none; it does neither where a crumb has expired."""
    told = next((content[key] for key in EXPECTED if key in content), None)
    error = told.get("error") if isinstance(told, dict) else {}
    return error is None or (isinstance(error, dict) and error.get("code") == NOT_FOUND)


def fetch(client: Client, options: Yahoo, *, refresh: bool, today: dt.date | None = None) -> Iterator[str]:
    """Bring the store up to date, and yield a line about each company; see `CompanyQueue`."""
    now = today or dt.datetime.now(dt.UTC).date()
    session = functools.cache(lambda: client.ask(CRUMB))  # judged, and not kept

    def ask(symbol: str, name: str) -> None:
        session()
        path, params = _question(symbol, name, now)
        client.fetch(company_answer(symbol, name), SITE + path, params, again=True)

    yield from CompanyQueue(client.store, SOURCE, options, now, refresh).fetch(ask)


def _question(symbol: str, name: str, today: dt.date) -> tuple[str, dict[str, str | int]]:
    """Return path and parameters of what is asked about a company."""
    days: dict[str, str | int] = {"period1": _seconds(FIRST_DAY), "period2": _seconds(today + dt.timedelta(days=1))}
    if name == CHART:
        return f"/v8/finance/chart/{symbol}", {**days, "interval": "1d", "events": "div,splits"}
    if name == ACCOUNTS:
        kinds = ",".join(f"{ANNUAL}{field}" for field in ASKED_FIELDS)
        return f"/ws/fundamentals-timeseries/v1/finance/timeseries/{symbol}", {"symbol": symbol, "type": kinds, **days}
    return f"/v10/finance/quoteSummary/{symbol}", {"modules": "assetProfile"}


def _seconds(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())
