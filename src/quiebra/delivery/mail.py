"""Making a mail: words and pictures for every mail client, plain text for the others, files attached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from importlib.resources import files
from pathlib import Path

import css_inline

from quiebra.brand import palette
from quiebra.delivery.outbox import Letter, letter_id
from quiebra.errors import DeliveryError


def letter(
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
) -> Letter:
    """Return a mail as it goes into the outbox.

    html: the body's contents, styled by `mail.css`, whose rules are written into each element; ``cid:NAME`` shows a picture
    (PNG). DeliveryError where an address or the subject has a line break, or a file is missing.
    """
    for name, value in {"recipient": recipient, "sender": sender, "subject": subject}.items():
        if len(value.splitlines()) > 1 or "\0" in value:
            raise DeliveryError(f"the {name} of a mail must be one line, not {value!r}")
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # so that any server takes it
    message["From"] = Address("Quiebra", addr_spec=sender)
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = format_datetime(dt.datetime.now(dt.UTC))
    message["Message-ID"] = f"<{letter_id(about, channel, recipient)}@{sender.rpartition('@')[2]}>"
    message["Content-Language"] = lang
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(page(html, lang), subtype="html")
    body = message.get_payload()[1]  # type: ignore[index]
    for name, data in (pictures or {}).items():
        body.add_related(data, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")  # type: ignore[union-attr]
    for path in attached or []:
        try:
            if path.suffix == ".html":
                message.add_attachment(path.read_text(encoding="utf-8"), subtype="html", filename=path.name)
            else:
                message.add_attachment(path.read_bytes(), "application", "pdf", filename=path.name)
        except OSError as error:
            raise DeliveryError(
                f"cannot attach {path.name}: {error.strerror}; make the report again: quiebra report"
            ) from error
    return Letter(channel, recipient, about, subject, message.as_bytes(), run_id, not_before, alerts)


def page(html: str, lang: str) -> str:
    """Return a whole page whose styles stand in each element, as mail clients want them."""
    css = (files("quiebra.delivery") / "mail.css").read_text(encoding="utf-8")
    for name, value in palette().items():
        css = css.replace(f"var(--{name})", value)
    whole = (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<style>{css}</style></head><body><table role="presentation" class="around" width="100%"><tr><td align="center">'
        f'<table role="presentation" class="page" width="640"><tr><td class="mail">{html}</td></tr></table>'
        "</td></tr></table></body></html>"
    )
    return css_inline.CSSInliner(keep_style_tags=False, load_remote_stylesheets=False).inline(whole)
