"""Which workspace owns a shared database, and the scratch database of a workspace that may not publish."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, Connection, Engine, make_url, select

from quiebra.environment import DATABASE_URL, database_url, workspace_name
from quiebra.errors import LocalisedMessage, StoreError
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import (
    address_without_password,
    connect,
    open_database,
    read_only,
    translate_database_errors,
    upgrade_schema,
)
from quiebra.store.tables import AuditEntry
from quiebra.store.unverified import unverified_person
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import is_experiment, note_database, noted_database, why_not_published

DECLARED_ACTION = "workspace declared"


def study_database(workspace: Workspace) -> str | URL:
    """Return the address of the searches' database: the workspace's, or a scratch one if it may not publish."""
    return scratch_database(workspace) if _why_scratch(workspace) else database_url(workspace.root)


def _why_scratch(workspace: Workspace) -> LocalisedMessage | None:
    if workspace.results.root != workspace.root:
        return LocalisedMessage("this notebook was run by hand, and `quiebra run` publishes")
    return why_not_published(workspace)


def scratch_database(workspace: Workspace) -> URL:
    """Return the address of the database for unpublished results; each stage that writes starts it empty."""
    return URL.create("sqlite", database=str(workspace.scratch / "unpublished.db"))


def publishing_engine(workspace: Workspace) -> tuple[Engine, LocalisedMessage | None]:
    """Return the database that a stage writes to, migrated to this version, and the reason if it is a scratch one (None: it is
    not).

    Experiments, workspaces not declared, notebooks run by hand and workspaces whose database belongs to another one get an empty
    scratch database: they run to the end without changing the real one.
    """
    reason = _why_scratch(workspace)
    if reason is None:
        engine = open_database(workspace)
        reason = claim_database(engine, workspace)
        if reason is None:
            return engine, None
    for ending in ("", "-wal", "-shm"):
        (workspace.scratch / f"unpublished.db{ending}").unlink(missing_ok=True)
    engine = connect(scratch_database(workspace))
    upgrade_schema(engine)
    return engine, reason


def claim_database(
    engine: Engine, workspace: Workspace, *, take_over: bool = False, who: str | None = None
) -> LocalisedMessage | None:
    """Record this workspace as the database's owner, if it has none or with ``take_over``; return why it may not publish, or
    None. A database inside a workspace always belongs to it. who: the person, signed in; None: nobody is."""
    taken = None if _embedded(engine, workspace) else _claim(engine, workspace, take_over, who)
    if taken is None:
        note_database(workspace, _address(engine))
    return taken


def _claim(engine: Engine, workspace: Workspace, take_over: bool, who: str | None) -> LocalisedMessage | None:
    me = workspace_name(workspace.root)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])  # takes the audit table's lock: concurrent claims wait here
        owner = _owner(connection)
        if owner == me:
            return None
        if owner is None or take_over:
            who = who or unverified_person(connection)
            append_entries(
                connection, [AuditRecord(who, DECLARED_ACTION, me, owner, me, "this workspace publishes to the database")]
            )
            return None
    return _taken(owner)


def check_own_database(engine: Engine, workspace: Workspace) -> None:
    """Raise StoreError if a workspace published to another database than this one: a decision would be taken past its users.

    That happens where QUIEBRA_DATABASE_URL is not set in a new terminal.
    """
    noted = noted_database(workspace)
    if noted not in (None, _address(engine)):
        raise StoreError(
            f"this workspace publishes to {noted}, and {DATABASE_URL} leads to {_address(engine)}: set it to the former, or have "
            "`quiebra publish` load the latter first"
        )


def _address(engine: Engine) -> str:
    """Return a database's address without user and password, the same from every folder."""
    url = engine.url
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":", "file:")):
        url = url.set(database=str(Path(url.database).resolve()))
    return address_without_password(url)


def why_not_delivering(engine: Engine, workspace: Workspace) -> LocalisedMessage | None:
    """Return why this workspace sends no messages: it is an experiment, or another one owns the database with its outbox. None:
    it sends."""
    if is_experiment(workspace.root):
        return why_not_published(workspace)
    return belongs_to_another(engine, workspace)


def belongs_to_another(engine: Engine, workspace: Workspace) -> LocalisedMessage | None:
    """Return why this workspace may not write to a database, if another one owns it; None if it may."""
    if _embedded(engine, workspace):
        return None
    with read_only(engine) as connection:
        owner = _owner(connection)
    return None if owner in (None, workspace_name(workspace.root)) else _taken(owner)


def _taken(owner: str) -> LocalisedMessage:
    return LocalisedMessage(
        "the database belongs to the workspace {owner}, which publishes to it: `quiebra publish --take-over` makes this one its "
        "publisher instead",
        {"owner": owner},
    )


def _owner(connection: Connection) -> str | None:
    asked = select(AuditEntry.subject).where(AuditEntry.action == DECLARED_ACTION).order_by(AuditEntry.entry_id.desc()).limit(1)
    return connection.scalar(asked)


def _embedded(engine: Engine, workspace: Workspace) -> bool:
    address = make_url(engine.url)
    return address.get_backend_name() == "sqlite" and str(address.database).startswith(str(workspace.root / "data"))
