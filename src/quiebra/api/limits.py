"""Limits on requests: by rate, by size, and by how many are under way at once."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import anyio
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quiebra.api.cache import AWAY_SECONDS
from quiebra.api.problems import ApiError, error_problem
from quiebra.api.service import Service
from quiebra.errors import LocalisedFigure, LocalisedMessage, QuiebraError
from quiebra.text.words import translatable

STREAMED = "/v1/jobs"
"""Route whose body is written to disk as it comes, with a limit of its own."""
LARGE_BODIES = ("/v1/predict/batch", "/v1/portfolio")
"""Routes whose body may have ``api.body_megabytes``; others have no use for more than `SMALL_BODY`."""
SMALL_BODY = 500_000
"""Bytes: the statements of one company are less."""
BODY_SECONDS = 60.0
"""How long a body may take to come."""
DISCARDED_BYTES, DISCARD_SECONDS = 20_000_000, 5.0
"""What is read of a refused request's body: a connection that is closed before it has come may lose the answer."""
HEADERS = "rate_headers"
"""Name in a request's state of the headers that its answer says the rate limit with: of the key, else of the address."""
FREE_ROUTES = ("/health/live", "/health/ready")
"""Routes that are answered whatever else is under way."""
WINDOWS = {
    "second": translatable("second"),
    "minute": translatable("minute"),
    "hour": translatable("hour"),
    "day": translatable("day"),
}
JOBS_REMEDY = translatable("send it to POST /v1/jobs, which scores it in the background")


class RateLimits:
    """Counts requests in fixed windows: in Redis where one is set, else in this process, also while Redis does not answer."""

    def __init__(self, redis: str | None) -> None:
        self._own = FixedWindowRateLimiter(_storage("async+memory://"))
        self._shared = FixedWindowRateLimiter(_storage(f"async+{redis}")) if redis else self._own
        self._away_until = 0.0

    async def check(self, scope: Scope, rate: str, *who: str) -> None:
        """Count a request; its answer will say in its headers what is left. ApiError (429) where the rate is reached."""
        item = _rate(rate)
        try:
            away = time.monotonic() < self._away_until
            await self._check(scope, self._own if away else self._shared, item, who)
        except QuiebraError:
            raise
        except Exception as error:  # of any client of Redis
            self._away_until = time.monotonic() + AWAY_SECONDS
            logging.getLogger("quiebra.api").warning("redis", extra={"reason": type(error).__name__})
            await self._check(scope, self._own, item, who)

    async def _check(self, scope: Scope, limiter: FixedWindowRateLimiter, item: RateLimitItem, who: tuple[str, ...]) -> None:
        free = await limiter.hit(item, *who)
        reset, left = await limiter.get_window_stats(item, *who)
        seconds = max(1, round(reset - time.time()))
        said = {"RateLimit-Limit": str(item.amount), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(seconds)}
        scope.setdefault("state", {})[HEADERS] = said
        if not free:
            window = LocalisedMessage(WINDOWS[item.GRANULARITY.name])
            raise ApiError(
                429, "More than {amount} requests in a {window}.", retry_after=seconds, amount=item.amount, window=window
            )


@cache
def _rate(rate: str) -> RateLimitItem:
    return parse(rate)


def _storage(address: str) -> Storage:
    redis: dict[str, str | float] = {"implementation": "redispy", "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    options = redis if "redis" in address.partition(":")[0] else {}
    made = storage_from_string(address, **options)
    if not isinstance(made, Storage):
        raise TypeError(f"{address.partition(':')[0]} is no storage for limits")
    return made


class Gate:
    """Lets requests in: as many at once and as often from one address as params allow."""

    def __init__(self, app: ASGIApp, service: Service, rates: RateLimits) -> None:
        self.app, self.service, self.rates = app, service, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE_ROUTES:
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(scope.get("state", {}).get(HEADERS, {}))
            await send(message)

        try:
            await self.rates.check(scope, self.service.options.rate_per_address, "address", _address(scope))
            if self.service.in_flight >= self.service.options.concurrent_requests:
                raise ApiError(503, "Too many requests are under way: come back in a moment.", retry_after=1)
        except QuiebraError as error:
            await error_problem(Request(scope), error)(scope, receive, answer)
            return
        self.service.in_flight += 1
        try:
            await self.app(scope, receive, answer)
        finally:
            self.service.in_flight -= 1


async def read_body(request: Request, service: Service) -> None:
    """Read the whole body, so that no half of one is ever worked on. The request counts as under way once it is there.

    ApiError: 413 where it is too large, 408 where it takes too long, 400 where the connection ends before it.
    """
    large = request.url.path in LARGE_BODIES
    most = service.options.body_megabytes * 1_000_000 if large else SMALL_BODY
    refused = ApiError(
        413,
        "The body has more than {most} MB.",
        most=LocalisedFigure(most / 1_000_000, 0 if large else 1),
        remedy=JOBS_REMEDY if request.url.path.startswith("/v1/predict/") else "",
    )
    if int(request.headers.get("content-length", "0")) > most:
        raise refused
    body = bytearray()
    try:
        with _not_under_way(service), anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise refused
    except TimeoutError:
        raise ApiError(408, "The body took more than {most} seconds to come.", most=round(BODY_SECONDS)) from None
    except ClientDisconnect:
        raise ApiError(400, "The connection ended before the body did.") from None
    request._body = bytes(body)


async def discard_body(request: Request, service: Service) -> None:
    """Read what comes of a refused request's body, for a time, and keep nothing of it."""
    size = 0
    with _not_under_way(service), anyio.move_on_after(DISCARD_SECONDS), contextlib.suppress(ClientDisconnect):
        async for part in request.stream():
            size += len(part)
            if size > DISCARDED_BYTES:
                return


@contextlib.contextmanager
def _not_under_way(service: Service) -> Iterator[None]:
    """Do not count a request among those under way while its body is waited for."""
    service.in_flight -= 1
    try:
        yield
    finally:
        service.in_flight += 1


def _address(scope: Scope) -> str:
    client: Any = scope.get("client")
    return str(client[0]) if client else "-"
