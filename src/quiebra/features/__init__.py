"""Features: ratios, changes, peers and Altman scores of each statement, from what was known when it was published."""

from quiebra.features.altman import altman_scores, zone
from quiebra.features.build import (
    AGES,
    FEATURES,
    FEATURES_BY_NAME,
    feature_table,
    features_of,
    market_based,
    with_past,
    with_ratios,
    years_back,
)
from quiebra.features.feature import Feature

__all__ = [
    "AGES",
    "FEATURES",
    "FEATURES_BY_NAME",
    "Feature",
    "altman_scores",
    "feature_table",
    "features_of",
    "market_based",
    "with_past",
    "with_ratios",
    "years_back",
    "zone",
]
