"""The launcher: Voila with pre-heated, forked kernels, a template of our own, and no address but this server's."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import plotly
import tornado.web
from traitlets.config import Config
from voila.app import Voila

from quiebra.dashboards import handlers
from quiebra.dashboards.access import READER
from quiebra.dashboards.base import written
from quiebra.dashboards.controls import ASSETS
from quiebra.dashboards.kernels import can_fork
from quiebra.dashboards.limits import listen
from quiebra.dashboards.page import PAGES
from quiebra.dashboards.visitors import FOLDER, Visitors
from quiebra.errors import StoreError
from quiebra.params import load
from quiebra.settings import database_url
from quiebra.stages import under_way
from quiebra.store import connect, last_entry
from quiebra.workspace import Workspace

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "frame-ancestors 'self'; base-uri 'self'"
)
"""What the browser may load: this server's own. It keeps every page offline even where a library would not."""

REFILL = 1.0
"""Seconds from when a page takes a warm kernel to when the next one is made."""


class Dashboards(Voila):
    """Voila, serving the six pages under their names."""

    workspace: Workspace
    visitors: Path
    open_pages: int
    idle_minutes: float
    warm = False
    arriving = 0
    """Visitors let in whose kernel is not known yet: it may still have to be made."""
    owners: dict[str, str]
    """Kernel of a page → the browser that it was given to (see `quiebra.dashboards.visitors`)."""
    leaving: set[asyncio.Task[Any]]
    """Tasks of kernels taken out of the pools that are not yet gone."""
    aside: set[asyncio.Task[None]]

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths = [str(ASSETS), *self.template_paths]

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        self.stamp = self.now()
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
        if not self.identity_provider.tokens:
            settings["allow_remote_access"] = False  # without tokens only who names this machine is answered
        return {
            **settings,
            "headers": headers,
            "default_handler_class": handlers.Missing,
            "quiebra": self,
            "log_function": _log_request,
        }

    def init_handlers(self) -> list[Any]:
        page = {"template_paths": self.template_paths, "config": self.config, "voila_configuration": self.voila_configuration}
        scripts = next(path for path in self.static_paths if Path(path, "voila.js").exists())
        ours = [
            (r"/", handlers.Home),
            (r"/health", handlers.Health),
            (r"/login", handlers.Door),
            (r"/state/([\w-]+)", handlers.State),
            (r"/assets/brand.css", handlers.Brand),
            (r"/assets/(plotly.min.js)", handlers.Kept, {"path": str(Path(plotly.__file__).parent / "package_data")}),
            (r"/assets/([a-z]+\.(?:css|js))", handlers.Asset, {"path": str(ASSETS)}),
            (r"/voila/static/(.*)", handlers.Kept, {"path": str(Path(scripts).resolve())}),
            (r"/voila/labextensions/(.*)", handlers.Extension, {"path": self.labextensions_path}),
            (rf"/({'|'.join(PAGES)})", handlers.DashboardPage, page),
            (r"/api/kernels/([\w-]+)/channels", handlers.Channels),
            (r"/api/kernels/([\w-]+)", handlers.Kernel),
            (r"/voila/api/shutdown/([\w-]+)", handlers.Leave),
        ]
        # of Voila's own only what its script asks for: who the visitor is
        return [*ours, *(handler for handler in super().init_handlers() if handler[0].startswith("/api/me"))]

    def listen(self) -> None:
        self.app.listen = partial(listen, self.app)  # type: ignore[method-assign]
        super().listen()

    def pools(self) -> list[asyncio.Task[Any]]:
        return [task for pool in getattr(self.kernel_manager, "_pools", {}).values() for task in pool]

    def ready(self) -> bool:
        """Whether every page has had a kernel that has drawn it; one that follows a visitor's may be warming."""
        drawn = (task.done() and not task.exception() and task.result()["task"].done() for task in self.pools())
        self.warm = self.warm or (not self.aside and all(drawn))
        return self.warm

    def now(self) -> tuple[object, ...]:
        """Return when run and parameters were written, and the last decision on record: what a warm kernel has drawn."""
        params = self.workspace.root / "params.yaml"
        return (*written(self.workspace), params.stat().st_mtime_ns if params.exists() else 0, self._decisions())

    def _decisions(self) -> int | None:
        """Return the number of the last entry of the audit table: each alert and each decision of people has one."""
        try:
            engine = connect(database_url(self.workspace.root))
            try:
                return last_entry(engine)
            finally:
                engine.dispose()
        except StoreError:  # pages say so where it matters
            return None

    async def renew(self, wanted: str) -> None:
        """Let go of the kernels that have drawn an older run or what people decided before, and heat others, that of the page
        that is waited for before the rest; not before the run that is under way is whole."""
        now = await asyncio.to_thread(self.now)
        if now == self.stamp or under_way(self.workspace):
            return
        self.stamp = now
        if not self.pools():
            return
        manager = self.kernel_manager
        old, manager._pools = manager._pools, {}
        manager.fill_if_needed(delay=0, notebook_name=wanted)
        self._aside(self._heat(manager._pools[wanted].copy(), [name for name in old if name != wanted]))
        for task in [task for pool in old.values() for task in pool]:
            self.leaving.add(task)
            self._aside(self._let_go(task))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.aside.add(task)  # the loop itself would not keep it
        task.add_done_callback(self.aside.discard)

    async def _heat(self, first: list[asyncio.Task[Any]], names: list[str]) -> None:
        """Fill the pools of pages one after the other, once the first is warm: whoever waits for that shares the machine with
        none of them."""
        await _drawn(first)
        for name in names:
            self.kernel_manager.fill_if_needed(delay=0, notebook_name=name)
            await _drawn(self.kernel_manager._pools[name])

    async def _let_go(self, task: asyncio.Task[Any]) -> None:
        try:
            await _drawn([task])
            if not task.exception():
                await self.kernel_manager.shutdown_kernel(task.result()["kernel_id"], now=True)
        finally:
            self.leaving.discard(task)

    def open_now(self) -> set[str]:
        """Return the kernels of open pages: those that are neither warm nor on their way out."""
        made = (task for task in (*self.pools(), *self.leaving) if task.done() and not task.exception())
        return set(self.kernel_manager.list_kernel_ids()) - {task.result()["kernel_id"] for task in made}

    def give(self, kernel_id: str, browser: str) -> None:
        """Give a page's kernel to the browser that asked for the page; nobody else can take it."""
        self.owners = {kernel: owner for kernel, owner in self.owners.items() if kernel in self.kernel_manager}
        self.owners.setdefault(kernel_id, browser)

    def full(self) -> bool:
        return len(self.open_now()) + self.arriving >= self.open_pages

    async def make_room(self) -> None:
        """Let go of the page that has been idle longest, if for longer than ``idle_minutes``: its window is open still, but
        nobody is at it, and it says so with a link that reloads it."""
        manager = self.kernel_manager
        since = {kernel: manager.get_kernel(kernel).last_activity for kernel in self.open_now()}
        oldest = min(since, key=since.__getitem__, default=None)
        if oldest is not None and dt.datetime.now(dt.UTC) - since[oldest] > dt.timedelta(minutes=self.idle_minutes):
            await manager.shutdown_kernel(oldest, now=True)


async def _drawn(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until kernels of a pool have drawn their pages, or failed to."""
    for heated in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(heated, dict):
            await asyncio.wait([heated["task"]])


def _log_request(handler: tornado.web.RequestHandler) -> None:
    """Log what failed, without the address's query: a token may be in it."""
    if handler.get_status() >= 400 and handler.get_status() != 404:
        logging.getLogger("quiebra.dashboards.server").warning(
            "%s %s %s", handler.get_status(), handler.request.method, handler.request.path
        )


class NoToken(logging.Filter):
    """Takes tokens out of what is logged: an error's record holds the address that was asked for."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except Exception:  # a format that its values do not fit: logging says so itself
            return True
        record.msg, record.args = re.sub(r"token(=|%3D)[^&\s'\")]+", "token=…", said), ()
        return True


def configuration(workspace: Workspace, tokens: dict[str, str], pool: int) -> Config:
    """Return Voila's configuration; params decide how long an abandoned page keeps its kernel."""
    options = load(workspace).dashboards
    config = Config()
    config.VoilaConfiguration.update({
        "preheat_kernel": pool > 0, "default_pool_size": pool, "template": "base", "allow_template_override": "NO",
        "allow_theme_override": "NO", "show_tracebacks": False, "file_allowlist": [], "http_keep_alive_timeout": 60,
        "extension_allowlist": ["@jupyter-widgets/jupyterlab-manager", "anywidget", "@voila-dashboards/widgets-manager8"],
        "resources": {"quiebra": handlers.shell(workspace, "/")},
    })  # fmt: skip
    config.VoilaExecutor.update({"timeout": 120, "iopub_timeout": 120})  # after less, a busy machine's page loses its widgets
    config.MappingKernelManager.update(
        {"cull_idle_timeout": options.idle_minutes * 60, "cull_interval": 30, "cull_connected": False}
    )
    # a kernel that died has lost its page's state: its reader is told, see `State`
    config.KernelManager.update({"transport": "ipc", "shutdown_wait_time": 0.2, "autorestart": False})
    config.VoilaKernelManager.fill_delay = REFILL  # the page that took a warm kernel is painted before the next is made
    config.Visitors.tokens = tokens
    return config


def serve(
    workspace: Workspace, *, tokens: dict[str, str], host: str = "127.0.0.1", port: int = 8866, pool: int = 2,
    announce: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve the dashboards until interrupted. tokens: of each person, see `quiebra.dashboards.access`; none: everybody on this
    machine may come in. ``announce`` is given each person's address."""
    visitors = Path(tempfile.mkdtemp(prefix="quiebra-visitors-"))
    os.environ[FOLDER] = str(visitors)
    if can_fork():
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "quiebra-fork"
    app = Dashboards(
        config=configuration(workspace, tokens, pool), ip=host, port=port, port_retries=0, open_browser=False,
        root_dir=str(workspace.root / "dashboards"), identity_provider_class=Visitors, log_level=logging.ERROR,
    )  # fmt: skip
    options = load(workspace).dashboards
    app.workspace, app.visitors, app.open_pages, app.idle_minutes = workspace, visitors, options.open_pages, options.idle_minutes
    app.leaving, app.aside, app.owners = set(), set(), {}
    shown = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    for person, token in tokens.items() or {READER: ""}.items():
        query = f"?token={token}" if token else ""
        announce(f"{person:<12} http://{shown}:{port}/{query}")
    for name in ("tornado.application", "tornado.general", "tornado.access"):
        logging.getLogger(name).addFilter(NoToken())
    try:
        app.initialize(argv=[])
        app.log.addFilter(NoToken())
        app.start()
    finally:
        shutil.rmtree(visitors, ignore_errors=True)
