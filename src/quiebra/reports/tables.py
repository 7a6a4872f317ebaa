"""Tables and numbers as Markdown, which both publishers set well."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from quiebra.words import MISSING, Words, escaped

ENGLISH = Words()
LINE = 104
"""Characters in the line of a table as wide as a page, with the blanks between its columns."""
BETWEEN, LONGEST = 2, 60
UNBROKEN = re.compile(r" |(?<=[-/])(?!\d)")
"""Where a line of a cell may end."""




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
    dates = [name for name in frame.columns if frame[name].dtype == pl.Date and name not in formats]
    frame = frame.with_columns(pl.col(dates).cast(pl.String))  # Python knows no date after 9999
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
    """Return each column's share of a page's width, in dashes: what its longest cell wants, and never less than its longest word.

    All of them make a line longer than 72, so that readers of pipe tables set the table as wide as the page.
    """
    columns = [[text.replace("\\", "") for text in column] for column in zip(*rows, strict=True)]
    needed = [BETWEEN + max(len(word) for text in column for word in UNBROKEN.split(text)) for column in columns]
    wanted = [max(need, min(BETWEEN + max(map(len, column)), LONGEST)) for need, column in zip(needed, columns, strict=True)]
    spare, more = LINE - sum(needed), sum(wanted) - sum(needed)
    if sum(wanted) <= LINE or spare <= 0:
        return [round(want * LINE / sum(wanted)) for want in wanted]
    return [round(need + spare * (want - need) / more) for want, need in zip(wanted, needed, strict=True)]


__all__ = ["ENGLISH", "MISSING", "amount", "escaped", "interval", "percent", "table"]
