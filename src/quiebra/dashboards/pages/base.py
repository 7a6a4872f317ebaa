"""Base of the pages: frame, language and error handling. Pages inherit from `Page`; a notebook calls ``show()``."""

from __future__ import annotations

import asyncio
import functools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import anywidget
import traitlets
from IPython import get_ipython
from IPython.display import HTML, display
from ipywidgets import Box, VBox, Widget
from sqlalchemy import Engine

from quiebra.banners import run_banners
from quiebra.dashboards.pages.visitor import (
    VISITOR_FOLDER,
    Visitor,
    current_visitor,
    deciding_person,
    page_database,
    visitor_log_fields,
)
from quiebra.dashboards.widgets.controls import ASSETS, Table, html
from quiebra.dashboards.widgets.markup import Markup, escape
from quiebra.errors import QuiebraError
from quiebra.identity import Permission
from quiebra.logs import file_logger
from quiebra.params import load_params
from quiebra.pipeline.stages import is_running
from quiebra.services.finished_run import NEWER_RUN_NOTE, FinishedRunView
from quiebra.text.words import LANGUAGES, Words, render_in_all_languages, translatable
from quiebra.workspace import Workspace

PAGE_TITLES = {
    "executive": translatable("Executive"),
    "work": translatable("Decisions"),
    "company": translatable("Company"),
    "portfolio": translatable("Portfolio"),
    "stress": translatable("Stress"),
    "model": translatable("Model"),
    "settings": translatable("Settings"),
}
"""Page → its title, in the order of the navigation."""
Result = TypeVar("Result")


class Frame(anywidget.AnyWidget):
    """State shared by a page's browser and kernel: language, address, the address whose query was applied, what is shown, and
    messages to the reader."""

    _esm = ASSETS / "frame.js"
    language = traitlets.Unicode("en").tag(sync=True)
    address = traitlets.Unicode("").tag(sync=True)
    applied = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.Unicode("").tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)

    def say(self, text: str, kind: str = "warning") -> None:
        """Show a message over the page; kind: ``ok``, ``warning`` or ``error``."""
        self.send({"text": text, "kind": kind})


class Page:
    """Base class of the pages. Subclasses define ``name``, ``opening_html`` (the first figures) and ``compose`` (the
    widgets)."""

    name = ""
    needs_run = True

    def __init__(self) -> None:
        self.view = FinishedRunView()
        self.frame = Frame(language=first_language(self.view.workspace))
        self.body = VBox()
        self.body.add_class("q-body")
        self.words = Words(self.frame.language)
        self.ready = False
        self._waiting: asyncio.TimerHandle | None = None

    def opening_html(self, words: Words) -> str:
        """Return the HTML shown until the widgets are ready."""
        raise NotImplementedError

    def compose(self) -> list[Widget]:
        """Return the page's widgets, in the page's language."""
        raise NotImplementedError

    def draw_costly_parts(self) -> None:
        """Show the parts that depend on the visitor or are costly, once a visitor opens the page; a warm kernel has drawn the
        rest before."""

    def show_permitted_parts(self, visitor: Visitor) -> None:
        """Show the controls that the visitor's role allows, and hide the others; after each drawing, and once a visitor opens the
        page."""

    def refresh_decisions(self) -> None:
        """Show what people have decided anew, after a decision on this page."""

    def decide(self, permission: Permission, action: str, act: Callable[[Engine, str], object], said: str) -> bool:
        """Have ``act`` decide something in the name of the visitor, if the role allows it now; return whether it was done.

        act: receives the database and the visitor's name. action: what it is, for the audit table, where it is refused. said:
        shown once it is done. Errors become messages over the page.
        """

        def run() -> bool:
            engine = page_database(self.view.workspace)
            act(engine, deciding_person(engine, permission, action))
            self.view.forget_decisions()
            self.refresh_decisions()
            self.frame.say(said, "ok")
            return True

        return bool(self.guarded(run)())

    def apply_query(self, query: dict[str, str]) -> None:
        """Apply the address's query, such as ``?company=C_1``."""

    def show(self) -> None:
        """Display the page: first the HTML that needs no widgets, then the widgets."""
        display(HTML(render_in_all_languages(lambda words: frame_html(self, words))))
        self.frame.observe(lambda _change: self.redraw(), "language")
        self.frame.observe(lambda change: self._apply_address(change["new"]), "address")
        self.frame.observe(lambda _change: self.welcome(), "opened")
        self.redraw()
        if (
            shell := get_ipython()
        ) is not None and VISITOR_FOLDER in os.environ:  # served: readers would not see printed tracebacks
            shell.showtraceback = lambda *_args, **_kwargs: self.fail()
        root = VBox([self.body, self.frame])
        root.add_class("q-live")
        display(root)

    def _apply_address(self, address: str) -> None:
        self.guarded(self.apply_query)(_query(address))
        self.frame.applied = address  # until then the browser hides what the page was drawn with before anybody asked for it

    def redraw(self) -> None:
        """Build the page's widgets again, in the frame's language."""
        self.words = Words(self.frame.language if self.frame.language in LANGUAGES else "en")
        before, drawn = self.body.children, self.draw()
        for old, new in zip(_tables(before), _tables(drawn), strict=False):
            if [c["key"] for c in old.columns] == [c["key"] for c in new.columns]:
                new.query = old.query  # keeps the reader's sorting and filter
        self.body.children = drawn
        self.frame.shown = f"{self.words.language} {uuid.uuid4().hex[:6]}"
        if self.frame.opened:
            self.welcome()
        elif self.ready:
            self.guarded(self.show_permitted_parts)(current_visitor(self.view.workspace))
        for widget in before:
            _close(widget)

    def welcome(self) -> None:
        """Show what depends on who has opened the page, and what is costly."""
        if self.ready:
            self.guarded(self.show_permitted_parts)(current_visitor(self.view.workspace))
            self.guarded(self.draw_costly_parts)()

    def draw(self) -> list[Widget]:
        """Return the widgets, or a card with the error and the command that fixes it."""
        self.ready = False
        try:
            if self.needs_run:
                self.view.check()
            made = self.compose()
            self.ready = True
            return made
        except QuiebraError as error:
            return [html(not_ready_card(self.view.workspace, error, self.words))]
        except Exception:  # any other error is logged, and the reader gets its log id
            return [html(failure_card(log_failure(self.view.workspace, self.name), self.words))]

    def guarded(self, action: Callable[..., Result]) -> Callable[..., Result | None]:
        """Return ``action`` wrapped so that its errors become messages over the page."""

        @functools.wraps(action)
        def run(*args: Any, **kwargs: Any) -> Result | None:
            try:
                return action(*args, **kwargs)
            except QuiebraError as error:
                self.frame.say(self.words.say(error.said))
            except Exception:  # as in Page.draw
                self.fail()
            return None

        return run

    def debounce(self, action: Callable[[], object], seconds: float = 0.35) -> None:
        """Run a costly action once the reader has paused; a pending earlier one is dropped."""
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            self._waiting = asyncio.get_running_loop().call_later(seconds, self.guarded(action))
        except RuntimeError:  # no event loop outside a kernel: runs at once
            self.guarded(action)()

    def fail(self) -> None:
        """Log the current exception, and show its log id to the reader."""
        self.frame.say(failure_card(log_failure(self.view.workspace, self.name), self.words), "error")


def _tables(widgets: Iterable[Widget]) -> Iterator[Table]:
    """Yield all tables among widgets and their children, in the order of the page."""
    for widget in widgets:
        if isinstance(widget, Table):
            yield widget
        yield from _tables(getattr(widget, "children", ()))


def replace_children(box: Box, children: Sequence[Widget]) -> None:
    """Show other widgets in a box, and close those that it showed before."""
    before, box.children = box.children, tuple(children)
    for widget in before:
        _close(widget)


def _close(widget: Widget) -> None:
    """Close a widget and all its parts, in the kernel and in the browser."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, Widget):
            _close(part)
    widget.close()


def _query(address: str) -> dict[str, str]:
    return dict(parse_qsl(address.lstrip("?")))


def first_language(workspace: Workspace) -> str:
    """Return the language that pages start with; English if params.yaml cannot be read."""
    try:
        return load_params(workspace).dashboards.language
    except QuiebraError:
        return "en"


def frame_html(page: Page, words: Words) -> str:
    """Return the banners, first figures and footer of a page in one language, or a card with the error."""
    view = page.view
    try:
        try:
            view.check()
        except QuiebraError:
            if page.needs_run:
                raise
            return f"<div class='q-first'>{page.opening_html(words)}</div>"
        banner = page_banners(view, words)
        first = page.opening_html(words)
        foot = page_footer(view, words)
    except QuiebraError as error:
        return f"<div class='q-first'>{not_ready_card(view.workspace, error, words)}</div>"
    except Exception:  # as in Page.draw
        return f"<div class='q-first'>{failure_card(log_failure(view.workspace, page.name), words)}</div>"
    return f"{banner}<div class='q-first'>{first}</div><footer class='q-foot'>{foot}</footer>"


def page_banners(view: FinishedRunView, words: Words) -> str:
    """Return the banners of every page: the model is not the champion or failed a gate, companies are simulated."""
    said = [f"{words(heading)}: {words.say(text)}" for heading, text in run_banners(view.run)]
    return "".join(f"<p class='q-simulated'>{escape(text)}</p>" for text in said)


def page_footer(view: FinishedRunView, words: Words) -> Markup:
    """Return source, as-of date and run id."""
    parts = (words(view.source["title"]), words.date(view.run["as_of"]), view.run["run_id"])
    return escape(words("{title} · as of {date} · run {run}", title=parts[0], date=parts[1], run=parts[2]))


def not_ready_card(workspace: Workspace, error: QuiebraError, words: Words) -> str:
    """Return a card for missing results: a run is under way, newer results exist, or the command to run with the error's
    message."""
    title = text = ""
    if is_running(workspace):
        title = words("A run is under way")
        text = words("Its results will be here when it has finished; come back in a few minutes.")
    elif error.said.text == NEWER_RUN_NOTE:
        title, text = words("Newer results are there"), words("Reload the page to see them.")
    if title:
        return f"<div class='q-card q-notice' role='status'><h2>{title}</h2><p>{text}</p></div>"
    return (
        f"<div class='q-card q-notice' role='alert'><h2>{words('There is nothing to show yet')}</h2>"
        f"<p>{words('Ask whoever keeps the workspace to run:')}</p><pre>quiebra run</pre>"
        f"<p class='note'>{escape(words.say(error.said))}</p></div>"
    )


def failure_card(log_id: str, words: Words) -> str:
    return words.markup(
        "<strong>Something went wrong here.</strong> The rest of the page goes on working. Tell whoever keeps the workspace this "
        "number: <code>{log_id}</code>",
        log_id=log_id,
    )


def log_failure(workspace: Workspace, page: str) -> str:
    """Log the current exception to ``data/logs/dashboards.log`` and return the id of its log entry."""
    log_id = uuid.uuid4().hex[:8]
    known = {name: value for name, value in visitor_log_fields().items() if value}
    where = {"log_id": log_id, "page": page, "kernel": os.environ.get("VOILA_KERNEL_ID")}
    file_logger(workspace.root, "dashboards").exception("page failed", extra={**where, **known})
    return log_id
