"""A data service on loopback: answers what a test tells it to, in order or by path, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer. cut: bytes after which the connection is closed; None: all are sent. ranges: a Range header is obeyed."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = False


@dataclass(frozen=True)
class Request:
    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class Service:
    """address: where it is reached. answer: gives the reply to a request. requests: all that came."""

    address: str
    answer: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def in_order(*replies: Reply) -> Callable[[Request], Reply]:
    """Answer with the replies one after the other; the last one again and again."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@contextlib.contextmanager
def running_service(answer: Callable[[Request], Reply], certificate: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Run the service. certificate: it is also a proxy that answers in the place of any host, with this certificate."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            request = Request(parts.path, params, dict(self.headers.items()))
            service.requests.append(request)
            reply = service.answer(request)
            self._send(request, reply)

        def do_CONNECT(self) -> None:
            assert certificate is not None
            self.send_response(200)
            self.end_headers()
            self.connection = certificate.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def _send(self, request: Request, reply: Reply) -> None:
            body, status, headers = reply.body, reply.status, dict(reply.headers)
            wanted = request.headers.get("Range", "") if reply.ranges and status == 200 else ""
            if wanted and request.headers.get("If-Range") == headers.get("ETag"):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                status = 206 if start < len(body) else 416
                headers["Content-Range"] = (
                    f"bytes {start}-{len(body) - 1}/{len(body)}" if status == 206 else f"bytes */{len(body)}"
                )
                body = body[start:] if status == 206 else b""
            if headers.get("ETag") and request.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if reply.cut is None else body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Service(f"http://127.0.0.1:{server.server_port}", answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
