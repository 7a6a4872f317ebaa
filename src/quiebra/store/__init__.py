"""The database: SQLite as cloned, PostgreSQL when QUIEBRA_DATABASE_URL says so. Other tools read its tables and views."""

from quiebra.store.engine import connect, upgrade
from quiebra.store.publish import Publication, publish
from quiebra.store.queries import current_run, trace
from quiebra.store.register import models, promote, roll_back
from quiebra.store.studies import study_storage

__all__ = [
    "Publication",
    "connect",
    "current_run",
    "models",
    "promote",
    "publish",
    "roll_back",
    "study_storage",
    "trace",
    "upgrade",
]
