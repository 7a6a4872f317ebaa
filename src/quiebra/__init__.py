"""Quiebra: corporate bankruptcy risk, from raw statements to a published report."""

__version__ = "0.1.0"
