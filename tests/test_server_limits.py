"""What a stranger, or another reader, can do to the dashboards' server on loopback: guess, flood, dawdle, join and shut pages."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from browser import Served, serving
from conftest import copy_workspace, environment
from http_browser import Browser

from quiebra.dashboards.server.access import tokens_for
from quiebra.dashboards.server.limits import (
    FREE_GUESSES,
    MAX_ADDRESSES,
    MAX_BODY_BYTES,
    MAX_CONNECTIONS_PER_ADDRESS,
    REQUEST_TIMEOUT_SECONDS,
    TokenGuesses,
    TooManyWrongTries,
)
from quiebra.errors import InvalidNameError, WorkspaceError


@pytest.fixture(scope="module")
def served(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = copy_workspace(finished, tmp_path_factory.mktemp("server") / "workspace")
    with serving(place, environment(), "--editor", "luis", "--pool", "0") as server:
        yield server


def test_no_reader_joins_watches_or_shuts_the_page_of_another(served: Served) -> None:
    one, other, stranger = Browser(served), Browser(served), Browser(served)
    kernel, own = one.open("executive", served.tokens["reader"]), other.open("settings", served.tokens["luis"])
    for wrong in (other, stranger):
        assert wrong.join(kernel) in (403, 404)
        assert wrong.ask("GET", f"/api/kernels/{kernel}").status in (403, 404)
        assert wrong.ask("DELETE", f"/api/kernels/{kernel}", **{"X-XSRFToken": wrong.cookies.get("_xsrf", "")}).status in (
            403,
            404,
        )
        wrong.post(f"/voila/api/shutdown/{kernel}")
    assert '"lives": false' in other.ask("GET", f"/state/{kernel}").text  # type: ignore[attr-defined]
    assert '"lives": true' in one.ask("GET", f"/state/{kernel}").text  # type: ignore[attr-defined]
    assert one.join(kernel) == 101
    assert one.join(own) == 404  # an editor's page with an editor's rights
    assert one.join("00000000-0000-4000-8000-000000000000") == 404
    assert one.ask("GET", f"/api/kernels/{kernel}").status == 200
    assert one.post(f"/voila/api/shutdown/{kernel}") == 204
    assert '"lives": false' in one.ask("GET", f"/state/{kernel}").text  # type: ignore[attr-defined]
    assert other.post(f"/voila/api/shutdown/{own}") == 204


def test_guesses_of_a_token_are_limited_for_their_address_alone(served: Served) -> None:
    guesser = Browser(served, "127.0.0.7")
    statuses = [guesser.ask("GET", f"/executive?token=guess{n}").status for n in range(FREE_GUESSES)]
    assert set(statuses) == {302}  # to the door
    for path in ("/executive", "/state/x", "/"):
        refused = guesser.ask("GET", f"{path}?token={served.tokens['reader']}")  # not even looked at
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert "wrong tokens" in refused.text  # type: ignore[attr-defined]
        assert "Traceback" not in refused.text  # type: ignore[attr-defined]
    assert guesser.ask("GET", "/state/x", Authorization="token guess").status == 429
    door = Browser(served, "127.0.0.7")
    door.ask("GET", "/login")
    form = urlencode({"password": served.tokens["reader"], "_xsrf": door.cookies["_xsrf"]})
    answer = door.ask("POST", "/login", form, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 429
    assert Browser(served, "127.0.0.8").ask("GET", f"/?token={served.tokens['reader']}").status == 302  # others come in
    assert Browser(served, "127.0.0.7").ask("GET", "/health").status == 200


def test_waits_grow_end_and_are_forgotten() -> None:
    clock = [0.0]
    guesses = TokenGuesses(lambda: clock[0])
    waits = []
    for _ in range(FREE_GUESSES + 12):
        guesses.failed("192.0.2.1")
        try:
            guesses.check("192.0.2.1")
            waits.append(0)
        except TooManyWrongTries as refused:
            waits.append(refused.wait)
            clock[0] += refused.wait
            guesses.check("192.0.2.1")
    assert waits == [0] * (FREE_GUESSES - 1) + [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    for n in range(FREE_GUESSES):
        guesses.failed(f"2001:db8::{n}")  # one subscriber
    with pytest.raises(TooManyWrongTries):
        guesses.check("2001:db8::ffff")
    guesses.check("2001:db8:0:1::1")
    clock[0] += 10_000
    guesses.check("192.0.2.1")
    for n in range(MAX_ADDRESSES + 10):
        guesses.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(guesses._wrong) == MAX_ADDRESSES


def test_a_body_is_limited_before_the_visitor_is_known(served: Served) -> None:
    for head in (f"Content-Length: {MAX_BODY_BYTES + 1}", "Content-Length: 99999999999999", "Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", urlsplit(served.address).port), timeout=20) as link:
            link.sendall(f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n".encode())
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 50_000_000:
                    link.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                    sent += 0x10000
            with contextlib.suppress(OSError):
                assert link.recv(4096).split(b"\r\n")[0] in (
                    b"HTTP/1.1 400 Bad Request",
                    b"HTTP/1.1 413 Request Entity Too Large",
                    b"",
                )
        assert sent < 20_000_000  # cut off, whatever the buffers of the system took
    assert Browser(served).ask("GET", "/health").status == 200


def closed_after(link: socket.socket, drip: bytes) -> float:
    """Return after how many seconds the server closes a connection to which a byte a second is sent."""
    began = time.monotonic()
    link.settimeout(1)
    while time.monotonic() - began < 3 * REQUEST_TIMEOUT_SECONDS:
        try:
            if drip:
                link.sendall(drip)
            if not link.recv(4096):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def test_half_open_and_dripping_requests_are_closed_all_at_the_same_time(served: Served) -> None:
    """Silence, a head that never ends, a body that never comes, and a connection kept after an answer."""
    port = urlsplit(served.address).port
    starts = {
        b"": b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n": b"X-A: b\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n": b"x",
    }
    links = [socket.create_connection(("127.0.0.1", port)) for _ in starts]
    kept = socket.create_connection(("127.0.0.1", port))
    kept.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    began = time.monotonic()
    for link, (start, drip) in zip(links, starts.items(), strict=True):
        link.sendall(start)
        closed_after(link, drip)
        assert time.monotonic() - began < 3 * REQUEST_TIMEOUT_SECONDS, start
    closed_after(kept, b"")
    assert time.monotonic() - began < 3 * REQUEST_TIMEOUT_SECONDS
    for link in (*links, kept):
        link.close()


def test_no_address_takes_all_connections(served: Served) -> None:
    port = urlsplit(served.address).port
    links = [
        socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0))
        for _ in range(MAX_CONNECTIONS_PER_ADDRESS + 20)
    ]
    try:
        time.sleep(0.5)
        shut = 0
        for link in links:
            link.setblocking(False)
            try:
                shut += link.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                shut += 1
        assert shut == 20
        assert Browser(served).ask("GET", "/health").status == 200
    finally:
        for link in links:
            link.close()


@pytest.mark.parametrize(
    "names", [["reader"], ["Reader"], ["ana", "ANA"], ["ana\u200b"], ["\u3164"], ["ana\n"], ["a" * 61], [""]]
)
def test_an_editor_has_a_name_of_her_own_that_can_be_seen(names: list[str]) -> None:
    with pytest.raises((WorkspaceError, InvalidNameError)):
        tokens_for("127.0.0.1", names, True)
    assert set(tokens_for("127.0.0.1", ["ana", "luis"], True)) == {"reader", "ana", "luis"}
