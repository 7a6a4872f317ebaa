"""Logs: the correlation id that joins what was written about one request, cycle or command."""

from __future__ import annotations

import re


def is_correlation_id(text: str) -> bool:
    """Return whether a text that came from outside may be kept as a correlation id: 8 to 64 letters, digits, - and _.

    >>> is_correlation_id("4f2a-77c1"), is_correlation_id("a b"), is_correlation_id("short")
    (True, False, False)
    """
    return re.fullmatch(r"[A-Za-z0-9_-]{8,64}", text) is not None
