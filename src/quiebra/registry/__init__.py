"""Register of trained models: keep each by its content hash, choose the champion, and roll back."""

from quiebra.registry.champion import (
    ScoringModel,
    Succession,
    check_promotion,
    check_rollback,
    promote,
    read_scoring_model,
    roll_back,
)
from quiebra.registry.comparison import challenger_in_words, comparison_in_words
from quiebra.registry.model_files import RegisteredModel, registered_model
from quiebra.registry.register import CHALLENGER, CHAMPION, RETIRED, list_models, previous_champion, waiting_challenger

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RETIRED",
    "RegisteredModel",
    "ScoringModel",
    "Succession",
    "challenger_in_words",
    "check_promotion",
    "check_rollback",
    "comparison_in_words",
    "list_models",
    "previous_champion",
    "promote",
    "read_scoring_model",
    "registered_model",
    "roll_back",
    "waiting_challenger",
]
