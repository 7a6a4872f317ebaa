"""Handing one message for one recipient to a mail server, knowing at each moment whether it can have arrived."""

from __future__ import annotations

import base64
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from quiebra.delivery.deadline import Deadline
from quiebra.delivery.outbox import DOUBTFUL, FAILED, SENT, Outcome
from quiebra.errors import DeliveryError
from quiebra.settings import SMTP_URL, without_secrets

TIMEOUT = 60.0
LIMIT = 300.0
"""Seconds for a whole conversation: five minutes take a mail of 10 MB over a slow line."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Server:
    """A mail server. tls: ``start`` (STARTTLS), ``whole`` (from the first byte) or ``none``."""

    host: str
    port: int
    tls: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def server(url: str) -> Server:
    """Return the server of an address such as ``smtp://user:password@host:587`` or ``smtps://host``.

    Passwords and messages go over TLS with a checked certificate; without it only on this machine, or with ``?tls=none``.
    DeliveryError, which never shows the address, where it is none.
    """
    wrong = (
        f"{SMTP_URL} is not an address such as smtp://user:password@host:587 or smtps://user:password@host; "
        "where the user or the password has one of @ : / # % ? write it in percent code, such as %40 for @"
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DeliveryError(wrong) from None
    odd = url.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment  # it is not sure where the password ends
    if odd or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise DeliveryError(wrong)
    asked = parse_qs(parts.query).get("tls", [""])[0]
    if asked not in ("", "none"):
        raise DeliveryError(f"{SMTP_URL}: tls is 'none' or left out")
    plain = asked == "none" or (parts.scheme == "smtp" and parts.hostname in LOOPBACK)
    tls = "whole" if parts.scheme == "smtps" else "none" if plain else "start"
    user, password = (unquote(v) if v else None for v in (parts.username, parts.password))
    return Server(parts.hostname, port or (465 if tls == "whole" else 587 if tls == "start" else 25), tls, user, password)


def send(
    to: Server,
    sender: str,
    recipient: str,
    message: bytes,
    doubtful: Callable[[], None],
    timeout: float = TIMEOUT,
    limit: float = LIMIT,
) -> Outcome:
    """Send a message and return what became of it. ``doubtful`` is called just before the end of the message goes out: until then
    the server cannot have taken it; what happens between that and its answer nobody knows.

    timeout: seconds for each answer; limit: for the whole conversation, however the server drips.
    """
    ended = False
    with Deadline(limit) as deadline:
        try:
            with _connected(to, timeout, deadline) as link:
                _accepted(link.mail(sender))
                _accepted(link.rcpt(recipient))
                _accepted(link.docmd("DATA"), 354)
                lines = message.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
                link.send(b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b"\r\n")
                doubtful()
                ended = True
                link.send(b".\r\n")
                _accepted(link.getreply())
                return Outcome(SENT)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
            answer = without_secrets(f"{to.host} answered {error.smtp_code} {said}")[:500]
            return Outcome(FAILED, answer, retry=400 <= error.smtp_code < 500)
        except ssl.SSLCertVerificationError as error:
            return Outcome(FAILED, f"the certificate of {to.host} is not to be trusted: {error.verify_message}", retry=True)
        except smtplib.SMTPNotSupportedError:
            return Outcome(
                FAILED, f"{to.host} offers no TLS or no login; on a network that you trust add ?tls=none to {SMTP_URL}"
            )
        except (OSError, smtplib.SMTPException) as error:
            slow = f"the conversation was not over after {limit:g} seconds"
            why = f"{to.host}:{to.port}: {slow if deadline.over else error or type(error).__name__}"
            if ended:
                return Outcome(DOUBTFUL, f"cut off before it was known whether it arrived: {why}")
            return Outcome(FAILED, why, retry=True)


@contextlib.contextmanager
def _connected(to: Server, timeout: float, deadline: Deadline) -> Iterator[smtplib.SMTP]:
    """Give a connection that is greeted, encrypted and logged in as the server's address says, and part from it politely where
    the server waits for a command."""
    context = ssl.create_default_context()
    name = socket.gethostname().split(".")[0] or "localhost"
    more = {"context": context} if to.tls == "whole" else {}
    link = (_OverTls if to.tls == "whole" else _Watched)(deadline, to.host, to.port, name, timeout=timeout, **more)
    try:
        link.ehlo()
        if to.tls == "start":
            link.starttls(context=context)
            link.ehlo()
        if to.user is not None:
            _login(link, to.user, to.password or "")
        yield link
        polite = True
    except smtplib.SMTPResponseException:
        polite = True
        raise
    except BaseException:
        polite = False
        raise
    finally:
        if polite:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                link.quit()
        link.close()


class _Watched(smtplib.SMTP):
    """A connection that is watched from its first byte."""

    def __init__(self, deadline: Deadline, *where: Any, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(*where, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._deadline.watch(super()._get_socket(host, port, timeout))  # type: ignore[misc]


class _OverTls(smtplib.SMTP_SSL, _Watched):
    """One that is encrypted from its first byte."""

    def __init__(self, deadline: Deadline, *where: Any, **more: Any) -> None:
        self._deadline = deadline
        smtplib.SMTP_SSL.__init__(self, *where, **more)


def _login(link: smtplib.SMTP, user: str, password: str) -> None:
    """Log in; one whose name or password is not ASCII, which `smtplib` cannot send, by AUTH PLAIN in UTF-8 (RFC 4616)."""
    if user.isascii() and password.isascii():
        link.login(user, password)
        return
    link.ehlo_or_helo_if_needed()
    if not link.has_extn("auth"):
        raise smtplib.SMTPNotSupportedError("no login")
    code, said = link.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, said)


def _accepted(reply: tuple[int, bytes], code: int | None = None) -> None:
    if reply[0] != code if code is not None else not 200 <= reply[0] < 300:
        raise smtplib.SMTPResponseException(*reply)
