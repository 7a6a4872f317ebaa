"""Common style of all charts: the brand's colours, and reproducible bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import ScalarFormatter

from quiebra.brand import brand_colours
from quiebra.text.words import Words

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

P = ParamSpec("P")
DEFAULT_WORDS = Words()
"""The default language of a chart."""
STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "quiebra",
    "svg.fonttype": "path",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
}


def chart(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator that draws a chart in the common style, whatever the notebook's settings."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        p = brand_colours()
        style: dict[RcKeyType, Any] = {
            **STYLE,
            "axes.edgecolor": p["grey"],
            "grid.color": p["mist"],
            "text.color": p["ink"],
            "axes.labelcolor": p["ink"],
            "xtick.color": p["ink"],
            "ytick.color": p["ink"],
        }
        words = next((value for value in (*args, *kwargs.values()) if isinstance(value, Words)), DEFAULT_WORDS)
        with rc_context(style):
            figure = draw(*args, **kwargs)
            _speak(figure, words)
            _fit(figure)
            return figure

    return styled


class _Numbers(ScalarFormatter):
    """Tick formatter with a language's decimal mark."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words

    def __call__(self, x: float, pos: int | None = None) -> str:
        return super().__call__(x, pos).replace(".", self.words.separators[0])


def _speak(figure: Figure, words: Words) -> None:
    """Set the language's number format on axes that have the default one."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(_Numbers(words))


def _fit(figure: Figure) -> None:
    """Lay the chart out for good, with all text on the canvas: clipped axis labels are moved inwards, and axes with clipped bar
    labels extended."""
    for _ in range(3):
        _lay_out(figure)
        texts = [text for axes in figure.axes for text in (axes.xaxis.label, *axes.texts)]
        cut = [text for text in texts if _beyond(figure, text)]
        for text in cut:
            over, axes = _beyond(figure, text), text.axes
            if axes is None:  # never the case for these texts
                continue
            if text in axes.texts:
                left, right = axes.get_xlim()
                grow = 1.1 * abs(over) / axes.bbox.width * (right - left)
                axes.set_xlim(left - grow * (over < 0), right + grow * (over > 0))
            else:
                text.set_x(text.get_position()[0] - over / axes.bbox.width)
        if not cut:
            break
    figure.set_layout_engine("none")  # drawing would do it again, which takes half of a chart's time


def _lay_out(figure: Figure) -> None:
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)


def _beyond(figure: Figure, text: Text) -> float:
    """Return how far a text exceeds the canvas, in pixels: positive to the right, negative to the left; 0 if it fits."""
    if not text.get_visible() or not text.get_text():
        return 0.0
    box = text.get_window_extent()
    return float(max(box.x1 - figure.bbox.x1, 0.0) or min(box.x0 - figure.bbox.x0, 0.0))


def new_chart(width: float = 7.2, height: float = 3.1) -> tuple[Figure, Any]:
    """Return an empty chart of the standard size (inches) and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def new_chart_pair(width: float = 7.2, height: float = 2.8) -> tuple[Figure, Any]:
    """Return an empty chart of two plots side by side, and their axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, 2)


def percent_axis(words: Words, decimals: int = 0) -> Callable[[float, int], str]:
    """Return a tick formatter for shares as percentages."""
    return lambda value, _place: words.percent(value, decimals)


def write_shares(axes: Any, shares: np.ndarray, words: Words, *, dark_above: float, shown: np.ndarray | None = None) -> None:
    """Write each share as a percentage into its cell of a map, in white where it is above ``dark_above``.

    shown: whether a cell's share is written, in the shape of ``shares``; None: all of them.
    """
    for row, column in np.argwhere(np.full(shares.shape, True) if shown is None else shown):
        share = shares[row, column]
        colour = "white" if share > dark_above else brand_colours()["ink"]
        axes.text(column, row, words.percent(share, 0), ha="center", va="center", fontsize=8, color=colour)


@dataclass(frozen=True)
class SvgPicture:
    """A picture that notebooks show. data: its ``<svg>`` element. figure: the Matplotlib figure that it was made of."""

    data: str = field(repr=False)
    figure: Figure = field(repr=False)

    def savefig(self, path: str | Path, **options: Any) -> None:
        """Save the picture as the file's ending says: .svg, .png or .pdf; options as those of Matplotlib's ``savefig``."""
        self.figure.savefig(path, **options)

    def _repr_svg_(self) -> str:
        return self.data


def to_svg(figure: Figure) -> SvgPicture:
    """Return a chart as SVG for a notebook's output, without date and random ids."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return SvgPicture(text[text.index("<svg") :], figure)
