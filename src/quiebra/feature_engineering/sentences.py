"""A feature's value and its peer rank as a sentence in English or Spanish; see `quiebra.feature_engineering.phrases`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from quiebra.feature_engineering.build import FEATURES_BY_NAME
from quiebra.feature_engineering.own import OWN_FEATURES, own_label
from quiebra.feature_engineering.peer_rank import LESS_THAN, MORE_THAN, PEER_SHARES, SAME_AS_MOST, PeerPlace
from quiebra.feature_engineering.phrases import (
    AMOUNT_NOUNS,
    FEATURE_PHRASES,
    LOG_AMOUNTS,
    RATIO_PARTS,
    WITHOUT_DENOMINATOR,
    Noun,
    Phrase,
)
from quiebra.text.words import Words

LANGUAGES = ("en", "es")
TIMES_FROM = 1000.0
"""Percentage from which a share or a growth rate is written as a multiple."""
MAX_FOLD = 1000.0
SPAN_TEXTS = {1: ("in a year", "en un año"), 2: ("in two years", "en dos años"), 3: ("in three years", "en tres años")}
COUNT_TEXTS = (("none", "ninguno"), ("one", "uno"), ("two", "dos"), ("three", "tres"))
FRACTIONS = dict(
    zip(
        PEER_SHARES,
        (
            ("99 of 100", "99 de cada 100"),
            ("19 of 20", "19 de cada 20"),
            ("nine of ten", "nueve de cada diez"),
            ("four of five", "cuatro de cada cinco"),
            ("three of four", "tres de cada cuatro"),
            ("two of three", "dos de cada tres"),
            ("half of the", "la mitad de las"),
        ),
        strict=True,
    )
)


History = Literal["whole", "some", "none"]
"""How much of the earlier years' accounts is available."""


@cache
def base_feature(name: str) -> tuple[str, int]:
    """Return the feature that a rank or change is based on (else itself), and the years of the change (else 0)."""
    name = name.removeprefix("sector_").removeprefix("rank_")
    base, found, years = name.rpartition("_change")
    return (base, int(years)) if found and years.isdigit() else (name, 0)


def feature_unit(name: str) -> str:
    """Return the unit of a feature (for a rank: of the ranked feature), or ``score`` for an Altman score."""
    feature = FEATURES_BY_NAME.get(name.removeprefix("sector_").removeprefix("rank_"))
    return feature.unit if feature else "score"


UNIT_SCALES = {"share": 100.0, "points": 100.0, "ln a year": 100.0}
VALUE_TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ln million": np.exp,
    "ln": lambda value: 100 * np.expm1(value),
}


def rounded_values(name: str, values: np.ndarray) -> np.ndarray:
    """Return a feature's values as sentences show them: per cent, points or millions, to three significant digits.

    There are at most three decimals. Missing values stay missing.
    """
    return three_digits(shown_values(name, values))


def shown_values(name: str, values: np.ndarray) -> np.ndarray:
    """Return a feature's values in the units of sentences: per cent, points or millions."""
    unit = feature_unit(name)
    with np.errstate(all="ignore"):
        return VALUE_TRANSFORMS[unit](values) if unit in VALUE_TRANSFORMS else values * UNIT_SCALES.get(unit, 1.0)


def three_digits(shown: np.ndarray) -> np.ndarray:
    """Return values to three significant digits, with at most three decimals. What is not finite is missing."""
    with np.errstate(all="ignore"):
        said = np.where(np.isfinite(shown), shown, np.nan)
        places = np.clip(2 - np.floor(np.log10(np.abs(said))), -300, 3)
        rounded = np.where(said == 0, 0.0, np.round(said * 10.0**places) / 10.0**places)
    return rounded + 0.0  # turns -0.0 into 0.0


def feature_sentence(name: str, said: float, place: PeerPlace | None, language: str) -> str:
    """Return a feature's value as a sentence without a full stop.

    For example ``Liabilities are 85 % of assets, more than in nine of ten companies of its sector``.
    said: the value from `rounded_values`. place: its position among its peers; None: unknown.
    """
    return value_clause(name, said, language) + rank_clause(name, place, (said > 0) - (said < 0), language)


def value_clause(name: str, said: float, language: str) -> str:
    """Return the first part of a `feature_sentence`, on the value."""
    if name in OWN_FEATURES:
        return f"{own_label(name, language)}: {_significant(said, language)}"
    return _value_clause(name, said, language)


@lru_cache(maxsize=50_000)
def _value_clause(name: str, said: float, language: str) -> str:
    base, years = base_feature(name)
    if years or base.endswith("_growth"):
        return _change(name, base, years or 1, said, language)
    if base in RATIO_PARTS:
        top, bottom = (AMOUNT_NOUNS[part] for part in RATIO_PARTS[base])
        verb = _verb(top, language, ("is", "are"), ("es", "son"))
        return _joined(f"{_first(top, language)} {verb} {_of(base, said, language)} {_text(bottom, language)}")
    if base in LOG_AMOUNTS:
        return _amount(AMOUNT_NOUNS[LOG_AMOUNTS[base]], said, language)
    return _own(FEATURE_PHRASES[base], base, said, language)


@cache
def rank_clause(name: str, place: PeerPlace | None, sign: int, language: str) -> str:
    """Return the second part of a `feature_sentence`, from its comma on; empty where the rank is unknown or not meaningful.

    sign: of the value: -1, 0 or 1.
    """
    moves = _moves(name)
    if place is None or (sign == 0 and place.side != SAME_AS_MOST and moves is not None):  # zero has no rank
        return ""
    return f", {_rank(place, sign < 0 and bool(moves), _is_score(name), language)}"


@cache
def _moves(name: str) -> bool | None:
    """Return whether a negative value is written as a fall, without its sign; None where zero is written like any other value."""
    base, years = base_feature(name)
    own = FEATURE_PHRASES.get(base)
    falls = years > 0 or feature_unit(name) == "ln" or (own is not None and own.down is not None)
    return falls if years > 0 or (own is not None and own.none is not None) or falls else None


@cache
def _is_score(name: str) -> bool:
    own = FEATURE_PHRASES.get(base_feature(name)[0])
    return own is not None and own.score


def denominator_sentence(name: str, language: str) -> str | None:
    """Return the sentence for a ratio whose denominator is not above zero; None where there is none."""
    found = _denominator(name)
    return WITHOUT_DENOMINATOR[found][LANGUAGES.index(language)] if found in WITHOUT_DENOMINATOR else None


def missing_sentence(items: Iterable[str], history: History, language: str) -> str:
    """Return which items a statement lacks, and whether earlier accounts are missing, without a full stop; empty for neither.

    history: ``none`` where no earlier accounts are available, ``some`` where they do not suffice for every comparison.

    >>> missing_sentence(["depreciation_amortization"], "whole", "en")
    'Not in the statement: depreciation'
    """
    english = language == "en"
    names = [_lacking_name(name, language) for name in items]
    head = "Not in the statement: " if english else "Falta en las cuentas: " if len(names) == 1 else "Faltan en las cuentas: "
    said = [head + ", ".join(names)] if names else []
    if history != "whole":
        said.append(MISSING_HISTORY_TEXTS[history][not english])
    return ". ".join(said)


def _lacking_name(name: str, language: str) -> str:
    if name in OWN_FEATURES:
        return own_label(name, language)
    return _bare(_text(AMOUNT_NOUNS[name], language))


MISSING_HISTORY_TEXTS = {
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
    base, years = base_feature(name)
    return "" if years else "liquid_assets" if base == "burn_to_liquid" else RATIO_PARTS.get(base, ("", ""))[1]


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
    unit, number, english = feature_unit(base), _significant(said, language), language == "en"
    if unit == "share":
        return _of(base, said, language)
    if base == "loss_years":
        return COUNT_TEXTS[int(said)][LANGUAGES.index(language)]
    if unit == "years":
        more = (" or more" if english else " o más") if said >= 5 else ""
        return f"{number} {('year' if english else 'año') + ('' if said == 1 else 's')}{more}"
    if unit == "months":
        return f"{number} {('month' if english else 'mes') + ('' if said == 1 else 's' if english else 'es')}"
    if unit == "points":
        return f"{number} {('point' if english else 'punto') + ('' if said == 1 else 's')}"
    if unit in ("ln", "ln a year"):
        return f"{number}\u00a0%"
    if unit == "standard deviations":
        one, many = ("standard deviation", "standard deviations") if english else ("desviación típica", "desviaciones típicas")
        return f"{number} {one if said == 1 else many}"
    return number


def _of(base: str, said: float, language: str) -> str:
    """Return a share or a multiple, up to the noun after it."""
    share = feature_unit(base) == "share"
    if share and abs(said) < TIMES_FROM:
        return f"{_significant(said, language)}\u00a0% of" if language == "en" else f"el {_significant(said, language)}\u00a0% de"
    multiple = said / 100 if share else said
    number = Words(language).number(1, 1) if multiple == 1 else _significant(multiple, language)  # "1.0 times" is plural
    return f"{number} {'times' if language == 'en' else 'veces'}"


def _change(name: str, base: str, years: int, said: float, language: str) -> str:
    """Return the sentence on how an amount or a ratio changed; growth of 1,000 % or more is written as a multiple."""
    english, span = language == "en", SPAN_TEXTS[years][LANGUAGES.index(language)]
    if feature_unit(name) == "ln":
        noun = AMOUNT_NOUNS[LOG_AMOUNTS.get(base) or base.removesuffix("_growth")]
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
        top, bottom = (_text(AMOUNT_NOUNS[part], language) for part in RATIO_PARTS[base])
        who, plural = (f"The ratio of {top} to {bottom}", False) if english else (f"La ratio entre {top} y {bottom}", False)
        amount = _value_of_change(name, abs(said), language)
        up, down = ("rose by", "fell by") if english else ("ha subido", "ha bajado")
    if said == 0:
        return f"{who} did not change {span}" if english else f"{who} no {'han' if plural else 'ha'} variado {span}"
    return f"{who} {up if said > 0 else down} {amount} {span}"


def _fold(who: str, plural: bool, fold: float, span: str, language: str) -> str:
    """Return the sentence for an amount that multiplied; above a thousandfold the figure is capped, as it started near zero."""
    english, over = language == "en", fold > MAX_FOLD
    number = _significant(min(fold, MAX_FOLD), language)
    if english:
        return f"{who} grew {'over ' if over else ''}{number}-fold {span}"
    return f"{who} {'se han' if plural else 'se ha'} multiplicado por {'más de ' if over else ''}{number} {span}"


def _value_of_change(name: str, said: float, language: str) -> str:
    return _value(name, said, language) if feature_unit(name) == "points" else _significant(said, language)


RANK_TEXTS = {
    # (English, Spanish) for amounts; the same for scores
    MORE_THAN: (("more than in", "más que en"), ("higher than in", "más alta que en")),
    LESS_THAN: (("less than in", "menos que en"), ("lower than in", "más baja que en")),
}
COMPANIES = {True: ("companies of its sector", "empresas de su sector"), False: ("companies", "empresas")}
MIDDLE_TEXTS = {
    True: ("in the middle of its sector", "en la zona media de su sector"),
    False: ("in the middle of all companies", "en la zona media de todas las empresas"),
}


@cache
def _rank(place: PeerPlace, swapped: bool, score: bool, language: str) -> str:
    at = LANGUAGES.index(language)
    whom = COMPANIES[place.in_sector][at]
    if place.side == SAME_AS_MOST:
        return ("as in most " if language == "en" else "como en la mayoría de las ") + whom
    if place.side not in RANK_TEXTS:
        return MIDDLE_TEXTS[place.in_sector][at]
    side = {MORE_THAN: LESS_THAN, LESS_THAN: MORE_THAN}[place.side] if swapped else place.side
    return f"{RANK_TEXTS[side][score][at]} {FRACTIONS[place.share][at]} {whom}"


@lru_cache(maxsize=10_000)
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
    """Return Spanish text with preposition and article contracted."""
    return text.replace(" de el ", " del ")
