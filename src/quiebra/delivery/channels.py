"""How each channel sends: mail to a server, chat and webhooks by apprise, and a folder for want of an address."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError
from urllib3.util import connection

from quiebra.delivery import smtp
from quiebra.delivery.deadline import Deadline
from quiebra.delivery.outbox import DOUBTFUL, FAILED, SENT, WRITTEN, Outcome, Send
from quiebra.errors import DeliveryError
from quiebra.files import private_folder, write_atomically
from quiebra.params.operations import Delivery
from quiebra.settings import CHANNEL, channel_url, smtp_url

MAIL = ("report", "notice")
"""The channels of mail that are always there: the report, and notices to the owner."""
READ_TIMEOUT = 60.0
"""Seconds that a channel may take to answer: after that nobody knows whether it took the message."""
LIMIT = 180.0
"""Seconds that a whole exchange may take, however the answer drips."""
SCHEMES = {"slack": ("slack", "https"), "teams": ("workflows", "workflow", "https"), "webhook": ("json", "jsons")}
"""What a channel's address may start with, by kind."""


def sends(options: Delivery, folder: Path) -> Callable[[str], Send]:
    """Return channel → how it sends. Without a server, or an address, a message is written to ``folder`` and goes nowhere."""

    def of(channel: str) -> Send:
        kind = "mail" if channel in MAIL else options.channels[channel].kind if channel in options.channels else None
        if kind is None:
            return lambda _row, _doubtful: Outcome(FAILED, f"there is no channel '{channel}' in params any more")
        if kind == "mail":
            return _by_mail(options.sender, folder)
        return _by_apprise(channel, kind, folder)

    return of


def ready(options: Delivery) -> list[str]:
    """Return the channels that can send now; those whose messages are written to the folder are left out."""
    named = [name for name, channel in options.channels.items() if channel.kind == "mail" or channel_url(name)]
    mail = {*MAIL, *(name for name, channel in options.channels.items() if channel.kind == "mail")}
    return [name for name in (*MAIL, *named) if name not in mail or smtp_url()]


def _by_mail(sender: str, folder: Path) -> Send:
    url = smtp_url()
    if url is None:
        return lambda row, _doubtful: _written(folder / f"{row.channel}-{row.message_id[:12]}.eml", row.body)
    to = smtp.server(url)
    return lambda row, doubtful: smtp.send(to, sender, row.recipient, row.body, doubtful)


def _by_apprise(channel: str, kind: str, folder: Path) -> Send:
    url = channel_url(channel)
    if url is None:
        return lambda row, _doubtful: _written(folder / f"{row.channel}-{row.message_id[:12]}.json", row.body)

    def post(row: Any, doubtful: Callable[[], None]) -> Outcome:
        service = _service(channel, kind, url)
        content = json.loads(row.body)
        title, text, form = content["title"], content["body"], "text"
        if kind == "teams":
            title, text, form = _plainly(title), _cards(text), "markdown"
        doubtful()
        with Deadline(LIMIT) as deadline, _overheard(deadline) as ends:
            taken = service.notify(title=title, body=text, notify_type=content["type"], body_format=form)
        if taken:
            return Outcome(SENT)
        where = f"channel '{channel}', whose address is in {CHANNEL}{channel.upper()}"
        last = ends[-1] if ends else None
        if isinstance(last, requests.RequestException) and not _never_left(last):
            return Outcome(DOUBTFUL, f"{where}: no answer after it was sent, so it may have arrived")
        said = f"answered {last}" if isinstance(last, int) else "cannot be reached"
        return Outcome(FAILED, f"{where}, {said}", retry=True)

    return post


@contextlib.contextmanager
def _overheard(deadline: Deadline) -> Iterator[list[int | requests.RequestException]]:
    """Give how each web request ended that is made in it, its status or its error: apprise says no more than that one failed.
    They all end by the deadline."""
    real, connect, ends = requests.Session.send, connection.create_connection, []

    def send(session: requests.Session, request: Any, **more: Any) -> requests.Response:
        try:
            answer = real(session, request, **more)
        except requests.RequestException as error:
            ends.append(error)
            raise
        ends.append(answer.status_code)
        return answer

    requests.Session.send = send  # type: ignore[method-assign]
    connection.create_connection = lambda *where, **more: deadline.watch(connect(*where, **more))
    try:
        yield ends
    finally:
        requests.Session.send = real  # type: ignore[method-assign]
        connection.create_connection = connect


def _never_left(error: requests.RequestException) -> bool:
    """Return whether a request failed before anything of it was sent: no connection was made."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError) or isinstance(reason, NewConnectionError)


def _plainly(line: str) -> str:
    return re.sub(r"([*_`\[\]])", r"\\\1", line)


def _cards(text: str) -> str:
    """Return text as Teams' cards read it: a paragraph a line, signs that would be markup escaped, links as they are."""
    return "\n\n".join(line if line.startswith("http") else _plainly(line) for line in text.splitlines())


def _service(channel: str, kind: str, url: str) -> Any:
    """Return apprise's service for an address; DeliveryError, which does not show it, where it is not of the channel's kind."""
    import apprise

    scheme = url.partition("://")[0].lower()
    look = apprise.AppriseAsset(app_id="Quiebra", app_desc="Quiebra", app_url="", image_url_mask="", image_url_logo="")
    service = apprise.Apprise(asset=look)
    if scheme not in SCHEMES[kind] or not service.add(url):
        known = " or ".join(f"{name}://" for name in SCHEMES[kind])
        raise DeliveryError(
            f"{CHANNEL}{channel.upper()} is no address for {kind}: it starts with {known}, as apprise writes them"
        )
    for one in service:
        one.socket_read_timeout = READ_TIMEOUT
    return service


def _written(path: Path, body: bytes) -> Outcome:
    private_folder(path.parent)
    write_atomically(path, lambda partial: partial.write_bytes(body), private=True)
    return Outcome(WRITTEN)
