"""Identification of visitors: one token for readers, and one for each person who may change settings."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from traitlets import Dict

from quiebra.dashboards.server.limits import TokenGuesses
from quiebra.io.files import write_text


class TokenIdentityProvider(IdentityProvider):
    """Identifies visitors by the token in the address or the cookie set by it. Without tokens everybody is a reader."""

    tokens = Dict(help="person → token").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.guesses = TokenGuesses()

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


BROWSER = "quiebra-browser"


def current_browser(handler: Any) -> str | None:
    """Return the id of the requesting browser, from its cookie; None: it has none."""
    given = handler.get_signed_cookie(_browser_cookie(handler), max_age_days=365)
    return given.decode() if given else None


def name_browser(handler: Any) -> str:
    """Return the id of the requesting browser, set as a cookie if it has none: pages belong to the browser that opened them."""
    name = current_browser(handler) or secrets.token_urlsafe(16)
    secure = handler.request.protocol == "https"
    handler.set_signed_cookie(_browser_cookie(handler), name, expires_days=None, httponly=True, samesite="Lax", secure=secure)
    return name


def _browser_cookie(handler: Any) -> str:
    """Return the cookie's name with the port, since servers on other ports of the machine share the browser's cookies."""
    return f"{BROWSER}-{handler.settings['quiebra'].port}"


def record_visitor(folder: Path, kernel_id: str, person: str) -> None:
    """Record who opened a page, in a file that only this operating-system user can read."""
    write_text(folder / f"{kernel_id}.json", json.dumps({"person": person}), private=True)
