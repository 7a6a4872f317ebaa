"""Features of each statement: ratios, changes, peer ranks and Altman scores, from data known by then."""

from quiebra.features.altman import altman_scores, altman_zone
from quiebra.features.build import (
    AGE_FEATURES,
    FEATURES,
    FEATURES_BY_NAME,
    add_history,
    add_ratios,
    feature_inputs,
    feature_lookback,
    feature_table,
    finish_features,
    market_features,
)
from quiebra.features.feature import Feature
from quiebra.features.peer_rank import PeerRanks, latest_rows

__all__ = [
    "AGE_FEATURES",
    "FEATURES",
    "FEATURES_BY_NAME",
    "Feature",
    "PeerRanks",
    "add_history",
    "add_ratios",
    "altman_scores",
    "altman_zone",
    "feature_inputs",
    "feature_lookback",
    "feature_table",
    "finish_features",
    "latest_rows",
    "market_features",
]
