"""What a stranger can take from the server before it knows them: so many connections, seconds, bytes and guesses, and no more."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError

LARGEST_BODY = 64 * 1024
"""Bytes of a request. Pages send a token or nothing; files go over a page's wire, which opens to visitors alone."""
LARGEST_HEAD = 32 * 1024
SLOWEST = 20.0
"""Seconds that the head of a request may take to come, or its body, or that a connection may be kept without one."""
CONNECTIONS, CONNECTIONS_OF_ONE = 512, 128
"""Connections without a wire to a page, in all and of one address."""
FREE_GUESSES, LONGEST_WAIT, FORGOTTEN = 5, 300.0, 900.0
"""Wrong tokens of one address that cost nothing, the longest wait after one more, and after how long they are forgotten."""
ADDRESSES = 10_000


class LimitedServer(HTTPServer):
    """Tornado's server, but for connections beyond the limits, which are closed at once."""

    def handle_stream(self, stream: Any, address: Any) -> None:
        mine = sum(connection.context.remote_ip == address[0] for connection in self._connections)
        if len(self._connections) >= CONNECTIONS or mine >= CONNECTIONS_OF_ONE:
            stream.close()
            return
        super().handle_stream(stream, address)


def listen(app: Application, port: int, host: str) -> HTTPServer:
    """Serve an application on an address, with the limits."""
    server = LimitedServer(
        app, max_body_size=LARGEST_BODY, max_header_size=LARGEST_HEAD, body_timeout=SLOWEST, idle_connection_timeout=SLOWEST
    )
    server.listen(port, host)
    return server


class TooManyGuesses(HTTPError):
    """Refused without a look at the token: the address has to wait."""

    def __init__(self, wait: float) -> None:
        super().__init__(429)
        self.wait = max(1, round(wait))


@dataclass
class Guesses:
    """Wrong tokens by address. After a few each makes the address wait, twice as long as the one before; a right one in between
    forgives nothing, since whoever has one token may be guessing another."""

    now: Callable[[], float] = time.monotonic
    _wrong: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def check(self, address: str) -> None:
        """Raise TooManyGuesses where the address has to wait."""
        count, last = self._of(address)
        wait = last + _wait(count) - self.now()
        if wait > 0:
            raise TooManyGuesses(wait)

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        count, _ = self._of(address)
        self._wrong[_network(address)] = (count + 1, self.now())
        self._wrong.move_to_end(_network(address))
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def _of(self, address: str) -> tuple[int, float]:
        count, last = self._wrong.get(_network(address), (0, self.now()))
        return (count, last) if self.now() - last < FORGOTTEN else (0, last)


def _wait(count: int) -> float:
    return 0.0 if count < FREE_GUESSES else min(2.0 ** min(count - FREE_GUESSES, 30), LONGEST_WAIT)


def _network(address: str) -> str:
    """Return an address, or the network of one subscriber where addresses are many (IPv6)."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
