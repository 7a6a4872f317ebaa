"""Which column of a file is which item, by its name, in English and Spanish.

The names, in `column_names.yml`, are those of the Spanish chart of accounts and of known exports, from their documentation.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quiebra.io.safe_yaml import read_yaml
from quiebra.sources.cells import normalised_name

NAMES: dict[str, list[str]] = {
    canonical: [canonical.replace("_", " "), *(name for name in names if name != canonical.replace("_", " "))]
    for canonical, names in read_yaml(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8")).items()
}
"""Canonical name → names in files, in lower case and without accents, its own first."""
TELLING_WORDS = {
    *("no", "non", "corriente", "current", "circulante", "fijo", "fixed", "largo", "corto", "long", "short", "activo", "pasivo"),
    *("investing", "financing", "operating", "inversion", "financiacion", "explotacion", "deudores", "deudas", "otros", "other"),
    *("assets", "liabilities", "antes", "despues", "before", "after", "bruto", "neto", "gross", "net", "variacion", "change"),
}
"""Words that names must share to be similar: with and without them they mean different things."""
SHORTEST_SIMILAR = 9
"""Letters of the shortest name that another may be similar to: one letter changes what a short one means."""
SIMILAR = 0.86
"""Least similarity of two names that are not equal."""
UNITS_IN_NAMES = re.compile(
    r"\b(mil(es)?( de)?|th|thousands?( of)?|millones( de)?|millions?( of)?|mill?)?\s*(eur(os?)?|usd|gbp|€|\$)\b"
    r"|\((%|eur|usd|th|miles)\)"
)
NUMBERING = re.compile(
    r"^\s*(?:[A-Z]{1,2}|[ivxIVX]+|\d{1,2})(?:\.[\dIVX]+)*[.)]-?\s+|\(\s*-?[A-Z\d][A-Z\d.]*(?:\s*[+-]\s*[A-Z\d][A-Z\d.]*)+\s*\)|\[=[^\]]*\]"
)
"""What stands before and after the names of a chart of accounts: ``B)``, ``III.``, ``A.1)`` and ``(A + B)``."""
MULTIPLES = re.compile(r"\b(mil|miles|th|thousands?|millones|millions?|mill|m|k)\b")
THOUSANDS = re.compile(r"\b(miles|mil eur(os?)?|thousands?|th (eur|usd|gbp))\b|\bth\.? ?(eur|usd|gbp)|\((th|miles)\)")


@dataclass(frozen=True)
class ColumnMatch:
    """A column of a file and the canonical name that it is taken for. how: ``name``, ``known name`` or ``similar name``."""

    column: str
    canonical: str
    how: str


def match_columns(columns: Sequence[str]) -> list[ColumnMatch]:
    """Return which columns are which, each at most once, in the file's order; equal names before similar ones."""
    columns = [column for column in columns if "%" not in column]  # shares are no amounts
    plain = {column: _plain(column) for column in columns}
    spelt = {normalised_name(canonical): canonical for canonical in NAMES}
    equal = [(column, spelt[normalised_name(column)], "name") for column in columns if normalised_name(column) in spelt]
    known = [  # the first names are the surest
        (column, canonical, "known name")
        for place in range(max(map(len, NAMES.values())))
        for canonical, names in NAMES.items()
        for column in columns
        if plain[column] in names[place : place + 1]
    ]
    alike = sorted((pair for pair in _similar(plain) if pair[0] >= SIMILAR), reverse=True)
    similar = [(column, canonical, "similar name") for _, column, canonical in alike]
    return _each_once(columns, (*equal, *known, *similar))


def match_known_names(columns: Sequence[str]) -> list[ColumnMatch]:
    """Return the matches of `match_columns` that are certain: equal names and known ones."""
    return [match for match in match_columns(columns) if match.how != "similar name"]


def _each_once(columns: Sequence[str], pairs: Iterable[tuple[str, str, str]]) -> list[ColumnMatch]:
    found: dict[str, ColumnMatch] = {}
    for column, canonical, how in pairs:
        if column not in found and canonical not in {match.canonical for match in found.values()}:
            found[column] = ColumnMatch(column, canonical, how)
    matches = [found[column] for column in columns if column in found]
    if "company_id" in {match.canonical for match in matches}:
        return matches
    return [replace(match, canonical="company_id") if match.canonical == "name" else match for match in matches]  # known by name


def in_thousands(columns: Iterable[str]) -> bool:
    """Return whether names of columns say that amounts are in thousands."""
    names = [column.replace("\n", " ").casefold() for column in columns]
    spanish = any(re.search(r"\b(activo|pasivo|ventas|ingresos|resultado|existencias|fondos)\b", name) for name in names)
    return any(THOUSANDS.search(name) for name in names if spanish or not re.search(r"\bmil\b", name))  # mil: millions in Orbis


def currencies_in(columns: Iterable[str]) -> set[str]:
    """Return the currencies that names of columns say amounts are in."""
    found = (re.findall(r"\b(?:EUR|USD|GBP)\b", column.upper()) for column in columns)
    return {code for codes in found for code in codes}


def says_whole_units(columns: Iterable[str]) -> bool:
    """Return whether names of columns say a currency, and none of them thousands or millions of it."""
    columns = list(columns)
    return bool(currencies_in(columns)) and not any(MULTIPLES.search(column.replace("\n", " ").casefold()) for column in columns)


def _plain(name: str) -> str:
    """Return a name without accents, units, years and marks, in lower case."""
    spelt = unicodedata.normalize("NFKD", NUMBERING.sub(" ", name.replace("\n", " ")))
    letters = "".join(sign for sign in spelt if not unicodedata.combining(sign)).casefold()
    return " ".join(re.sub(r"[^a-z0-9]+", " ", UNITS_IN_NAMES.sub(" ", letters)).split())


def _telling(name: str) -> set[str]:
    return TELLING_WORDS.intersection(name.split())


def _similar(plain: Mapping[str, str]) -> Iterable[tuple[float, str, str]]:
    for column, said in plain.items():
        for canonical, names in NAMES.items():
            for name in names:
                if min(len(name), len(said)) >= SHORTEST_SIMILAR and _telling(said) == _telling(name):
                    yield difflib.SequenceMatcher(None, said, name).ratio(), column, canonical
