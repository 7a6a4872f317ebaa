"""Names and comments that people give: refused where they hold what cannot be seen, and printed so that it can.

A right-to-left override, a zero-width blank or an escape sequence makes a name look like another one, or a line of a list like
something that nobody did. They are refused where a person gives a name; in names from files they are spelt out when printed.
"""

from __future__ import annotations

import json
import unicodedata

from quiebra.errors import NameRefused

LONGEST_NAME = 60
LONGEST_COMMENT = 2000
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of controls, formats (of direction, joiners), halves, private and unassigned signs, and line ends."""
BLANK = set(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0))) | set(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
"""Letters and marks of other categories that show nothing."""

CONTROLS = {"\n": "line break", "\r": "line break", "\t": "tab", "\x1b": "escape"}


def unseen(sign: str) -> bool:
    """Return whether a sign cannot be seen, or changes how others are seen."""
    return unicodedata.category(sign) in UNSEEN or sign in BLANK


def person_name(name: str, what: str) -> str:
    """Return a person's name as it is kept: composed, with single plain blanks.

    what: where it was given, such as ``--who``. NameRefused where it is empty, longer than 60 signs, or holds what cannot be
    seen.

    >>> person_name("  Ana   García ", "--who")
    'Ana García'
    """
    kept = " ".join(_seen(name, what).split())
    if not kept:
        raise NameRefused("{what}: the name is empty", what=what)
    if len(kept) > LONGEST_NAME:
        raise NameRefused("{what}: a name has {most} signs at most, not {count}", what=what, most=LONGEST_NAME, count=len(kept))
    return kept


def comment(text: str, what: str) -> str:
    """Return what a person gives as a reason or a note, without blanks around it. NameRefused where it has a line break, holds
    what cannot be seen, or is longer than 2000 signs."""
    kept = _seen(text.strip(), what)
    if len(kept) > LONGEST_COMMENT:
        raise NameRefused("{what}: {most} signs at most, not {count}", what=what, most=LONGEST_COMMENT, count=len(kept))
    return kept


def same_person(one: str, other: str) -> bool:
    """Return whether two names are the same but for case, blanks and the form of their letters."""
    return _folded(one) == _folded(other)


def printable(text: object, *, lines: bool = False) -> str:
    r"""Return text for a terminal, with what cannot be seen spelt out as ``\u001b``. lines: whether line breaks and tabs stay.

    >>> printable("Acme\x1b[2J S.A.")
    'Acme\\u001b[2J S.A.'
    """
    return "".join(sign if (lines and sign in "\n\t") or not unseen(sign) else _spelt(sign) for sign in str(text))


def _spelt(sign: str) -> str:
    """Return a sign as JSON spells it, so that what is printed as JSON is still JSON."""
    return json.dumps(sign)[1:-1] if not sign.isascii() else f"\\u{ord(sign):04x}"


def _seen(text: str, what: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    for sign in composed:
        if unseen(sign):
            named = unicodedata.name(sign, CONTROLS.get(sign, "control"))
            raise NameRefused("{what}: it holds a sign that cannot be seen, {sign} ({name}): leave it out", what=what,
                              sign=f"U+{ord(sign):04X}", name=named.lower())  # fmt: skip
    return composed


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(sign for sign in plain if not unseen(sign)).split())
