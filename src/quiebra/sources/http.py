"""HTTP client of the data services: polite, patient, and every answer kept (see `quiebra.sources.raw_store`).

A service says how it is asked (`Service`); what it answers is judged by its own function, since many refuse with status 200.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import requests
import stamina
import urllib3

from quiebra.environment import redact_secrets
from quiebra.errors import FetchError
from quiebra.sources.rate_limits import LONGEST_WAIT, RateLimit
from quiebra.sources.raw_store import RawStore, StoredAnswer
from quiebra.terminal import echo

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
ATTEMPTS = 6
LARGEST_ANSWER = 300_000_000
"""Bytes of a body that is held in memory; bulk files are written as they come."""
CHUNK = 1 << 20
REFUSED_FOR_NOW = (429, 500, 502, 503, 504)

Params = Mapping[str, str | int]
Progress = Callable[[int, int | None], None]
"""Called with the bytes that there are, and the bytes that there will be (None: not said)."""


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer, before it is judged. address, params: what was asked, without the key."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    address: str = ""
    params: Params = field(default_factory=dict)

    @property
    def is_html(self) -> bool:
        return "html" in self.headers.get("Content-Type", "").lower() or self.body[:200].lstrip().lower().startswith(
            (b"<!doc", b"<html")
        )


@dataclass(frozen=True)
class Service:
    """How a data service is asked.

    name: of its folder under data/raw. rates: pairs of number of requests and seconds. key, key_parameter: environment variable
    of the key, and the parameter in which it is sent; None: no key. key_help: where a key is had. headers: sent with each
    request. judge: raises FetchError where an answer of any status is a refusal that the status does not tell. transport: asks
    in place of requests, where a service refuses that; raises OSError where the connection fails.
    """

    name: str
    rates: tuple[tuple[int, float], ...]
    key: str | None = None
    key_parameter: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    judge: Callable[[Answer, RateLimit], None] = lambda _answer, _limit: None
    key_help: str = ""
    transport: Callable[[str, Params], Answer] | None = None


def service_address(site: str, mirror: str) -> str:
    """Return a service's address, or that of a mirror: what the environment variable ``mirror`` names."""
    return os.environ.get(mirror, "").strip().rstrip("/") or site


class AskAgain(Exception):
    """An answer, or none, for which it is worth asking again. seconds: to wait, where the server says it."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class Client:
    """Client of one service that keeps its answers in a store. Use it as a context: it holds the store for this process."""

    def __init__(self, service: Service, store: RawStore) -> None:
        self.service, self.store = service, store
        self._key = _required_key(service)
        self._limits: dict[str, RateLimit] = {}
        self._session = requests.Session()
        own = {"User-Agent": f"quiebra/{version('quiebra')}", "Accept-Encoding": "gzip"}
        self._session.headers.update({**own, **service.headers})

    def __enter__(self) -> Client:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self.store.writing())
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        for limit in self._limits.values():
            limit.close()
        self._stack.close()

    def fetch(self, name: str, address: str, params: Params | None = None, *, again: bool = False) -> bool:
        """Have an answer in the store; return whether it was asked for now.

        name: under which it is kept. again: ask even if it is there. What the service does not have (404) is noted as absent.
        Raise FetchError, FetchStoppedError where the service takes no more requests for now.
        """
        if name in self.store and not again:
            return False
        answer = self.ask(address, params)
        shown = self._shown(address, params)
        if answer is None:
            self.store.keep_absent(name, shown)
        else:
            self.store.keep(name, self._without_key(answer.body), shown, answer.headers)
        return True

    def ask(self, address: str, params: Params | None = None) -> Answer | None:
        """Return an answer without keeping it; None where the service does not have it (404)."""

        def asked() -> Answer | None:
            return self._judged(self._answered(address, params or {}), address, params)

        return _patiently(asked)

    def download(self, name: str, address: str, progress: Progress | None = None, *, again: bool = False) -> bool:
        """Have a bulk file in the store, as it was sent; return whether one came.

        A download that was cut off goes on where it stopped, if the file has not changed. again: ask whether it has changed since
        it was kept. Raise FetchError where the service does not have it, or a zip file that came is damaged.
        """
        there = name in self.store
        if there and not again:
            return False
        if not _patiently(lambda: self._downloaded(name, address, progress, there)):
            return False
        if name.endswith(".zip") and not zipfile.is_zipfile(self.store.partial(name)):
            self.store.drop_partial(name)
            raise FetchError(f"{address} is no zip file: try again later")
        self.store.keep_partial(name, address, self.store.partial_headers(name))
        return True

    def _downloaded(self, name: str, address: str, progress: Progress | None, there: bool) -> bool:
        """Write the rest of a bulk file to its partial file; return False where it has not changed since it was kept."""
        partial, told = self.store.partial(name), self.store.partial_headers(name)
        unchanged_since = told.get("ETag") or told.get("Last-Modified")
        have = partial.stat().st_size if partial.is_file() and unchanged_since else 0
        headers = {"Range": f"bytes={have}-", "If-Range": str(unchanged_since)} if have else {}
        if there and not have:
            headers = _if_changed(self.store.answer(name))
        with self._sent(address, None, {"Accept-Encoding": "identity", **headers}) as response:
            if response.status_code == 304:
                return False
            if response.status_code == 416:  # nothing is left to send, or the file is another one
                if response.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                    return True
                self.store.drop_partial(name)
                raise AskAgain(f"{address} has changed")
            if response.status_code not in (200, 206):
                self._judged(Answer(response.status_code, response.headers, _body(response)), address, None)
                raise FetchError(f"{address}: there is no such file")
            if response.status_code == 200:
                have = 0
                self.store.begin_partial(name, response.headers)
            length = response.headers.get("Content-Length", "")
            whole = have + int(length) if length.isdigit() else None
            with partial.open("ab") as file, _cut_off():
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    if progress:
                        progress(have, whole)
        return True

    def _answered(self, address: str, params: Params) -> Answer:
        if self.service.transport is not None:
            self._limit(address).wait()
            try:
                return self.service.transport(address, params)
            except OSError as error:
                raise AskAgain(f"the connection failed ({type(error).__name__}): is there a network?") from None
        with self._sent(address, params, {}) as response:
            return Answer(response.status_code, response.headers, _body(response), address, params)

    @contextlib.contextmanager
    def _sent(self, address: str, params: Params | None, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        self._limit(address).wait()
        given = {**(params or {}), **({self.service.key_parameter: self._key} if self._key else {})}
        with _cut_off():
            response = self._session.get(
                address,
                params=given,
                headers={**headers},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                allow_redirects=not self._key,  # a key goes to the service alone
            )
        with response:
            yield response

    def _judged(self, answer: Answer, address: str, params: Params | None) -> Answer | None:
        limit = self._limit(address)
        self.service.judge(answer, limit)
        if answer.status == 404:
            return None
        if answer.status in REFUSED_FOR_NOW:
            seconds = _retry_after(answer.headers)
            if seconds is not None and seconds > LONGEST_WAIT:
                raise limit.refuse_for(seconds, f"it answers {answer.status} and asks to wait")
            raise AskAgain(f"{self._shown(address, params)} answers {answer.status}", seconds)
        if answer.status != 200:
            said = "" if answer.is_html else f": {answer.body[:200].decode(errors='replace')}"
            raise FetchError(redact_secrets(f"{self._shown(address, params)} answers {answer.status}{said}"))
        return answer

    def _limit(self, address: str) -> RateLimit:
        host = urlsplit(address).netloc
        if host not in self._limits:
            self._limits[host] = RateLimit(self.service.name, host, self.service.rates)
        return self._limits[host]

    def _shown(self, address: str, params: Params | None) -> str:
        return f"{address}?{urlencode(params)}" if params else address

    def _without_key(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"...") if self._key else body


def _required_key(service: Service) -> str:
    if service.key is None:
        return ""
    key = os.environ.get(service.key, "").strip()
    if not key:
        raise FetchError(f"{service.name} needs a key: set {service.key}{service.key_help}")
    return key


@contextlib.contextmanager
def _cut_off() -> Iterator[None]:
    """Turn what a connection that fails raises into `AskAgain`, without the address, which may have a key."""
    try:
        yield
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise AskAgain(f"the connection failed ({type(error).__name__}): is there a network?") from None


def _patiently(ask: Callable[[], T]) -> T:
    """Return what ``ask`` gives, again where it raises `AskAgain`, after growing pauses or those that the server asks for."""
    try:
        for attempt in stamina.retry_context(_pause, attempts=ATTEMPTS, timeout=None, wait_initial=1, wait_max=30):
            with attempt:
                return ask()
    except AskAgain as error:
        raise FetchError(redact_secrets(f"{error}; asked {ATTEMPTS} times. Try again later.")) from None
    raise AssertionError("an attempt returns or raises")


def _pause(error: Exception) -> bool | float:
    if not isinstance(error, AskAgain):
        return False
    return True if error.seconds is None else error.seconds


def _announce(details: stamina.instrumentation.RetryDetails) -> None:
    echo(f"{details.caused_by}; asking again in {details.wait_for:.0f} s", err=True)


stamina.instrumentation.set_on_retry_hooks([_announce])


def _if_changed(kept: StoredAnswer | None) -> dict[str, str]:
    """Return headers that ask for a file only if it is another one than that which was kept."""
    if kept is not None and kept.etag:
        return {"If-None-Match": kept.etag}
    return {"If-Modified-Since": kept.modified} if kept is not None and kept.modified else {}


def _body(response: requests.Response) -> bytes:
    """Return the whole body. It is decompressed here, since the library takes a gzip body that was cut off for whole."""
    found = bytearray()
    with _cut_off():
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            found += chunk
            _refuse_large(len(found))
    if response.headers.get("Content-Encoding", "identity") == "identity":
        return bytes(found)
    inflating = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        body = inflating.decompress(bytes(found), LARGEST_ANSWER + 1)
    except zlib.error:
        raise AskAgain("the answer is damaged") from None
    _refuse_large(len(body))
    if not inflating.eof:
        raise AskAgain("the answer was cut off")
    return body


def _refuse_large(size: int) -> None:
    if size > LARGEST_ANSWER:
        raise FetchError(f"an answer is larger than {LARGEST_ANSWER / 1e6:.0f} MB")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, which it gives as a number or a date."""
    said = headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(said) - dt.datetime.now(dt.UTC)).total_seconds())
    return None
