"""The environment: what differs between machines, and secrets. Never in params, notebooks or outputs."""

from __future__ import annotations

import getpass
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from quiebra.names import person_name

if TYPE_CHECKING:
    from sqlalchemy import URL

DATABASE_URL = "QUIEBRA_DATABASE_URL"
USER = "QUIEBRA_USER"
WORKSPACE = "QUIEBRA_WORKSPACE"
RESULTS = "QUIEBRA_RESULTS"
SMTP_URL = "QUIEBRA_SMTP_URL"
CHANNEL = "QUIEBRA_CHANNEL_"
AUDIT_HEADS = "QUIEBRA_AUDIT_HEADS"
SHORTEST_SECRET = 4
"""Signs; shorter passwords would be found in every text."""
LONG_PART = 12


def smtp_url() -> str | None:
    """Return the mail server's address, or None: then mails are written to a folder."""
    return os.environ.get(SMTP_URL, "").strip() or None


def channel_url(name: str) -> str | None:
    """Return a channel's address for apprise, from QUIEBRA_CHANNEL_NAME, or None: then its messages are written to a folder."""
    return os.environ.get(f"{CHANNEL}{name.upper()}", "").strip() or None


def person() -> str:
    """Return who gives a command: QUIEBRA_USER, or who is logged in. NameRefused where the name cannot stand in the audit table.
    """
    given = os.environ.get(USER, "").strip()
    if given:
        return person_name(given, USER)
    try:
        return person_name(getpass.getuser(), "the name of who is logged in")
    except (OSError, KeyError):
        return "unknown"


def workspace_name(root: Path) -> str:
    """Return what a shared database knows this workspace by: QUIEBRA_WORKSPACE, or machine and folder."""
    return os.environ.get(WORKSPACE, "").strip() or f"{socket.gethostname()}:{root}"


def audit_folder() -> Path | None:
    """Return the folder in which the ends of the audit chain are noted, from QUIEBRA_AUDIT_HEADS; None: beside the database."""
    given = os.environ.get(AUDIT_HEADS, "").strip()
    return Path(given).absolute() if given else None


def database_url(root: Path) -> str | URL:
    """Return the database's address: QUIEBRA_DATABASE_URL, or SQLite in the workspace's ``data/quiebra.db``, whatever signs the
    workspace's path has."""
    from sqlalchemy import URL

    url = os.environ.get(DATABASE_URL, "").strip()
    return url or URL.create("sqlite", database=str(root / "data" / "quiebra.db"))


def without_secrets(text: str) -> str:
    """Return a text without the addresses and passwords that the environment holds, in whichever form somebody else's message
    repeats them."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets() -> set[str]:
    found: set[str] = set()
    for name, address in os.environ.items():
        if name in (DATABASE_URL, SMTP_URL) or name.startswith(CHANNEL):
            found |= _secrets_of(name, address.strip())
    return {secret for secret in found if len(secret) >= SHORTEST_SECRET}


def _secrets_of(name: str, address: str) -> set[str]:
    """Return what of an address is secret, as it is, decoded and encoded: its password, up to the first ``@`` and up to the last,
    since nobody knows which was meant; of a channel also every long part."""
    rest = address.partition("://")[2]
    user, colon, _ = rest.partition(":")
    found = set(re.findall(r"[?&](?:password|passwd|pass|token|key|secret)=([^&#]+)", rest))
    if colon and "@" in rest and "/" not in user:
        after = rest[len(user) + 1 :]
        found |= {after.partition("@")[0], after.rpartition("@")[0]} - {user}
    if name.startswith(CHANNEL):
        found |= {address, *(part for part in re.split(r"[/?&=@:]", rest) if len(part) >= LONG_PART and "." not in part)}
    plain = found | {unquote(secret) for secret in found}
    return plain | {quote(secret, safe="") for secret in plain}
