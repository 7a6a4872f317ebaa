"""Words, numbers and dates in the reader's language: gettext catalogues through Babel."""

from __future__ import annotations

import datetime as dt
import gettext
import io
import math
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent, parse_decimal

from quiebra.errors import SEPARATORS, Figure, Said

LANGUAGES = {"en": "English", "es": "Español"}
LOCALE = Path(__file__).parent / "locale"
MISSING = "–"
_SWAPPED = str.maketrans(".,", ",.")
MINUS = "\u2212"
"""The sign before a negative number in what people read; files for programs have the hyphen."""


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """Return the catalogue of a language; the words in the code are English, so that one has none."""
    path = LOCALE / f"{language}.po"
    if not path.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as handle:
        write_mo(compiled, read_po(handle, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@dataclass(frozen=True)
class Words:
    """How one language says words (call it: ``_("Companies")``), counts, shares and dates. A missing value is a dash."""

    language: str = "en"

    def __call__(self, text: str, /, **values: object) -> str:
        """Return a text in the language, with ``{names}`` filled in."""
        said = _catalogue(self.language).gettext(text) if text else ""
        return said.format(**values) if values else said

    def count(self, one: str, many: str, /, n: float, **values: object) -> str:
        """Return a text that depends on a count, which stands in it as ``{n}``: the language's form for so many.

        >>> [Words(lang).count("{n} alert", "{n} alerts", n=1) for lang in ("en", "es")]
        ['1 alert', '1 alerta']
        """
        said = _catalogue(self.language).ngettext(one, many, round(n))  # as it is shown
        return said.format(n=self.number(n), **values)

    def markup(self, text: str, /, **values: object) -> str:
        """Return a text with its values escaped; the text itself may hold markup."""
        return self(text, **{name: escape(str(value)) for name, value in values.items()})

    def markdown(self, text: str, /, **values: object) -> str:
        """Return a text with everything in its values escaped that Markdown or HTML would read."""
        return self(text, **{name: escaped(value) for name, value in values.items()})

    def say(self, said: Said) -> str:
        """Return what a part below the dashboards has to say, in the language."""
        values = {name: self._value(value) for name, value in said.values.items()}
        if said.many and isinstance(said.values.get("n"), int):
            return self.count(said.text, said.many, **{**values, "n": said.values["n"]})  # type: ignore[arg-type]
        return self(said.text, **values)

    def _value(self, value: object) -> object:
        if isinstance(value, list):
            return SEPARATORS[type(value)].join(str(self._value(part)) for part in value)
        if isinstance(value, Path):  # where it lies is nothing to a reader
            return value.name
        if isinstance(value, Figure):
            return (self.signed if value.signed else self.number)(value.value, value.decimals)
        return self.say(value) if isinstance(value, Said) else value

    def number(self, value: float | None, decimals: int = 0) -> str:
        """Return a number with so many decimals; a dash where it is missing, not a number or without end."""
        if not _finite(value):
            return MISSING
        return _signed(format_decimal(value, format=_places("#,##0", decimals), locale=self.language))

    def significant(self, value: float | None) -> str:
        """Return a number to three significant digits, at most three decimals and without zeros at the end.

        >>> [Words().significant(v) for v in (1234.5, 85.04, -0.0512, -5.1e-05)]
        ['1,230', '85', '−0.051', '0']
        """
        if not _finite(value):
            return MISSING
        places = min(3, 2 - math.floor(math.log10(abs(value)))) if value else 0  # type: ignore[arg-type]
        said = f"{round(value, places):,.{max(0, places)}f}"  # type: ignore[arg-type]  # reasons are many: Babel takes its time
        said = said.rstrip("0").rstrip(".") if "." in said else said
        return _signed(said if self.separators == ".," else said.translate(_SWAPPED))

    def fraction(self, value: float | None) -> str:
        """Return a number with the decimals that it has, of six at most."""
        return _signed(self.typed(value)) if _finite(value) else MISSING

    def typed(self, value: float | None) -> str:
        """Return a number as a person types it; nothing where it is missing."""
        return "" if value is None else format_decimal(value, format="0.######", locale=self.language)

    def parsed(self, text: str) -> float | None:
        """Return the number that a person typed, with the language's decimal mark; None for nothing. ValueError where it is none,
        or a mark between thousands stands in the wrong place."""
        text = text.strip().replace(MINUS, "-")
        return float(parse_decimal(text, locale=self.language, strict=True)) if text else None

    def percent(self, value: float | None, decimals: int = 2) -> str:
        if not _finite(value):
            return MISSING
        return _signed(format_percent(value, format=_places("#,##0", decimals) + "\u00a0%", locale=self.language))

    def signed(self, value: float | None, decimals: int = 2) -> str:
        """Return a number with its sign, whichever that is; nought has none."""
        said = self.number(value, decimals)
        return "+" + said if _finite(value) and value > 0 and any(c in said for c in "123456789") else said  # type: ignore[operator]

    def points(self, value: float | None, decimals: int = 2) -> str:
        """Return a difference of shares in percentage points, with its sign."""
        return self.signed(100 * value if _finite(value) else None, decimals)  # type: ignore[operator]

    def points_between(self, then: float | None, now: float | None, decimals: int = 2) -> str:
        """Return how much a share has risen in percentage points, with its sign: the difference of both as they are shown, so
        that the figures beside it add up.

        >>> Words().points_between(0.016846, 0.020054)
        '+0.33'
        """
        if not (_finite(now) and _finite(then)):
            return MISSING
        return self.signed(round(100 * now, decimals) - round(100 * then, decimals), decimals)  # type: ignore[operator]

    def date(self, value: dt.date | str | None) -> str:
        if value is None:
            return MISSING
        day = dt.date.fromisoformat(value) if isinstance(value, str) else value
        return format_date(day, format="long", locale=self.language)

    def short(self, value: dt.date | str | None) -> str:
        """Return a date in digits, as a table has room for."""
        if value is None:
            return MISSING
        day = dt.date.fromisoformat(value) if isinstance(value, str) else value
        return format_date(day, format="yyyy-MM-dd" if self.language == "en" else "dd/MM/yyyy", locale=self.language)

    @property
    def separators(self) -> str:
        """Return decimal mark and thousands mark, as Plotly asks for them."""
        return ".," if self.language == "en" else ",."


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _places(whole: str, decimals: int) -> str:
    return whole + ("." + "0" * decimals if decimals else "")


def _signed(number: str) -> str:
    """Return a number with the one minus sign that people read; nought has none."""
    if any(digit in number for digit in "123456789"):
        return number.replace("-", MINUS)
    return number.replace("-", "")


def sentence(text: str) -> str:
    """Return a text with one full stop at its end, also where its last word is an abbreviation.

    >>> [sentence(text) for text in ("Paid to ACME", "Paid to ACME S.A.")]
    ['Paid to ACME.', 'Paid to ACME S.A.']
    """
    return text if text.endswith((".", "…", "!", "?")) else text + "."


def wrapped(text: str, width: int = 34) -> str:
    """Return a label in lines of so many signs at most, so that a chart has room for all of it.

    >>> wrapped("Wholesale and retail trade; repair of motor vehicles")
    'Wholesale and retail trade; repair\\nof motor vehicles'
    """
    return "\n".join(textwrap.wrap(text, width)) or text


def escaped(value: object) -> str:
    """Return text with everything escaped that Markdown or HTML would read; a dash where missing."""
    if value is None:
        return MISSING
    text = " ".join(str(value).replace("\\", "\\\\").splitlines())
    for sign in "|*_`<>[]$@#~^":
        text = text.replace(sign, "\\" + sign)
    text = re.sub(r"--+", lambda found: found[0].replace("-", "\\-"), text)
    return re.sub(r"^(\d+)?([.)+-])(?=\s)", r"\1\\\2", text)  # or a name would begin a list


def mark(text: str) -> str:
    """Return the text itself: it marks words that are translated where they are shown."""
    return text


def both(render) -> str:  # type: ignore[no-untyped-def]
    """Return what ``render(words)`` gives in every language, of which the page shows one."""
    return "".join(f'<div lang="{language}">{render(Words(language))}</div>' for language in LANGUAGES)
