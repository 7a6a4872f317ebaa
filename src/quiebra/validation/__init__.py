"""Out-of-time quality of the scores, with intervals from resampling whole companies."""

from quiebra.validation.leakage import refuse_leaks
from quiebra.validation.report import DEFAULT_TEST_YEARS, risk_tenths, validation_report, years_to_judge

__all__ = ["DEFAULT_TEST_YEARS", "refuse_leaks", "risk_tenths", "validation_report", "years_to_judge"]
