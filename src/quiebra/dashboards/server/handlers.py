"""Request handlers: the six pages, plain pages without a kernel, static files, and a page's connection to its kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from quiebra.dashboards.pages.base import PAGE_TITLES, first_language
from quiebra.dashboards.pages.visitor import READER
from quiebra.dashboards.server.limits import TooManyWrongTokens
from quiebra.dashboards.server.pool import KernelPool
from quiebra.dashboards.server.visitors import current_browser, name_browser, record_visitor
from quiebra.dashboards.widgets.theme import brand_css
from quiebra.errors import QuiebraError
from quiebra.pipeline.stages import is_running
from quiebra.provenance import json_sha256
from quiebra.services.finished_run import FinishedRunView, stage_times
from quiebra.text.words import LANGUAGES, Words, translatable
from quiebra.workspace import Workspace

KERNEL_ID_PATTERN = re.compile(r'"kernelId":\s*"([\w-]+)"')
"""Finds the kernel's id in a page's HTML."""
CACHE_HEADER = "public, max-age=86400"
PAGE_NOTICES = {
    "under_way": translatable("A run is under way: these are the results before it."),
    "newer": translatable("Newer results are there."),
    "lost": translatable("This page has lost its connection; what you change is not answered any more."),
}
"""Notices that an open page may show its reader; see `StateHandler`."""
TEMPLATE_TEXTS = {
    "reload": translatable("Reload the page"),
    "skip": translatable("Skip to the content"),
    "broken": translatable("This page could not be made"),
    "why": translatable("The server's log has the reason."),
    "theme": translatable("Light or dark"),
    "close": translatable("Close"),
}
"""Texts of the templates."""


def strip_token(address: str) -> str:
    """Return an address of this server without the token, as the cookie identifies the visitor from now on."""
    parts = urlsplit(address)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "token"])
    return urlunsplit(("", "", parts.path, query, ""))


@dataclass(frozen=True)
class ServerContext:
    """Data that handlers share. visitors: folder that records who opened which page; tokens: person → token."""

    workspace: Workspace
    pool: KernelPool
    visitors: Path
    port: int
    tokens: dict[str, str]


class PlainHandler(JupyterHandler):
    """Base class of pages without a kernel."""

    @property
    def context(self) -> ServerContext:
        context: ServerContext = self.settings["quiebra"]
        return context

    def plain(self: JupyterHandler, texts: Callable[[Words], dict[str, Any]]) -> None:
        template = self.settings["voila_jinja2_env"].get_template("plain.html.j2")
        resources = {"base_url": self.base_url, "metadata": {"name": ""}}
        said = {language: texts(Words(language)) for language in LANGUAGES}
        q = template_values(self.settings["quiebra"].workspace, self.base_url)
        self.finish(template.render(q=q, resources=resources, texts=said, form=self.xsrf_form_html))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show an error page; details are in the log."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, TooManyWrongTokens):
            self.set_header("Retry-After", str(error.wait))
            note = translatable("Too many wrong tokens came from there: try again in {seconds} seconds.")
            PlainHandler.plain(self, lambda _: {"title": _("Who is there?"), "note": _(note, seconds=error.wait)})
            return
        self.plain(
            lambda _: {
                "title": _("This page cannot be shown ({code})", code=status_code),
                "note": _("Go back, or start again from the list."),
            }
        )


class NotFoundHandler(PlainHandler):
    def prepare(self) -> None:  # type: ignore[override]  # synchronous: it awaits nothing
        self.set_status(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.plain(lambda _: {"title": _("There is no such page"), "note": _("Choose one of those above.")})


class HomeHandler(PlainHandler):
    @tornado.web.authenticated
    def get(self) -> None:
        if self.get_argument("token", None):
            self.redirect(strip_token(self.request.uri or "/"))
            return
        self.plain(home_page)


def home_page(_: Words) -> dict[str, Any]:
    """Return the texts of the home page in one language."""
    notes = {
        "executive": _("The portfolio at a glance: how risky it is, what changed, who moved."),
        "company": _("One company: its PD over five years, why, and what would change it."),
        "portfolio": _("Your own file, or a saved portfolio: losses, concentration, watch list."),
        "stress": _("What a recession or a shock would do, to all and to one."),
        "model": _("Whether the model can be trusted: ranking, calibration, drift."),
        "settings": _("Thresholds, grades and language, with every change on record."),
    }
    pages = {name: {"title": _(title), "note": notes[name]} for name, title in PAGE_TITLES.items()}
    return {"title": _("Bankruptcy risk"), "note": _("Six pages, from the last finished run."), "pages": pages}


class LoginHandler(LoginFormHandler):
    """Login form for visitors without a token in the address."""

    context = PlainHandler.context
    plain = PlainHandler.plain
    write_error = PlainHandler.write_error

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


class HealthHandler(PlainHandler):
    @allow_unauthenticated
    def get(self) -> None:
        """Answer 200 once every page has had a warm kernel, 503 before."""
        warm = self.context.pool.ready()
        self.set_status(200 if warm else 503)
        self.finish({"status": "ready" if warm else "warming"})


class StateHandler(PlainHandler):
    """State that an open page polls: whether its kernel is alive, whether a run is under way, and a hash of the newest
    results."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        workspace, manager = self.context.workspace, self.context.pool.manager
        lives = owns_kernel(self, kernel_id) and await manager.get_kernel(kernel_id).is_alive()
        self.finish({"lives": lives, "under_way": is_running(workspace), "results": json_sha256(str(stage_times(workspace)))})


class BrandHandler(PlainHandler):
    @allow_unauthenticated
    def get(self) -> None:
        self.set_header("Content-Type", "text/css; charset=utf-8")
        try:
            grades = list(FinishedRunView(self.context.workspace).params.score.grades)
        except QuiebraError:  # no run yet: no grades are shown
            grades = []
        self.finish(brand_css(grades))


class LibraryFileHandler(tornado.web.StaticFileHandler):
    """A library's file, which changes only with the installation; browsers may cache it."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", CACHE_HEADER)
        self.set_header("X-Content-Type-Options", "nosniff")


class AssetHandler(tornado.web.StaticFileHandler):
    """A file of ours, which browsers revalidate on each use: a new page must not get an old script."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


class ExtensionHandler(FileFindHandler):
    """A file of JupyterLab's widgets, cached like `LibraryFileHandler`'s."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", CACHE_HEADER)
        self.set_header("X-Content-Type-Options", "nosniff")


class PageHandler(TornadoVoilaHandler):
    @tornado.web.authenticated
    async def get(self, name: str) -> None:
        pool = self.context.pool
        if self.get_argument("token", None):
            self.redirect(strip_token(self.request.uri or name))
            return
        await pool.renew(f"{name}.ipynb")
        if pool.full():
            await pool.make_room()
        if pool.full():
            self.set_status(503)
            PlainHandler.plain(
                self, lambda _: {"title": _("Too many pages are open"), "note": _("Close one, or come back in a few minutes.")}
            )
            return
        parts = self.get_generator(path=f"{name}.ipynb")
        browser = name_browser(self)
        pool.arriving += 1
        try:
            self.show(await anext(parts, ""), browser)  # after the first part the page's kernel is known
        finally:
            pool.arriving -= 1
        async for part in parts:
            self.show(part, browser)

    def show(self, part: str, browser: str) -> None:
        """Send a part of the page, after assigning its kernel to this browser, before the browser learns the kernel's id."""
        if found := KERNEL_ID_PATTERN.search(part):
            self.context.pool.give(found[1], browser)
        self.write(part)
        self.flush()

    context = PlainHandler.context
    write_error = PlainHandler.write_error
    plain = PlainHandler.plain


def owns_kernel(handler: JupyterHandler, kernel_id: str) -> bool:
    """Return whether a kernel is running and its page was assigned to the requesting browser."""
    pool = handler.settings["quiebra"].pool
    browser = current_browser(handler)
    return kernel_id in pool.manager and browser is not None and pool.owners.get(kernel_id) == browser


def require_own_kernel(handler: JupyterHandler, kernel_id: str) -> None:
    """Raise HTTPError(404) if a kernel belongs to another browser, is warm or has ended, without revealing which."""
    if not owns_kernel(handler, kernel_id):
        raise tornado.web.HTTPError(404)


class PageKernelHandler(KernelHandler):
    """A page's kernel: its state, and shutting it down."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        require_own_kernel(self, kernel_id)
        if (answered := super().get(kernel_id)) is not None:
            await answered

    @tornado.web.authenticated
    async def delete(self, kernel_id: str) -> None:
        require_own_kernel(self, kernel_id)
        if (ended := super().delete(kernel_id)) is not None:
            await ended


class CloseHandler(JupyterHandler):
    """Shuts down a kernel when its page is closed. The browser's closing message cannot carry an XSRF token, so its origin is
    checked."""

    def check_xsrf_cookie(self) -> None:
        if not self.check_origin():
            raise tornado.web.HTTPError(403)

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        if owns_kernel(self, kernel_id):
            await self.settings["quiebra"].pool.manager.shutdown_kernel(kernel_id, now=True)
        self.set_status(204)


class KernelChannelsHandler(VoilaKernelWebsocketHandler):
    """WebSocket between a page and its kernel; the visitor is recorded for the kernel."""

    async def get(self, kernel_id: str) -> None:
        context: ServerContext = self.settings["quiebra"]
        require_own_kernel(self, kernel_id)
        person = getattr(self.current_user, "username", READER)
        record_visitor(context.visitors, kernel_id, person if person in context.tokens else READER)
        await super().get(kernel_id=kernel_id)


def template_values(workspace: Workspace, base_url: str) -> dict[str, Any]:
    """Return the values of the templates: navigation, languages, first language, assets' address and texts."""
    pages = {name: {code: Words(code)(title) for code in LANGUAGES} for name, title in PAGE_TITLES.items()}
    both = {name: {code: Words(code)(text) for code in LANGUAGES} for name, text in {**PAGE_NOTICES, **TEMPLATE_TEXTS}.items()}
    return {
        "pages": pages,
        "languages": LANGUAGES,
        "language": first_language(workspace),
        "assets": f"{base_url}assets/",
        "news": {name: both[name] for name in PAGE_NOTICES},
        "says": {name: both[name] for name in TEMPLATE_TEXTS},
    }
