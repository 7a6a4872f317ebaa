"""Run the monthly cycle of scoring, alerts, reports and delivery, and start it on a schedule."""
