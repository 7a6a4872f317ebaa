"""Who did what needs no sign-in: the name is only claimed, and the audit table must not take it for a user's."""

from __future__ import annotations

from sqlalchemy import Connection, select

from quiebra.environment import current_person
from quiebra.store.tables import UserRow
from quiebra.text.person_input import LONGEST_NAME, person_key

SYSTEM = "quiebra"
"""What signs where a rule decided, and no person."""
NOT_SIGNED_IN = " (not signed in)"


def unverified_person(connection: Connection) -> str:
    """Return the acting person's name for an entry of the audit table, with a note that nobody has signed in where it is a
    user's name."""
    name = current_person()
    if connection.scalar(select(UserRow.user_id).where(UserRow.user_id == person_key(name))) is None:
        return name
    return name[: LONGEST_NAME - len(NOT_SIGNED_IN)] + NOT_SIGNED_IN
