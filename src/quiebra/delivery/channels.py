"""How each channel sends: mail to a server, chat and webhooks by apprise, and a folder for want of an address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quiebra.delivery import smtp
from quiebra.delivery.outbox import FAILED, SENT, WRITTEN, Outcome, Send
from quiebra.errors import DeliveryError
from quiebra.files import write_atomically
from quiebra.params.operations import Delivery
from quiebra.settings import CHANNEL, channel_url, smtp_url

MAIL = ("report", "notice")
"""The channels of mail that are always there: the report, and notices to the owner."""
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
        text, form = (_cards(content["body"]), "markdown") if kind == "teams" else (content["body"], "text")
        doubtful()
        if service.notify(title=content["title"], body=text, notify_type=content["type"], body_format=form):
            return Outcome(SENT)
        return Outcome(
            FAILED, f"channel '{channel}' did not take it: check its address in {CHANNEL}{channel.upper()}", retry=True
        )

    return post


def _cards(text: str) -> str:
    """Return text as Teams' cards read it: a paragraph a line, signs that would be markup escaped, links as they are."""
    lines = (line if line.startswith("http") else re.sub(r"([*_`\[\]])", r"\\\1", line) for line in text.splitlines())
    return "\n\n".join(lines)


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
    return service


def _written(path: Path, body: bytes) -> Outcome:
    write_atomically(path, lambda partial: partial.write_bytes(body))
    return Outcome(WRITTEN)
