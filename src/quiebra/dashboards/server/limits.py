"""Limits on requests before authentication: connections, seconds, bytes, and wrong tokens and passwords."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate
from tornado.web import Application, HTTPError

from quiebra.io.addresses import Network, is_within
from quiebra.logs import is_correlation_id, new_correlation_id, set_log_fields

MAX_BODY_BYTES = 64 * 1024
"""Bytes of a request's body. Pages send a token, a password or nothing; files are uploaded over a page's WebSocket, which needs
authentication."""
MAX_HEAD_BYTES = 32 * 1024
REQUEST_TIMEOUT_SECONDS = 20.0
"""Seconds for a request's head, for its body, and for an idle connection."""
MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS = 512, 128
"""Connections without a WebSocket, in all and per address."""
FREE_GUESSES, MAX_WAIT_SECONDS, GUESS_MEMORY_SECONDS = 5, 300.0, 900.0
"""Wrong tokens or passwords of an address without a wait, the longest wait after further ones, and the time after which they are
forgotten."""
MAX_ADDRESSES = 10_000


class LimitedServer(HTTPServer):
    """Tornado's server that closes connections beyond the limits at once. gateway: networks that visitors' addresses and schemes
    are believed from, as X-Forwarded-For and X-Forwarded-Proto give them; it limits the connections of each by itself."""

    gateway: tuple[Network, ...] = ()

    def handle_stream(self, stream: Any, address: Any) -> None:
        mine = sum(cast(Any, connection.context).address[0] == address[0] for connection in self._connections)
        limited = not is_within(address[0], self.gateway)
        if len(self._connections) >= MAX_CONNECTIONS or (limited and mine >= MAX_CONNECTIONS_PER_ADDRESS):
            stream.close()
            return
        super().handle_stream(stream, address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        self.xheaders = is_within(cast(Any, request_conn).context.address[0], self.gateway)
        return _LoggedRequest(super().start_request(server_conn, request_conn))


class _LoggedRequest(HTTPMessageDelegate):
    """Takes the correlation id from a request's head, or gives it a new one, before anything else is done with it."""

    def __init__(self, inner: HTTPMessageDelegate) -> None:
        self._inner = inner
        self.data_received, self.finish = inner.data_received, inner.finish  # type: ignore[method-assign]
        self.on_connection_close = inner.on_connection_close  # type: ignore[method-assign]

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        given = headers.get("X-Request-ID", "")
        set_log_fields(correlation_id=given if is_correlation_id(given) else new_correlation_id())
        return self._inner.headers_received(start_line, headers)


def listen(app: Application, port: int, host: str, *, gateway: tuple[Network, ...] = ()) -> HTTPServer:
    """Serve an application on an address, with the limits. gateway: see `LimitedServer`."""
    server = LimitedServer(
        app,
        max_body_size=MAX_BODY_BYTES,
        max_header_size=MAX_HEAD_BYTES,
        body_timeout=REQUEST_TIMEOUT_SECONDS,
        idle_connection_timeout=REQUEST_TIMEOUT_SECONDS,
    )
    server.gateway = gateway
    server.listen(port, host)
    return server


class TooManyWrongTries(HTTPError):
    """The request is refused without checking the token or password: the address has to wait."""

    def __init__(self, wait: float) -> None:
        super().__init__(429)
        self.wait = max(1, round(wait))


@dataclass
class TokenGuesses:
    """Wrong tokens and passwords by address. After a few, each one doubles the time that the address has to wait. A correct one
    does not reset it, since a visitor who has one may be guessing another."""

    now: Callable[[], float] = time.monotonic
    _wrong: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def check(self, address: str) -> None:
        """Raise TooManyWrongTries if the address has to wait."""
        count, last = self._of(address)
        wait = last + _wait(count) - self.now()
        if wait > 0:
            raise TooManyWrongTries(wait)

    def failed(self, address: str) -> None:
        """Count a wrong token or password."""
        count, _ = self._of(address)
        self._wrong[_network(address)] = (count + 1, self.now())
        self._wrong.move_to_end(_network(address))
        while len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)

    def _of(self, address: str) -> tuple[int, float]:
        count, last = self._wrong.get(_network(address), (0, self.now()))
        return (count, last) if self.now() - last < GUESS_MEMORY_SECONDS else (0, last)


def _wait(count: int) -> float:
    return 0.0 if count < FREE_GUESSES else min(2.0 ** min(count - FREE_GUESSES, 30), MAX_WAIT_SECONDS)


def _network(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address, which belongs to one subscriber."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
