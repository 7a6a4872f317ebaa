"""Pictures of the panel's coverage and gaps."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from quiebra.brand import palette
from quiebra.items import ITEM_NAMES
from quiebra.plots.theme import canvas, chart


@chart
def rows_by_year(quality: dict[str, Any]) -> Figure:
    """Bars of kept statements by fiscal year, from the quality report."""
    figure, axes = canvas(height=2.4)
    years = quality["rows_by_year"]
    axes.bar([int(y) for y in years], list(years.values()), color=palette()["blue"], width=0.75)
    axes.set_ylabel("statements")
    axes.grid(axis="x", visible=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


@chart
def missing_by_year(quality: dict[str, Any]) -> Figure:
    """Map of the share missing, by item (rows) and fiscal year (columns)."""
    figure, axes = canvas(height=4.2)
    table = quality["missing_by_item_and_year"]
    years, items = list(table), [name for name in ITEM_NAMES if name != "total_assets"]
    shares = [[table[year][item] for year in years] for item in items]
    picture = axes.imshow(shares, aspect="auto", cmap="cividis", vmin=0, vmax=1)
    axes.set_yticks(range(len(items)), [item.replace("_", " ") for item in items], fontsize=8)
    axes.set_xticks(range(len(years)), years, rotation=60, fontsize=8)
    axes.grid(visible=False)
    figure.colorbar(picture, ax=axes, label="share missing")
    return figure
