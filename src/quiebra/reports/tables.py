"""Tables and numbers as Markdown, which both publishers set well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from quiebra.words import MISSING, Words, escaped

ENGLISH = Words()
NARROWEST, WIDEST = 10, 60


def percent(value: float | None, decimals: int = 2) -> str:
    """Return a share as a percentage; a dash where missing.

    >>> percent(0.0123)
    '1.23\xa0%'
    """
    return ENGLISH.percent(value, decimals)


def amount(value: float | None, decimals: int = 0) -> str:
    """Return a number with thousands apart; a dash where missing.

    >>> amount(12345.6)
    '12,346'
    """
    return ENGLISH.number(value, decimals)


def interval(figures: Mapping[str, Any], name: str, decimals: int = 3, words: Words = ENGLISH) -> str:
    """Return a figure with its interval, as validation writes them: ``0.934 (0.918 to 0.949)``."""
    value = figures.get(name)
    if value is None:
        return MISSING
    low, high = figures["interval"][name]
    shown = words.number(value, decimals)
    if low is None:
        return shown
    return words("{value} ({low} to {high})", value=shown, low=words.number(low, decimals), high=words.number(high, decimals))


def _cell(value: Any) -> str:
    """Return a cell without a format of its own: text escaped, a fraction with the decimals that it has, of six at most."""
    return ENGLISH.fraction(value) if isinstance(value, float) else escaped(value)


def table(rows: pl.DataFrame | Iterable[Mapping[str, Any]], formats: Mapping[str, Callable[[Any], str]] | None = None) -> str:
    """Return a Markdown pipe table. Columns with a format, and numbers, stand to the right; text is escaped."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows))
    formats = formats or {}
    right = [name in formats or frame[name].dtype.is_numeric() for name in frame.columns]
    body = [
        [formats[name](value) if name in formats else _cell(value) for name, value in record.items()]
        for record in frame.iter_rows(named=True)
    ]
    # the dashes under the header set the columns' relative widths where lines are long
    widths = [min(WIDEST, max(NARROWEST, *(len(row[i]) for row in (frame.columns, *body)))) for i in range(frame.width)]
    rule = ["-" * (w - 1) + ":" if r else ":" + "-" * (w - 1) for w, r in zip(widths, right, strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in (frame.columns, rule, *body)]
    return "\n".join(lines)


__all__ = ["ENGLISH", "MISSING", "amount", "escaped", "interval", "percent", "table"]
