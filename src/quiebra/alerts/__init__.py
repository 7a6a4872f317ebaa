"""Alerts: rules on companies, portfolio and model, what became of those raised, their judgement on failures, and analysts'
decisions."""
