"""What answers each address: the six pages, the plain pages around them, their files, and the wire between page and kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from quiebra.dashboards.access import READER
from quiebra.dashboards.base import Base, written
from quiebra.dashboards.limits import TooManyGuesses
from quiebra.dashboards.look import brand_css
from quiebra.dashboards.page import PAGES, first_language
from quiebra.dashboards.visitors import browser_of, name_browser, remember
from quiebra.errors import QuiebraError
from quiebra.provenance import digest
from quiebra.stages import under_way
from quiebra.words import LANGUAGES, Words, mark
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from quiebra.dashboards.server import Dashboards

KERNEL = re.compile(r'"kernelId":\s*"([\w-]+)"')
"""Where a page says which kernel is its own."""
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

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say that it went wrong, in words; the log has the rest."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, TooManyGuesses):
            self.set_header("Retry-After", str(error.wait))
            note = mark("Too many wrong tokens came from there: try again in {seconds} seconds.")
            Plain.plain(self, lambda _: {"title": _("Who is there?"), "note": _(note, seconds=error.wait)})
            return
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
        """Answer 200 from when every page has been warm, 503 before."""
        warm = self.app.ready()
        self.set_status(200 if warm else 503)
        self.finish({"status": "ready" if warm else "warming"})


class State(Plain):
    """What an open page asks now and then: does its kernel live, is a run under way, which results are the newest."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        workspace, manager = self.app.workspace, self.app.kernel_manager
        lives = owns(self, kernel_id) and await manager.get_kernel(kernel_id).is_alive()
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


class Asset(tornado.web.StaticFileHandler):
    """A file of ours: the browser asks each time whether it is still the same, or a new page would meet an old script."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")
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
        await app.renew(f"{name}.ipynb")
        if app.full():
            await app.make_room()
        if app.full():
            self.set_status(503)
            Plain.plain(
                self, lambda _: {"title": _("Too many pages are open"), "note": _("Close one, or come back in a few minutes.")}
            )
            return
        parts = self.get_generator(path=f"{name}.ipynb")
        browser = name_browser(self)
        app.arriving += 1
        try:
            self.show(await anext(parts, ""), browser)  # from here on the page's kernel is known
        finally:
            app.arriving -= 1
        async for part in parts:
            self.show(part, browser)

    def show(self, part: str, browser: str) -> None:
        """Send a part of the page; before the browser learns its kernel, that belongs to this browser."""
        if found := KERNEL.search(part):
            self.app.give(found[1], browser)
        self.write(part)
        self.flush()

    app = Plain.app
    write_error = Plain.write_error
    plain = Plain.plain


def owns(handler: JupyterHandler, kernel_id: str) -> bool:
    """Return whether a kernel runs whose page was given to the browser that asks."""
    app: Dashboards = handler.settings["quiebra"]
    browser = browser_of(handler)
    return kernel_id in app.kernel_manager and browser is not None and app.owners.get(kernel_id) == browser


def must_own(handler: JupyterHandler, kernel_id: str) -> None:
    """Raise HTTPError(404) where a kernel is another's, warm or gone: who asks learns not which."""
    if not owns(handler, kernel_id):
        raise tornado.web.HTTPError(404)


class Kernel(KernelHandler):
    """A page's kernel: its state, and letting it go."""

    @tornado.web.authenticated
    async def get(self, kernel_id: str) -> None:
        must_own(self, kernel_id)
        await super().get(kernel_id)

    @tornado.web.authenticated
    async def delete(self, kernel_id: str) -> None:
        must_own(self, kernel_id)
        await super().delete(kernel_id)


class Leave(JupyterHandler):
    """Lets a kernel go when its page is closed. Its parting message can carry no token: its origin is looked at."""

    def check_xsrf_cookie(self) -> None:
        if not self.check_origin():
            raise tornado.web.HTTPError(403)

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        if owns(self, kernel_id):
            await self.settings["quiebra"].kernel_manager.shutdown_kernel(kernel_id, now=True)
        self.set_status(204)


class Channels(VoilaKernelWebsocketHandler):
    """The wire between a page and its kernel; the kernel learns who is at the other end."""

    async def get(self, kernel_id: str) -> None:
        app: Dashboards = self.settings["quiebra"]
        must_own(self, kernel_id)
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
