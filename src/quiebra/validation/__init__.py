"""Out-of-time quality of the scores, with intervals from resampling whole companies."""

from quiebra.validation.report import risk_tenths, test_years, validation_report

__all__ = ["risk_tenths", "test_years", "validation_report"]
