"""The database: SQLite as cloned, PostgreSQL when QUIEBRA_DATABASE_URL says so. Other tools read its tables and views."""

from quiebra.store.audit import Entry, Verdict, entries, head, last_entry, record, restored, verify
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
    "head",
    "last_entry",
    "mirror_register",
    "models",
    "prune",
    "publish",
    "record",
    "restored",
    "study_storage",
    "trace",
    "upgrade",
    "verify",
]
