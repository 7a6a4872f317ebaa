"""The visitor of a page, as known to its kernel: who it is, and what the role allows now."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine

from quiebra.environment import database_url
from quiebra.errors import IdentityError, StoreError
from quiebra.identity import Permission, User, require_permission, session_user, users_exist
from quiebra.store import connect
from quiebra.workspace import Workspace

READER = "reader"
VISITOR_FOLDER = "QUIEBRA_VISITORS"
"""Environment variable of a page's kernel with the folder in which the server records who opened it."""
READER_PERMISSIONS = frozenset({Permission.READ, Permission.PREDICT})
"""What everybody may do who is let in while there are no users."""
EDITOR_PERMISSIONS = frozenset(Permission) - {Permission.USERS}
"""What an editor may do, who is known by a token while there are no users."""


@dataclass(frozen=True)
class Visitor:
    """Who opened a page. name: None for a reader without a name. user: None as long as there are no users."""

    name: str | None
    permissions: frozenset[Permission]
    user: User | None = None

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


NOBODY = Visitor(None, frozenset())
"""Somebody whose session has ended, or who cannot be looked up."""


def current_visitor(workspace: Workspace) -> Visitor:
    """Return who opened this kernel's page, with the role that the user has now.

    What the server recorded for the kernel says which session it is; the database says whose it is, and whether it still holds.
    Outside the dashboards, and as long as there are no users, everybody is a reader, but for editors.
    """
    record = _record()
    if record is None:
        return Visitor(None, READER_PERMISSIONS)
    try:
        return _look_up(page_database(workspace), record)
    except (StoreError, IdentityError):
        return NOBODY


def page_database(workspace: Workspace) -> Engine:
    """Return the workspace's database, which this page's process keeps open. StoreError if it does not answer."""
    return _connected(database_url(workspace.root))


@lru_cache(maxsize=1)
def _connected(url: str | URL) -> Engine:
    return connect(url)


def deciding_person(engine: Engine, permission: Permission, action: str) -> str:
    """Return the name of who opened this page, if the role allows an action now.

    action: in words, for the message and the audit table. IdentityError, noted in the audit table where a user is known, if it
    is not allowed.
    """
    visitor = _look_up(engine, _record() or {})
    if visitor.user is not None:
        require_permission(engine, visitor.user, permission, action)
    elif not visitor.may(permission) or visitor.name is None:
        raise IdentityError("this needs a sign-in, or as long as there are no users the address of an editor")
    return visitor.name or ""


def _look_up(engine: Engine, record: dict[str, Any]) -> Visitor:
    """Return the visitor of a kernel's record. IdentityError if the session has ended."""
    if session_id := record.get("session"):
        user = session_user(engine, session_id, "browser")
        return Visitor(user.name, user.permissions, user)
    if users_exist(engine):
        return NOBODY
    person = record.get("person", READER)
    return Visitor(None, READER_PERMISSIONS) if person == READER else Visitor(person, EDITOR_PERMISSIONS)


def _record() -> dict[str, Any] | None:
    """Return what the server recorded for this kernel; empty where nobody has opened its page yet, None outside the
    dashboards."""
    folder, kernel_id = os.environ.get(VISITOR_FOLDER), os.environ.get("VOILA_KERNEL_ID")
    if not folder or not kernel_id:
        return None
    path = Path(folder) / f"{Path(kernel_id).name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def visitor_log_fields() -> dict[str, Any]:
    """Return what the lines of this page's log say of its visitor: who, and the id of the request that opened it."""
    record = _record() or {}
    person = record.get("user") or record.get("person")
    return {"correlation_id": record.get("correlation_id"), "user": person}
