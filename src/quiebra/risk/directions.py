"""Restrict which features follow a shock, so that a shock for the worse never makes a company look safer.

A model trained on ratios reacts to mere arithmetic effects of a shock: falling sales release working capital, and a jump in
market value looks like volatility. Therefore a feature follows a shock only where economics is certain of its sign, and only in
the shock's direction. The model is constrained to these signs, so that its PDs never move the other way.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.feature_engineering import FEATURES
from quiebra.feature_engineering.altman import ALTMAN_SCORES, altman_zone
from quiebra.text.words import translatable

SHOCK_NOTE = translatable(
    "Only ratios of whose sign economics is sure follow a shock, and only the way that it goes: volatility, what several years "
    "together say, and the kind of scorer stay as they are."
)
"""Note on every page that shows shocks."""
UNSHOCKED_FEATURES = ("asset_volatility",)
"""Features that others are computed from and that no shock changes."""
RISK_SIGNS = {
    **{feature.name: 0 if feature.history else feature.sign for feature in FEATURES},
    **dict.fromkeys(ALTMAN_SCORES, -1),
}
"""Feature or Altman score → +1 where a higher value is never safer, -1 where never riskier, 0 where shocks leave it unchanged.

0: the sign is not certain, or the feature covers several years (volatility, loss years, three-year mean, peak).
"""


def hold_direction(before: pl.DataFrame, worse: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the features ``after`` a shock, with every feature that moved against the shock's direction set back.

    before: without the shock. worse: under only the adverse part of the shock. after: under all of it; all for the same rows.

    First the adverse part's moves to the riskier side are applied, then from there the rest's moves to the safer side. A value
    that is null before or after keeps its value before, since it has no direction. Keys are those of ``before``; zones follow
    their scores.
    """
    names, signs = list(RISK_SIGNS), np.array(list(RISK_SIGNS.values()))
    start, bad, end = (table.select(names).cast(pl.Float64).to_numpy() for table in (before, worse, after))
    with np.errstate(invalid="ignore"):
        values = np.where((bad - start) * signs > 0, bad, start)
        if after is not worse:
            relief = end - bad
            moved = values + relief if worse is not before else end
            values = np.where(relief * signs < 0, moved, values)
    moved = pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64)).fill_nan(None)
    return before.with_columns(moved).with_columns(altman_zone(name).alias(f"{name}_zone") for name in ALTMAN_SCORES)
