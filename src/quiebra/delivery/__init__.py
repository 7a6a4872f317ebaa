"""Telling people: the monthly mail, alerts by mail, Slack, Teams or webhook, and the outbox that loses nothing and sends once."""
