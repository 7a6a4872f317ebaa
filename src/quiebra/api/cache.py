"""Answers kept for a time: in Redis where one is set, which all processes share, else in this process."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

PREFIX = "quiebra:answer:"
KEYS_PER_CALL = 500
AWAY_SECONDS = 5.0
"""How long a Redis that did not answer is not asked again."""


class Cache(Protocol):
    """Values by key, each kept for a number of seconds at most; any of them may be gone at any time."""

    async def get(self, keys: Sequence[str]) -> list[bytes | None]: ...

    async def set(self, values: Mapping[str, bytes]) -> None: ...

    async def clear(self) -> None: ...

    async def close(self) -> None: ...


class MemoryCache:
    """Values in this process, ``most`` of them: the one that was not used for longest makes room for a new one."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._get(key) for key in keys]

    async def set(self, values: Mapping[str, bytes]) -> None:
        until = time.monotonic() + self.seconds
        for key, value in values.items():
            self._kept[key] = (until, value)
            self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)

    async def clear(self) -> None:
        self._kept.clear()

    async def close(self) -> None:
        self._kept.clear()

    def _get(self, key: str) -> bytes | None:
        until, value = self._kept.get(key, (0.0, b""))
        if until <= time.monotonic():
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value


class RedisCache:
    """Values in Redis, which evicts as its ``maxmemory-policy`` says. While it does not answer, nothing is kept.

    database: what the values are stored in too, so that those of another database are not found.
    """

    def __init__(self, url: str, seconds: float, database: str) -> None:
        self.seconds, self._away_until = int(seconds), 0.0
        self._prefix = f"{PREFIX}{hashlib.sha256(database.encode()).hexdigest()[:16]}:"
        self._redis = Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys or self._is_away():
            return [None] * len(keys)
        try:
            found: Any = await self._redis.mget([self._prefix + key for key in keys])
        except (RedisError, OSError) as error:
            self._note(error)
            return [None] * len(keys)
        return list(found)

    async def set(self, values: Mapping[str, bytes]) -> None:
        if not values or self._is_away():
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, value in values.items():
                    pipe.set(self._prefix + key, value, ex=self.seconds)
                await pipe.execute()
        except (RedisError, OSError) as error:
            self._note(error)

    async def clear(self) -> None:
        try:
            keys = [key async for key in self._redis.scan_iter(f"{self._prefix}*", count=KEYS_PER_CALL)]
            for start in range(0, len(keys), KEYS_PER_CALL):
                await self._redis.unlink(*keys[start : start + KEYS_PER_CALL])
        except (RedisError, OSError) as error:
            self._note(error)

    async def close(self) -> None:
        await self._redis.aclose()

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _note(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        logging.getLogger("quiebra.api").warning("redis", extra={"reason": type(error).__name__})


def make_cache(redis: str | None, *, most: int, seconds: float, database: str) -> Cache:
    """Return the cache of a Redis, or one of this process where there is none; see `RedisCache`."""
    return MemoryCache(most, seconds) if redis is None else RedisCache(redis, seconds, database)
