"""Identification of visitors: by the session of a user who signed in, or as long as there are no users by a token."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path
from typing import Any, cast

from jupyter_server.auth.identity import IdentityProvider, User
from traitlets import Dict

from quiebra.dashboards.server.accounts import Accounts
from quiebra.dashboards.server.limits import TokenGuesses
from quiebra.identity import Session
from quiebra.io.files import write_text


class VisitorIdentityProvider(IdentityProvider):
    """Identifies visitors: once there are users by their session, until then by the token in the address or the cookie set by it.
    Without users and tokens everybody is a reader."""

    tokens = Dict(help="person → token").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.guesses = TokenGuesses()
        self.accounts: Accounts = cast(Any, self.parent).accounts

    async def _get_user(self, handler: Any) -> User | None:
        handler.signed_in = None
        if not await self.accounts.exist():
            return await super()._get_user(handler)
        token = handler.get_cookie(session_cookie(handler))
        found = await self.accounts.session(token, note_use=getattr(handler, "notes_use", True)) if token else None
        handler.signed_in = found
        return None if found is None else User(username=found.user.name, name=found.user.name)

    @property
    def auth_enabled(self) -> bool:
        return bool(self.tokens)

    async def get_user_token(self, handler: Any) -> User | None:
        return self._known(self.get_token(handler), handler)

    def process_login_form(self, handler: Any) -> User | None:
        return self._known(handler.get_argument("password", default=""), handler)

    def _known(self, given: str | None, handler: Any) -> User | None:
        """Return the person of a token in constant time; None if it is wrong. TooManyGuesses if its address has to wait."""
        if not given or not self.auth_enabled:
            return None
        address = handler.request.remote_ip or ""
        self.guesses.check(address)
        secret = given.encode(errors="replace")
        found = [person for person, token in self.tokens.items() if hmac.compare_digest(secret, token.encode())]
        if not found:
            self.guesses.failed(address)
            return None
        return User(username=found[0], name=found[0])

    @property
    def login_available(self) -> bool:
        return True


def signed_in(handler: Any) -> Session | None:
    """Return the session of the request; None where nobody has signed in, or there are no users."""
    return getattr(handler, "signed_in", None)


def keep_session(handler: Any, token: str) -> None:
    """Give the browser the token of a session, in a cookie that scripts cannot read and other sites cannot send along."""
    secure = handler.request.protocol == "https"
    handler.set_cookie(session_cookie(handler), token, path=handler.base_url, httponly=True, samesite="Lax", secure=secure)


def drop_session(handler: Any) -> None:
    handler.clear_cookie(session_cookie(handler), path=handler.base_url)


def page_owner(handler: Any) -> str | None:
    """Return what a page belongs to: the session, or as long as there are no users the browser. None: it has neither."""
    session = signed_in(handler)
    if session is not None:
        return f"{SESSION_OWNER}{session.session_id}"
    given = handler.get_signed_cookie(_port_cookie(handler, BROWSER), max_age_days=365)
    return given.decode() if given else None


def name_owner(handler: Any) -> str:
    """Return what a new page belongs to; a browser without a session or name gets a name, in a cookie."""
    owner = page_owner(handler)
    if owner is None:
        owner = secrets.token_urlsafe(16)
        options: dict[str, Any] = {"expires_days": None, "httponly": True, "samesite": "Lax"}
        handler.set_signed_cookie(_port_cookie(handler, BROWSER), owner, **options, secure=handler.request.protocol == "https")
    return owner


def session_of_owner(owner: str) -> str | None:
    """Return the id of the session that a page belongs to; None: it belongs to a browser.

    >>> session_of_owner("session:0123456789ab")
    '0123456789ab'
    """
    return owner.removeprefix(SESSION_OWNER) if owner.startswith(SESSION_OWNER) else None


SESSION_OWNER = "session:"
BROWSER, SESSION = "quiebra-browser", "quiebra-session"


def session_cookie(handler: Any) -> str:
    return _port_cookie(handler, SESSION)


def _port_cookie(handler: Any, name: str) -> str:
    """Return a cookie's name with the port, since servers on other ports of the machine share the browser's cookies."""
    return f"{name}-{handler.settings['quiebra'].port}"


def record_visitor(folder: Path, kernel_id: str, record: dict[str, str]) -> None:
    """Record who opened a page, in a file that only this operating-system user can read. What is there already stays: a page
    never gets another visitor."""
    path = folder / f"{kernel_id}.json"
    if not path.exists():
        write_text(path, json.dumps(record), private=True)
