"""A feature's value and its rank among peers as a sentence, in English and Spanish; see `quiebra.features.phrases`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from quiebra.features.build import FEATURES_BY_NAME
from quiebra.features.phrases import AMOUNTS, NOUNS, PHRASES, RATIOS, WITHOUT, Noun, Phrase
from quiebra.features.standing import AS_MOST, LESS, MORE, SHARES, Place
from quiebra.words import Words

LANGUAGES = ("en", "es")
TIMES_FROM = 1000.0
"""A share of so many per cent is said as a multiple."""
MOST_FOLD = 1000.0
SPANS = {1: ("in a year", "en un año"), 2: ("in two years", "en dos años"), 3: ("in three years", "en tres años")}
COUNTS = (("none", "ninguno"), ("one", "uno"), ("two", "dos"), ("three", "tres"))
FRACTIONS = dict(
    zip(
        SHARES,
        (("99 of 100", "99 de cada 100"), ("19 of 20", "19 de cada 20"), ("nine of ten", "nueve de cada diez"),
         ("four of five", "cuatro de cada cinco"), ("three of four", "tres de cada cuatro"),
         ("two of three", "dos de cada tres"), ("half of the", "la mitad de las")), strict=True,
    )
)  # fmt: skip


History = Literal["whole", "some", "none"]
"""What there is of earlier years' accounts."""


@cache
def base_of(name: str) -> tuple[str, int]:
    """Return the feature that a rank or a change is of (else itself), and the years that a change is over (else 0)."""
    name = name.removeprefix("sector_").removeprefix("rank_")
    base, found, years = name.rpartition("_change")
    return (base, int(years)) if found and years.isdigit() else (name, 0)


@cache
def unit_of(name: str) -> str:
    """Return the unit of a feature, of the one that it ranks, or of an Altman score."""
    feature = FEATURES_BY_NAME.get(name.removeprefix("sector_").removeprefix("rank_"))
    return feature.unit if feature else "score"


SCALES = {"share": 100.0, "points": 100.0, "ln a year": 100.0}
CURVES = {"ln million": np.exp, "ln": lambda value: 100 * np.expm1(value)}


def as_said(name: str, values: np.ndarray) -> np.ndarray:
    """Return a feature's values as a sentence gives them: per cent, points, millions; to three significant digits, at most three
    decimals. Missing values stay so."""
    unit = unit_of(name)
    with np.errstate(all="ignore"):
        said = CURVES[unit](values) if unit in CURVES else values * SCALES.get(unit, 1.0)
        said = np.where(np.isfinite(said), said, np.nan)
        places = np.clip(2 - np.floor(np.log10(np.abs(said))), -300, 3)
        rounded = np.where(said == 0, 0.0, np.round(said * 10.0**places) / 10.0**places)
    return rounded + 0.0  # no minus nought


def sentence(name: str, said: float, place: Place | None, language: str) -> str:
    """Return what a value says of a company, without a full stop: ``Liabilities are 85 % of assets, more than in nine of ten
    companies of its sector``.

    said: as `as_said` gives it. place: where it stands among its peers; None: not known.
    """
    return statement(name, said, language) + rank(name, place, (said > 0) - (said < 0), language)


@lru_cache(maxsize=100_000)
def statement(name: str, said: float, language: str) -> str:
    """Return the first part of a `sentence`: what the value is."""
    base, years = base_of(name)
    if years or base.endswith("_growth"):
        return _change(name, base, years or 1, said, language)
    if base in RATIOS:
        top, bottom = (NOUNS[part] for part in RATIOS[base])
        verb = _verb(top, language, ("is", "are"), ("es", "son"))
        return _joined(f"{_first(top, language)} {verb} {_of(base, said, language)} {_text(bottom, language)}")
    if base in AMOUNTS:
        return _amount(NOUNS[AMOUNTS[base]], said, language)
    return _own(PHRASES[base], base, said, language)


@cache
def rank(name: str, place: Place | None, sign: int, language: str) -> str:
    """Return the second part of a `sentence`, after a comma: how the value compares; empty where that is not known or says
    nothing. sign: -1, 0 or 1, of the value."""
    moves = _moves(name)
    if place is None or (sign == 0 and place.side != AS_MOST and moves is not None):  # there is no more or less of nothing
        return ""
    return f", {_rank(place, sign < 0 and bool(moves), _is_score(name), language)}"


@cache
def _moves(name: str) -> bool | None:
    """Return whether a value below zero is said without its sign, as a fall; None where nought is said like any other value."""
    base, years = base_of(name)
    own = PHRASES.get(base)
    falls = years > 0 or unit_of(name) == "ln" or (own is not None and own.down is not None)
    return falls if years > 0 or (own is not None and own.none is not None) or falls else None


@cache
def _is_score(name: str) -> bool:
    own = PHRASES.get(base_of(name)[0])
    return own is not None and own.score


def without(name: str, language: str) -> str | None:
    """Return what it says of a company that a ratio's denominator is not above zero; None where that says nothing."""
    found = _denominator(name)
    return WITHOUT[found][LANGUAGES.index(language)] if found in WITHOUT else None


def missing(items: Iterable[str], history: History, language: str) -> str:
    """Return what is not known of a company, without a full stop: items that its statement lacks, and earlier years' accounts,
    none of which are there, or too little in some; empty where nothing is.

    >>> missing(["depreciation_amortization"], "whole", "en")
    'Not in the statement: depreciation'
    """
    english = language == "en"
    names = [_bare(_text(NOUNS[name], language)) for name in items]
    head = "Not in the statement: " if english else "Falta en las cuentas: " if len(names) == 1 else "Faltan en las cuentas: "
    said = [head + ", ".join(names)] if names else []
    if history != "whole":
        said.append(EARLIER[history][not english])
    return ". ".join(said)


EARLIER = {
    "none": ("No accounts of earlier years to compare with", "No hay cuentas anteriores con que comparar"),
    "some": (
        "The accounts of earlier years do not suffice for every comparison",
        "Las cuentas de años anteriores no bastan para todas las comparaciones",
    ),
}


def _bare(noun: str) -> str:
    """Return a noun without its article."""
    first, _, rest = noun.partition(" ")
    return rest if first in ("the", "el", "la", "los", "las") else noun


def _denominator(name: str) -> str:
    base, years = base_of(name)
    return "" if years else "liquid_assets" if base == "burn_to_liquid" else RATIOS.get(base, ("", ""))[1]


def _amount(noun: Noun, said: float, language: str) -> str:
    value = _significant(said, language)
    if language == "en":
        return f"{_first(noun, language)} {'are' if noun.en_plural else 'is'} {value} million"
    return f"{_first(noun, language)} {'son' if noun.es_plural else 'es'} de {value} {'millón' if said == 1 else 'millones'}"


def _own(phrase: Phrase, base: str, said: float, language: str) -> str:
    place = LANGUAGES.index(language)
    if said == 0 and phrase.none:
        return phrase.none[place]
    text = (phrase.en, phrase.es)[place]
    if said < 0 and phrase.down:
        text, said = phrase.down[place], -said
    return _joined(text.format(value=_value(base, said, language)))


def _value(base: str, said: float, language: str) -> str:
    unit, number, english = unit_of(base), _significant(said, language), language == "en"
    if unit == "share":
        return _of(base, said, language)
    if base == "loss_years":
        return COUNTS[int(said)][LANGUAGES.index(language)]
    if unit == "years":
        more = (" or more" if english else " o más") if said >= 5 else ""
        return f"{number} {('year' if english else 'año') + ('' if said == 1 else 's')}{more}"
    if unit == "points":
        return f"{number} {('point' if english else 'punto') + ('' if said == 1 else 's')}"
    if unit in ("ln", "ln a year"):
        return f"{number}\u00a0%"
    if unit == "standard deviations":
        one, many = ("standard deviation", "standard deviations") if english else ("desviación típica", "desviaciones típicas")
        return f"{number} {one if said == 1 else many}"
    return number


def _of(base: str, said: float, language: str) -> str:
    """Return a share or a multiple, up to the noun that it is of."""
    share = unit_of(base) == "share"
    if share and abs(said) < TIMES_FROM:
        return f"{_significant(said, language)}\u00a0% of" if language == "en" else f"el {_significant(said, language)}\u00a0% de"
    multiple = said / 100 if share else said
    number = Words(language).number(1, 1) if multiple == 1 else _significant(multiple, language)  # 1.0 times, a plural
    return f"{number} {'times' if language == 'en' else 'veces'}"


def _change(name: str, base: str, years: int, said: float, language: str) -> str:
    """Return how an amount or a ratio moved; what grows over tenfold is said as a multiple."""
    english, span = language == "en", SPANS[years][LANGUAGES.index(language)]
    if unit_of(name) == "ln":
        noun = NOUNS[AMOUNTS.get(base) or base.removesuffix("_growth")]
        who, plural = _first(noun, language), noun.es_plural
        amount = f"{_significant(min(abs(said), 99.9) if said < 0 else said, language)}\u00a0%"
        up, down = (
            ("grew by", "fell by")
            if english
            else (("han crecido un", "han bajado un") if plural else ("ha crecido un", "ha bajado un"))
        )
        if said >= TIMES_FROM:
            return _fold(who, plural, 1 + said / 100, span, language)
    else:
        top, bottom = (_text(NOUNS[part], language) for part in RATIOS[base])
        who, plural = (f"The ratio of {top} to {bottom}", False) if english else (f"La ratio entre {top} y {bottom}", False)
        amount = _value_of_change(name, abs(said), language)
        up, down = ("rose by", "fell by") if english else ("ha subido", "ha bajado")
    if said == 0:
        return f"{who} did not change {span}" if english else f"{who} no {'han' if plural else 'ha'} variado {span}"
    return f"{who} {up if said > 0 else down} {amount} {span}"


def _fold(who: str, plural: bool, fold: float, span: str, language: str) -> str:
    """Return that an amount multiplied. Beyond a thousandfold it came from next to nothing, and the figure says no more."""
    english, over = language == "en", fold > MOST_FOLD
    number = _significant(min(fold, MOST_FOLD), language)
    if english:
        return f"{who} grew {'over ' if over else ''}{number}-fold {span}"
    return f"{who} {'se han' if plural else 'se ha'} multiplicado por {'más de ' if over else ''}{number} {span}"


def _value_of_change(name: str, said: float, language: str) -> str:
    return _value(name, said, language) if unit_of(name) == "points" else _significant(said, language)


RANKS = {
    # (English, Spanish) for amounts, then for scores
    MORE: (("more than in", "más que en"), ("higher than in", "más alta que en")),
    LESS: (("less than in", "menos que en"), ("lower than in", "más baja que en")),
}
COMPANIES = {True: ("companies of its sector", "empresas de su sector"), False: ("companies", "empresas")}
MIDDLE = {
    True: ("in the middle of its sector", "en la zona media de su sector"),
    False: ("in the middle of all companies", "en la zona media de todas las empresas"),
}


@cache
def _rank(place: Place, swapped: bool, score: bool, language: str) -> str:
    at = LANGUAGES.index(language)
    whom = COMPANIES[place.in_sector][at]
    if place.side == AS_MOST:
        return ("as in most " if language == "en" else "como en la mayoría de las ") + whom
    if place.side not in RANKS:
        return MIDDLE[place.in_sector][at]
    side = {MORE: LESS, LESS: MORE}[place.side] if swapped else place.side
    return f"{RANKS[side][score][at]} {FRACTIONS[place.share][at]} {whom}"


@cache
def _significant(value: float, language: str) -> str:
    return Words(language).significant(value)


def _text(noun: Noun, language: str) -> str:
    return noun.en if language == "en" else noun.es


def _first(noun: Noun, language: str) -> str:
    text = _text(noun, language)
    return text[0].upper() + text[1:]


def _verb(noun: Noun, language: str, english: tuple[str, str], spanish: tuple[str, str]) -> str:
    return english[noun.en_plural] if language == "en" else spanish[noun.es_plural]


def _joined(text: str) -> str:
    """Return Spanish with preposition and article as one."""
    return text.replace(" de el ", " del ")
