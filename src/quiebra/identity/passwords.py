"""Passwords: hashed with argon2id, and checked against hashes of argon2 or, from older systems, bcrypt."""

from __future__ import annotations

import unicodedata

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from quiebra.errors import IdentityError
from quiebra.text.person_input import SIGNS_OF_ONE, person_key

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
"""Characters."""
SHORTEST_NAME_HELD = 3
"""Characters of a name that a password may not hold; shorter ones are in most sentences."""
BCRYPT_BYTES = 72
"""Bytes of a password that bcrypt reads."""
_HASHES = PasswordHash((Argon2Hasher(), BcryptHasher()))
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$ySI2N68GY8eHOa41G5uGBQ$jbDn5GdvSw8Vg8dQ5zpowNgcQgM3Gc5vLGQKj7emTwY"
"""Hash of a random text, of the kind that is made now: passwords of unknown users are checked against it."""
UNKNOWN_HASH = "the stored hash of the password is of an unknown kind: have an admin set a new password"


def hash_password(password: str, name: str) -> str:
    """Return the argon2id hash of a new password; some 0.1 s and 64 MiB.

    name: of its user. IdentityError if it is too short or too long, is one character again and again, or holds the user's name.
    """
    plain = _normal(password)
    if not SHORTEST_PASSWORD <= len(plain) <= LONGEST_PASSWORD:
        raise IdentityError(
            "a password has {low} to {high} characters: a sentence is good", low=SHORTEST_PASSWORD, high=LONGEST_PASSWORD
        )
    if not _is_text(plain):
        raise IdentityError("the password holds bytes that are no letters: type it again")
    short = len(person_key(name)) < SHORTEST_NAME_HELD
    if len(set(plain)) < SHORTEST_PASSWORD // 3 or (not short and person_key(name) in person_key(plain)):
        raise IdentityError("the password is too easy to guess: it repeats a few characters, or holds the user's name")
    return _HASHES.hash(plain)


def verify_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Return whether a password is that of a stored hash, and a newer hash to store in its place (None: the stored one is new).

    stored: None, for a user who does not exist, takes as long and is never right. IdentityError if the hash is of no known kind.
    """
    plain = _normal(password)
    if len(plain) > LONGEST_PASSWORD or not _is_text(plain):
        return False, None
    try:
        if stored is None:
            _HASHES.verify(plain, NOBODY)
            return False, None
        if BcryptHasher.identify(stored):
            right = _HASHES.verify(plain.encode()[:BCRYPT_BYTES], stored)
            return right, _HASHES.hash(plain) if right else None
        return _HASHES.verify_and_update(plain, stored)
    except (UnknownHashError, ValueError):  # bcrypt raises ValueError for a number of rounds that it does not know
        raise IdentityError(UNKNOWN_HASH) from None


def _is_text(password: str) -> bool:
    """Return whether a password can be encoded: what a terminal or an environment gives may hold stray bytes."""
    return "\0" not in password and not any("\ud800" <= sign <= "\udfff" for sign in password)


def _normal(password: str) -> str:
    """Return a password in the Unicode form in which keyboards of all kinds give the same; one that is far too long as it is."""
    return password if len(password) > SIGNS_OF_ONE * LONGEST_PASSWORD else unicodedata.normalize("NFC", password)
