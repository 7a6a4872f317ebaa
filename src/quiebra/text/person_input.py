"""Refuse invisible characters in names and comments that users type, and escape them where text is printed.

A right-to-left override, a zero-width blank or an escape sequence makes a name look like another one, or fakes a line of a list.
They are refused in names that users type; in names from files they are escaped when printed.
"""

from __future__ import annotations

import json
import unicodedata

from quiebra.errors import InvalidNameError

LONGEST_NAME = 60
LONGEST_COMMENT = 2000
SIGNS_OF_ONE = 4
"""Characters that can become one in NFC. Text that is longer than what is allowed could be is not normalised, since the time for
that grows with the square of the number of accents in a row."""
INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of control, format (direction, joiners), surrogate, private-use and unassigned characters, and line ends."""
BLANK_CHARACTERS = set(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, 0xFFA0, 0x16FE4, 0x1D159))
) | set(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""Letters and marks of other categories that show nothing."""

CONTROL_NAMES = {"\n": "line break", "\r": "line break", "\t": "tab", "\x1b": "escape"}


def is_invisible(sign: str) -> bool:
    """Return whether a character is invisible, or changes how others are shown."""
    return unicodedata.category(sign) in INVISIBLE_CATEGORIES or sign in BLANK_CHARACTERS


def clean_person_name(name: str, what: str) -> str:
    """Return a user's name as it is stored: in NFC, with single plain blanks.

    what: where it was typed, such as ``--who``, for the message.
    Raise InvalidNameError where it is empty, longer than 60 characters, or has invisible characters.

    >>> clean_person_name("  Ana   García ", "--who")
    'Ana García'
    """
    kept = " ".join(_seen(name, what, LONGEST_NAME).split())
    if not kept:
        raise InvalidNameError("{what}: the name is empty", what=what)
    if len(kept) > LONGEST_NAME:
        raise _too_long(what, LONGEST_NAME, len(kept))
    return kept


def clean_comment(text: str, what: str) -> str:
    """Return a user's reason or note without surrounding blanks.

    Raise InvalidNameError where it has a line break or another invisible character, or is longer than 2000 characters.
    """
    kept = _seen(text.strip(), what, LONGEST_COMMENT)
    if len(kept) > LONGEST_COMMENT:
        raise _too_long(what, LONGEST_COMMENT, len(kept))
    return kept


def is_same_person(one: str, other: str) -> bool:
    """Return whether two names are equal but for case, blanks and Unicode form."""
    return person_key(one) == person_key(other)


def person_key(name: str) -> str:
    """Return what is equal for names of one person: in NFKC, without case, surplus blanks and invisible characters.

    What is too long for a name is no person's, and is returned as it is.
    """
    if len(name) > SIGNS_OF_ONE * LONGEST_NAME:
        return name
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(sign for sign in plain if not is_invisible(sign)).split())


def escape_invisible(text: object, *, lines: bool = False) -> str:
    r"""Return text for a terminal, with invisible characters escaped as in ``\u001b``. lines: keep line breaks and tabs.

    >>> escape_invisible("Acme\x1b[2J S.A.")
    'Acme\\u001b[2J S.A.'
    """
    return "".join(sign if (lines and sign in "\n\t") or not is_invisible(sign) else _spelt(sign) for sign in str(text))


def _spelt(sign: str) -> str:
    """Return a character's JSON escape, so that escaped JSON is still valid JSON."""
    return json.dumps(sign)[1:-1] if not sign.isascii() else f"\\u{ord(sign):04x}"


def _too_long(what: str, most: int, count: int) -> InvalidNameError:
    return InvalidNameError("{what}: {most} signs at most, not {count}", what=what, most=most, count=count)


def _seen(text: str, what: str, most: int) -> str:
    """Return a text in NFC. Raise InvalidNameError where a character is invisible, or it must be longer than ``most``."""
    if len(text) > SIGNS_OF_ONE * most:
        raise _too_long(what, most, len(text))
    composed = unicodedata.normalize("NFC", text)
    for sign in composed:
        if is_invisible(sign):
            named = unicodedata.name(sign, CONTROL_NAMES.get(sign, "control"))
            raise InvalidNameError(
                "{what}: it holds a sign that cannot be seen, {sign} ({name}): leave it out",
                what=what,
                sign=f"U+{ord(sign):04X}",
                name=named.lower(),
            )
    return composed
