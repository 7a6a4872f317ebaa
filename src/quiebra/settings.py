"""The environment: what differs between machines, and secrets. Never in params, notebooks or outputs."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

DATABASE_URL = "QUIEBRA_DATABASE_URL"
USER = "QUIEBRA_USER"
WORKSPACE = "QUIEBRA_WORKSPACE"
RESULTS = "QUIEBRA_RESULTS"
SMTP_URL = "QUIEBRA_SMTP_URL"
CHANNEL = "QUIEBRA_CHANNEL_"


def smtp_url() -> str | None:
    """Return the mail server's address, or None: then mails are written to a folder."""
    return os.environ.get(SMTP_URL, "").strip() or None


def channel_url(name: str) -> str | None:
    """Return a channel's address for apprise, from QUIEBRA_CHANNEL_NAME, or None: then its messages are written to a folder."""
    return os.environ.get(f"{CHANNEL}{name.upper()}", "").strip() or None


def person() -> str:
    """Return who gives a command: QUIEBRA_USER, or who is logged in."""
    try:
        return os.environ.get(USER, "").strip() or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def workspace_name(root: Path) -> str:
    """Return what a shared database knows this workspace by: QUIEBRA_WORKSPACE, or machine and folder."""
    return os.environ.get(WORKSPACE, "").strip() or f"{socket.gethostname()}:{root}"


def database_url(root: Path) -> str:
    """Return the database's address: QUIEBRA_DATABASE_URL, or SQLite in the workspace's ``data/quiebra.db``."""
    url = os.environ.get(DATABASE_URL, "").strip()
    return url or f"sqlite:///{root / 'data' / 'quiebra.db'}"
