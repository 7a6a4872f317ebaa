"""Writes that may be repeated: with an Idempotency-Key a repetition gets the first answer, and nothing is done twice."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from quiebra.api.problems import ApiError
from quiebra.api.records import utc_now
from quiebra.api.routing import principal_of
from quiebra.api.service import service_of
from quiebra.errors import QuiebraError, StoreError
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.tables import KeptAnswer

HEADER = "Idempotency-Key"
KEPT = dt.timedelta(days=1)
"""How long an answer is given again."""
LONGEST_KEY = 200
UNKNOWN = "A request with this key is under way, or was cut off: look at what there is now, and use a new key if it was not done."


def once(request: Request, content: Any, act: Callable[[], dict[str, Any]], status: int) -> tuple[dict[str, Any], int]:
    """Return the answer of ``act`` and its status, or those of an earlier request with the same key.

    content: of the body. Without the header ``act`` is always called. A failed ``act`` leaves the key free; an answer that cannot
    be stored is told all the same. ApiError: 422 where the key came with another request, 409 where that one has not ended.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return act(), status
    if not 8 <= len(given) <= LONGEST_KEY:
        raise ApiError(422, "{header} has 8 to {most} characters, such as a UUID.", header=HEADER, most=LONGEST_KEY)
    engine = service_of(request).engine()
    key = _hash([principal_of(request).name, given])
    asked = _hash([request.method, request.url.path, request.url.query, content])
    if (kept := _claim(engine, key, asked)) is not None:
        return kept
    try:
        answer = act()
    except QuiebraError:
        with translate_database_errors(engine), engine.begin() as connection:
            connection.execute(delete(KeptAnswer).where(KeptAnswer.key_sha256 == key))
        raise
    done = {"status": status, "answer": orjson.dumps(answer, default=str).decode()}
    with contextlib.suppress(StoreError), translate_database_errors(engine), engine.begin() as connection:
        connection.execute(update(KeptAnswer).where(KeptAnswer.key_sha256 == key).values(**done))
    return answer, status


def _claim(engine: Engine, key: str, asked: str) -> tuple[dict[str, Any], int] | None:
    """Return the answer that is kept for a key; None where the key is this request's now."""
    now = utc_now()
    with translate_database_errors(engine, but=IntegrityError):
        try:
            with engine.begin() as connection:
                connection.execute(delete(KeptAnswer).where(KeptAnswer.asked_at < now - KEPT))
                connection.execute(insert(KeptAnswer).values(key_sha256=key, body_sha256=asked, asked_at=now))
            return None
        except IntegrityError:
            pass
    with read_only(engine) as connection:
        row = connection.execute(select(KeptAnswer.__table__).where(KeptAnswer.key_sha256 == key)).first()
    if row is None:
        raise ApiError(409, UNKNOWN, retry_after=1)
    if row.body_sha256 != asked:
        raise ApiError(422, "{header} was used for another request: use a new one.", header=HEADER)
    if row.status is None:
        raise ApiError(409, UNKNOWN, retry_after=1)
    return orjson.loads(row.answer), row.status


def _hash(content: Any) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
