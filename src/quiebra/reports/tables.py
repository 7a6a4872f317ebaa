"""Tables and numbers as Markdown for both renderers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from quiebra.text.words import MISSING_SIGN, Words, escape_markup

DEFAULT_WORDS = Words()
LINE = 104
"""Characters in a line of a full-width table, including the spaces between columns."""
BETWEEN, LONGEST = 2, 60
UNBROKEN = re.compile(r" |(?<=[-/])(?!\d)")
"""Where a line of a cell may break."""


def format_percent(value: float | None, decimals: int = 2) -> str:
    """Return a share as a percentage; a dash if missing.

    >>> format_percent(0.0123)
    '1.23\xa0%'
    """
    return DEFAULT_WORDS.percent(value, decimals)


def format_amount(value: float | None, decimals: int = 0) -> str:
    """Return a number with thousands separators; a dash if missing.

    >>> format_amount(12345.6)
    '12,346'
    """
    return DEFAULT_WORDS.number(value, decimals)


def format_interval(figures: Mapping[str, Any], name: str, decimals: int = 3, words: Words = DEFAULT_WORDS) -> str:
    """Return a figure with its interval: ``0.934 (0.918 to 0.949)``; a dash if missing. figures: as validation writes them."""
    value = figures.get(name)
    if value is None:
        return MISSING_SIGN
    low, high = figures["interval"][name]
    shown = words.number(value, decimals)
    if low is None:
        return shown
    return words("{value} ({low} to {high})", value=shown, low=words.number(low, decimals), high=words.number(high, decimals))


def _cell(value: Any) -> str:
    """Return a cell of a column without a format: text escaped, a fraction with its decimals, six at most."""
    return DEFAULT_WORDS.fraction(value) if isinstance(value, float) else escape_markup(value)


def markdown_table(
    rows: pl.DataFrame | Iterable[Mapping[str, Any]], formats: Mapping[str, Callable[[Any], str]] | None = None
) -> str:
    """Return a Markdown pipe table. Columns with a format and numeric columns are right-aligned; text is escaped."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows))
    formats = formats or {}
    dates = [name for name in frame.columns if frame[name].dtype == pl.Date and name not in formats]
    frame = frame.with_columns(pl.col(dates).cast(pl.String))  # Python has no dates after year 9999
    right = [name in formats or frame[name].dtype.is_numeric() for name in frame.columns]
    body = [
        [formats[name](value) if name in formats else _cell(value) for name, value in record.items()]
        for record in frame.iter_rows(named=True)
    ]
    widths = _widths([frame.columns, *body])
    rule = ["-" * (w - 1) + ":" if r else ":" + "-" * (w - 1) for w, r in zip(widths, right, strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in (frame.columns, rule, *body)]
    return "\n".join(lines)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return each column's share of a page's width, in dashes: the width of its longest cell, at least that of its longest word.

    The sum exceeds 72, so that pandoc makes the table as wide as the page.
    """
    columns = [[text.replace("\\", "") for text in column] for column in zip(*rows, strict=True)]
    needed = [BETWEEN + max(len(word) for text in column for word in UNBROKEN.split(text)) for column in columns]
    wanted = [max(need, min(BETWEEN + max(map(len, column)), LONGEST)) for need, column in zip(needed, columns, strict=True)]
    spare, more = LINE - sum(needed), sum(wanted) - sum(needed)
    if sum(wanted) <= LINE or spare <= 0:
        return [round(want * LINE / sum(wanted)) for want in wanted]
    return [round(need + spare * (want - need) / more) for want, need in zip(wanted, needed, strict=True)]


__all__ = [
    "DEFAULT_WORDS",
    "MISSING_SIGN",
    "escape_markup",
    "format_amount",
    "format_interval",
    "format_percent",
    "markdown_table",
]
