"""Whether what a person proposed still counts: once there are users, it must be by one who may propose, and did so as a user."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from quiebra.errors import IdentityError, LocalisedMessage
from quiebra.identity.permissions import Permission
from quiebra.identity.users import USER_ADDED, User
from quiebra.store.tables import AuditEntry, UserRow
from quiebra.text.person_input import person_key
from quiebra.text.words import translatable

NO_USER = translatable("{who} proposed this and is no user: it is to be proposed anew")
DISABLED = translatable("{who} proposed this and is disabled: it is to be proposed anew")
MAY_NOT = translatable("{who} proposed this and is {role} now, who may not propose it: it is to be proposed anew")
NOT_SIGNED_IN = translatable("{who} proposed this and had not signed in: it is to be proposed anew")


def check_proposer(connection: Connection, proposer: str, permission: Permission, action: str, subject: str) -> None:
    """Raise IdentityError if a proposal counts for nothing: users exist, and its proposer is none of them, was none yet when the
    proposal was made (so that nobody had signed in), is disabled, or may not propose any more.

    permission: what proposing takes. action, subject: of the proposal's entry in the audit table.
    """
    if why := why_void(connection, proposer, permission, action, subject):
        raise IdentityError(why.text, **why.values)


def why_void(connection: Connection, proposer: str, permission: Permission, action: str, subject: str) -> LocalisedMessage | None:
    """Return why a proposal counts for nothing, as in `check_proposer`; None where it counts."""
    if not connection.scalar(select(func.count()).select_from(UserRow)):
        return None
    row = connection.execute(select(UserRow.__table__).where(UserRow.user_id == person_key(proposer))).first()
    if row is None:
        return LocalisedMessage(NO_USER, {"who": proposer})
    if row.disabled:
        return LocalisedMessage(DISABLED, {"who": row.name})
    if permission not in User(row.name, row.role).permissions:
        return LocalisedMessage(MAY_NOT, {"who": row.name, "role": row.role})
    proposed = _last_entry(connection, action, subject)
    if proposed is None or proposed < (_last_entry(connection, USER_ADDED, row.name) or 0):
        return LocalisedMessage(NOT_SIGNED_IN, {"who": row.name})
    return None


def _last_entry(connection: Connection, action: str, subject: str) -> int | None:
    """Return the id of the latest entry of an action on a subject."""
    mine = AuditEntry.action == action, AuditEntry.subject == subject
    return connection.scalar(select(func.max(AuditEntry.entry_id)).where(*mine))
