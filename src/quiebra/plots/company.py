"""Pictures of one company: its PD ahead and behind, and what made its score."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from quiebra.brand import palette
from quiebra.plots.theme import ENGLISH, canvas, canvas_pair, chart, percent_axis
from quiebra.words import Words


@chart
def pd_ahead_and_behind(
    terms: tuple[list[float], list[float], list[float]], history: pl.DataFrame, sector_median: float, words: Words = ENGLISH
) -> Figure:
    """Cumulative PD over one to five years with its interval, and the one-year PD that was said each fiscal year.

    terms: PDs, and the low and high of each; history: fiscal_year, pd_12m, pd_12m_low, pd_12m_high.
    """
    figure, (left, right) = canvas_pair(height=2.5)
    p, years = palette(), range(1, 6)
    pds, lows, highs = terms
    left.fill_between(years, lows, highs, color=p["mist"])
    left.plot(years, pds, color=p["blue"], marker="o", ms=4, lw=2)
    left.set_title(words("PD over one to five years"))
    left.set_xlabel(words("years from now"))
    left.set_xticks(years)
    right.fill_between(history["fiscal_year"], history["pd_12m_low"], history["pd_12m_high"], color=p["mist"])
    right.plot(history["fiscal_year"], history["pd_12m"], color=p["blue"], marker="o", ms=4, lw=2)
    right.axhline(sector_median, color=p["teal"], ls="--", lw=1.2, label=words("median of its sector now"))
    right.set_title(words("One-year PD, as said each year"))
    right.set_xlabel(words("fiscal year of the statements"))
    first, last = history["fiscal_year"].min(), history["fiscal_year"].max()
    right.set_xlim(first - 0.6, last + 0.6)  # type: ignore[operator]
    right.set_xticks(range(first, last + 1, max(1, (last - first) // 6 + 1)))  # type: ignore[operator, arg-type]
    right.legend(loc="best")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(percent_axis(words, 1))
        axes.set_ylim(bottom=0)
    return figure


@chart
def effects(steps: list[tuple[str, float]], words: Words = ENGLISH) -> Figure:
    """Bars of what raises (to the right) and lowers the log-odds of failure, the strongest at the top."""
    figure, axes = canvas(height=0.7 + 0.24 * max(len(steps), 1))
    p, rows = palette(), steps[::-1]
    bars = axes.barh(
        [name for name, _ in rows], [e for _, e in rows], color=[p["rust"] if e > 0 else p["teal"] for _, e in rows], height=0.6
    )
    axes.bar_label(bars, [words.signed(e) for _, e in rows], padding=3, fontsize=8)
    axes.axvline(0, color=p["ink"], lw=0.8)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # so that one decimal says it
    axes.xaxis.set_major_formatter(lambda value, _place: words.number(value, 1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(words("effect on the log-odds of failure"))
    return figure
