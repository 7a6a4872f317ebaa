"""Out-of-time quality of the scores, with intervals from resampling whole companies."""

from quiebra.validation.challengers import contest, walk_challengers
from quiebra.validation.judging import Resampling
from quiebra.validation.leakage import refuse_leaks
from quiebra.validation.pack import blend_weights, groups, horizons, stability
from quiebra.validation.report import (
    DEFAULT_TEST_YEARS,
    calibration_report,
    risk_tenths,
    score_stability,
    validation_report,
    years_to_judge,
)
from quiebra.validation.sensitivity import sensitivity
from quiebra.validation.verdict import failed_gates, verdict

__all__ = [
    "DEFAULT_TEST_YEARS",
    "Resampling",
    "blend_weights",
    "calibration_report",
    "contest",
    "failed_gates",
    "groups",
    "horizons",
    "refuse_leaks",
    "risk_tenths",
    "score_stability",
    "sensitivity",
    "stability",
    "validation_report",
    "verdict",
    "walk_challengers",
    "years_to_judge",
]
