"""Servers that answer a little at a time, for as long as they like: each conversation has an end, and nothing is sent twice."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
import trustme
from conftest import default_params
from servers import raw_server, talk
from sqlalchemy import Engine
from test_delivery import DELIVERY, mail, state

from quiebra import store
from quiebra.delivery import channels, outbox, smtp
from quiebra.delivery.channels import channel_senders
from quiebra.delivery.outbox import Notification
from quiebra.params import validate_params

pytestmark = pytest.mark.slow

LIMIT = 0.8
ENOUGH = 40
"""How often a server drips, every tenth of a second, before it gives in: a sender that it holds would then get its way."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = store.connect(f"sqlite:///{tmp_path / 'test.db'}")
    store.upgrade_schema(engine)
    return engine


def drip(link: socket.socket, piece: bytes, end: bytes) -> None:
    with contextlib.suppress(OSError):
        for _ in range(ENOUGH):
            link.sendall(piece)
            time.sleep(0.1)
        link.sendall(end)


def send(to: smtp.MailServer, engine: Engine) -> list[outbox.SendOutcome]:
    outbox.queue_messages(engine, [mail()])
    one = lambda row, doubtful: smtp.send_message(to, "risk@example.com", row.recipient, row.body, doubtful, 5, LIMIT)  # noqa: E731
    return [outcome for _, outcome in outbox.send_due(engine, lambda channel: one, 3)]


def test_a_mail_server_that_drips_its_greeting_is_left_and_tried_again(engine: Engine) -> None:
    with raw_server(lambda link: drip(link, b"220-wait\r\n", b"220 here\r\n")) as port:
        (outcome,) = send(smtp.parse_mail_server(f"smtp://127.0.0.1:{port}"), engine)
    assert (outcome.state, outcome.retry) == ("queued", True)
    assert "the conversation was not over after 0.8 seconds" in str(outcome.error)


def test_one_that_drips_after_a_message_ended_leaves_it_doubtful(engine: Engine) -> None:
    def slow(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        link.sendall(b"354 go on\r\n")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += link.recv(65536)
        drip(link, b"250-wait\r\n", b"250 taken\r\n")

    with raw_server(slow) as port:
        (outcome,) = send(smtp.parse_mail_server(f"smtp://127.0.0.1:{port}"), engine)
    assert (outcome.state, outcome.retry) == ("doubtful", False)
    assert state(engine) == {"ana@example.com": "doubtful"}


def test_one_that_drips_its_farewell_changes_nothing_of_what_it_took(engine: Engine) -> None:
    over = threading.Event()

    def slow(link: socket.socket) -> None:
        for _ in talk(link):
            pass
        link.sendall(b"354 go on\r\n")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += link.recv(65536)
        link.sendall(b"250 taken\r\n")
        drip(link, b"221-wait\r\n", b"221 bye\r\n")
        over.set()

    with raw_server(slow) as port:
        (outcome,) = send(smtp.parse_mail_server(f"smtp://127.0.0.1:{port}"), engine)
        assert not over.is_set()
    assert outcome.state == "sent"


def test_encrypted_from_the_first_byte_too(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    def slow(link: socket.socket) -> None:
        drip(context.wrap_socket(link, server_side=True), b"220-wait\r\n", b"220 here\r\n")

    with raw_server(slow) as port:
        (outcome,) = send(smtp.parse_mail_server(f"smtps://127.0.0.1:{port}"), engine)
    assert (outcome.state, outcome.retry) == ("queued", True)
    assert "not over after" in str(outcome.error)


@pytest.mark.parametrize(
    ("start", "piece", "became"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "doubtful"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", "doubtful"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Wait: x\r\n", "sent"),  # it has said that it took the message
    ],
)
def test_a_webhook_that_drips_its_answer_is_left(
    start: bytes, piece: bytes, became: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "EXCHANGE_SECONDS", LIMIT)
    posts = []

    def slow(link: socket.socket) -> None:
        posts.append(link.recv(65536))
        link.sendall(start)
        drip(link, piece, b"\r\n")

    body = json.dumps({"title": "T", "body": "B", "type": "warning"}).encode()
    outbox.queue_messages(engine, [Notification("hook", "webhook", "alert 1", "T", body)])
    options = validate_params(default_params(delivery=DELIVERY)).delivery
    with raw_server(slow) as port:
        monkeypatch.setenv("QUIEBRA_CHANNEL_HOOK", f"json://127.0.0.1:{port}/hook")
        for _ in range(2):
            outbox.send_due(engine, channel_senders(options, tmp_path), 3)
    assert state(engine) == {"webhook": became}
    assert len(posts) == 1
