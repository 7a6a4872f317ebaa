"""Charts of the panel's coverage and missing values."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.items import ITEM_NAMES
from quiebra.plots.theme import chart, new_chart


@chart
def rows_by_year(quality: dict[str, Any]) -> Figure:
    """Draw bars of the kept statements by fiscal year, from the quality report."""
    figure, axes = new_chart(height=2.4)
    years = quality["rows_by_year"]
    axes.bar([int(y) for y in years], list(years.values()), color=brand_colours()["blue"], width=0.75)
    axes.set_ylabel("statements")
    axes.grid(axis="x", visible=False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


@chart
def missing_by_year(quality: dict[str, Any]) -> Figure:
    """Draw a heat map of the share missing, by item (rows) and fiscal year (columns)."""
    figure, axes = new_chart(height=4.2)
    table = quality["missing_by_item_and_year"]
    years, items = list(table), [name for name in ITEM_NAMES if name != "total_assets"]
    shares = [[table[year][item] for year in years] for item in items]
    picture = axes.imshow(shares, aspect="auto", cmap="cividis", vmin=0, vmax=1)
    axes.set_yticks(range(len(items)), [item.replace("_", " ") for item in items], fontsize=8)
    axes.set_xticks(range(len(years)), years, rotation=60, fontsize=8)
    axes.grid(visible=False)
    figure.colorbar(picture, ax=axes, label="share missing")
    return figure
