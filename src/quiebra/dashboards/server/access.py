"""Access to the dashboards: tokens, and checks of the address before the server starts."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets

from quiebra.dashboards.pages.visitor import READER
from quiebra.errors import WorkspaceError
from quiebra.text.person_input import clean_person_name, is_same_person


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tokens_for(host: str, editors: list[str], authenticated: bool, *, users: bool = False) -> dict[str, str]:
    """Return person → token; empty without authentication, and where there are users, who sign in.

    WorkspaceError for a host that other machines reach, or editors, without authentication; for an editor's name that is not
    allowed in the audit table; and for editors, or no authentication, where there are users.
    """
    if users and (editors or not authenticated):
        raise WorkspaceError(
            "there are users: leave --editor and --no-token away; everybody signs in with name and password at the address that "
            "is printed, and the role says who may change what (quiebra users list)"
        )
    if users:
        return {}
    _check_names(editors)
    if not authenticated and not is_loopback(host):
        raise WorkspaceError(f"{host} can be reached by others: leave --no-token away, or bind to 127.0.0.1")
    if not authenticated and editors:
        raise WorkspaceError("editors are known by their tokens: leave --no-token away")
    given = os.environ.get("QUIEBRA_DASHBOARD_TOKEN", "").strip()
    if given and len(given) < 16:
        raise WorkspaceError("QUIEBRA_DASHBOARD_TOKEN must have 16 signs or more; without it there is a new one at each start")
    if not authenticated:
        return {}
    return {READER: given or secrets.token_urlsafe(24), **{editor: secrets.token_urlsafe(24) for editor in editors}}


def _check_names(names: list[str]) -> None:
    for place, name in enumerate(names):
        again = any(is_same_person(name, other) for other in (READER, *names[:place]))
        if not re.fullmatch(r"[\w .@-]{1,60}", name) or clean_person_name(name, "--editor") != name or again:
            raise WorkspaceError(
                f"--editor '{name}': use letters, digits, dots, @ and dashes, and not '{READER}', nor a name twice"
            )
