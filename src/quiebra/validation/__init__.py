"""Out-of-time quality of the scores, with intervals from resampling whole companies."""

from quiebra.validation.leakage import refuse_leaks
from quiebra.validation.report import (
    DEFAULT_TEST_YEARS,
    calibration_report,
    risk_tenths,
    score_stability,
    validation_report,
    years_to_judge,
)
from quiebra.validation.verdict import failed_gates, verdict

__all__ = [
    "DEFAULT_TEST_YEARS",
    "calibration_report",
    "failed_gates",
    "refuse_leaks",
    "risk_tenths",
    "score_stability",
    "validation_report",
    "verdict",
    "years_to_judge",
]
