"""The database: SQLite as cloned, PostgreSQL when QUIEBRA_DATABASE_URL says so. Other tools read its tables and views."""

from quiebra.store.audit import Entry, entries, record
from quiebra.store.engine import connect, upgrade
from quiebra.store.publish import Publication, publish
from quiebra.store.queries import current_run, earlier_month, trace
from quiebra.store.register import models, promote, roll_back
from quiebra.store.studies import study_storage

__all__ = [
    "Entry",
    "Publication",
    "connect",
    "current_run",
    "earlier_month",
    "entries",
    "models",
    "promote",
    "publish",
    "record",
    "roll_back",
    "study_storage",
    "trace",
    "upgrade",
]
