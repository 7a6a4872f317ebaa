"""Charts of validation: discrimination, performance by group, calibration by grade, and drift."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.feature_engineering.labels_es import concept_label
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart, new_chart_pair, percent_axis, write_shares
from quiebra.text.words import Words, wrap_label

FLOOR = 10**-4.5


@chart
def cap_curves(profiles: dict[str, dict[str, list[float]]], rate: float, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw the share of failures among the riskiest companies (CAP); see `quiebra.validation.discrimination.cap_curve`.

    rate: the failure rate, at which a perfect ranking has found all failures.
    """
    figure, axes = new_chart(height=3.2)
    p = brand_colours()
    for name, colour in (("blend", p["blue"]), ("Altman", p["rust"])):
        profile = profiles.get(name, {"companies": [], "failures": []})
        axes.plot(profile["companies"], profile["failures"], color=colour, lw=2.2, label=words(name))
    axes.plot([0, rate, 1], [0, 1, 1], color=p["teal"], lw=1.2, ls="--", label=words("perfect"))
    axes.plot([0, 1], [0, 1], color=p["grey"], lw=1.2, ls=":", label=words("chance"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(percent_axis(words, 0))
    axes.set_xlabel(words("companies, riskiest first"))
    axes.set_ylabel(words("failures found"))
    axes.legend(loc="lower right")
    return figure


@chart
def grade_calibration(grades: list[dict[str, Any]], words: Words = DEFAULT_WORDS) -> Figure:
    """Draw the observed failure rate by grade with Jeffreys' interval, and the mean PD, on a logarithmic scale. grades:
    ``by_grade`` of the calibration report."""
    figure, axes = new_chart(height=3.0)
    p = brand_colours()
    for place, row in enumerate(grades):
        low, high = max(row["low"], FLOOR), max(row["high"], FLOOR)
        axes.plot([place, place], [low, high], color=p["fog"], lw=7, solid_capstyle="round", zorder=1)
        if row["failures"]:
            axes.plot(place, row["observed"], "D", color=p["wine"], ms=6, zorder=3)
        axes.plot(place, max(row["mean_pd"], FLOOR), "o", color=p["blue"] if row["inside"] else p["rust"], ms=7, zorder=2)
    handles = [
        axes.plot([], [], color=p["fog"], lw=7, label=words("Jeffreys' interval"))[0],
        axes.plot([], [], "D", color=p["wine"], ls="", label=words("observed rate"))[0],
        axes.plot([], [], "o", color=p["blue"], ls="", label=words("mean PD, inside"))[0],
        axes.plot([], [], "o", color=p["rust"], ls="", label=words("mean PD, outside"))[0],
    ]
    axes.set_xticks(
        range(len(grades)),
        [f"{row['rating']}\n" + words("{n} of {all}", n=row["failures"], all=words.number(row["rows"])) for row in grades],
        fontsize=8,
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(
        lambda value, _: f"{words.number(100 * value, 0 if value >= 0.01 else 3 if value < 0.001 else 1)}\u00a0%"
    )
    axes.grid(axis="x", visible=False)
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


@chart
def auc_by_group(rows: list[dict[str, Any]], words: Words = DEFAULT_WORDS) -> Figure:
    """Draw the AUC of each group of companies with its interval; groups without an interval are left out."""
    shown = [row for row in rows if row.get("auc") is not None and row["interval"]["auc"][0] is not None][::-1]
    labels = [
        wrap_label(words.count("{group} ({n} failure)", "{group} ({n} failures)", group=words(row["group"]), n=row["events"]))
        for row in shown
    ]
    figure, axes = new_chart(height=0.8 + max(0.3, sum(0.15 + 0.15 * (1 + label.count("\n")) for label in labels)))
    p = brand_colours()
    for place, row in enumerate(shown):
        axes.plot(row["interval"]["auc"], [place, place], color=p["fog"], lw=5, solid_capstyle="round", zorder=1)
        axes.plot(row["auc"], place, "o", color=p["blue"], ms=7, zorder=2)
    axes.set_yticks(range(len(shown)), labels)
    axes.set_xlabel(words("AUC, with interval"))
    axes.set_xlim(right=1.0)
    axes.grid(axis="y", visible=False)
    return figure


@chart
def concepts_by_year(concepts: list[dict[str, Any]], words: Words = DEFAULT_WORDS) -> Figure:
    """Draw a heat map of each concept's share of the yearly importance; see
    `quiebra.models.feature_importance.concept_shares`."""
    table = pl.DataFrame(concepts).pivot(on="fiscal_year", index="concept", values="share").fill_null(0.0)
    years = [name for name in table.columns if name != "concept"]
    table = table.with_columns(mean=pl.mean_horizontal(years)).filter(pl.col("mean") > 0).sort("mean", descending=True)
    figure, axes = new_chart(height=0.7 + 0.3 * table.height)
    shares = table.select(years).to_numpy()
    axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0)
    write_shares(axes, shares, words, dark_above=0.6 * shares.max())
    axes.set_xticks(range(len(years)), years)
    axes.set_yticks(range(table.height), [concept_label(name, words.language) for name in table["concept"]])
    axes.grid(visible=False)
    axes.set_xlabel(words("fiscal year scored"))
    return figure


@chart
def drift_bars(rows: pl.DataFrame, watch: float, alarm: float, count: int = 15, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw bars of the stability index of the features that drifted most, with both thresholds as lines.

    rows: label and csi, largest first.
    """
    top = rows.head(count).reverse()
    figure, axes = new_chart(height=0.8 + 0.26 * max(top.height, 1))
    p = brand_colours()
    colours = [p["wine"] if v > alarm else p["rust"] if v > watch else p["blue"] for v in top["csi"]]
    axes.barh([wrap_label(label, 44) for label in top["label"]], top["csi"], color=colours, height=0.62)
    for value, limit, style in ((watch, words("watch"), ":"), (alarm, words("alarm"), "--")):
        axes.axvline(
            value,
            color=p["grey"],
            lw=1.4,
            ls=style,
            label=words("{limit} above {value}", limit=limit, value=words.number(value, 2)),
        )
    axes.legend(loc="lower right")
    axes.set_xlabel(words("stability index against the years learnt from"))
    axes.grid(axis="y", visible=False)
    return figure


@chart
def alert_trade_off(curve: list[dict[str, Any]], miss_cost: float, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw recall, precision and cost of alerts against the share of companies under alert.

    curve: see `quiebra.alerts.backtest.back_test_rules`.
    """
    figure, (left, right) = new_chart_pair()
    p, shares = brand_colours(), [row["budget"] for row in curve]
    for name, label, colour in (
        ("recall", words("failures seen coming"), p["blue"]),
        ("precision", words("alerts that were right"), p["teal"]),
    ):
        left.plot(shares, [row[name] for row in curve], color=colour, marker="o", ms=4, lw=2, label=label)
    right.plot(shares, [row["cost"] for row in curve], color=p["rust"], marker="o", ms=4, lw=2)
    judged = [row for row in curve if row["cost"] is not None]  # empty if no alert is old enough to be judged
    if judged:
        cheapest = min(judged, key=lambda row: row["cost"])
        right.plot(
            cheapest["budget"],
            cheapest["cost"],
            "D",
            color=p["wine"],
            ms=8,
            label=words("least, at {share}", share=words.percent(cheapest["budget"], 1)),
        )
    right.set_title(words.count("cost, a miss being {n} false alarm", "cost, a miss being {n} false alarms", n=miss_cost))
    left.set_title(words("found and right"))
    for axes in (left, right):
        axes.xaxis.set_major_formatter(percent_axis(words))
        axes.set_xlabel(words("companies under alert"))
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")
    left.yaxis.set_major_formatter(percent_axis(words))
    return figure
