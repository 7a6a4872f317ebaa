"""Which workspace a shared database belongs to, and where one that may not publish writes instead."""

from __future__ import annotations

from sqlalchemy import URL, Engine, make_url, select

from quiebra.errors import Said
from quiebra.publishing import is_experiment, why_not_published
from quiebra.settings import database_url, person, workspace_name
from quiebra.store.audit import Entry, append
from quiebra.store.engine import answering, connect, reading, upgrade
from quiebra.store.tables import AuditEntry
from quiebra.workspace import Workspace

DECLARED = "workspace declared"


def study_database(workspace: Workspace) -> str | URL:
    """Return the address of the database that searches go on in: the workspace's, or a scratch one where it may not publish."""
    return scratch_database(workspace) if _why_scratch(workspace) else database_url(workspace.root)


def _why_scratch(workspace: Workspace) -> Said | None:
    if workspace.results.root != workspace.root:
        return Said("this notebook was run by hand, and `quiebra run` publishes")
    return why_not_published(workspace)


def scratch_database(workspace: Workspace) -> URL:
    """Return the address of the database that takes what is not published; it is made anew by each stage that writes."""
    return URL.create("sqlite", database=str(workspace.scratch / "unpublished.db"))


def publishing_engine(workspace: Workspace) -> tuple[Engine, Said | None]:
    """Return the database that a stage writes to, at this version's tables, and why it is not the real one (None: it is).

    An experiment, a workspace that was not declared, a notebook run by hand and a workspace whose database belongs to another
    get an empty scratch database, so that they end as any run does and touch nothing.
    """
    reason = _why_scratch(workspace)
    if reason is None:
        engine = connect(database_url(workspace.root))
        upgrade(engine)
        reason = claim(engine, workspace)
        if reason is None:
            return engine, None
    for ending in ("", "-wal", "-shm"):
        (workspace.scratch / f"unpublished.db{ending}").unlink(missing_ok=True)
    engine = connect(scratch_database(workspace))
    upgrade(engine)
    return engine, reason


def claim(engine: Engine, workspace: Workspace, *, take_over: bool = False) -> Said | None:
    """Enter this workspace as the one that the database belongs to, where it is nobody's or ``take_over``; return why it cannot
    publish, or None. The database inside a workspace is always its own."""
    if _embedded(engine, workspace):
        return None
    me = workspace_name(workspace.root)
    with answering(engine), engine.begin() as connection:
        append(connection, [])  # whoever else claims waits here
        owner = _owner(connection)
        if owner == me:
            return None
        if owner is None or take_over:
            append(connection, [Entry(person(), DECLARED, me, owner, me, "this workspace publishes to the database")])
            return None
    return _taken(owner)


def why_not_delivered(engine: Engine, workspace: Workspace) -> Said | None:
    """Return why this workspace sends no messages: it is an experiment, or the database, with its outbox, is another's."""
    if is_experiment(workspace.root):
        return why_not_published(workspace)
    return belongs_to_another(engine, workspace)


def belongs_to_another(engine: Engine, workspace: Workspace) -> Said | None:
    """Return why this workspace may not write to a database, where that belongs to another; None where it may."""
    if _embedded(engine, workspace):
        return None
    with reading(engine) as connection:
        owner = _owner(connection)
    return None if owner in (None, workspace_name(workspace.root)) else _taken(owner)


def _taken(owner: str) -> Said:
    return Said(
        "the database belongs to the workspace {owner}, which publishes to it: `quiebra publish --take-over` makes this one its "
        "publisher instead",
        {"owner": owner},
    )


def _owner(connection) -> str | None:  # type: ignore[no-untyped-def]
    asked = select(AuditEntry.subject).where(AuditEntry.action == DECLARED).order_by(AuditEntry.entry_id.desc()).limit(1)
    return connection.scalar(asked)


def _embedded(engine: Engine, workspace: Workspace) -> bool:
    address = make_url(engine.url)
    return address.get_backend_name() == "sqlite" and str(address.database).startswith(str(workspace.root / "data"))
