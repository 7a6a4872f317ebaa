"""Charts of the portfolio: PD over time, ratings, migration, sectors."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from quiebra.brand import brand_colours, risk_colours
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart, percent_axis, write_shares
from quiebra.text.words import Words, wrap_label


@chart
def pd_over_time(years: pl.DataFrame, words: Words = DEFAULT_WORDS, height: float = 3.1) -> Figure:
    """Draw mean PD with its interval, median PD, the observed rate if known, and the middle 80 % of PDs as a band, by fiscal
    year.

    years: fiscal_year, mean_pd, mean_low and mean_high (missing: no interval), median_pd, low_pd, high_pd, observed (missing: not
    known yet).
    """
    figure, axes = new_chart(height=height)
    p, x = brand_colours(), years["fiscal_year"]
    axes.fill_between(x, years["low_pd"], years["high_pd"], color=p["mist"], label=words("middle 80 % of companies"))
    spread = years.select(low=pl.col("mean_pd") - pl.col("mean_low"), high=pl.col("mean_high") - pl.col("mean_pd")).fill_null(0)
    axes.errorbar(
        x,
        years["mean_pd"],
        spread.to_numpy().T,
        color=p["blue"],
        lw=2.2,
        elinewidth=1,
        capsize=3,
        marker="o",
        ms=4,
        label=words("mean PD"),
    )
    axes.plot(x, years["median_pd"], color=p["teal"], lw=1.6, ls="--", label=words("median PD"))
    known = years.filter(pl.col("observed").is_not_null())
    axes.plot(known["fiscal_year"], known["observed"], "D", color=p["wine"], ms=5, label=words("observed failures"))
    axes.yaxis.set_major_formatter(percent_axis(words, 1))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(words("fiscal year of the statements"))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper left", ncols=4)
    return figure


@chart
def rating_distribution(
    before: dict[str, int], now: dict[str, int], names: tuple[str, str], words: Words = DEFAULT_WORDS
) -> Figure:
    """Draw paired bars of the share of companies by grade, a year ago and now."""
    figure, axes = new_chart(height=2.8)
    grades, p = list(now), brand_colours()
    for shift, counts, name, face in ((-0.2, before, names[0], None), (0.2, now, names[1], risk_colours(len(grades)))):
        total = sum(counts.values()) or 1
        heights = [counts[g] / total for g in grades]
        bars = axes.bar([i + shift for i in range(len(grades))], heights, 0.38, label=name, color=face or p["fog"])
        axes.bar_label(bars, [words.percent(h, 0) if h >= 0.005 else "" for h in heights], fontsize=7.5, padding=1)
    axes.set_xticks(range(len(grades)), grades)
    axes.yaxis.set_major_formatter(percent_axis(words, 0))
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(words("companies"))
    handles = axes.containers
    axes.legend([handles[0], handles[1]], names, loc="upper right")
    return figure


@chart
def migration_map(moves: pl.DataFrame, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw a heat map of rating migration, as shares of each row; see `quiebra.risk.migration`."""
    figure, axes = new_chart(height=3.4)
    grades, ends = moves["from"].to_list(), [name for name in moves.columns if name != "from"]
    counts = moves.select(ends).to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / totals.clip(min=1)
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    write_shares(axes, shares, words, dark_above=0.55, shown=counts > 0)
    axes.set_xticks(range(len(ends)), [words("gone") if end == "gone" else end for end in ends])
    axes.set_yticks(range(len(grades)), [f"{g}  ({int(t)})" for g, t in zip(grades, totals[:, 0], strict=True)])
    axes.set_xlabel(words("grade now"))
    axes.set_ylabel(words("grade a year ago (companies)"))
    axes.grid(visible=False)
    return figure


@chart
def sector_bars(table: pl.DataFrame, by: str, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw bars of mean PD by sector or region, labelled with the share on watch."""
    table = table.sort("mean_pd")
    labels = [wrap_label(name) for name in table[by]]
    figure, axes = new_chart(height=0.6 + sum(0.15 + 0.15 * (1 + label.count("\n")) for label in labels))
    bars = axes.barh(labels, table["mean_pd"], color=brand_colours()["blue"], height=0.62)
    notes = [
        words("{pd}, {share} on watch", pd=words.percent(pd), share=words.percent(w, 0))
        for pd, w in table.select("mean_pd", "watch_share").iter_rows()
    ]
    axes.bar_label(bars, notes, padding=4, fontsize=8)
    axes.xaxis.set_major_formatter(percent_axis(words, 1))
    axes.margins(x=0.28)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(words("mean one-year PD"))
    return figure
