"""The look of every chart: the brand's colours, and the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from quiebra.brand import palette
from quiebra.words import Words

P = ParamSpec("P")
ENGLISH = Words()
"""The language of a chart that is not told another."""
STYLE: dict[str, Any] = {
    "svg.hashsalt": "quiebra", "svg.fonttype": "path", "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlelocation": "left", "axes.axisbelow": True, "axes.grid": True, "grid.linewidth": 0.6, "axes.linewidth": 0.8,
    "legend.frameon": False, "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip


def chart(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a chart in the house's style, whatever the notebook has set."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        p = palette()
        style = {**STYLE, "axes.edgecolor": p["grey"], "grid.color": p["mist"], "text.color": p["ink"],
                 "axes.labelcolor": p["ink"], "xtick.color": p["ink"], "ytick.color": p["ink"]}  # fmt: skip
        with rc_context(style):
            return draw(*args, **kwargs)

    return styled


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
