"""Chart of two scores on the same firm-years."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from quiebra.brand import brand_colours
from quiebra.plots.theme import DEFAULT_WORDS, chart, new_chart_pair, percent_axis
from quiebra.text.words import Words, wrap_label


@chart
def compared_scores(curves: dict[str, pl.DataFrame], by_year: pl.DataFrame, words: Words = DEFAULT_WORDS) -> Figure:
    """Draw the failures found by each of two scores among the riskiest companies (CAP), and the AUC of each by fiscal year.

    curves: name of the score → `quiebra.validation.discrimination.cap_curve`. by_year: fiscal_year and a column of AUCs per name,
        null in a year without a failure.
    """
    figure, (left, right) = new_chart_pair(height=3.1)
    p = brand_colours()
    for (name, curve), colour, marker in zip(curves.items(), (p["blue"], p["rust"]), "os", strict=True):
        left.plot(curve["companies"], curve["failures"], color=colour, lw=2, label=wrap_label(name, 28))
        right.plot(by_year["fiscal_year"], by_year[name], marker, color=colour, ms=5, ls="-", lw=1)
    left.plot([0, 1], [0, 1], color=p["grey"], lw=1, ls=":", label=words("chance"))
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(percent_axis(words, 0))
    left.set_xlabel(words("companies, riskiest first"))
    left.set_ylabel(words("failures found"))
    left.legend(loc="lower right")
    right.set_xticks(by_year["fiscal_year"].to_list())
    right.set_xlabel(words("fiscal year of the statements"))
    right.set_ylabel(words("AUC"))
    return figure
