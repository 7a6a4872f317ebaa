"""Senders of each channel: mail over SMTP, chat and webhooks with apprise, or files in a folder if no address is set."""

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
from quiebra.delivery.outbox import DOUBTFUL, FAILED, SENT, WRITTEN, SendFunction, SendOutcome
from quiebra.environment import CHANNEL_PREFIX, channel_url, smtp_url
from quiebra.errors import DeliveryError
from quiebra.io.files import make_private_folder, write_atomically
from quiebra.params.operations import Delivery

MAIL_CHANNELS = ("report", "notice")
"""The mail channels that always exist: the report, and notices to the owner."""
READ_TIMEOUT = 60.0
"""Seconds a channel has to answer; after that it is unknown whether it took the message."""
EXCHANGE_SECONDS = 180.0
"""Seconds for a whole exchange, however slowly the answer arrives."""
URL_SCHEMES = {"slack": ("slack", "https"), "teams": ("workflows", "workflow", "https"), "webhook": ("json", "jsons")}
"""Kind of channel → URL schemes that its address may have."""


def channel_senders(options: Delivery, folder: Path) -> Callable[[str], SendFunction]:
    """Return channel → its send function. Without a mail server or an address, messages are written to ``folder`` and not
    sent."""

    def of(channel: str) -> SendFunction:
        kind = "mail" if channel in MAIL_CHANNELS else options.channels[channel].kind if channel in options.channels else None
        if kind is None:
            return lambda _row, _doubtful: SendOutcome(FAILED, f"there is no channel '{channel}' in params any more")
        if kind == "mail":
            return _by_mail(options.sender, folder)
        return _by_apprise(channel, kind, folder)

    return of


def ready_channels(options: Delivery) -> list[str]:
    """Return the channels that can send now; those whose messages are written to the folder are left out."""
    named = [name for name, channel in options.channels.items() if channel.kind == "mail" or channel_url(name)]
    mail = {*MAIL_CHANNELS, *(name for name, channel in options.channels.items() if channel.kind == "mail")}
    return [name for name in (*MAIL_CHANNELS, *named) if name not in mail or smtp_url()]


def _by_mail(sender: str, folder: Path) -> SendFunction:
    url = smtp_url()
    if url is None:
        return lambda row, _doubtful: _written(folder / f"{row.channel}-{row.message_id[:12]}.eml", row.body)
    to = smtp.parse_mail_server(url)
    return lambda row, doubtful: smtp.send_message(to, sender, row.recipient, row.body, doubtful)


def _by_apprise(channel: str, kind: str, folder: Path) -> SendFunction:
    url = channel_url(channel)
    if url is None:
        return lambda row, _doubtful: _written(folder / f"{row.channel}-{row.message_id[:12]}.json", row.body)

    def post(row: Any, doubtful: Callable[[], None]) -> SendOutcome:
        service = _service(channel, kind, url)
        content = json.loads(row.body)
        title, text, form = content["title"], content["body"], "text"
        if kind == "teams":
            title, text, form = _plainly(title), _cards(text), "markdown"
        doubtful()
        with Deadline(EXCHANGE_SECONDS) as deadline, _overheard(deadline) as ends:
            taken = service.notify(title=title, body=text, notify_type=content["type"], body_format=form)
        if taken:
            return SendOutcome(SENT)
        where = f"channel '{channel}', whose address is in {CHANNEL_PREFIX}{channel.upper()}"
        last = ends[-1] if ends else None
        if isinstance(last, requests.RequestException) and not _never_left(last):
            return SendOutcome(DOUBTFUL, f"{where}: no answer after it was sent, so it may have arrived")
        said = f"answered {last}" if isinstance(last, int) else "cannot be reached"
        return SendOutcome(FAILED, f"{where}, {said}", retry=True)

    return post


@contextlib.contextmanager
def _overheard(deadline: Deadline) -> Iterator[list[int | requests.RequestException]]:
    """Yield a list that collects the status or error of each web request made in the block: apprise reports only that one failed.

    The deadline ends requests that are still open.
    """
    real, connect = requests.Session.send, connection.create_connection
    ends: list[int | requests.RequestException] = []

    def send(session: requests.Session, request: Any, **more: Any) -> requests.Response:
        try:
            answer = real(session, request, **more)
        except requests.RequestException as error:
            ends.append(error)
            raise
        ends.append(answer.status_code)
        return answer

    requests.Session.send = send  # type: ignore[method-assign, assignment]  # apprise makes its own sessions: there is no other way in
    connection.create_connection = lambda *where, **more: deadline.watch(connect(*where, **more))
    try:
        yield ends
    finally:
        requests.Session.send = real  # type: ignore[method-assign]  # the original method
        connection.create_connection = connect


def _never_left(error: requests.RequestException) -> bool:
    """Return whether a request failed before anything was sent, since no connection was made."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError) or isinstance(reason, NewConnectionError)


def _plainly(line: str) -> str:
    return re.sub(r"([*_`\[\]])", r"\\\1", line)


def _cards(text: str) -> str:
    """Return text for Teams' cards: one paragraph per line, Markdown characters escaped, links unchanged."""
    return "\n\n".join(line if line.startswith("http") else _plainly(line) for line in text.splitlines())


def _service(channel: str, kind: str, url: str) -> Any:
    """Return apprise's service for an address. DeliveryError, which does not show the address, if it is not of the channel's
    kind."""
    import apprise

    scheme = url.partition("://")[0].lower()
    look = apprise.AppriseAsset(app_id="Quiebra", app_desc="Quiebra", app_url="", image_url_mask="", image_url_logo="")
    service = apprise.Apprise(asset=look)
    if scheme not in URL_SCHEMES[kind] or not service.add(url):
        known = " or ".join(f"{name}://" for name in URL_SCHEMES[kind])
        raise DeliveryError(
            f"{CHANNEL_PREFIX}{channel.upper()} is no address for {kind}: it starts with {known}, as apprise writes them"
        )
    for one in service:
        one.socket_read_timeout = READ_TIMEOUT
    return service


def _written(path: Path, body: bytes) -> SendOutcome:
    make_private_folder(path.parent)
    write_atomically(path, lambda partial: partial.write_bytes(body), private=True)
    return SendOutcome(WRITTEN)
