"""Charts of the model: performance by year, calibration, feature importance."""

from __future__ import annotations

from typing import Any

import polars as pl
from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart, new_chart_pair
from quiebra.text.words import Words, wrap_label


@chart
def auc_by_year(metrics: dict[str, Any], words: Words = DEFAULT_WORDS) -> Figure:
    """Draw each test year's out-of-time AUC with its interval."""
    figure, axes = new_chart(height=2.6)
    p = brand_colours()
    years = {int(y): m for y, m in metrics["by_year"].items() if m.get("auc") is not None}
    x, auc = list(years), [m["auc"] for m in years.values()]
    low = [a - m["interval"]["auc"][0] for a, m in zip(auc, years.values(), strict=True)]
    high = [m["interval"]["auc"][1] - a for a, m in zip(auc, years.values(), strict=True)]
    axes.errorbar(x, auc, yerr=[[max(v, 0) for v in low], [max(v, 0) for v in high]], fmt="o", color=p["blue"], capsize=3)
    pooled = metrics["walk_forward"]["auc"]
    axes.axhline(pooled, color=p["teal"], lw=1.2, ls="--", label=words("all years {auc}", auc=words.number(pooled, 3)))
    altman = metrics["altman_alone"].get("auc")
    if altman is not None:
        axes.axhline(altman, color=p["rust"], lw=1.2, ls=":", label=words("Altman alone {auc}", auc=words.number(altman, 3)))
    axes.set_xticks(x)
    axes.set_ylabel(words("AUC"))
    axes.set_ylim(top=1.0)
    axes.legend(loc="lower left", ncols=2)
    axes.set_xlabel(words("fiscal year of the statements"))
    return figure


@chart
def observed_against_predicted(tenths: pl.DataFrame, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw predicted against observed failure rates by decile of predicted risk, on logarithmic scales."""
    figure, axes = new_chart(height=3.2)
    p = brand_colours()
    floor = 10**-4.5
    shown = tenths.with_columns(pl.col("mean_pd", "observed").clip(lower_bound=floor))
    axes.plot([floor, 1], [floor, 1], color=p["grey"], lw=1, ls="--", label=words("predicted = observed"))
    seen = shown.filter(pl.col("failures") > 0)
    none = shown.filter(pl.col("failures") == 0)
    axes.plot(seen["mean_pd"], seen["observed"], "o", color=p["blue"], ms=6, label=words("tenth of companies by PD"))
    axes.plot(none["mean_pd"], none["observed"], "o", mfc="none", color=p["blue"], ms=6, label=words("no failure seen"))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(words("mean predicted PD"))
    axes.set_ylabel(words("observed rate"))
    axes.legend(loc="upper left")
    return figure


@chart
def importance(table: pl.DataFrame, count: int = 15) -> Figure:
    """Draw bars of the mean absolute contribution (log-odds) of the strongest features.

    table: label, mean_abs, strongest first.
    """
    top = table.head(count).reverse()
    figure, axes = new_chart(height=0.6 + 0.24 * top.height)
    axes.barh([wrap_label(label, 44) for label in top["label"]], top["mean_abs"], color=brand_colours()["blue"], height=0.62)
    axes.set_xlabel("mean absolute effect on the log-odds")
    axes.grid(axis="y", visible=False)
    return figure


@chart
def expected_and_observed(known: pl.DataFrame, estimated: pl.DataFrame) -> Figure:
    """Draw failures and AUC by fiscal year: expected by the PDs as a band, observed as points.

    known, estimated: see `quiebra.validation.monitoring`. Years whose outcomes are not known yet have a band only.
    """
    figure, (left, right) = new_chart_pair()
    p, years = brand_colours(), estimated["fiscal_year"]
    for axes, name, low, high in ((left, "failures", "failures_low", "failures_high"), (right, "auc", "auc_low", "auc_high")):
        axes.fill_between(years, estimated[low], estimated[high], color=p["mist"])
        axes.plot(years, estimated[name], color=p["blue"], lw=1.6, label="promised by the PDs")
        seen = known.filter(pl.col(name).is_not_null())
        axes.plot(seen["fiscal_year"], seen[name], "D", color=p["wine"], ms=5, label="seen")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(name if name == "failures" else "AUC")
    left.set_ylim(bottom=0)
    right.set_ylim(top=1.0)
    left.legend(loc="upper right")
    return figure
