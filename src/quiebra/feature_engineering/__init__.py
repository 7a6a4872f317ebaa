"""Features of each statement: ratios, changes, peer ranks and Altman scores, from data known by then."""

from quiebra.feature_engineering.altman import altman_scores, altman_zone
from quiebra.feature_engineering.build import (
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
    use_own_features,
)
from quiebra.feature_engineering.feature import Feature
from quiebra.feature_engineering.own import OWN_FEATURES
from quiebra.feature_engineering.peer_rank import PeerRanks, latest_rows

__all__ = [
    "AGE_FEATURES",
    "FEATURES",
    "FEATURES_BY_NAME",
    "OWN_FEATURES",
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
    "use_own_features",
]
