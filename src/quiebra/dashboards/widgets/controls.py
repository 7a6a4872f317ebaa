"""Widgets missing in ipywidgets: chart, table, search box, upload and download. Their browser code is in assets/."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import polars as pl
import traitlets
from ipywidgets import HTML, Box, VBox, Widget

from quiebra.dashboards.widgets.markup import Markup
from quiebra.services.table_rows import TableColumn, TableQuery, page_of_rows
from quiebra.text.words import Words

ASSETS = Path(__file__).parent / "assets"
Spec = dict[str, Any]


class Chart(anywidget.AnyWidget):
    """A Plotly chart from a specification of `quiebra.dashboards.widgets.charts`, drawn in the page's colours."""

    _esm = ASSETS / "chart.js"
    spec = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)
    separators = traitlets.Unicode(".,").tag(sync=True)

    def __init__(self, spec: Spec, words: Words, height: int = 300) -> None:
        super().__init__(spec=spec, height=height, separators=words.separators)


class Table(anywidget.AnyWidget):
    """A table with sorting, filter and pages; only the visible rows are sent to the browser."""

    _esm = ASSETS / "table.js"
    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    cells: traitlets.List[Any] = traitlets.List().tag(sync=True)
    matching = traitlets.Int(0).tag(sync=True)
    query = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)  # id of the chosen row, where a column of kind "choice" offers it
    says = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        frame: pl.DataFrame,
        columns: list[TableColumn],
        words: Words,
        *,
        label: str,
        size: int = 12,
        sort: str = "",
        descending: bool = True,
        searchable: bool = True,
        grades: Sequence[str] = (),
    ) -> None:
        self.frame, self.formats, self.words, self.grades = frame, columns, words, grades
        says = {
            "label": label,
            "search": words("Filter"),
            "previous": words("Previous"),
            "next": words("Next"),
            "of": words("{first}–{last} of {count}", first="{first}", last="{last}", count="{count}"),
            "none": words("No rows"),
            "searchable": searchable,
            "language": words.language,
        }
        heads = [{"key": c.key, "label": c.label, "kind": c.kind} for c in columns]
        start = {"text": "", "sort": sort, "descending": descending, "page": 0, "size": size}
        super().__init__(columns=heads, query=start, says=says)
        self.observe(self._fill, "query")
        self._fill()

    def show(self, frame: pl.DataFrame) -> None:
        """Show other rows, from the first page."""
        self.frame = frame
        self.query = {**self.query, "page": 0}
        self._fill()

    def _fill(self, _change: object = None) -> None:
        self.cells, self.matching = page_of_rows(self.frame, self.formats, TableQuery(**self.query), self.words, self.grades)


class Search(anywidget.AnyWidget):
    """A text box that offers matches while the reader types. find: text → list of (value, label); choose: receives the chosen
    value."""

    _esm = ASSETS / "search.js"
    label = traitlets.Unicode("").tag(sync=True)
    placeholder = traitlets.Unicode("").tag(sync=True)
    text = traitlets.Unicode("").tag(sync=True)
    found = traitlets.Dict().tag(sync=True)  # matches, and the text that they belong to

    def __init__(
        self, find: Callable[[str], list[tuple[str, str]] | None], choose: Callable[[str], object], **texts: str
    ) -> None:
        self.find, self.choose = find, choose
        super().__init__(found={"text": "", "matches": []}, **texts)
        self.observe(self._look, "text")
        self.on_msg(lambda _widget, content, _buffers: self.choose(str(content.get("chosen", ""))))

    def _look(self, change: Any) -> None:
        self.found = {"text": change["new"], "matches": [list(match) for match in self.find(change["new"]) or ()]}


class Upload(anywidget.AnyWidget):
    """Upload of a file in pieces; the browser refuses files that are too large or of another kind.

    arrived: receives name and content of the complete file.
    """

    _esm = ASSETS / "upload.js"
    label = traitlets.Unicode("").tag(sync=True)
    says = traitlets.Dict().tag(sync=True)
    kinds: traitlets.List[str] = traitlets.List().tag(sync=True)
    largest = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, arrived: Callable[[str, bytes], None], *, label: str, kinds: list[str], largest: int, words: Words
    ) -> None:
        self.arrived, self._parts = arrived, io.BytesIO()
        says = {
            "size": words(
                "The file has {size} MB, and {most} MB is the most. Split it, or leave columns out.", size="{size}", most="{most}"
            ),
            "kind": words("Only files ending in {kinds} can be read.", kinds="{kinds}"),
            "sending": words("Sending"),
            "unreadable": words("The file cannot be read: choose it again."),
            "drop": words("or drop it here"),
        }
        super().__init__(label=label, says=says, kinds=kinds, largest=largest)
        self.on_msg(self._take)

    def _take(self, _widget: Widget, content: dict[str, Any], buffers: list[Any]) -> None:
        if content.get("first"):
            self._parts = io.BytesIO()
        if self._parts.tell() <= self.largest:  # the receiver refuses larger files
            self._parts.write(buffers[0])
        if content.get("last"):
            whole, self._parts = self._parts.getvalue(), io.BytesIO()
            self.arrived(str(content.get("name", "")), whole)


class Download(anywidget.AnyWidget):
    """A button that downloads a file; ``make`` returns its bytes when it is pressed, or None on failure."""

    _esm = ASSETS / "download.js"
    label = traitlets.Unicode("").tag(sync=True)
    filename = traitlets.Unicode("").tag(sync=True)

    def __init__(self, label: str, filename: str, make: Callable[[], bytes | None]) -> None:
        self.make = make
        super().__init__(label=label, filename=filename)
        self.on_msg(self._give)

    def _give(self, *_message: Any) -> None:
        content = self.make()
        self.send({"file": self.filename if content is not None else ""}, [content or b""])


def html(content: str, name: str = "") -> HTML:
    """Return an HTML widget; the caller must have escaped data in ``content``."""
    made = HTML(content)
    made.add_class("q-html")
    for part in name.split():
        made.add_class(part)
    return made


def card(title: str, *children: Widget | str, note: str = "", wide: bool = False, name: str = "") -> VBox:
    """Return a titled box with its children stacked, and a note in small type under the title; title and note are escaped."""
    head = Markup("<h2>{}</h2>").format(title) + (Markup('<p class="note">{}</p>').format(note) if note else "")
    box = VBox([html(head), *(html(child) if isinstance(child, str) else child for child in children)])
    for part in ("q-card", "q-wide" if wide else "", *name.split()):
        if part:
            box.add_class(part)
    return box


def row(*children: Widget, name: str = "q-grid") -> Box:
    """Return boxes side by side if the window is wide enough."""
    box = Box(list(children))
    for part in name.split():
        box.add_class(part)
    return box
