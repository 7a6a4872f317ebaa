"""Features: ratios, changes, peers and Altman scores of each statement, from what was known when it was published."""

from quiebra.features.altman import altman_scores, zone
from quiebra.features.build import (
    AGES,
    FEATURES,
    FEATURES_BY_NAME,
    feature_table,
    features_of,
    market_based,
    needs,
    with_past,
    with_ratios,
    years_back,
)
from quiebra.features.feature import Feature
from quiebra.features.standing import Standing, latest

__all__ = [
    "AGES",
    "FEATURES",
    "FEATURES_BY_NAME",
    "Feature",
    "Standing",
    "altman_scores",
    "feature_table",
    "features_of",
    "latest",
    "market_based",
    "needs",
    "with_past",
    "with_ratios",
    "years_back",
    "zone",
]
