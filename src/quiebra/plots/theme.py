"""The look of every chart: the brand's colours, and the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import ScalarFormatter

from quiebra.brand import palette
from quiebra.words import Words

P = ParamSpec("P")
ENGLISH = Words()
"""The language of a chart that is not told another."""
STYLE: dict[str, Any] = {
    "svg.hashsalt": "quiebra", "svg.fonttype": "path", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.axisbelow": True, "axes.grid": True, "grid.linewidth": 0.6, "axes.linewidth": 0.8,
    "legend.frameon": False, "xtick.major.size": 0, "ytick.major.size": 0, "xtick.major.pad": 6,
}  # fmt: skip


def chart(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a chart in the house's style, whatever the notebook has set."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        p = palette()
        style = {**STYLE, "axes.edgecolor": p["grey"], "grid.color": p["mist"], "text.color": p["ink"],
                 "axes.labelcolor": p["ink"], "xtick.color": p["ink"], "ytick.color": p["ink"]}  # fmt: skip
        words = next((value for value in (*args, *kwargs.values()) if isinstance(value, Words)), ENGLISH)
        with rc_context(style):
            figure = draw(*args, **kwargs)
            _speak(figure, words)
            _fit(figure)
            return figure

    return styled


class _Numbers(ScalarFormatter):
    """The ticks of an axis of numbers, with a language's decimal mark."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).replace(".", self.words.separators[0])


def _speak(figure: Figure, words: Words) -> None:
    """Let axes that say nothing of their own write numbers in the reader's language."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(_Numbers(words))


def _fit(figure: Figure) -> None:
    """Bring what would be cut back onto the canvas: labels move inwards, and axes grow beside the notes of their bars."""
    for _ in range(3):
        figure.draw_without_rendering()
        texts = [text for axes in figure.axes for text in (axes.xaxis.label, *axes.texts)]
        cut = [text for text in texts if _beyond(figure, text)]
        for text in cut:
            over = _beyond(figure, text)
            if text in text.axes.texts:
                left, right = text.axes.get_xlim()
                grow = 1.1 * abs(over) / text.axes.bbox.width * (right - left)
                text.axes.set_xlim(left - grow * (over < 0), right + grow * (over > 0))
            else:
                text.set_x(text.get_position()[0] - over / text.axes.bbox.width)
        if not cut:
            return


def _beyond(figure: Figure, text: Text) -> float:
    """Return by how much a text leaves the canvas, in pixels: to the right above 0, to the left below; 0 where it is whole."""
    if not text.get_visible() or not text.get_text():
        return 0.0
    box = text.get_window_extent()
    return max(box.x1 - figure.bbox.x1, 0.0) or min(box.x0 - figure.bbox.x0, 0.0)


def canvas(width: float = 7.2, height: float = 3.1) -> tuple[Figure, Any]:
    """Return an empty chart of the house's size (inches) and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def canvas_pair(width: float = 7.2, height: float = 2.8) -> tuple[Figure, Any]:
    """Return an empty chart of two pictures side by side, and their axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, 2)


def percent_axis(words: Words, decimals: int = 0) -> Callable[[float, int], str]:
    """Return how an axis of shares writes its ticks."""
    return lambda value, _place: words.percent(value, decimals)


def show(figure: Figure) -> Any:
    """Return a chart as SVG for a notebook's output; no date, no random ids."""
    from IPython.display import SVG

    buffer = io.StringIO()
    with rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return SVG(buffer.getvalue())
