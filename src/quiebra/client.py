"""A small client of the API, for other Python programs: it needs httpx alone, and waits where the service asks it to."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypedDict
from urllib.parse import quote

import httpx

VERSION = "v1"
TRIES = 4
"""How often a request is sent that the service could not take at that moment."""
LONGEST_WAIT_SECONDS = 30.0
COMPANIES_PER_CALL = 1000


class ServiceError(Exception):
    """The service refused a request. problem: what it said (RFC 9457), with ``detail``, ``remedy`` and ``errors``."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, dict(problem)
        parts = (problem.get("detail", ""), problem.get("remedy", ""))
        super().__init__(f"{status}: {' · '.join(str(part) for part in parts if part)}")


class Reason(TypedDict):
    kind: str
    code: str
    concept: str
    feature: str | None
    value: float | None
    typical: float | None
    effect: float
    text: str


class Prediction(TypedDict, total=False):
    """A company's score. A company of a batch that cannot be scored has ``problem`` and ``company_id`` alone."""

    prediction_id: str
    company_id: str
    name: str | None
    sector: str | None
    scored: dict[str, Any]
    years_used: list[int]
    pd_12m: float
    pd_12m_low: float
    pd_12m_high: float
    pd_24m: float
    pd_36m: float
    pd_48m: float
    pd_60m: float
    rating: str
    watch: bool
    scorer: str
    altman: dict[str, dict[str, Any]]
    blend: dict[str, float | None]
    reasons: list[Reason]
    notes: list[str]
    model: dict[str, Any]
    cached: bool
    problem: str


class Client:
    """Asks a service for predictions. url: such as http://127.0.0.1:8890, with or without /v1. key: an API key or access token.
    language: of texts, ``en`` or ``es``.

    Requests that the service cannot take just then (429, 503, 409 while the same write is under way, or no connection) are sent
    again as it asks; writes carry an idempotency key, so that a repetition does nothing twice.
    """

    def __init__(self, url: str, key: str, *, language: str = "en", timeout: float = 60.0) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept-Language": language}
        address = url.rstrip("/").removesuffix(f"/{VERSION}")
        self._http = httpx.Client(base_url=f"{address}/{VERSION}", headers=headers, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def predict(
        self,
        company_id: str,
        statements: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        sector: str | None = None,
        currency: str | None = None,
        units: str = "millions",
        as_of: dt.date | None = None,
        use_history: bool = False,
    ) -> Prediction:
        """Return the score of one company's statements. ServiceError where they cannot be scored."""
        body = {"company_id": company_id, "statements": list(statements), "units": units, "use_history": use_history}
        more = {"name": name, "sector": sector, "currency": currency, "as_of": as_of}
        body |= {name: value for name, value in more.items() if value is not None}
        answer: Prediction = self._ask("POST", "/predict/single", body)
        return answer

    def predict_many(self, companies: Iterable[Mapping[str, Any]]) -> Iterator[Prediction]:
        """Yield one prediction a company, in their order; companies as the body of ``POST /v1/predict/single``."""
        part: list[Mapping[str, Any]] = []
        for company in companies:
            part.append(company)
            if len(part) == COMPANIES_PER_CALL:
                yield from self._ask("POST", "/predict/batch", part)["results"]
                part = []
        if part:
            yield from self._ask("POST", "/predict/batch", part)["results"]

    def company(self, company_id: str) -> dict[str, Any]:
        """Return a company of the last run, with history, peers, alerts and decisions."""
        return dict(self._ask("GET", f"/companies/{_quoted(company_id)}"))

    def find(self, query: str) -> list[dict[str, Any]]:
        """Return companies of the last run by a part of their name or id."""
        return list(self._ask("GET", "/companies", query={"query": query})["companies"])

    def portfolio(self, exposures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the losses of exposures (company_id, exposure, and lgd or not) to companies of the last run."""
        return dict(self._ask("POST", "/portfolio", {"exposures": list(exposures)}))

    def stress(self, **case: Any) -> dict[str, Any]:
        """Return what a ``scenario``, ``moves`` of the economy or a ``shock`` would do to the companies of the last run."""
        return dict(self._ask("POST", "/stress", case))

    def model(self) -> dict[str, Any]:
        """Return the model behind the last run: figures with intervals, gates, lineage."""
        return dict(self._ask("GET", "/model"))

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are not closed."""
        return list(self._ask("GET", "/alerts")["alerts"])

    def close_alert(self, alert_id: str, reason: str) -> None:
        """Close an alert with a reason."""
        self._ask("POST", f"/alerts/{_quoted(alert_id)}/close", {"reason": reason}, write=True)

    def _ask(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None, write: bool = False
    ) -> Any:
        headers = {"Idempotency-Key": uuid.uuid4().hex} if write else {}
        content = None
        if body is not None:
            content, headers["Content-Type"] = _encoded(body), "application/json"
        left = TRIES
        while True:
            left -= 1
            try:
                answer = self._http.request(method, path, content=content, params=query, headers=headers)
            except httpx.TransportError:
                if not left:
                    raise
                time.sleep(1.0)
                continue
            later = answer.status_code in (429, 503) or (answer.status_code == 409 and "Retry-After" in answer.headers)
            if not later or not left:
                return _content(answer)
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), LONGEST_WAIT_SECONDS))


def _encoded(body: Any) -> str:
    try:
        return json.dumps(body, default=str, allow_nan=False)
    except ValueError as error:
        raise ServiceError(
            422, {"detail": str(error), "remedy": "leave out what is not known: NaN is no number in JSON"}
        ) from None


def _content(answer: httpx.Response) -> Any:
    try:
        content = answer.json() if answer.content else {}
    except ValueError:
        content = {"detail": answer.text[:200]}
    if answer.is_error:
        raise ServiceError(answer.status_code, content)
    return content


def _quoted(part: str) -> str:
    return quote(part, safe="")
