"""Charts of explanations, drawn by shap from the model's exact contributions; nothing is estimated here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.text import Text

from quiebra.feature_engineering import FEATURES_BY_NAME
from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_score_used
from quiebra.plots.theme import chart

WIDTH, ROW, FONT = 8.6, 0.32, 9.0


@chart
def beeswarm(parts: pl.DataFrame, base: np.ndarray, table: pl.DataFrame, count: int = 12) -> Figure:
    """Draw the strongest features' effects on the log-odds, one dot per company and feature, coloured by the feature's value.

    parts, base: from `quiebra.models.PdModel.explain` of the features ``table``, row by row.
    """
    with _drawn(WIDTH, 0.9 + ROW * count) as (plots, figure):
        explained = _explanation(parts, base, table)
        plots.beeswarm(explained, max_display=count, show=False, plot_size=None, group_remaining_features=False)
        figure.axes[0].set_xlabel("effect on the log-odds of failure")
    return figure


@chart
def dependence(parts: pl.DataFrame, base: np.ndarray, table: pl.DataFrame, feature: str) -> Figure:
    """Draw a feature's effect on the log-odds against its value, one dot per company, between its 1st and 99th percentile."""
    with _drawn(0.6 * WIDTH, 2.9) as (plots, figure):
        known = table[feature].is_not_null().to_numpy()
        shown = _explanation(parts.filter(known), base[known], table.filter(known))
        column = parts.columns.index(feature)
        plots.scatter(shown[:, column], show=False, ax=figure.subplots(), xmin="percentile(1)", xmax="percentile(99)", hist=False)
        figure.axes[0].set_ylabel("effect on the log-odds")
    return figure


@chart
def waterfall(parts: pl.DataFrame, base: np.ndarray, table: pl.DataFrame, row: int, count: int = 10) -> Figure:
    """Draw how one company's features move the log-odds from the base to its score."""
    height = 0.9 + ROW * count
    with _drawn(WIDTH, height) as (plots, figure):
        plots.waterfall(_explanation(parts, base, table)[row], max_display=count, show=False)
        figure.set_size_inches(WIDTH, height)
    return figure


def _explanation(parts: pl.DataFrame, base: np.ndarray, table: pl.DataFrame) -> Any:
    import shap

    used = pl.coalesce(pl.when(altman_score_used(market=True) == name).then(pl.col(name)) for name in ALTMAN_SCORES)
    values = table.with_columns(altman=used).select(pl.col(parts.columns).fill_null(np.nan)).to_numpy()
    labels = [FEATURES_BY_NAME[name].label if name in FEATURES_BY_NAME else "Altman score" for name in parts.columns]
    return shap.Explanation(parts.to_numpy(), base_values=base, data=values.round(3), feature_names=labels)


@contextmanager
def _drawn(width: float, height: float) -> Iterator[tuple[Any, Figure]]:
    """Yield shap's plots and a current figure; jitter is seeded, so that plots are reproducible, and dots are rasterised."""
    from matplotlib import pyplot

    before = np.random.get_state()  # shap draws jitter from NumPy's global state
    np.random.seed(0)
    figure = pyplot.figure(figsize=(width, height), layout="constrained", dpi=150)
    try:
        with warnings.catch_warnings(action="ignore"):  # warnings about progress bars, and about features that no company has
            import shap

            yield shap.plots, figure
    finally:
        np.random.set_state(before)
        pyplot.close(figure)
    for text in figure.findobj(Text):
        text.set_fontsize(FONT)
    for axes in figure.axes:
        for dots in axes.collections:
            dots.set_rasterized(True)
