"""Charts of stress tests: one company's sensitivities, scenarios, and the distribution of losses."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart, percent_axis
from quiebra.text.words import Words


@chart
def tornado_bars(table: pl.DataFrame, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw bars of a company's one-year PD with each lever moved down and up; see `quiebra.risk.shocks.lever_tornado`."""
    rows = table.reverse()
    figure, axes = new_chart(height=0.9 + 0.36 * rows.height)
    p, now = brand_colours(), rows["pd_now"][0]
    for place, (down, up) in enumerate(rows.select("pd_down", "pd_up").iter_rows()):
        axes.barh(place, down - now, left=now, height=0.5, color=p["teal"], label=words("lever down") if place == 0 else None)
        axes.barh(place, up - now, left=now, height=0.5, color=p["rust"], label=words("lever up") if place == 0 else None)
    axes.axvline(now, color=p["ink"], lw=1.2)
    axes.annotate(
        words("now {pd}", pd=words.percent(now)),
        (now, 1.0),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        ha="center",
        va="bottom",
    )
    axes.set_yticks(range(rows.height), [words(name.replace("_", " ")) for name in rows["lever"]])
    axes.xaxis.set_major_formatter(percent_axis(words, 1))
    axes.set_xlabel(words("one-year PD"))
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right")
    return figure


@chart
def scenario_terms(table: pl.DataFrame, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw mean cumulative PD over one to five years by scenario; table: scenario and pd_12m … pd_60m."""
    figure, axes = new_chart(height=2.8)
    p = brand_colours()
    columns = [name for name in table.columns if name.startswith("pd_") and name.endswith("m")]
    shades = (p["teal"], p["sand"], p["rust"], p["wine"], p["blue"], p["grey"])
    for (name, *values), colour in zip(table.select("scenario", *columns).iter_rows(), shades * 4, strict=False):
        axes.plot(range(1, len(columns) + 1), values, marker="o", ms=4, lw=2, color=colour, label=name)
    axes.set_xticks(range(1, len(columns) + 1))
    axes.set_xlabel(words("years from now"))
    axes.set_ylabel(words("mean cumulative PD"))
    axes.yaxis.set_major_formatter(percent_axis(words, 1))
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    return figure


@chart
def loss_quantiles(quantiles: dict[str, float], exposure: float, expected: float, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw a year's loss, as a share of the exposure, against its exceedance probability."""
    figure, axes = new_chart(height=2.8)
    p = brand_colours()
    rare = [1 - float(q) for q in quantiles]
    shares = [loss / exposure for loss in quantiles.values()]
    axes.plot(rare, shares, color=p["blue"], marker="o", ms=4, lw=2, label=words("a year's loss"))
    axes.axhline(
        expected / exposure,
        color=p["teal"],
        ls="--",
        lw=1.4,
        label=words("expected {share}", share=words.percent(expected / exposure)),
    )
    axes.set_xscale("log")
    axes.set_xticks(rare, [words("1 in {n}", n=words.number(1 / r)) for r in rare])
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.set_xlabel(words("years as bad or worse"))
    axes.set_ylabel(words("share of the exposure"))
    axes.yaxis.set_major_formatter(percent_axis(words, 1))
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    return figure
