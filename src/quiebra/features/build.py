"""The feature table of a whole panel, in one vectorised pass."""

from __future__ import annotations

import polars as pl

from quiebra.features.altman import SCORES, altman_scores, zone
from quiebra.features.changes import CHANGED, TREND, changes, lagged
from quiebra.features.feature import Feature
from quiebra.features.ratios import RATIOS

FEATURES: tuple[Feature, ...] = (*RATIOS, *changes(RATIOS))
FEATURES_BY_NAME: dict[str, Feature] = {feature.name: feature for feature in FEATURES}
KEYS = ("company_id", "fiscal_year", "period_end", "available_at")


def feature_table(statements: pl.DataFrame) -> pl.DataFrame:
    """Return one row a published statement: its keys, every feature and the Altman scores with their zones.

    statements: canonical, in millions, any order; restatements are rows of their own and see what they restate.
    Every value uses only rows of the same company published by the row's available_at. Missing inputs give missing values.
    """
    one_year, two_years = [*CHANGED, "net_income"], [*TREND, "net_income"]
    table = statements.with_columns(feature.expr.alias(feature.name) for feature in RATIOS)
    table = lagged(lagged(table, one_year, 1), two_years, 2)
    table = altman_scores(table.with_columns(f.expr.alias(f.name) for f in FEATURES[len(RATIOS) :]))
    return table.select(
        *KEYS,
        *(pl.col(name).cast(pl.Float64) for name in (*FEATURES_BY_NAME, *SCORES)),
        **{f"{name}_zone": zone(name) for name in SCORES},
    ).sort(KEYS[0], KEYS[1], KEYS[3])
