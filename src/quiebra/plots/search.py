"""Charts of a hyperparameter search: its progress, and the importance and values of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.plots.theme import chart, new_chart


@chart
def search_history(losses: list[float]) -> Figure:
    """Draw each finished trial's log-loss and the best so far."""
    figure, axes = new_chart()
    numbers = np.arange(1, len(losses) + 1)
    axes.plot(numbers, losses, "o", markersize=4, color=brand_colours()["grey"], label="trial")
    axes.step(numbers, np.minimum.accumulate(losses), where="post", color=brand_colours()["teal"], label="best so far")
    axes.set_xlabel("finished trial")
    axes.set_ylabel("out-of-time log-loss")
    axes.legend()
    return figure


@chart
def search_importance(importance: dict[str, float]) -> Figure:
    """Draw each parameter's share of the variation between trials, the largest at the top."""
    figure, axes = new_chart()
    names = sorted(importance, key=lambda name: importance[name])
    axes.barh(names, [importance[name] for name in names], color=brand_colours()["teal"])
    axes.set_xlabel("share of the difference between trials")
    return figure


@chart
def parallel_coordinates(trials: list[dict[str, Any]], losses: list[float]) -> Figure:
    """Draw each trial as a line through its parameters' values, the best fifth in colour; each axis is scaled from minimum to
    maximum."""
    figure, axes = new_chart()
    names = list(trials[0])
    values = np.array([[trial[name] for name in names] for trial in trials], dtype=float)
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    good = np.asarray(losses) <= np.quantile(losses, 0.2)
    for row, best in sorted(zip(scaled, good, strict=True), key=lambda pair: pair[1]):
        axes.plot(
            range(len(names)),
            row,
            color=brand_colours()["teal"] if best else brand_colours()["grey"],
            alpha=0.9 if best else 0.25,
        )
    axes.set_xticks(
        range(len(names)), [f"{n}\n{_plain(a)} to {_plain(b)}" for n, a, b in zip(names, low, high, strict=True)], fontsize=7
    )
    axes.set_yticks([])
    return figure


def _plain(value: float) -> str:
    """Return a number with three significant digits, without an exponent."""
    return np.format_float_positional(float(f"{value:.3g}"), trim="-")
