"""Promote a model, or roll back to the previous champion: in the register's files, and in the database if this workspace
publishes. Once there are users, a promotion takes two people, and a rollback is confirmed afterwards."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, insert, select, update

from quiebra import store
from quiebra.errors import IdentityError
from quiebra.registry import Succession, check_promotion, promote, roll_back
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.ownership import belongs_to_another
from quiebra.store.tables import SuccessionRow
from quiebra.text.person_input import is_same_person
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import why_not_published

PROPOSAL_TIME = dt.timedelta(days=30)
"""How long a proposed promotion waits for another person."""
Kind = Literal["promotion", "rollback"]


def promote_model(workspace: Workspace, identifier: str, who: str, *, despite: bool = False) -> Succession:
    """Make a model the champion, recorded as ``who``'s decision; see `quiebra.registry.promote`."""
    done = promote(workspace, identifier, despite=despite)
    _mirror_promotion(workspace, who, despite)
    return done


def roll_back_model(workspace: Workspace, source: str | None, who: str) -> Succession:
    """Make the previous champion the champion again, recorded as ``who``'s decision; see `quiebra.registry.roll_back`."""
    done = roll_back(workspace, source)
    _mirror_register(workspace, who, "model rolled back", f"rolled back from {done.before}")
    return done


def propose_promotion(workspace: Workspace, engine: Engine, identifier: str, who: str, *, despite: bool = False) -> str:
    """Propose a model as champion and return its id: `confirm_promotion` by another person makes it so.

    Raise WorkspaceError as `quiebra.registry.check_promotion` does, IdentityError if it is proposed already.
    """
    model_id = check_promotion(workspace, identifier, despite=despite)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        if waiting := _waiting(connection, "promotion", model_id):
            raise IdentityError(
                "model {model} was proposed by {who} already: an approver confirms it", model=model_id, who=waiting.proposed_by
            )
        _record(connection, "promotion", model_id, who, despite, "model proposed")
    return model_id


def confirm_promotion(workspace: Workspace, engine: Engine, identifier: str, who: str) -> Succession:
    """Make a model the champion that another person proposed.

    Raise WorkspaceError as `quiebra.registry.promote` does; IdentityError if nobody proposed it, or ``who`` did.
    """
    model_id = check_promotion(workspace, identifier, despite=True)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        waiting = _waiting(connection, "promotion", model_id)
        if waiting is None:
            raise IdentityError(
                "nobody has proposed model {model}: a model owner does, by quiebra promote {model}", model=model_id
            )
        _confirm(connection, waiting, who, "promotion confirmed")
        done = promote(workspace, model_id, despite=waiting.despite)  # killed here, it is confirmed again
    _mirror_promotion(workspace, who, waiting.despite)
    return done


def roll_back_unconfirmed(workspace: Workspace, engine: Engine, source: str | None, who: str) -> Succession:
    """Roll back at once and note that another person is to confirm it; see `roll_back_model`."""
    done = roll_back_model(workspace, source, who)
    with translate_database_errors(engine), engine.begin() as connection:
        _record(connection, "rollback", done.after, who, False, "rollback waits for confirmation")
    return done


def confirm_rollback(engine: Engine, who: str) -> str:
    """Confirm the latest rollback, by another person than who rolled back; return the model in charge since. IdentityError if
    there is none, or ``who`` rolled back."""
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        waiting = _waiting(connection, "rollback")
        if waiting is None:
            raise IdentityError("no rollback waits for confirmation")
        _confirm(connection, waiting, who, "rollback confirmed")
    return str(waiting.model_id)


def waiting_successions(engine: Engine) -> list[dict[str, Any]]:
    """Return proposed promotions and rollbacks that another person has not confirmed yet: kind, model_id and proposed_by."""
    with read_only(engine) as connection:
        rows = connection.execute(_open().order_by(SuccessionRow.succession_id)).mappings()
        return [{name: row[name] for name in ("kind", "model_id", "proposed_by")} for row in rows]


def _open() -> Any:
    """Return the query of what waits: a promotion for a time, a rollback until it is confirmed."""
    fresh = SuccessionRow.proposed_at > _now() - PROPOSAL_TIME
    waits = (SuccessionRow.kind == "rollback") | fresh
    return select(SuccessionRow.__table__).where(SuccessionRow.confirmed_by.is_(None), waits)


def _waiting(connection: Connection, kind: Kind, model_id: str | None = None) -> Row[Any] | None:
    asked = _open().where(SuccessionRow.kind == kind).order_by(SuccessionRow.succession_id.desc())
    if model_id is not None:
        asked = asked.where(SuccessionRow.model_id == model_id)
    row: Row[Any] | None = connection.execute(asked).first()
    return row


def _record(connection: Connection, kind: Kind, model_id: str, who: str, despite: bool, action: str) -> None:
    row = {"kind": kind, "model_id": model_id, "despite": despite, "proposed_by": who, "proposed_at": _now()}
    connection.execute(insert(SuccessionRow).values(row))
    append_entries(connection, [AuditRecord(who, action, model_id, None, {"kind": kind, "despite": despite}, action)])


def _confirm(connection: Connection, waiting: Row[Any], who: str, action: str) -> None:
    if is_same_person(waiting.proposed_by, who):
        raise IdentityError("{who} asked for this: another person must confirm it", who=waiting.proposed_by)
    mine = SuccessionRow.kind == waiting.kind, SuccessionRow.model_id == waiting.model_id, SuccessionRow.confirmed_by.is_(None)
    connection.execute(update(SuccessionRow).where(*mine).values(confirmed_by=who, confirmed_at=_now()))
    append_entries(connection, [AuditRecord(who, action, waiting.model_id, None, {"kind": waiting.kind}, action)])


def _mirror_promotion(workspace: Workspace, who: str, despite: bool) -> None:
    why = "although it ranks worse than the champion" if despite else "no gate failed"
    _mirror_register(workspace, who, "model promoted", why)


def _mirror_register(workspace: Workspace, who: str, action: str, why: str) -> None:
    if why_not_published(workspace) is None:
        engine = store.open_database(workspace)
        if belongs_to_another(engine, workspace) is None:
            store.mirror_register(engine, workspace, who=who, action=action, why=why)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
