"""Pool of the pages' kernels: warm ones, and those of open pages with the browser they belong to."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Coroutine, Iterable
from typing import Any

from quiebra.environment import database_url
from quiebra.errors import StoreError
from quiebra.pipeline.stages import is_running
from quiebra.services.finished_run import stage_times
from quiebra.store import connect, last_entry
from quiebra.workspace import Workspace


class KernelPool:
    """The kernels of a server. manager: Voila's kernel manager, with a pool of warm kernels for each page. open_pages: how many
    may be open at once; idle_minutes: idle time after which a page may be closed for another."""

    def __init__(self, manager: Any, workspace: Workspace, *, open_pages: int, idle_minutes: float) -> None:
        self.manager, self.workspace, self.open_pages, self.idle_minutes = manager, workspace, open_pages, idle_minutes
        self.stamp = self.now()
        self.warm = False
        self.arriving = 0
        """Visitors admitted whose kernel is not known yet, as it may still have to be started."""
        self.owners: dict[str, str] = {}
        """Kernel of a page → the browser it was assigned to (see `quiebra.dashboards.server.visitors`)."""
        self.leaving: set[asyncio.Task[Any]] = set()
        """Tasks of kernels taken out of the pools that have not ended yet."""
        self.aside: set[asyncio.Task[None]] = set()

    def pools(self) -> list[asyncio.Task[Any]]:
        return [task for pool in getattr(self.manager, "_pools", {}).values() for task in pool]

    def ready(self) -> bool:
        """Return whether every page has had a kernel that drew it; replacements of used kernels may still be warming."""
        drawn = (task.done() and not task.exception() and task.result()["task"].done() for task in self.pools())
        self.warm = self.warm or (not self.aside and all(drawn))
        return self.warm

    def now(self) -> tuple[object, ...]:
        """Return the state that a warm kernel has drawn: write times of run and parameters, and the last audit entry."""
        params = self.workspace.root / "params.yaml"
        return (*stage_times(self.workspace), params.stat().st_mtime_ns if params.exists() else 0, self._decisions())

    def _decisions(self) -> int | None:
        """Return the id of the last audit entry, as every alert and decision has one; None if the database does not answer."""
        try:
            engine = connect(database_url(self.workspace.root))
            try:
                return last_entry(engine)
            finally:
                engine.dispose()
        except StoreError:  # pages show the error where it matters
            return None

    async def renew(self, wanted: str) -> None:
        """Replace warm kernels that have drawn an older state by new ones, the ``wanted`` page's first; not while a run is under
        way, as its results are incomplete."""
        now = await asyncio.to_thread(self.now)
        if now == self.stamp or is_running(self.workspace):
            return
        self.stamp = now
        if not self.pools():
            return
        manager = self.manager
        old, manager._pools = manager._pools, {}
        manager.fill_if_needed(delay=0, notebook_name=wanted)
        self._aside(self._heat(manager._pools[wanted].copy(), [name for name in old if name != wanted]))
        for task in [task for pool in old.values() for task in pool]:
            self.leaving.add(task)
            self._aside(self._let_go(task))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.aside.add(task)  # keeps a reference, as the event loop holds only a weak one
        task.add_done_callback(self.aside.discard)

    async def _heat(self, first: list[asyncio.Task[Any]], names: list[str]) -> None:
        """Fill the pools of pages one after the other, once the first is warm, so that the visitor waiting for the first page
        does not share the machine with the rest."""
        await _drawn(first)
        for name in names:
            self.manager.fill_if_needed(delay=0, notebook_name=name)
            await _drawn(self.manager._pools[name])

    async def _let_go(self, task: asyncio.Task[Any]) -> None:
        try:
            await _drawn([task])
            if not task.exception():
                await self.manager.shutdown_kernel(task.result()["kernel_id"], now=True)
        finally:
            self.leaving.discard(task)

    def open_now(self) -> set[str]:
        """Return the kernels of open pages: those that are neither warm nor being ended."""
        made = (task for task in (*self.pools(), *self.leaving) if task.done() and not task.exception())
        return set(self.manager.list_kernel_ids()) - {task.result()["kernel_id"] for task in made}

    def give(self, kernel_id: str, browser: str) -> None:
        """Assign a page's kernel to the browser that asked for the page; it cannot be reassigned."""
        self.owners = {kernel: owner for kernel, owner in self.owners.items() if kernel in self.manager}
        self.owners.setdefault(kernel_id, browser)

    def full(self) -> bool:
        return len(self.open_now()) + self.arriving >= self.open_pages

    async def make_room(self) -> None:
        """Shut down the longest idle page's kernel, if idle for longer than ``idle_minutes``. If its window is still open, it
        shows a link to reload the page."""
        manager = self.manager
        since = {kernel: manager.get_kernel(kernel).last_activity for kernel in self.open_now()}
        oldest = min(since, key=since.__getitem__, default=None)
        if oldest is not None and dt.datetime.now(dt.UTC) - since[oldest] > dt.timedelta(minutes=self.idle_minutes):
            await manager.shutdown_kernel(oldest, now=True)


async def _drawn(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until kernels of a pool have drawn their pages, or failed to."""
    for heated in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(heated, dict):
            await asyncio.wait([heated["task"]])
