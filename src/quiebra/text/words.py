"""Translate texts and format numbers and dates in the reader's language, with gettext catalogues through Babel."""

from __future__ import annotations

import datetime as dt
import gettext
import io
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TypeGuard

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent, parse_decimal

from quiebra.errors import SEPARATORS, LocalisedFigure, LocalisedMessage

LANGUAGES = {"en": "English", "es": "Español"}
LOCALE_FOLDER = Path(__file__).parent / "locale"
MISSING_SIGN = "–"
_SWAPPED = str.maketrans(".,", ",.")
MINUS = "\u2212"
"""Minus sign of numbers shown to readers; files for programs use the hyphen."""


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """Return the catalogue of a language; empty for English, the language of the texts in the code."""
    path = LOCALE_FOLDER / f"{language}.po"
    if not path.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as handle:
        write_mo(compiled, read_po(handle, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@dataclass(frozen=True)
class Words:
    """One language's translations and formats of counts, shares and dates; call it to translate: ``_("Companies")``.

    A missing value is shown as a dash.
    """

    language: str = "en"

    def __call__(self, text: str, /, **values: object) -> str:
        """Return a text in the language, with its ``{names}`` filled in."""
        said = _catalogue(self.language).gettext(text) if text else ""
        return said.format(**values) if values else said

    def count(self, one: str, many: str, /, n: float, **values: object) -> str:
        """Return a text in the language's singular or plural for ``n``, which is filled in as ``{n}``.

        >>> [Words(lang).count("{n} alert", "{n} alerts", n=1) for lang in ("en", "es")]
        ['1 alert', '1 alerta']
        """
        said = _catalogue(self.language).ngettext(one, many, round(n))  # the rounded number is shown
        return said.format(n=self.number(n), **values)

    def markup(self, text: str, /, **values: object) -> str:
        """Return a text with its values HTML-escaped; the text itself may contain markup."""
        return self(text, **{name: escape(str(value)) for name, value in values.items()})

    def markdown(self, text: str, /, **values: object) -> str:
        """Return a text with its values escaped for Markdown and HTML."""
        return self(text, **{name: escape_markup(value) for name, value in values.items()})

    def say(self, said: LocalisedMessage) -> str:
        """Return a message in the language."""
        values = {name: self._value(value) for name, value in said.values.items()}
        if said.many and isinstance(said.values.get("n"), int):
            return self.count(said.text, said.many, **{**values, "n": said.values["n"]})  # type: ignore[arg-type]  # the line above checks that n is an int
        return self(said.text, **values)

    def _value(self, value: object) -> object:
        if isinstance(value, list):
            return SEPARATORS[type(value)].join(str(self._value(part)) for part in value)
        if isinstance(value, Path):  # readers see the file name without its folder
            return value.name
        if isinstance(value, LocalisedFigure):
            return (self.signed if value.signed else self.number)(value.value, value.decimals)
        return self.say(value) if isinstance(value, LocalisedMessage) else value

    def number(self, value: float | None, decimals: int = 0) -> str:
        """Return a number with that many decimals; a dash where it is missing, NaN or infinite."""
        if not _finite(value):
            return MISSING_SIGN
        return _signed(format_decimal(value, format=_places("#,##0", decimals), locale=self.language))

    def significant(self, value: float | None) -> str:
        """Return a number to three significant digits, with at most three decimals and no trailing zeros.

        >>> [Words().significant(v) for v in (1234.5, 85.04, -0.0512, -5.1e-05)]
        ['1,230', '85', '−0.051', '0']
        """
        if not _finite(value):
            return MISSING_SIGN
        places = min(3, 2 - math.floor(math.log10(abs(value)))) if value else 0
        said = f"{round(value, places):,.{max(0, places)}f}"  # not with Babel, which is too slow for the many reasons
        said = said.rstrip("0").rstrip(".") if "." in said else said
        return _signed(said if self.separators == ".," else said.translate(_SWAPPED))

    def fraction(self, value: float | None) -> str:
        """Return a number with as many decimals as it has, six at most."""
        return _signed(self.typed(value)) if _finite(value) else MISSING_SIGN

    def typed(self, value: float | None) -> str:
        """Return a number as a user types it; empty where it is missing."""
        return "" if value is None else format_decimal(value, format="0.######", locale=self.language)

    def parsed(self, text: str) -> float | None:
        """Return the number that a user typed, with the language's decimal mark; None for empty text.

        Raise ValueError where it is not a number, or a thousands separator is in the wrong place.
        """
        text = text.strip().replace(MINUS, "-")
        return float(parse_decimal(text, locale=self.language, strict=True)) if text else None

    def percent(self, value: float | None, decimals: int = 2) -> str:
        if not _finite(value):
            return MISSING_SIGN
        return _signed(format_percent(value, format=_places("#,##0", decimals) + "\u00a0%", locale=self.language))

    def signed(self, value: float | None, decimals: int = 2) -> str:
        """Return a number with its sign, plus or minus; zero has none."""
        said = self.number(value, decimals)
        return "+" + said if _finite(value) and value > 0 and any(c in said for c in "123456789") else said

    def points(self, value: float | None, decimals: int = 2) -> str:
        """Return a difference of shares in percentage points, with its sign."""
        return self.signed(100 * value if _finite(value) else None, decimals)

    def points_between(self, then: float | None, now: float | None, decimals: int = 2) -> str:
        """Return the change of a share from ``then`` to ``now`` in percentage points, with its sign.

        It is the difference of the two rounded figures, so that it agrees with them where they are shown next to it.

        >>> Words().points_between(0.016846, 0.020054)
        '+0.33'
        """
        if not (_finite(now) and _finite(then)):
            return MISSING_SIGN
        return self.signed(round(100 * now, decimals) - round(100 * then, decimals), decimals)

    def date(self, value: dt.date | str | None) -> str:
        if value is None:
            return MISSING_SIGN
        day = dt.date.fromisoformat(value) if isinstance(value, str) else value
        return format_date(day, format="long", locale=self.language)

    def short(self, value: dt.date | str | None) -> str:
        """Return a date in digits, for tables."""
        if value is None:
            return MISSING_SIGN
        day = dt.date.fromisoformat(value) if isinstance(value, str) else value
        return format_date(day, format="yyyy-MM-dd" if self.language == "en" else "dd/MM/yyyy", locale=self.language)

    @property
    def separators(self) -> str:
        """Decimal mark and thousands separator, in the form that Plotly expects."""
        return ".," if self.language == "en" else ",."


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _places(whole: str, decimals: int) -> str:
    return whole + ("." + "0" * decimals if decimals else "")


def _signed(number: str) -> str:
    """Return a formatted number with `MINUS` as its minus sign; zero has none."""
    if any(digit in number for digit in "123456789"):
        return number.replace("-", MINUS)
    return number.replace("-", "")


def with_full_stop(text: str) -> str:
    """Return a text with one full stop at its end, also where it ends in an abbreviation.

    >>> [with_full_stop(text) for text in ("Paid to ACME", "Paid to ACME S.A.")]
    ['Paid to ACME.', 'Paid to ACME S.A.']
    """
    return text if text.endswith((".", "…", "!", "?")) else text + "."


def wrap_label(text: str, width: int = 34) -> str:
    """Return a label broken into lines of at most ``width`` characters, so that it fits into a chart.

    >>> wrap_label("Wholesale and retail trade; repair of motor vehicles")
    'Wholesale and retail trade; repair\\nof motor vehicles'
    """
    return "\n".join(textwrap.wrap(text, width)) or text


def escape_markup(value: object) -> str:
    """Return text with all Markdown and HTML characters escaped; a dash where missing."""
    if value is None:
        return MISSING_SIGN
    text = " ".join(str(value).replace("\\", "\\\\").splitlines())
    for sign in "|*_`<>[]$@#~^":
        text = text.replace(sign, "\\" + sign)
    text = re.sub(r"--+", lambda found: found[0].replace("-", "\\-"), text)
    return re.sub(r"^(\d+)?([.)+-])(?=\s)", r"\1\\\2", text)  # otherwise a name could start a list


def translatable(text: str) -> str:
    """Return the text unchanged; it marks texts for extraction that are translated where they are shown."""
    return text


def render_in_all_languages(render: Callable[[Words], object]) -> str:
    """Return the output of ``render(words)`` in every language; the page shows one of them."""
    return "".join(f'<div lang="{language}">{render(Words(language))}</div>' for language in LANGUAGES)
