"""Who may do what: users with passwords and roles, and keys of other systems."""

from quiebra.identity.keys import ApiKey, check_key, create_key, list_keys, revoke_key
from quiebra.identity.permissions import KEY_SCOPES, ROLES, Permission
from quiebra.identity.proposals import check_proposer, why_void
from quiebra.identity.sessions import Session, check_session, end_session, open_session, renew_session, session_user
from quiebra.identity.users import (
    User,
    add_user,
    change_password,
    change_role,
    disable_user,
    enable_user,
    list_users,
    require_permission,
    sign_in,
    users_exist,
)

__all__ = [
    "KEY_SCOPES",
    "ROLES",
    "ApiKey",
    "Permission",
    "Session",
    "User",
    "add_user",
    "change_password",
    "change_role",
    "check_key",
    "check_proposer",
    "check_session",
    "create_key",
    "disable_user",
    "enable_user",
    "end_session",
    "list_keys",
    "list_users",
    "open_session",
    "renew_session",
    "require_permission",
    "revoke_key",
    "session_user",
    "sign_in",
    "users_exist",
    "why_void",
]
