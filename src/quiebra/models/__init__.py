"""PD model: hazard trees blended with Altman scores, calibrated, with PD intervals and reasons."""

from quiebra.models.chain import ModelChain, extend_history, walk_forward
from quiebra.models.importance import feature_importance
from quiebra.models.pd_model import PdModel, model_hash
from quiebra.models.reasons import reasons

__all__ = ["ModelChain", "PdModel", "extend_history", "feature_importance", "model_hash", "reasons", "walk_forward"]
