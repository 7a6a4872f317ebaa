"""The launcher: Voila with pre-heated, forked kernels, a template of our own, and no address but this server's."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import plotly
import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from quiebra.dashboards.base import Base, written
from quiebra.dashboards.controls import ASSETS
from quiebra.dashboards.kernels import can_fork
from quiebra.dashboards.look import brand_css
from quiebra.dashboards.page import PAGES, first_language
from quiebra.dashboards.visitors import FOLDER, READER, Visitors, checked_names, remember
from quiebra.errors import QuiebraError, StoreError, WorkspaceError
from quiebra.params import load
from quiebra.provenance import digest
from quiebra.settings import database_url
from quiebra.stages import under_way
from quiebra.store import connect, last_entry
from quiebra.words import LANGUAGES, Words, mark
from quiebra.workspace import Workspace

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "frame-ancestors 'self'; base-uri 'self'"
)
"""What the browser may load: this server's own. It keeps every page offline even where a library would not."""
KEEP = "public, max-age=86400"
NEWS = {
    "under_way": mark("A run is under way: these are the results before it."),
    "newer": mark("Newer results are there."),
    "lost": mark("This page has lost its connection; what you change is not answered any more."),
}
"""What an open page may have to tell its reader; see `State`."""
SAYS = {
    "reload": mark("Reload the page"), "skip": mark("Skip to the content"), "broken": mark("This page could not be made"),
    "why": mark("The server's log has the reason."), "theme": mark("Light or dark"), "close": mark("Close"),
}  # fmt: skip
"""What the templates say."""


class Dashboards(Voila):
    """Voila, serving the six pages under their names."""

    workspace: Workspace
    visitors: Path
    open_pages: int
    idle_minutes: float

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths = [str(ASSETS), *self.template_paths]

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        self.stamp = self.now()
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
        if not self.identity_provider.tokens:
            settings["allow_remote_access"] = False  # without tokens only who names this machine is answered
        return {**settings, "headers": headers, "default_handler_class": Missing, "quiebra": self, "log_function": _log_request}

    def init_handlers(self) -> list[Any]:
        page = {"template_paths": self.template_paths, "config": self.config, "voila_configuration": self.voila_configuration}
        scripts = next(path for path in self.static_paths if Path(path, "voila.js").exists())
        ours = [
            (r"/", Home),
            (r"/health", Health),
            (r"/login", Door),
            (r"/state/([\w-]+)", State),
            (r"/assets/brand.css", Brand),
            (r"/assets/(plotly.min.js)", Kept, {"path": str(Path(plotly.__file__).parent / "package_data")}),
            (r"/assets/([a-z]+\.(?:css|js))", tornado.web.StaticFileHandler, {"path": str(ASSETS)}),
            (r"/voila/static/(.*)", Kept, {"path": str(Path(scripts).resolve())}),
            (r"/voila/labextensions/(.*)", Extension, {"path": self.labextensions_path}),
            (rf"/({'|'.join(PAGES)})", DashboardPage, page),
            (r"/api/kernels/([\w-]+)/channels", Channels),
            (r"/voila/api/shutdown/([\w-]+)", Leave),
        ]
        # of Voila's own only what its script asks for: a kernel's state, and who the visitor is
        return [*ours, *(handler for handler in super().init_handlers() if re.match(r"/api/(kernels/[^/]*$|me)", handler[0]))]

    def pools(self) -> list[asyncio.Task[Any]]:
        return [task for pool in getattr(self.kernel_manager, "_pools", {}).values() for task in pool]

    def ready(self) -> bool:
        """Whether every page has a kernel that has drawn it."""
        return all(task.done() and not task.exception() and task.result()["task"].done() for task in self.pools())

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

    async def renew(self) -> None:
        """Let go of the kernels that have drawn an older run or what people decided before, and heat others; not before the run
        that is under way is whole."""
        now = await asyncio.to_thread(self.now)
        if now == self.stamp or under_way(self.workspace):
            return
        self.stamp = now
        if not self.pools():
            return
        old, manager = self.kernel_manager._pools, self.kernel_manager
        self.kernel_manager._pools = {}
        for name in old:
            manager.fill_if_needed(delay=1, notebook_name=name)
        for task in [task for pool in old.values() for task in pool]:
            asyncio.get_running_loop().create_task(_let_go(manager, task))


    def open_now(self) -> int:
        return len(self.kernel_manager.list_kernel_ids()) - len(self.pools())

    async def make_room(self) -> None:
        """Where no more pages may be opened, let go of the one that has been idle longest, if for longer than ``idle_minutes``:
        its window is open still, but nobody is at it, and it says so with a link that reloads it."""
        manager = self.kernel_manager
        if self.open_now() < self.open_pages:
            return
        warm = {task.result()["kernel_id"] for task in self.pools() if task.done() and not task.exception()}
        since = {kernel: manager.get_kernel(kernel).last_activity for kernel in manager.list_kernel_ids() if kernel not in warm}
        oldest = min(since, key=since.__getitem__, default=None)
        if oldest is not None and dt.datetime.now(dt.UTC) - since[oldest] > dt.timedelta(minutes=self.idle_minutes):
            await manager.shutdown_kernel(oldest, now=True)


async def _let_go(manager: Any, task: asyncio.Task[Any]) -> None:
    content = await task
    try:
        await content["task"]
    finally:
        await manager.shutdown_kernel(content["kernel_id"], now=True)


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


def without_token(address: str) -> str:
    """Return an address of this server without the token: the cookie knows the visitor now."""
    parts = urlsplit(address)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "token"])
    return urlunsplit(("", "", parts.path, query, ""))


class Plain(JupyterHandler):
    """Base of pages without a kernel."""

    @property
    def app(self) -> Dashboards:
        return self.settings["quiebra"]

    def plain(self, texts: Callable[[Words], dict[str, Any]]) -> None:
        template = self.settings["voila_jinja2_env"].get_template("plain.html.j2")
        resources = {"base_url": self.base_url, "metadata": {"name": ""}}
        said = {language: texts(Words(language)) for language in LANGUAGES}
        q = shell(self.app.workspace, self.base_url)
        self.finish(template.render(q=q, resources=resources, texts=said, form=self.xsrf_form_html))

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Say that it went wrong, in words; the log has the rest."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.plain(
            lambda _: {
                "title": _("This page cannot be shown ({code})", code=status_code),
                "note": _("Go back, or start again from the list."),
            }
        )


class Missing(Plain):
    def prepare(self) -> None:  # type: ignore[override]
        self.set_status(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.plain(lambda _: {"title": _("There is no such page"), "note": _("Choose one of those above.")})


class Home(Plain):
    @tornado.web.authenticated
    def get(self) -> None:
        if self.get_argument("token", None):
            self.redirect(without_token(self.request.uri or "/"))
            return
        self.plain(home)


def home(_: Words) -> dict[str, Any]:
    """Return the words of the first page in one language."""
    notes = {
        "executive": _("The portfolio at a glance: how risky it is, what changed, who moved."),
        "company": _("One company: its PD over five years, why, and what would change it."),
        "portfolio": _("Your own file, or a saved portfolio: losses, concentration, watch list."),
        "stress": _("What a recession or a shock would do, to all and to one."),
        "model": _("Whether the model can be trusted: ranking, calibration, drift."),
        "settings": _("Thresholds, grades and language, with every change on record."),
    }
    pages = {name: {"title": _(title), "note": notes[name]} for name, title in PAGES.items()}
    return {"title": _("Bankruptcy risk"), "note": _("Six pages, from the last finished run."), "pages": pages}


class Door(LoginFormHandler):
    """Where a visitor without a token in the address gives one."""

    app = Plain.app
    plain = Plain.plain
    write_error = Plain.write_error

    def _render(self, message: dict[str, str] | None = None) -> None:
        wrong = message is not None
        self.plain(
            lambda _: {
                "title": _("Who is there?"),
                "note": _("That is not a token of this server.")
                if wrong
                else _("Open the address that the launcher printed, or give its token."),
                "door": {"action": self.request.uri, "label": _("Token"), "enter": _("Enter")},
            }
        )


class Health(Plain):
    @allow_unauthenticated
    def get(self) -> None:
        """Answer 200 once every page is warm, 503 before."""
        warm = self.app.ready()
        self.set_status(200 if warm else 503)
        self.finish({"status": "ready" if warm else "warming"})


class State(Plain):
    """What an open page asks now and then: does its kernel live, is a run under way, which results are the newest."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        workspace, manager = self.app.workspace, self.app.kernel_manager
        lives = kernel_id in manager and await manager.get_kernel(kernel_id).is_alive()
        self.finish({"lives": lives, "under_way": under_way(workspace), "results": digest(str(written(workspace)))})


class Brand(Plain):
    @allow_unauthenticated
    def get(self) -> None:
        self.set_header("Content-Type", "text/css; charset=utf-8")
        try:
            grades = list(Base(self.app.workspace).params.score.grades)
        except QuiebraError:  # no run yet: no grade is shown
            grades = []
        self.finish(brand_css(grades))


class Kept(tornado.web.StaticFileHandler):
    """A library's file, which changes with the installation only."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", KEEP)
        self.set_header("X-Content-Type-Options", "nosniff")


class Extension(FileFindHandler):
    """A file of JupyterLab's widgets, as `Kept`."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", KEEP)
        self.set_header("X-Content-Type-Options", "nosniff")


class DashboardPage(TornadoVoilaHandler):
    @tornado.web.authenticated
    async def get(self, name: str) -> None:  # type: ignore[override]
        app: Dashboards = self.settings["quiebra"]
        if self.get_argument("token", None):
            self.redirect(without_token(self.request.uri or name))
            return
        await app.renew()
        await app.make_room()
        if app.open_now() >= app.open_pages:
            self.set_status(503)
            Plain.plain(
                self, lambda _: {"title": _("Too many pages are open"), "note": _("Close one, or come back in a few minutes.")}
            )
            return
        async for part in self.get_generator(path=f"{name}.ipynb"):
            self.write(part)
            self.flush()

    app = Plain.app
    write_error = Plain.write_error
    plain = Plain.plain


class Leave(JupyterHandler):
    """Lets a kernel go when its page is closed. Its parting message can carry no token: its origin is looked at."""

    def check_xsrf_cookie(self) -> None:
        if not self.check_origin():
            raise tornado.web.HTTPError(403)

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        manager = self.settings["quiebra"].kernel_manager
        if kernel_id in manager:
            await manager.shutdown_kernel(kernel_id, now=True)
        self.set_status(204)


class Channels(VoilaKernelWebsocketHandler):
    """The wire between a page and its kernel; the kernel learns who is at the other end."""

    async def get(self, kernel_id: str) -> None:
        app: Dashboards = self.settings["quiebra"]
        person = getattr(self.current_user, "username", READER)
        remember(app.visitors, kernel_id, person if person in app.identity_provider.tokens else READER)
        await super().get(kernel_id=kernel_id)


def shell(workspace: Workspace, base_url: str) -> dict[str, Any]:
    """Return what the templates need: navigation, languages, the first language, the assets' address."""
    pages = {name: {code: Words(code)(title) for code in LANGUAGES} for name, title in PAGES.items()}
    both = {name: {code: Words(code)(text) for code in LANGUAGES} for name, text in {**NEWS, **SAYS}.items()}
    return {
        "pages": pages, "languages": LANGUAGES, "language": first_language(workspace), "assets": f"{base_url}assets/",
        "news": {name: both[name] for name in NEWS}, "says": {name: both[name] for name in SAYS},
    }  # fmt: skip


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tokens_for(host: str, editors: list[str], authenticated: bool) -> dict[str, str]:
    """Return person → token. WorkspaceError for an address that others reach, or an editor, without authentication."""
    if not authenticated and not is_loopback(host):
        raise WorkspaceError(f"{host} can be reached by others: leave --no-token away, or bind to 127.0.0.1")
    if not authenticated and editors:
        raise WorkspaceError("editors are known by their tokens: leave --no-token away")
    given = os.environ.get("QUIEBRA_DASHBOARD_TOKEN", "").strip()
    if given and len(given) < 16:
        raise WorkspaceError("QUIEBRA_DASHBOARD_TOKEN must have 16 signs or more; without it there is a new one at each start")
    if not authenticated:
        return {}
    return {READER: given or secrets.token_urlsafe(24), **{editor: secrets.token_urlsafe(24) for editor in editors}}


def _refuse_taken(host: str, port: int) -> None:
    """Raise WorkspaceError where the address cannot be listened on."""
    try:
        for family, kind, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise WorkspaceError(f"cannot listen on {host}:{port} ({error.strerror or error}): give another with --port") from None


def configuration(workspace: Workspace, tokens: dict[str, str], pool: int) -> Config:
    """Return Voila's configuration; params decide how long an abandoned page keeps its kernel."""
    options = load(workspace).dashboards
    config = Config()
    config.VoilaConfiguration.update({
        "preheat_kernel": pool > 0, "default_pool_size": pool, "template": "base", "allow_template_override": "NO",
        "allow_theme_override": "NO", "show_tracebacks": False, "file_allowlist": [], "http_keep_alive_timeout": 60,
        "extension_allowlist": ["@jupyter-widgets/jupyterlab-manager", "anywidget", "@voila-dashboards/widgets-manager8"],
        "resources": {"quiebra": shell(workspace, "/")},
    })  # fmt: skip
    config.VoilaExecutor.update({"timeout": 120, "iopub_timeout": 120})  # after less, a busy machine's page loses its widgets
    config.MappingKernelManager.update(
        {"cull_idle_timeout": options.idle_minutes * 60, "cull_interval": 30, "cull_connected": False}
    )
    # a kernel that died has lost its page's state: its reader is told, see `State`
    config.KernelManager.update({"transport": "ipc", "shutdown_wait_time": 0.2, "autorestart": False})
    config.VoilaKernelManager.fill_delay = 0.0  # the next visitor may be waiting for the kernel that replaces this one
    config.Visitors.tokens = tokens
    return config


def serve(
    workspace: Workspace, *, host: str = "127.0.0.1", port: int = 8866, editors: list[str] | None = None,
    authenticated: bool = True,
    pool: int = 1, announce: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve the dashboards until interrupted. ``announce`` is given each person's address. WorkspaceError: see `tokens_for`."""
    tokens = tokens_for(host, checked_names(editors or []), authenticated)
    _refuse_taken(host, port)
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
