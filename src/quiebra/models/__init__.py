"""Hazard trees, their blend with Altman, calibration, term structure and intervals, out-of-time history, and explanations."""

from quiebra.models.chain import Chain, continued, walk
from quiebra.models.importance import importance
from quiebra.models.pd_model import PdModel, model_hash
from quiebra.models.reasons import reasons

__all__ = ["Chain", "PdModel", "continued", "importance", "model_hash", "reasons", "walk"]
