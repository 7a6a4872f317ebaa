"""Delivery of reports and alerts by mail and chat, from an outbox that sends each at most once."""
