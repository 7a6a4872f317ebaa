"""Charts of one company: its PDs over time, and the drivers of its score."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from quiebra.brand import brand_colours
from quiebra.canonical import earliest_year, latest_year
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart, new_chart_pair, percent_axis
from quiebra.text.words import Words


@chart
def pd_ahead_and_behind(
    terms: tuple[list[float], list[float], list[float]], history: pl.DataFrame, sector_median: float, words: Words = DEFAULT_WORDS
) -> Figure:
    """Draw the cumulative PD over one to five years with its interval, and the one-year PD given each fiscal year.

    terms: PDs, and the low and high of each; history: fiscal_year, pd_12m, pd_12m_low, pd_12m_high.
    """
    figure, (left, right) = new_chart_pair(height=2.5)
    p, years = brand_colours(), range(1, 6)
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
    first, last = earliest_year(history["fiscal_year"]), latest_year(history["fiscal_year"])
    right.set_xlim(first - 0.6, last + 0.6)
    right.set_xticks(range(first, last + 1, max(1, (last - first) // 6 + 1)))
    right.legend(loc="best")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(percent_axis(words, 1))
        axes.set_ylim(bottom=0)
    return figure


@chart
def effect_bars(steps: list[tuple[str, float]], words: Words = DEFAULT_WORDS) -> Figure:
    """Draw bars of the effects that raise (to the right) and lower the log-odds of failure, in the order of ``steps`` from the
    top."""
    figure, axes = new_chart(height=0.7 + 0.24 * max(len(steps), 1))
    p, rows = brand_colours(), steps[::-1]
    bars = axes.barh(
        [name for name, _ in rows], [e for _, e in rows], color=[p["rust"] if e > 0 else p["teal"] for _, e in rows], height=0.6
    )
    axes.bar_label(bars, [words.signed(e) for _, e in rows], padding=3, fontsize=8)
    axes.axvline(0, color=p["ink"], lw=0.8)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # ticks that need one decimal only
    axes.xaxis.set_major_formatter(lambda value, _place: words.number(value, 1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(words("effect on the log-odds of failure"))
    return figure
