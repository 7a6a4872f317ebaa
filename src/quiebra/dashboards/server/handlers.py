"""Request handlers: the pages, plain pages without a kernel, static files, and a page's connection to its kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from markupsafe import Markup
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from quiebra.dashboards.pages.base import PAGE_TITLES, first_language
from quiebra.dashboards.pages.visitor import READER
from quiebra.dashboards.server.accounts import Accounts, Busy
from quiebra.dashboards.server.limits import TooManyWrongTries
from quiebra.dashboards.server.pool import KernelPool
from quiebra.dashboards.server.visitors import name_owner, page_owner, record_visitor, session_cookie, session_of_owner, signed_in
from quiebra.dashboards.widgets.theme import brand_css
from quiebra.errors import QuiebraError
from quiebra.identity import Permission
from quiebra.logs import current_correlation_id
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
    "sign_out": translatable("Sign out"),
}
"""Texts of the templates."""
ROLE_LABELS = {
    "reader": translatable("Reader"),
    "analyst": translatable("Analyst"),
    "approver": translatable("Approver"),
    "model_owner": translatable("Model owner"),
    "admin": translatable("Administrator"),
}
PAGE_PERMISSIONS = {"portfolio": Permission.PREDICT, "stress": Permission.PREDICT}
"""Page → what a user must be allowed to open it; others are for all."""
VISITOR_PLACE = "<!--visitor-->"
"""Place in a page's head for who is signed in: the page itself was drawn before anybody asked for it."""


def strip_token(address: str) -> str:
    """Return an address of this server without the token, as the cookie identifies the visitor from now on."""
    parts = urlsplit(address)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "token"])
    return urlunsplit(("", "", parts.path, query, ""))


@dataclass(frozen=True)
class ServerContext:
    """Data that handlers share. visitors: folder that records who opened which page; tokens: person → token; accounts: the users;
    wires: kernel → WebSockets to it; active: session → token, of those whose pages sent something since they were last looked at.
    """

    workspace: Workspace
    pool: KernelPool
    visitors: Path
    port: int
    tokens: dict[str, str]
    accounts: Accounts
    wires: dict[str, set[KernelChannelsHandler]] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)

    async def close_pages(self, of: Callable[[str], bool]) -> None:
        """End the kernels of open pages whose owner ``of`` chooses, and their WebSockets."""
        for kernel_id in [kernel for kernel, owner in self.pool.owners.items() if of(owner)]:
            for wire in list(self.wires.get(kernel_id, ())):
                wire.close()
            if kernel_id in self.pool.manager:
                await self.pool.manager.shutdown_kernel(kernel_id, now=True)


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
        self.set_header("Cache-Control", "no-store")
        visitor = visitor_html(self)
        self.finish(template.render(q=q, resources=resources, texts=said, form=self.xsrf_form_html, visitor=visitor))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show an error page; details are in the log."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, TooManyWrongTries | Busy):
            wrong = isinstance(error, TooManyWrongTries)
            note = translatable("Too many wrong tokens or passwords came from there: try again in {seconds} seconds.")
            busy = translatable("Too much is asked at once, or the database does not answer: try again in {seconds} seconds.")
            self.set_header("Retry-After", str(error.wait))
            PlainHandler.plain(
                self, lambda _: {"title": _("Who is there?"), "note": _(note if wrong else busy, seconds=error.wait)}
            )
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
        "work": _("What waits for you: alerts, grades and models to decide on, with what was decided."),
        "company": _("One company: its PD over five years, why, and what would change it."),
        "portfolio": _("Your own file, or a saved portfolio: losses, concentration, watch list."),
        "stress": _("What a recession or a shock would do, to all and to one."),
        "model": _("Whether the model can be trusted: ranking, calibration, drift."),
        "settings": _("Thresholds, grades and language, with every change on record."),
    }
    pages = {name: {"title": _(title), "note": notes[name]} for name, title in PAGE_TITLES.items()}
    return {"title": _("Bankruptcy risk"), "note": _("From the last finished run."), "pages": pages}


class HealthHandler(PlainHandler):
    @allow_unauthenticated
    def get(self) -> None:
        """Answer 200 once every page has had a warm kernel, 503 before."""
        warm = self.context.pool.ready()
        self.set_status(200 if warm else 503)
        self.finish({"status": "ready" if warm else "warming"})


class StateHandler(PlainHandler):
    """State that an open page polls: whether its kernel is alive, whether a run is under way, and a hash of the newest
    results; or that its visitor has to sign in."""

    notes_use = False

    @allow_unauthenticated
    async def get(self, kernel_id: str) -> None:
        workspace, manager = self.context.workspace, self.context.pool.manager
        if self.current_user is None:
            self.set_status(403)
            self.finish({"sign_in": True})
            return
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
        session = signed_in(self)
        if session is not None and PAGE_PERMISSIONS.get(name, Permission.READ) not in session.user.permissions:
            self.set_status(403)
            PlainHandler.plain(
                self,
                lambda _: {
                    "title": _("This page is not for your role"),
                    "note": _("An administrator can give you another one."),
                },
            )
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
        owner = name_owner(self)
        pool.arriving += 1
        try:
            self.show(await anext(parts, ""), owner)  # after the first part the page's kernel is known
        finally:
            pool.arriving -= 1
        async for part in parts:
            self.show(part, owner)

    def show(self, part: str, owner: str) -> None:
        """Send a part of the page, after its kernel was given to this visitor, before the browser learns the kernel's id."""
        if found := KERNEL_ID_PATTERN.search(part):
            self.context.pool.give(found[1], owner)
            record_visitor(self.context.visitors, found[1], self.visitor_record())
        self.write(part.replace(VISITOR_PLACE, visitor_html(self)))
        self.flush()

    def visitor_record(self) -> dict[str, str]:
        """Return what the page's kernel is told of its visitor: the session, or the person of a token; and what its log says."""
        id_ = {"correlation_id": current_correlation_id()}
        session = signed_in(self)
        if session is not None:
            return {"session": session.session_id, "user": session.user.name, **id_}
        person = getattr(self.current_user, "username", READER)
        return {"person": person if person in self.context.tokens else READER, **id_}

    context = PlainHandler.context
    write_error = PlainHandler.write_error
    plain = PlainHandler.plain


def owns_kernel(handler: JupyterHandler, kernel_id: str) -> bool:
    """Return whether a kernel is running and its page belongs to the requesting session or browser."""
    pool = handler.settings["quiebra"].pool
    owner = page_owner(handler)
    return kernel_id in pool.manager and owner is not None and pool.owners.get(kernel_id) == owner


def require_own_kernel(handler: JupyterHandler, kernel_id: str) -> None:
    """Raise HTTPError(404) if a kernel belongs to another visitor, is warm or has ended, without revealing which."""
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
    """WebSocket between a page and its kernel. It is closed when the visitor's session ends."""

    async def get(self, kernel_id: str) -> None:
        require_own_kernel(self, kernel_id)
        await super().get(kernel_id=kernel_id)

    async def open(self, kernel_id: str) -> None:
        self.settings["quiebra"].wires.setdefault(kernel_id, set()).add(self)
        await super().open(kernel_id)

    def on_message(self, message: str | bytes) -> None:
        if (session := signed_in(self)) is not None:
            context: ServerContext = self.settings["quiebra"]
            context.active[session.session_id] = self.get_cookie(session_cookie(self)) or ""
        super().on_message(message)

    def on_close(self) -> None:
        self.settings["quiebra"].wires.get(self.kernel_id, set()).discard(self)
        super().on_close()


async def close_ended_pages(context: ServerContext) -> None:
    """Close the pages of sessions that have ended, and once there are users those opened without a session; note which sessions
    were used by what their pages sent. While the database does not answer, pages stay for a while."""
    accounts = context.accounts
    if not await accounts.exist():
        return
    active = dict(context.active)
    context.active.clear()
    ended = set()
    for owner in set(context.pool.owners.values()):
        session_id = session_of_owner(owner)
        try:
            if session_id in active:
                held = await accounts.session(active[session_id], note_use=True) is not None
            else:
                held = session_id is not None and await accounts.holds(session_id)
        except Busy:
            held = False
        if not held:
            ended.add(owner)
    if ended:
        await context.close_pages(lambda owner: owner in ended)


def visitor_html(handler: JupyterHandler) -> Markup:
    """Return who is signed in, with the role and a button that signs out; for an editor the name. Empty for a reader."""
    session = signed_in(handler)
    if session is None:
        visitor = getattr(handler, "_jupyter_current_user", None)  # unset where the visitor could not be looked up
        person = getattr(visitor, "username", READER)
        known = person in handler.settings["quiebra"].tokens and person != READER
        return Markup('<div class="q-visitor"><b>{}</b></div>').format(person) if known else Markup("")
    user = session.user
    role, leave = (
        Markup("").join(Markup('<span lang="{}">{}</span>').format(code, Words(code)(text)) for code in LANGUAGES)
        for text in (ROLE_LABELS[user.role], TEMPLATE_TEXTS["sign_out"])
    )
    lacks = " ".join(sorted(set(Permission) - user.permissions))
    form = Markup('<form method="post" action="{}logout">{}<button type="submit">{}</button></form>').format(
        handler.base_url,
        Markup(handler.xsrf_form_html()),  # noqa: S704  made by tornado
        leave,
    )
    return Markup('<div class="q-visitor" data-lacks="{}"><span><b>{}</b> {}</span>{}</div>').format(lacks, user.name, role, form)


def template_values(workspace: Workspace, base_url: str) -> dict[str, Any]:
    """Return the values of the templates: navigation, languages, first language, assets' address and texts."""
    pages = {name: {code: Words(code)(title) for code in LANGUAGES} for name, title in PAGE_TITLES.items()}
    needs = {name: str(permission) for name, permission in PAGE_PERMISSIONS.items()}
    both = {name: {code: Words(code)(text) for code in LANGUAGES} for name, text in {**PAGE_NOTICES, **TEMPLATE_TEXTS}.items()}
    return {
        "pages": pages,
        "needs": needs,
        "languages": LANGUAGES,
        "language": first_language(workspace),
        "assets": f"{base_url}assets/",
        "news": {name: both[name] for name in PAGE_NOTICES},
        "says": {name: both[name] for name in TEMPLATE_TEXTS},
    }
