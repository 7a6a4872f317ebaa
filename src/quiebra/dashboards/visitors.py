"""Who looks at a page: one token for readers, and one for each person who may change settings."""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from traitlets import Dict

from quiebra.dashboards.access import READER

FOLDER = "QUIEBRA_VISITORS"
"""The variable that tells a page's kernel where the server writes who opened it."""


class Visitors(IdentityProvider):
    """Knows a visitor by the token in the address or the cookie that it left. Without any token everybody is a reader."""

    tokens = Dict(help="person → token").tag(config=True)

    @property
    def auth_enabled(self) -> bool:
        return bool(self.tokens)

    async def get_user_token(self, handler: Any) -> User | None:
        return self._known(self.get_token(handler))

    def process_login_form(self, handler: Any) -> User | None:
        return self._known(handler.get_argument("password", default=""))

    def _known(self, given: str | None) -> User | None:
        for person, token in self.tokens.items():
            if given and hmac.compare_digest(given.encode(), token.encode()):
                return User(username=person, name=person)
        return None

    @property
    def login_available(self) -> bool:
        return True


def remember(folder: Path, kernel_id: str, person: str) -> None:
    """Write who opened a page; only this user of the machine can read it."""
    path = folder / f"{kernel_id}.json"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump({"person": person}, handle)


def visitor() -> str | None:
    """Return the editor who opened this kernel's page; None: a reader, or a notebook outside the dashboards."""
    folder, kernel_id = os.environ.get(FOLDER), os.environ.get("VOILA_KERNEL_ID")
    if not folder or not kernel_id:
        return None
    path = Path(folder) / f"{Path(kernel_id).name}.json"
    person = json.loads(path.read_text(encoding="utf-8"))["person"] if path.exists() else READER
    return None if person == READER else person
