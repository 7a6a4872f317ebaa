"""Send one message to one recipient over SMTP, tracking at each moment whether it can have arrived."""

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
from quiebra.delivery.outbox import DOUBTFUL, FAILED, SENT, SendOutcome
from quiebra.environment import SMTP_URL, redact_secrets
from quiebra.errors import DeliveryError

ANSWER_SECONDS = 60.0
SESSION_SECONDS = 300.0
"""Seconds for a whole SMTP session: enough for a mail of 10 MB over a slow line."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class MailServer:
    """A mail server. tls: ``start`` (STARTTLS), ``whole`` (implicit TLS) or ``none``."""

    host: str
    port: int
    tls: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_mail_server(url: str) -> MailServer:
    """Return the server of an address such as ``smtp://user:password@host:587`` or ``smtps://host``.

    TLS with certificate verification is required, except on this machine or with ``?tls=none``. DeliveryError, which never shows
    the address, if it is invalid.
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
    odd = url.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment  # ambiguous where the password ends
    if odd or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise DeliveryError(wrong)
    asked = parse_qs(parts.query).get("tls", [""])[0]
    if asked not in ("", "none"):
        raise DeliveryError(f"{SMTP_URL}: tls is 'none' or left out")
    plain = asked == "none" or (parts.scheme == "smtp" and parts.hostname in LOOPBACK)
    tls = "whole" if parts.scheme == "smtps" else "none" if plain else "start"
    user, password = (unquote(v) if v else None for v in (parts.username, parts.password))
    return MailServer(parts.hostname, port or (465 if tls == "whole" else 587 if tls == "start" else 25), tls, user, password)


def send_message(
    to: MailServer,
    sender: str,
    recipient: str,
    message: bytes,
    doubtful: Callable[[], None],
    timeout: float = ANSWER_SECONDS,
    limit: float = SESSION_SECONDS,
) -> SendOutcome:
    """Send a message and return the outcome.

    ``doubtful`` is called just before the end-of-message line is sent: until then the server cannot have accepted the message;
    between that and its answer, it is unknown.

    timeout: seconds for each answer; limit: seconds for the whole session, however slowly the server answers.
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
                return SendOutcome(SENT)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else str(error.smtp_error)
            answer = redact_secrets(f"{to.host} answered {error.smtp_code} {said}")[:500]
            return SendOutcome(FAILED, answer, retry=400 <= error.smtp_code < 500)
        except ssl.SSLCertVerificationError as error:
            return SendOutcome(FAILED, f"the certificate of {to.host} is not to be trusted: {error.verify_message}", retry=True)
        except smtplib.SMTPNotSupportedError:
            return SendOutcome(
                FAILED, f"{to.host} offers no TLS or no login; on a network that you trust add ?tls=none to {SMTP_URL}"
            )
        except (OSError, smtplib.SMTPException) as error:
            slow = f"the conversation was not over after {limit:g} seconds"
            why = f"{to.host}:{to.port}: {slow if deadline.over else error or type(error).__name__}"
            if ended:
                return SendOutcome(DOUBTFUL, f"cut off before it was known whether it arrived: {why}")
            return SendOutcome(FAILED, why, retry=True)


@contextlib.contextmanager
def _connected(to: MailServer, timeout: float, deadline: Deadline) -> Iterator[smtplib.SMTP]:
    """Yield a connection after greeting, TLS and login as in the server's address; at the end send QUIT if the server awaits a
    command."""
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
    """SMTP connection watched by the deadline from its first byte."""

    def __init__(self, deadline: Deadline, *where: Any, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(*where, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._deadline.watch(super()._get_socket(host, port, timeout))  # type: ignore[misc]  # typeshed leaves it out: it is not public


class _OverTls(smtplib.SMTP_SSL, _Watched):
    """The same over implicit TLS."""

    def __init__(self, deadline: Deadline, *where: Any, **more: Any) -> None:
        self._deadline = deadline
        smtplib.SMTP_SSL.__init__(self, *where, **more)


def _login(link: smtplib.SMTP, user: str, password: str) -> None:
    """Log in. User names and passwords that are not ASCII, which `smtplib` cannot send, go by AUTH PLAIN in UTF-8 (RFC 4616)."""
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
