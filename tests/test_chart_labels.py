"""Charts: every label is whole on the canvas, and axes write numbers in the reader's language."""

from __future__ import annotations

import re

import polars as pl
import pytest
from matplotlib.figure import Figure

from quiebra import plots
from quiebra.text.words import LANGUAGES, Words

DRIFT = pl.DataFrame({"label": ["Valor de mercado frente a su máximo, posición entre todas", "Tamaño"], "csi": [2.5, 0.1]})
SECTORS = pl.DataFrame(
    {"sector": ["Actividades profesionales y técnicas", "B"], "mean_pd": [0.3, 0.02], "watch_share": [0.99, 0.0]}
)
CURVE = [
    {"budget": b, "recall": r, "precision": 0.2, "cost": c} for b, r, c in ((0.01, 0.2, 20.0), (0.1, 0.7, 12.0), (0.3, 0.99, 9.0))
]
CHARTS = {
    "drift_bars": lambda words: plots.drift_bars(DRIFT, 0.1, 0.25, words=words),
    "sector_bars": lambda words: plots.sector_bars(SECTORS, "sector", words),
    "effects": lambda words: plots.effect_bars([("Indicadores clásicos de insolvencia", 12.3), ("otros", -11.2)], words),
    "alert_trade_off": lambda words: plots.alert_trade_off(CURVE, 35, words),
}


def labels(figure: Figure) -> list:
    texts = [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    return [text for text in texts if text.get_text()]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", CHARTS)
def test_no_label_is_cut_by_the_edge(name: str, language: str) -> None:
    figure = CHARTS[name](Words(language))
    figure.draw_without_rendering()
    assert labels(figure)
    for text in labels(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()


@pytest.mark.parametrize(("language", "mark"), [("en", "."), ("es", ",")])
def test_axes_write_numbers_in_the_readers_language(language: str, mark: str) -> None:
    figure = CHARTS["drift_bars"](Words(language))
    figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert any(re.fullmatch(rf"\d\{mark}\d", tick) for tick in ticks), ticks
