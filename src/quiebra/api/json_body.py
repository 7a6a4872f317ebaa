"""Bodies of JSON before they are checked: repeated keys, and NDJSON as a list."""

from __future__ import annotations

import json
from collections.abc import Iterable

import orjson

from quiebra.api.problems import ApiError
from quiebra.errors import LocalisedMessage

REPEATED_KEY = LocalisedMessage("given more than once in one object, and only one value can count")


class _RepeatedKeyError(Exception):
    """A key that an object has more than once."""


def find_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that has come before, at most 80 characters of it; None where there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name[:80].encode("utf-8", "replace").decode()
        seen.add(name)
    return None


def find_repeated_key(content: bytes) -> str | None:
    """Return a key that some object of a JSON text has more than once; None where there is none, or the text is not JSON.

    Parsers take the last of its values, and the others would be lost without a word.
    """
    try:
        json.loads(content, object_pairs_hook=_require_unique)
    except _RepeatedKeyError as error:
        return str(error)
    except (ValueError, RecursionError):
        return None
    return None


def _require_unique(pairs: list[tuple[str, object]]) -> None:
    if (key := find_repeated(key for key, _ in pairs)) is not None:
        raise _RepeatedKeyError(key)


def ndjson_to_list(body: bytes) -> bytes:
    """Return lines of JSON objects as a JSON list.

    ApiError (422) for a line that is not one object by itself, or in which an object has a key more than once.
    """
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    for number, line in lines:
        try:
            one = isinstance(orjson.loads(line), dict)
        except orjson.JSONDecodeError:
            one = False
        if not one:
            raise ApiError(422, "Line {line} is not one JSON object: each company is one, on a line of its own.", line=number)
        if (key := find_repeated_key(line)) is not None:
            raise ApiError(422, "Line {line}, {name}: {why}", line=number, name=key, why=REPEATED_KEY)
    return b"[" + b",".join(line for _, line in lines) + b"]"
