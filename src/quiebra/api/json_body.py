"""Bodies of JSON before they are checked: repeated keys, and lines as a list."""

from __future__ import annotations

import json

import orjson

from quiebra.api.problems import ApiError
from quiebra.errors import LocalisedMessage

REPEATED_KEY = LocalisedMessage("given more than once in one object, and only one value can count")


class _RepeatedKeyError(Exception):
    """A key that an object has more than once."""


def repeated_key(content: bytes) -> str | None:
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
    if len({key for key, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _RepeatedKeyError(key[:80].encode("utf-8", "replace").decode())
        seen.add(key)


def lines_as_list(body: bytes) -> bytes:
    """Return lines of JSON objects as a JSON list. ApiError (422) for a line that is none, or not one by itself."""
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    for number, line in lines:
        try:
            one = isinstance(orjson.loads(line), dict)
        except orjson.JSONDecodeError:
            one = False
        if not one:
            raise ApiError(422, "Line {line} is not one JSON object: each company is one, on a line of its own.", line=number)
    return b"[" + b",".join(line for _, line in lines) + b"]"
