"""Database access: SQLite by default, PostgreSQL by QUIEBRA_DATABASE_URL, with tables for other tools."""

from quiebra.store.audit import (
    AuditRecord,
    ChainVerdict,
    audit_entries,
    chain_head,
    last_entry,
    record_action,
    record_restore,
    verify_chain,
)
from quiebra.store.engine import connect, open_database, upgrade_schema
from quiebra.store.publish import Publication, publish_run
from quiebra.store.queries import current_run, current_source, earlier_month_pd, trace_run
from quiebra.store.register import mirror_register, registered_models
from quiebra.store.retention import delete_job_folders, prune_database
from quiebra.store.studies import study_storage

__all__ = [
    "AuditRecord",
    "ChainVerdict",
    "Publication",
    "audit_entries",
    "chain_head",
    "connect",
    "current_run",
    "current_source",
    "delete_job_folders",
    "earlier_month_pd",
    "last_entry",
    "mirror_register",
    "open_database",
    "prune_database",
    "publish_run",
    "record_action",
    "record_restore",
    "registered_models",
    "study_storage",
    "trace_run",
    "upgrade_schema",
    "verify_chain",
]
