"""The direction of a shock: which features follow it, so that what is bad for a company never makes it look safer.

A model that learnt from ratios sees traces that a shock leaves by arithmetic alone: sales that fall set working capital free, a
market value that jumps looks volatile. A feature therefore follows a shock only where economics is sure of its sign and it moves
the way that the shock does. The model being held to those signs, its PDs never move the other way.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from quiebra.features import FEATURES
from quiebra.features.altman import SCORES, zone
from quiebra.words import mark

ABOUT = mark(
    "Only ratios of whose sign economics is sure follow a shock, and only the way that it goes: volatility, what several years "
    "together say, and the kind of scorer stay as they are."
)
"""What a page that shows shocks has to say about them."""
VOLATILITY = ("asset_volatility",)
"""Features that others are worked out from and that no shock moves."""
SIGNS = {
    **{feature.name: 0 if feature.history else feature.sign for feature in FEATURES},
    **dict.fromkeys(SCORES, -1),
}
"""Feature or Altman score → +1 where a higher value is never safer, -1 never riskier, 0 where a shock leaves it: its sign is not
sure, or it says what several years have been (volatility, loss years, the mean of three years, the peak)."""


def held(before: pl.DataFrame, worse: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return feature tables of the same rows ``after`` a shock, in which what moved against it is as it was.

    before: without the shock. worse: after that part of it which is for the worse, and after: after all of it. First what the
    worse part moves to the riskier side moves; then, from there, what the rest moves to the safer side. A value that is missing
    before or after stays as it was: a tree has no direction for it. Keys are those of ``before``, and zones follow their scores.
    """
    names, signs = list(SIGNS), np.array(list(SIGNS.values()))
    start, bad, end = (table.select(names).cast(pl.Float64).to_numpy() for table in (before, worse, after))
    with np.errstate(invalid="ignore"):
        values = np.where((bad - start) * signs > 0, bad, start)
        if after is not worse:
            relief = end - bad
            moved = values + relief if worse is not before else end
            values = np.where(relief * signs < 0, moved, values)
    moved = pl.DataFrame(values, schema=dict.fromkeys(names, pl.Float64)).fill_nan(None)
    return before.with_columns(moved).with_columns(zone(name).alias(f"{name}_zone") for name in SCORES)
