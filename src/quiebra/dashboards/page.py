"""A page: its frame, its language, its errors. Pages inherit from `Page`; a notebook calls ``show()``."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from logging.handlers import RotatingFileHandler
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import anywidget
import traitlets
from IPython import get_ipython
from IPython.display import HTML, display
from ipywidgets import VBox, Widget

from quiebra.banners import banners
from quiebra.dashboards.base import NEWER, Base
from quiebra.dashboards.controls import ASSETS, Table, html
from quiebra.dashboards.markup import Markup, escape
from quiebra.dashboards.visitors import FOLDER
from quiebra.errors import QuiebraError
from quiebra.files import keep_private, private_folder
from quiebra.params import load
from quiebra.stages import under_way
from quiebra.words import LANGUAGES, Words, both, mark
from quiebra.workspace import Workspace

PAGES = {
    "executive": mark("Executive"),
    "company": mark("Company"),
    "portfolio": mark("Portfolio"),
    "stress": mark("Stress"),
    "model": mark("Model"),
    "settings": mark("Settings"),
}
"""Page → its title, in the order of the navigation."""
Result = TypeVar("Result")


class Frame(anywidget.AnyWidget):
    """What a page and its kernel tell each other: language, address, what is shown, messages to the reader."""

    _esm = ASSETS / "frame.js"
    language = traitlets.Unicode("en").tag(sync=True)
    address = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.Unicode("").tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)

    def say(self, text: str, kind: str = "warning") -> None:
        """Show a message over the page; kind: ``ok``, ``warning`` or ``error``."""
        self.send({"text": text, "kind": kind})


class Page:
    """Base of the six pages. A subclass gives ``name``, ``first`` (its first figures, as HTML) and ``compose`` (widgets)."""

    name = ""
    needs_run = True

    def __init__(self) -> None:
        self.base = Base()
        self.frame = Frame(language=first_language(self.base.workspace))
        self.body = VBox()
        self.body.add_class("q-body")
        self.words = Words(self.frame.language)
        self.ready = False
        self._waiting: asyncio.TimerHandle | None = None

    def first(self, words: Words) -> str:
        """Return what is shown before the widgets are there."""
        raise NotImplementedError

    def compose(self) -> list[Widget]:
        """Return the page's widgets, in the page's language."""
        raise NotImplementedError

    def later(self) -> None:
        """Show what waits until somebody opens the page: a warm kernel draws the rest before it knows for whom."""

    def at(self, query: dict[str, str]) -> None:
        """Go where the address asks, as ``?company=C_1`` does."""

    def show(self) -> None:
        """Display the page: at once what needs no widgets, then the widgets."""
        display(HTML(both(lambda words: frame_html(self, words))))
        self.frame.observe(lambda _change: self.redraw(), "language")
        self.frame.observe(lambda change: self.guarded(self.at)(_query(change["new"])), "address")
        self.frame.observe(lambda _change: self.guarded(self.later)() if self.ready else None, "opened")
        self.redraw()
        if (shell := get_ipython()) is not None and FOLDER in os.environ:  # served: nobody would see what ipywidgets prints
            shell.showtraceback = lambda *_args, **_kwargs: self.fail()
        root = VBox([self.body, self.frame])
        root.add_class("q-live")
        display(root)

    def redraw(self) -> None:
        """Make the page's widgets anew, in the language that is asked for."""
        self.words = Words(self.frame.language if self.frame.language in LANGUAGES else "en")
        before, drawn = self.body.children, self.draw()
        for old, new in zip(_tables(before), _tables(drawn), strict=False):
            if [c["key"] for c in old.columns] == [c["key"] for c in new.columns]:
                new.query = old.query  # as the reader had sorted and filtered it
        self.body.children = drawn
        self.frame.shown = f"{self.words.language} {uuid.uuid4().hex[:6]}"
        if self.frame.opened and self.ready:
            self.guarded(self.later)()
        for widget in before:
            _close(widget)

    def draw(self) -> list[Widget]:
        """Return the widgets, or what is missing and the command that makes it."""
        self.ready = False
        try:
            if self.needs_run:
                self.base.check()
            made = self.compose()
            self.ready = True
            return made
        except QuiebraError as error:
            return [html(not_ready(self.base.workspace, error, self.words))]
        except Exception:  # whatever it was, the reader gets words and a log id
            return [html(failure(log_failure(self.base.workspace, self.name), self.words))]

    def guarded(self, action: Callable[..., Result]) -> Callable[..., Result | None]:
        """Return an action whose errors become a message over the page."""

        @functools.wraps(action)
        def run(*args: Any, **kwargs: Any) -> Result | None:
            try:
                return action(*args, **kwargs)
            except QuiebraError as error:
                self.frame.say(self.words.say(error.said))
            except Exception:  # as above
                self.fail()
            return None

        return run

    def soon(self, action: Callable[[], object], seconds: float = 0.35) -> None:
        """Do something costly once the reader has stopped for a moment; what was to be done before is dropped."""
        if self._waiting is not None:
            self._waiting.cancel()
        try:
            self._waiting = asyncio.get_running_loop().call_later(seconds, self.guarded(action))
        except RuntimeError:  # outside a kernel nobody is typing
            self.guarded(action)()

    def fail(self) -> None:
        """Log the current exception, and tell the reader where it is."""
        self.frame.say(failure(log_failure(self.base.workspace, self.name), self.words), "error")


def _tables(widgets: Iterable[Widget]) -> Iterator[Table]:
    """Yield all tables in widgets, in the order of the page."""
    for widget in widgets:
        if isinstance(widget, Table):
            yield widget
        yield from _tables(getattr(widget, "children", ()))


def _close(widget: Widget) -> None:
    """Let go of a widget and all that is in it; the browser forgets them too."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, Widget):
            _close(part)
    widget.close()


def _query(address: str) -> dict[str, str]:
    return dict(parse_qsl(address.lstrip("?")))


def first_language(workspace: Workspace) -> str:
    """Return the language that a reader sees first; English where params.yaml cannot be read."""
    try:
        return load(workspace).dashboards.language
    except QuiebraError:
        return "en"


def frame_html(page: Page, words: Words) -> str:
    """Return banner, first figures and footer of a page in one language; what is missing is said instead."""
    base = page.base
    try:
        try:
            base.check()
        except QuiebraError:
            if page.needs_run:
                raise
            return f"<div class='q-first'>{page.first(words)}</div>"
        banner = marks(base, words)
        first = page.first(words)
        foot = footer(base, words)
    except QuiebraError as error:
        return f"<div class='q-first'>{not_ready(base.workspace, error, words)}</div>"
    except Exception:  # as in Page.draw
        return f"<div class='q-first'>{failure(log_failure(base.workspace, page.name), words)}</div>"
    return f"{banner}<div class='q-first'>{first}</div><footer class='q-foot'>{foot}</footer>"


def marks(base: Base, words: Words) -> str:
    """Return what must stand over every page: that its model is not in charge or failed a gate, that companies are simulated."""
    said = [f"{words(heading)}: {words.say(text)}" for heading, text in banners(base.run)]
    said += [words("SIMULATED: these companies do not exist.")] if base.simulated else []
    return "".join(f"<p class='q-simulated'>{escape(text)}</p>" for text in said)


def footer(base: Base, words: Words) -> Markup:
    """Return what was scored, as of when, and by which run."""
    parts = (words(base.source["title"]), words.date(base.run["as_of"]), base.run["run_id"])
    return escape(words("{title} · as of {date} · run {run}", title=parts[0], date=parts[1], run=parts[2]))


def not_ready(workspace: Workspace, error: QuiebraError, words: Words) -> str:
    """Return a card for a base that is not there: that a run is under way, or the command to run, and the message."""
    title = text = ""
    if under_way(workspace):
        title = words("A run is under way")
        text = words("Its results will be here when it has finished; come back in a few minutes.")
    elif error.said.text == NEWER:
        title, text = words("Newer results are there"), words("Reload the page to see them.")
    if title:
        return f"<div class='q-card q-notice' role='status'><h2>{title}</h2><p>{text}</p></div>"
    return (
        f"<div class='q-card q-notice' role='alert'><h2>{words('There is nothing to show yet')}</h2>"
        f"<p>{words('Ask whoever keeps the workspace to run:')}</p><pre>quiebra run</pre>"
        f"<p class='note'>{escape(words.say(error.said))}</p></div>"
    )


def failure(log_id: str, words: Words) -> str:
    return words.markup(
        "<strong>Something went wrong here.</strong> The rest of the page goes on working. Tell whoever keeps the workspace this "
        "number: <code>{log_id}</code>", log_id=log_id,
    )  # fmt: skip


def log_failure(workspace: Workspace, page: str) -> str:
    """Write the current exception to ``data/logs/dashboards.log`` and return the id that finds it there."""
    log_id = uuid.uuid4().hex[:8]
    logger = logging.getLogger("quiebra.dashboards")
    if not logger.handlers:
        path = private_folder(workspace.root / "data" / "logs") / "dashboards.log"
        keep_private(path)
        handler = RotatingFileHandler(path, maxBytes=2_000_000, backupCount=3, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.exception("%s page=%s kernel=%s", log_id, page, os.environ.get("VOILA_KERNEL_ID", "-"))
    return log_id
