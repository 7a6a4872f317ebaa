"""Environment variables: settings of the machine, and secrets. They never appear in params, notebooks or outputs."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from quiebra.errors import IdentityError, StoreError
from quiebra.text.person_input import clean_person_name

if TYPE_CHECKING:
    from sqlalchemy import URL

DATABASE_URL = "QUIEBRA_DATABASE_URL"
USER = "QUIEBRA_USER"
WORKSPACE = "QUIEBRA_WORKSPACE"
CORRELATION_ID = "QUIEBRA_CORRELATION_ID"
DASHBOARD_TOKEN = "QUIEBRA_DASHBOARD_TOKEN"  # noqa: S105  a variable's name
RESULTS_FOLDER = "QUIEBRA_RESULTS"
SMTP_URL = "QUIEBRA_SMTP_URL"
CHANNEL_PREFIX = "QUIEBRA_CHANNEL_"
AUDIT_HEADS = "QUIEBRA_AUDIT_HEADS"
PASSWORD = "QUIEBRA_PASSWORD"  # noqa: S105  a variable's name
NEW_PASSWORD = "QUIEBRA_NEW_PASSWORD"  # noqa: S105
TOKEN_KEYS = "QUIEBRA_TOKEN_KEYS"  # noqa: S105
REDIS_URL = "QUIEBRA_REDIS_URL"
SEC_CONTACT = "QUIEBRA_SEC_CONTACT"
SERVICE_KEYS = ("QUIEBRA_FRED_KEY", "QUIEBRA_ALPHA_VANTAGE_KEY", "QUIEBRA_NASDAQ_KEY")
"""Keys of data services."""
OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET = "QUIEBRA_OIDC_ISSUER", "QUIEBRA_OIDC_CLIENT_ID", "QUIEBRA_OIDC_CLIENT_SECRET"
MIN_SECRET_LENGTH = 4
"""Characters; shorter passwords are not redacted, as they would match parts of any text."""
MIN_SECRET_PART_LENGTH = 12


def smtp_url() -> str | None:
    """Return the mail server's address; None: mails are written to a folder."""
    return os.environ.get(SMTP_URL, "").strip() or None


def channel_url(name: str) -> str | None:
    """Return a channel's address for apprise, from QUIEBRA_CHANNEL_NAME; None: its messages are written to a folder."""
    return os.environ.get(f"{CHANNEL_PREFIX}{name.upper()}", "").strip() or None


def current_person() -> str:
    """Return the user's name: QUIEBRA_USER, or the login name. InvalidNameError if the name is not allowed in the audit table."""
    given = os.environ.get(USER, "").strip()
    if given:
        return clean_person_name(given, USER)
    try:
        return clean_person_name(getpass.getuser(), "the name of who is logged in")
    except (OSError, KeyError):
        return "unknown"


_taken: dict[str, str] = {}
"""Passwords that this process was given, out of the environment."""


def take_passwords() -> None:
    """Take users' passwords out of the environment, so that no notebook, kernel or program that is started from here gets them;
    `given_password` still returns them."""
    _taken.update({name: os.environ.pop(name) for name in (PASSWORD, NEW_PASSWORD) if name in os.environ})


def given_password(variable: str) -> str | None:
    """Return a user's password from QUIEBRA_PASSWORD or QUIEBRA_NEW_PASSWORD; None where it is to be typed."""
    return os.environ.get(variable) or _taken.get(variable) or None


def token_keys() -> str | None:
    """Return the keys that sign access tokens, from QUIEBRA_TOKEN_KEYS; None: each server makes its own."""
    return os.environ.get(TOKEN_KEYS, "").strip() or None


def redis_url() -> str | None:
    """Return the address of a Redis for caches and counters, from QUIEBRA_REDIS_URL; None: each process keeps its own.

    StoreError, which does not show it, if it is no address of a Redis.
    """
    address = os.environ.get(REDIS_URL, "").strip()
    if not address:
        return None
    from redis import Redis  # takes a tenth of a second, and most commands do not need it

    try:
        Redis.from_url(address).connection_pool.make_connection()
        parts = urlsplit(address)
        if parts.scheme != "unix" and (address.count("@") > 1 or not re.fullmatch(r"/?\d*", parts.path)):
            raise ValueError  # it would be read as another host, or another database
    except (ValueError, TypeError):  # the latter for an option that there is not
        raise StoreError(
            f"{REDIS_URL} is not an address such as redis://user:password@host:6379/0, rediss://… or unix:///path; "
            "where the user or the password has one of @ : / # % ? write it in percent code, such as %40 for @"
        ) from None
    return address


@dataclass(frozen=True)
class OidcProvider:
    """A company's OpenID Connect provider, and what this server is known by there."""

    issuer: str
    client_id: str
    client_secret: str


def oidc_provider() -> OidcProvider | None:
    """Return the provider of QUIEBRA_OIDC_ISSUER; None: there is none. IdentityError if it is named by half, or not under TLS."""
    issuer, client_id, secret = (os.environ.get(name, "").strip() for name in (OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET))
    if not issuer:
        return None
    if not client_id or not secret:
        raise IdentityError(f"{OIDC_ISSUER} is set: set {OIDC_CLIENT_ID} and {OIDC_CLIENT_SECRET} too")
    if not re.match(r"https://|http://(127\.0\.0\.1|localhost|\[::1\])(:|/|$)", issuer):
        raise IdentityError(f"{OIDC_ISSUER} must start with https://")
    return OidcProvider(issuer, client_id, secret)


def workspace_name(root: Path) -> str:
    """Return this workspace's name in a shared database: QUIEBRA_WORKSPACE, or machine and folder."""
    return os.environ.get(WORKSPACE, "").strip() or f"{socket.gethostname()}:{root}"


def audit_folder() -> Path | None:
    """Return the folder for the noted ends of the audit chain, from QUIEBRA_AUDIT_HEADS; None: beside the database."""
    given = os.environ.get(AUDIT_HEADS, "").strip()
    return Path(given).absolute() if given else None


def database_url(root: Path) -> str | URL:
    """Return the database's address: QUIEBRA_DATABASE_URL, or SQLite in the workspace's ``data/quiebra.db``.

    Special characters in the workspace's path are handled.
    """
    from sqlalchemy import URL

    url = os.environ.get(DATABASE_URL, "").strip()
    return url or URL.create("sqlite", database=str(root / "data" / "quiebra.db"))


def redact_secrets(text: str) -> str:
    """Return a text with the environment's passwords, tokens and channel addresses, plain or percent-encoded, replaced by "…"."""
    return secret_redactor()(text)


def secret_redactor() -> Callable[[str], str]:
    """Return `redact_secrets` for the environment as it is now, for many texts."""
    secrets = sorted(_secrets(), key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "…")
        return text

    return redact


def _secrets() -> set[str]:
    found: set[str] = set()
    for name, address in {**_taken, **os.environ}.items():
        if name in (DATABASE_URL, SMTP_URL, REDIS_URL) or name.startswith(CHANNEL_PREFIX):
            found |= _secrets_of(name, address.strip())
        elif name in (PASSWORD, NEW_PASSWORD):
            found.add(address)
        elif name == TOKEN_KEYS:
            found |= {pair.partition(":")[2].strip() for pair in address.split(",")}
        elif name in (*SERVICE_KEYS, OIDC_CLIENT_SECRET, DASHBOARD_TOKEN):
            found |= {address.strip(), quote(address.strip(), safe="")}
    return {secret for secret in found if len(secret) >= MIN_SECRET_LENGTH}


def _secrets_of(name: str, address: str) -> set[str]:
    """Return the secrets of an address, plain, decoded and percent-encoded.

    The password is taken up to the first and up to the last ``@``, as either may be meant; for a channel, the address and each of
    its long parts are secret too.
    """
    rest = address.partition("://")[2]
    user, colon, _ = rest.partition(":")
    found = set(re.findall(r"[?&](?:password|passwd|pass|token|key|secret)=([^&#]+)", rest))
    if colon and "@" in rest and "/" not in user:
        after = rest[len(user) + 1 :]
        found |= {after.partition("@")[0], after.rpartition("@")[0]} - {user}
    if name.startswith(CHANNEL_PREFIX):
        found |= {
            address,
            *(part for part in re.split(r"[/?&=@:]", rest) if len(part) >= MIN_SECRET_PART_LENGTH and "." not in part),
        }
    plain = found | {unquote(secret) for secret in found}
    return plain | {quote(secret, safe="") for secret in plain}
