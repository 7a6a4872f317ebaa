"""Promote a model, or roll back to the previous champion: in the register's files, and in the database if this workspace
publishes. Once there are users, a promotion takes two people, and a rollback is confirmed afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from quiebra import store
from quiebra.errors import IdentityError, LocalisedMessage, QuiebraError, StoreError
from quiebra.identity import Permission, why_void
from quiebra.io.files import write_text
from quiebra.registry import Succession, check_promotion, check_rollback, promote, roll_back
from quiebra.registry.champion import champion_path
from quiebra.registry.register import register_path
from quiebra.store.audit import AuditRecord, append_entries
from quiebra.store.engine import read_only, translate_database_errors
from quiebra.store.ownership import belongs_to_another
from quiebra.store.tables import SuccessionRow
from quiebra.text.person_input import is_same_person
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import why_not_published

MODEL_PROPOSED = "model proposed"
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

    Raise WorkspaceError as `quiebra.registry.check_promotion` does, IdentityError if it is proposed already. ``despite`` may be
    added to a proposal without it.
    """
    model_id = check_promotion(workspace, identifier, despite=despite)
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        waiting = _waiting(connection, "promotion", model_id)
        if waiting and (waiting.despite or not despite) and not _why_void(connection, waiting):
            raise IdentityError(
                "model {model} was proposed by {who} already: an approver confirms it", model=model_id, who=waiting.proposed_by
            )
        _record(connection, "promotion", model_id, who, despite, MODEL_PROPOSED)
    return model_id


def confirm_promotion(workspace: Workspace, engine: Engine, identifier: str, who: str, *, despite: bool = False) -> Succession:
    """Make a model the champion that another person proposed. despite: both must say so for one that ranks worse.

    Raise WorkspaceError as `quiebra.registry.promote` does; IdentityError if nobody proposed it, ``who`` did, or the proposal
    counts for nothing (`quiebra.identity.check_proposer`). StoreError, with the champion as it was, if the database is away.
    """
    model_id, done = check_promotion(workspace, identifier, despite=True), None
    before = _register_files(workspace)
    try:
        with translate_database_errors(engine), engine.begin() as connection:
            append_entries(connection, [])
            waiting = _waiting(connection, "promotion", model_id)
            if waiting is None:
                raise IdentityError(
                    "nobody has proposed model {model}: a model owner does, by quiebra promote {model}", model=model_id
                )
            if despite and not waiting.despite:
                raise IdentityError(
                    "{who} proposed model {model} without --despite: it is to be proposed anew with it",
                    who=waiting.proposed_by,
                    model=model_id,
                )
            _confirm(connection, waiting, who, "promotion confirmed")
            done = promote(workspace, model_id, despite=despite)  # killed here, it is confirmed again
    except StoreError:
        if done is not None:  # it was not committed
            _restore_files(before)
        raise
    _mirror_promotion(workspace, who, despite)
    return done


def roll_back_unconfirmed(workspace: Workspace, engine: Engine, source: str | None, who: str) -> Succession:
    """Roll back at once and note that another person is to confirm it; see `roll_back_model`.

    It is noted first, so that no rollback is without a note. Proposals of the model that it takes out of charge end.
    """
    done = False
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [])
        planned = check_rollback(workspace, source)
        noted = _record(connection, "rollback", planned.after, who, False, "rollback waits for confirmation")
        _end_proposals(connection, planned.before, who)
    try:
        with translate_database_errors(engine), engine.begin() as connection:
            append_entries(connection, [])
            if check_rollback(workspace, source) != planned:
                raise IdentityError("the champion was changed meanwhile: look at `quiebra models`")
            roll_back(workspace, source)
            done = True
    except QuiebraError:
        if not done:
            _take_back(engine, noted, AuditRecord(who, "rollback failed", planned.after, None, None, "nothing was changed"))
            raise
    _mirror_register(workspace, who, "model rolled back", f"rolled back from {planned.before}")
    return planned


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
    """Return proposed promotions and rollbacks that another person has not confirmed yet: kind, model_id, proposed_by and despite
    (the model ranks worse than the champion). Proposals that count for nothing are left out."""
    with read_only(engine) as connection:
        rows = connection.execute(_open().order_by(SuccessionRow.succession_id)).all()
        names = ("kind", "model_id", "proposed_by", "despite")
        return [{name: getattr(row, name) for name in names} for row in rows if not _why_void(connection, row)]


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


def _record(connection: Connection, kind: Kind, model_id: str, who: str, despite: bool, action: str) -> int:
    """Note what waits for another person, and return its row's id."""
    row = {"kind": kind, "model_id": model_id, "despite": despite, "proposed_by": who, "proposed_at": _now()}
    made = connection.execute(insert(SuccessionRow).values(row).returning(SuccessionRow.succession_id)).scalar_one()
    append_entries(connection, [AuditRecord(who, action, model_id, None, {"kind": kind, "despite": despite}, action)])
    return made


def _confirm(connection: Connection, waiting: Row[Any], who: str, action: str) -> None:
    if is_same_person(waiting.proposed_by, who):
        raise IdentityError("{who} asked for this: another person must confirm it", who=waiting.proposed_by)
    if why := _why_void(connection, waiting):
        raise IdentityError(why.text, **why.values)
    mine = SuccessionRow.kind == waiting.kind, SuccessionRow.model_id == waiting.model_id, SuccessionRow.confirmed_by.is_(None)
    connection.execute(update(SuccessionRow).where(*mine).values(confirmed_by=who, confirmed_at=_now()))
    append_entries(connection, [AuditRecord(who, action, waiting.model_id, None, {"kind": waiting.kind}, action)])


def _why_void(connection: Connection, waiting: Row[Any]) -> LocalisedMessage | None:
    """Return why a proposed promotion counts for nothing; a rollback is in force, and confirmed whatever became of who did it."""
    if waiting.kind == "rollback":
        return None
    return why_void(connection, waiting.proposed_by, Permission.PROMOTE, MODEL_PROPOSED, waiting.model_id)


def _end_proposals(connection: Connection, model_id: str | None, who: str) -> None:
    """End what was proposed of a model."""
    mine = SuccessionRow.kind == "promotion", SuccessionRow.model_id == model_id, SuccessionRow.confirmed_by.is_(None)
    if model_id is not None and connection.execute(delete(SuccessionRow).where(*mine)).rowcount:
        ended = AuditRecord(who, "proposal ended", model_id, None, None, "the model was rolled back from")
        append_entries(connection, [ended])


def _take_back(engine: Engine, succession_id: int, entry: AuditRecord) -> None:
    """Delete a row for what did not happen, and say so."""
    with translate_database_errors(engine), engine.begin() as connection:
        append_entries(connection, [entry])
        connection.execute(delete(SuccessionRow).where(SuccessionRow.succession_id == succession_id))


def _register_files(workspace: Workspace) -> dict[Path, str]:
    paths = (register_path(workspace), champion_path(workspace))
    return {path: path.read_text(encoding="utf-8") for path in paths if path.is_file()}


def _restore_files(before: Mapping[Path, str]) -> None:
    for path, content in before.items():
        write_text(path, content)


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
