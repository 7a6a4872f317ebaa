"""Out-of-time quality of the scores, with intervals from resampling whole companies."""

from quiebra.validation.report import risk_tenths, validation_report, years_to_judge

__all__ = ["risk_tenths", "validation_report", "years_to_judge"]
