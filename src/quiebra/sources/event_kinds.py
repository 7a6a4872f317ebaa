"""Kinds of exit of a company, from the words that sources have for them, in English and Spanish."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import polars as pl

from quiebra.io.safe_yaml import read_yaml

KIND_PATTERNS: dict[str, list[str]] = read_yaml(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
NEGATIONS = re.compile(r"\b(no|not|non|sin|never|nunca|ni)\b")
ACTIVE = "active"
KNOWN_KINDS = (*KIND_PATTERNS, "other")
"""Kinds that a status may be said to mean. ``other`` is an exit that is none of them."""


def event_kind(status: str) -> str | None:
    """Return the kind that a company's status, or a failure's kind, means; None where no word of it is known, or one is negated.

    >>> event_kind("Dissolved (bankruptcy)"), event_kind("Extinguida por fusión"), event_kind("no concursada")
    ('bankruptcy', 'merger', None)
    """
    plain = plain_status(status)
    if NEGATIONS.search(re.sub(r"\(.*?\)", " ", plain)):
        return None
    return next((kind for kind, patterns in KIND_PATTERNS.items() if any(re.search(each, plain) for each in patterns)), None)


def plain_status(status: str) -> str:
    """Return a status in lower case, without accents, hyphens and double blanks."""
    spelt = unicodedata.normalize("NFKD", status.replace("-", " ").replace("_", " ")).casefold()
    return " ".join("".join(sign for sign in spelt if not unicodedata.combining(sign)).split())


def named_kinds(events: pl.DataFrame) -> pl.DataFrame:
    """Return events with the known name of each kind; kinds of which no word is known stay as they are."""
    names = {kind: event_kind(kind) or kind for kind in events["kind"].drop_nulls().unique()}
    return events.with_columns(pl.col("kind").replace(names))
