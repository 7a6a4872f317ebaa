"""Names that look like another name: letters of other alphabets, and digits, in the place of those that they look like."""

from __future__ import annotations

import unicodedata

from quiebra.text.person_input import person_key

LATIN_TWINS = {
    **dict(zip("аеорсухіјѕԁһԛԝкмт", "aeopcyxijsdhqwkmt", strict=True)),
    **dict(zip("АВЕКМНОРСТУХІЈЅԚԜҮԌ", "ABEKMHOPCTYXIJSQWYG", strict=True)),
    **dict(zip("ονικρυχατ", "ovikpuxat", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
    **dict(zip("օսհոցՕՍԼ", "ouhngOUL", strict=True)),
    **dict(zip("ıɑɡɩꞌʼ’‘`´′", "iagi'''''''", strict=True)),
    **dict(zip("I1|ǀ0‐‑–—−", "llllO-----", strict=True)),
}
"""Letter of the Cyrillic, Greek or Armenian alphabet, or other sign → the Latin one that it looks like.

A capital i and a one look like a small l, which is what they become. Source: the commonest of Unicode Technical Standard 39,
confusables.txt.
"""
ALPHABETS = {"Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic"}
SMALL_CAPITAL = "LATIN LETTER SMALL CAPITAL "


def looks(name: str) -> str:
    """Return what is equal for names that look alike.

    >>> looks("Luis") == looks("Luіs"), looks("Iris") == looks("lris"), looks("Ana") == looks("Ána")
    (True, True, False)
    """
    return person_key("".join(map(_latin, unicodedata.normalize("NFKC", name)))).replace("rn", "m")


def _latin(sign: str) -> str:
    named = unicodedata.name(sign, "")
    return LATIN_TWINS.get(sign) or (named[len(SMALL_CAPITAL) :].lower() if named.startswith(SMALL_CAPITAL) else sign)


def alphabets(name: str) -> set[str]:
    """Return the alphabets of a name's letters, of those whose letters look like one another's.

    >>> sorted(alphabets("Olga Ивáнова"))
    ['Cyrillic', 'Latin']
    """
    letters = filter(str.isalpha, unicodedata.normalize("NFC", name))
    return {unicodedata.name(letter, "").partition(" ")[0].title() for letter in letters} & ALPHABETS
