"""Secrets of 256 random bits, which are kept by their hash: long enough that a fast hash will do."""

from __future__ import annotations

import hashlib
import hmac
import secrets

PATTERN = "[A-Za-z0-9_-]{43}"
"""Pattern of a secret."""


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Return a random id of twelve hexadecimal digits."""
    return secrets.token_hex(6)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret, which is what is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret_of(secret: str, stored: str | None) -> bool:
    """Return whether a stored hash is that of a secret, in constant time."""
    return stored is not None and hmac.compare_digest(hash_secret(secret), stored)
