"""Limits on requests: by rate, by size, and by how many are under way at once."""

from __future__ import annotations

import logging
import time
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quiebra.api.problems import ApiError, error_problem
from quiebra.api.service import Service
from quiebra.errors import LocalisedMessage, QuiebraError
from quiebra.text.words import translatable

STREAMED = "/v1/jobs"
"""Route whose body is written to disk as it comes, with a limit of its own."""
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

    async def check(self, rate: str, *who: str) -> dict[str, str]:
        """Count a request, and return headers with what is left. ApiError (429) where the rate is reached."""
        item = parse(rate)
        try:
            return await self._check(self._shared, item, who)
        except QuiebraError:
            raise
        except Exception as error:  # of any client of Redis
            logging.getLogger("quiebra.api").warning("redis", extra={"reason": type(error).__name__})
            return await self._check(self._own, item, who)

    async def _check(self, limiter: FixedWindowRateLimiter, item: RateLimitItem, who: tuple[str, ...]) -> dict[str, str]:
        free = await limiter.hit(item, *who)
        reset, left = await limiter.get_window_stats(item, *who)
        seconds = max(1, round(reset - time.time()))
        if not free:
            window = LocalisedMessage(WINDOWS[item.GRANULARITY.name])
            raise ApiError(
                429, "More than {amount} requests in a {window}.", retry_after=seconds, amount=item.amount, window=window
            )
        return {"RateLimit-Limit": str(item.amount), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(seconds)}


def _storage(address: str) -> Storage:
    options = {"implementation": "redispy"} if "redis" in address.partition(":")[0] else {}
    made = storage_from_string(address, **options)
    if not isinstance(made, Storage):
        raise TypeError(f"{address.partition(':')[0]} is no storage for limits")
    return made


class Gate:
    """Lets requests in: as many at once, as often from one address and as large as params allow. A body is read before the app
    sees it, so that no half of one is ever worked on."""

    def __init__(self, app: ASGIApp, service: Service, rates: RateLimits) -> None:
        self.app, self.service, self.rates = app, service, rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE_ROUTES:
            await self.app(scope, receive, send)
            return
        try:
            headers = await self.rates.check(self.service.options.rate_per_address, "address", _address(scope))
            if self.service.in_flight >= self.service.options.concurrent_requests:
                raise ApiError(503, "Too many requests are under way: come back in a moment.", retry_after=1)
        except QuiebraError as error:
            await error_problem(Request(scope), error)(scope, receive, send)
            return
        scope.setdefault("state", {})["rate_headers"] = headers
        self.service.in_flight += 1
        try:
            whole = receive if scope["path"] == STREAMED else await self._body(scope, receive)
            await self.app(scope, whole, send)
        except QuiebraError as error:  # of the body
            await error_problem(Request(scope), error)(scope, receive, send)
        finally:
            self.service.in_flight -= 1

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """Return a receiver that gives the whole body. ApiError (413) where it is too large."""
        most = self.service.options.body_megabytes * 1_000_000
        given = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        parts, size, more = [], int(given) if given.isdigit() else 0, True
        refused = ApiError(413, "The body has more than {most} MB.", most=self.service.options.body_megabytes, remedy=JOBS_REMEDY)
        if size > most:
            raise refused
        size = 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _replay(message)
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > most:
                raise refused
        return _replay({"type": "http.request", "body": b"".join(parts), "more_body": False}, receive)


def _replay(first: Message, after: Receive | None = None) -> Receive:
    """Return a receiver that gives a message once, and then what comes after it."""
    left: list[Message] = [first]

    async def receive() -> Message:
        return left.pop() if left else first if after is None else await after()

    return receive


def _address(scope: Scope) -> str:
    client: Any = scope.get("client")
    return str(client[0]) if client else "-"
