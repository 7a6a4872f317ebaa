"""The database: SQLite as cloned, PostgreSQL when QUIEBRA_DATABASE_URL says so. Other tools read its tables and views."""

from quiebra.store.audit import Entry, Verdict, entries, last_entry, record, verify
from quiebra.store.engine import connect, upgrade
from quiebra.store.publish import Publication, publish
from quiebra.store.queries import current_run, current_source, earlier_month, trace
from quiebra.store.register import mirror_register, models
from quiebra.store.retention import prune
from quiebra.store.studies import study_storage

__all__ = [
    "Entry",
    "Publication",
    "Verdict",
    "connect",
    "current_run",
    "current_source",
    "earlier_month",
    "entries",
    "last_entry",
    "mirror_register",
    "models",
    "prune",
    "publish",
    "record",
    "study_storage",
    "trace",
    "upgrade",
    "verify",
]
