"""Who looks at a page: one token for readers, and one for each person who may change settings."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from traitlets import Dict

from quiebra.dashboards.access import READER
from quiebra.dashboards.limits import Guesses
from quiebra.files import write_text

FOLDER = "QUIEBRA_VISITORS"
"""The variable that tells a page's kernel where the server writes who opened it."""


class Visitors(IdentityProvider):
    """Knows a visitor by the token in the address or the cookie that it left. Without any token everybody is a reader."""

    tokens = Dict(help="person → token").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.guesses = Guesses()

    @property
    def auth_enabled(self) -> bool:
        return bool(self.tokens)

    async def get_user_token(self, handler: Any) -> User | None:
        return self._known(self.get_token(handler), handler)

    def process_login_form(self, handler: Any) -> User | None:
        return self._known(handler.get_argument("password", default=""), handler)

    def _known(self, given: str | None, handler: Any) -> User | None:
        """Return whose token was given, as fast for a wrong one as for a right one. TooManyGuesses where the address that it came
        from gave too many wrong ones."""
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


def browser_of(handler: Any) -> str | None:
    """Return the browser that asks, by the cookie that it was given with its first page; None: it has had none."""
    given = handler.get_signed_cookie(_browser_cookie(handler), max_age_days=365)
    return given.decode() if given else None


def name_browser(handler: Any) -> str:
    """Return the browser that asks, and give it a name where it has none: pages belong to the browser that opened them."""
    name = browser_of(handler) or secrets.token_urlsafe(16)
    secure = handler.request.protocol == "https"
    handler.set_signed_cookie(_browser_cookie(handler), name, expires_days=None, httponly=True, samesite="Lax", secure=secure)
    return name


def _browser_cookie(handler: Any) -> str:
    """Return the cookie's name: servers on other ports of the machine share the browser's cookies."""
    return f"{BROWSER}-{handler.settings['quiebra'].port}"


def remember(folder: Path, kernel_id: str, person: str) -> None:
    """Write who opened a page; only this user of the machine can read it."""
    write_text(folder / f"{kernel_id}.json", json.dumps({"person": person}), private=True)


def visitor() -> str | None:
    """Return the editor who opened this kernel's page; None: a reader, or a notebook outside the dashboards."""
    folder, kernel_id = os.environ.get(FOLDER), os.environ.get("VOILA_KERNEL_ID")
    if not folder or not kernel_id:
        return None
    path = Path(folder) / f"{Path(kernel_id).name}.json"
    person = json.loads(path.read_text(encoding="utf-8"))["person"] if path.exists() else READER
    return None if person == READER else person
