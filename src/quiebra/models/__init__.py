"""The hazard model, its blend with Altman, its calibration, its out-of-time history and its explanations."""

from quiebra.models.chain import Chain, walk
from quiebra.models.importance import importance
from quiebra.models.pd_model import PdModel, model_hash
from quiebra.models.reasons import reasons

__all__ = ["Chain", "PdModel", "importance", "model_hash", "reasons", "walk"]
