"""Group what comes at the same time: scoring many companies costs little more than one, and so does writing many rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from quiebra.api.problems import ApiError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


LONGEST_WAITS = 20
"""How many times ``wait`` a group is waited for while items come: a group costs as much as some dozens of its items."""


class Batcher(Generic[Asked, Answer]):
    """Calls ``work`` with what several callers have asked for, in one thread, one group after the other.

    work: returns one answer for each item, in order. most: items of a group. wait: seconds without a further item after which a
    group begins, so that it has all of what comes together; 0: it begins with what there is. callers: returns how many callers
    there are, who may have further items; none is waited for once all of them have asked. waiting: items that may wait; further
    ones are refused with 503.
    """

    def __init__(
        self,
        work: Callable[[list[Asked]], Sequence[Answer]],
        *,
        most: int,
        waiting: int,
        name: str,
        wait: float = 0.0,
        callers: Callable[[], int] = lambda: 0,
    ) -> None:
        self.work, self.most, self.wait, self.waiting, self.callers = work, most, wait, waiting, callers
        self._queue: list[tuple[list[Asked], asyncio.Future[list[Answer]]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: asyncio.Task[None] | None = None
        self._count = 0

    async def submit(self, items: list[Asked]) -> list[Answer]:
        """Return the answers to some items. ApiError (503) where too many wait already."""
        if not items:
            return []
        if self._count and self._count + len(items) > self.waiting:
            raise ApiError(503, "Too much is waiting to be computed: come back in a moment.", retry_after=1)
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._count += len(items)
        self._queue.append((items, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            return await future
        finally:
            self._count -= len(items)

    async def close(self) -> None:
        """Finish what is under way, and end the thread."""
        if self._running is not None:
            await asyncio.wait([self._running])
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self) -> None:
        while self._queue:
            if self.wait:
                await self._gather()
            group: list[tuple[list[Asked], asyncio.Future[list[Answer]]]] = []
            size = 0
            while self._queue and (not group or size + len(self._queue[0][0]) <= self.most):
                group.append(self._queue.pop(0))
                size += len(group[-1][0])
            await self._answer(group)

    async def _gather(self) -> None:
        """Wait until no further item comes, for some times `wait` at most."""
        count = 0
        for _ in range(LONGEST_WAITS):
            if count == self._count or self._count >= self.most or len(self._queue) >= self.callers():
                return
            count = self._count
            await asyncio.sleep(self.wait)

    async def _answer(self, group: list[tuple[list[Asked], asyncio.Future[list[Answer]]]]) -> None:
        items = [item for asked, _ in group for item in asked]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self.work, items)
        except Exception as error:  # each caller gets it, and the next group goes on
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for asked, future in group:
            if not future.done():  # the caller may have gone
                future.set_result(list(answers[start : start + len(asked)]))
            start += len(asked)
