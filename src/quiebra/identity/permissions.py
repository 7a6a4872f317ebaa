"""Roles, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Permission(StrEnum):
    """What can be allowed: each is asked for by name, never by role."""

    READ = "read"
    """See companies, scores, alerts, figures of the model and runs."""
    PREDICT = "predict"
    """Have statements scored, stressed, or valued as a portfolio."""
    DECIDE = "decide"
    """Acknowledge and close alerts, keep the watch list, propose and end grades."""
    APPROVE = "approve"
    """Put a grade in force that another person proposed."""
    PROMOTE = "promote"
    """Put models in charge, and roll back."""
    SETTINGS = "settings"
    """Change settings, and send or drop queued messages."""
    USERS = "users"
    """Manage users and keys, and cut the audit table."""


_LOOK = {Permission.READ}
_WORK = {*_LOOK, Permission.PREDICT, Permission.DECIDE}
ROLES: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "reader": frozenset(_LOOK),
        "analyst": frozenset(_WORK),
        "approver": frozenset({*_WORK, Permission.APPROVE}),
        "model_owner": frozenset({*_WORK, Permission.PROMOTE, Permission.SETTINGS}),
        "admin": frozenset({*_LOOK, Permission.SETTINGS, Permission.USERS}),
    }
)
"""Role → permissions. Who manages users decides nothing about companies or models, and who owns models approves no grade."""
KEY_SCOPES = (Permission.READ, Permission.PREDICT, Permission.DECIDE)
"""Permissions that a key may have: what needs a person is not given to a system."""


def roles_with(permission: Permission) -> list[str]:
    """Return the roles that have a permission.

    >>> roles_with(Permission.APPROVE)
    ['approver']
    """
    return [role for role, allowed in ROLES.items() if permission in allowed]
