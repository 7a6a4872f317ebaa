"""Real receivers on loopback for what the workspace sends: a mail server, and web servers for Slack, Teams and webhooks."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


@dataclass
class Postbox:
    """A mail server's behaviour and what it took. refused: recipient → its answer; slow: seconds before it takes a message."""

    refused: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        import asyncio

        await asyncio.sleep(self.slow)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails += [(to, message) for to in envelope.rcpt_tos]
        self.tls.append(session.ssl is not None)
        return "250 taken"

    def to(self, address: str) -> list[EmailMessage]:
        return [message for recipient, message in self.mails if recipient == address]


@contextlib.contextmanager
def mail_server(
    box: Postbox, port: int = 0, authority: trustme.CA | None = None, login: tuple[str, str] | None = None
) -> Iterator[str]:
    """Run a mail server; give its address. With an authority it insists on STARTTLS, with a login on that."""
    port = port or free_port()
    more: dict[str, Any] = {}
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        more |= {"tls_context": context, "require_starttls": True}
    if login is not None:
        right = AuthResult(success=True)

        def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            return right if (data.login.decode(), data.password.decode()) == login else AuthResult(success=False, handled=False)

        more |= {"authenticator": check, "auth_required": True, "auth_require_tls": authority is not None}
    controller = Controller(box, hostname="127.0.0.1", port=port, **more)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that does with each connection what ``answer`` says; give its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                link, _ = listener.accept()
                link.settimeout(20)
                with link, contextlib.suppress(OSError):
                    answer(link)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join(2)
        listener.close()


def talk(link: socket.socket, until: bytes = b"DATA") -> Iterator[bytes]:
    """Answer as a mail server does until a command has come; give each line."""
    link.sendall(b"220 here\r\n")
    stream = link.makefile("rb")
    for line in stream:
        yield line
        if line.upper().startswith(until):
            return
        link.sendall(b"250 OK\r\n" if not line.upper().startswith(b"QUIT") else b"221 bye\r\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Receiver:
    """What a web server was sent: (path, headers, JSON), the status that it answers, and how many seconds it takes to."""

    status: int = 200
    slow: float = 0.0
    posts: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextlib.contextmanager
def web_server(receiver: Receiver, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a web server that keeps what it is posted; give its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status < 300:
                receiver.posts.append((f"{self.headers['Host']}{self.path}", dict(self.headers), json.loads(body)))
            time.sleep(receiver.slow)
            self.send_response(receiver.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[int]:
    """Run a web proxy that leads every address to one server of the tests: what is meant for the outside stays here."""

    def answer(link: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += link.recv(4096)
        assert head.startswith(b"CONNECT ")
        with socket.create_connection(("127.0.0.1", port)) as inside:
            link.sendall(b"HTTP/1.1 200 here\r\n\r\n")
            ways = [threading.Thread(target=_pump, args=pair, daemon=True) for pair in ((link, inside), (inside, link))]
            for way in ways:
                way.start()
            for way in ways:
                way.join(20)

    with raw_server(answer) as own:
        yield own


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def chat(receiver: Receiver, folder: Path) -> Iterator[dict[str, str]]:
    """Run one web server for Slack, Teams and a webhook; give the environment in which their messages come to it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.slack.com", "teams.example.com", "127.0.0.1").configure_cert(context)
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with web_server(receiver, context) as secure, proxy_to(secure) as proxy:
        yield {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy}",
            "REQUESTS_CA_BUNDLE": str(bundle),
            "NO_PROXY": "127.0.0.1",
            "QUIEBRA_CHANNEL_TEAM": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
            "QUIEBRA_CHANNEL_OFFICE": f"workflows://teams.example.com:443/{'643e7d2f4c8d4a2b9f5a'}/{'k' * 43}",
            "QUIEBRA_CHANNEL_HOOK": f"jsons://127.0.0.1:{secure}/hook",
        }


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
