"""Build mails: HTML with inline styles and pictures, a plain-text alternative, and attached files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from importlib.resources import files
from pathlib import Path
from typing import cast

import css_inline

from quiebra.brand import brand_colours
from quiebra.delivery.outbox import Notification, message_id
from quiebra.errors import DeliveryError


def mail_message(
    *,
    channel: str,
    recipient: str,
    about: str,
    sender: str,
    subject: str,
    html: str,
    text: str,
    lang: str,
    pictures: Mapping[str, bytes] | None = None,
    attached: list[Path] | None = None,
    run_id: str | None = None,
    not_before: dt.datetime | None = None,
    alerts: tuple[str, ...] = (),
) -> Notification:
    """Return a mail ready for the outbox.

    html: the body's contents; the rules of `mail.css` are written into each element, and ``cid:NAME`` shows the PNG ``NAME`` of
    ``pictures``. DeliveryError if an address or the subject has a line break, or a file to attach is missing.
    """
    for name, value in {"recipient": recipient, "sender": sender, "subject": subject}.items():
        if len(value.splitlines()) > 1 or "\0" in value:
            raise DeliveryError(f"the {name} of a mail must be one line, not {value!r}")
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # every server accepts 7-bit messages
    message["From"] = Address("Quiebra", addr_spec=sender)
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = format_datetime(dt.datetime.now(dt.UTC))
    message["Message-ID"] = f"<{message_id(about, channel, recipient)}@{sender.rpartition('@')[2]}>"
    message["Content-Language"] = lang
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(inline_styles(html, lang), subtype="html")
    body = cast("list[EmailMessage]", message.get_payload())[1]
    for name, data in (pictures or {}).items():
        body.add_related(data, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")
    for path in attached or []:
        try:
            if path.suffix == ".html":
                message.add_attachment(path.read_text(encoding="utf-8"), subtype="html", filename=path.name)
            else:
                message.add_attachment(path.read_bytes(), "application", "pdf", filename=path.name)
        except OSError as error:
            raise DeliveryError(f"cannot attach {path.name}: {error.strerror}; make the report again: quiebra report") from error
    return Notification(channel, recipient, about, subject, message.as_bytes(), run_id, not_before, alerts)


def inline_styles(html: str, lang: str) -> str:
    """Return a whole HTML page with its CSS rules inlined in each element, as mail clients require."""
    css = (files("quiebra.delivery") / "mail.css").read_text(encoding="utf-8")
    for name, value in brand_colours().items():
        css = css.replace(f"var(--{name})", value)
    whole = (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<style>{css}</style></head><body><table role="presentation" class="around" width="100%"><tr><td align="center">'
        f'<table role="presentation" class="page" width="640"><tr><td class="mail">{html}</td></tr></table>'
        "</td></tr></table></body></html>"
    )
    return css_inline.CSSInliner(keep_style_tags=False, load_remote_stylesheets=False).inline(whole)
