"""Who sends a request, and whether it may: API keys of systems, access tokens of users, and rate limits."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn

import anyio.to_thread
from sqlalchemy import Engine

from quiebra.api.problems import ApiError
from quiebra.errors import IdentityError, StoreError, either
from quiebra.identity import Permission, check_key, users_exist
from quiebra.identity.keys import PREFIX
from quiebra.identity.permissions import KEY_SCOPES, roles_with
from quiebra.identity.random_secrets import is_secret_of
from quiebra.identity.tokens import REFUSED, signing_keys, token_user
from quiebra.identity.users import KEY_NAME_PREFIX
from quiebra.store.audit import AuditRecord, record_action
from quiebra.text.words import translatable

TRUSTED_SECONDS = 1.0
"""How long a key or token that was found right is taken for right: a revoked one may be used for so long."""
TRUSTED_AWAY_SECONDS = 900.0
"""The same for reading, while the database does not answer."""
MOST_TRUSTED = 10_000
LONGEST_TOKEN = 4096
"""Characters of a key or token."""
LOCAL = "this server's own key"


@dataclass(frozen=True)
class Principal:
    """Who sends a request. name: of a user, or of a key, as the audit table has it. role: of a user."""

    name: str
    kind: Literal["user", "key"]
    permissions: frozenset[Permission]
    role: str | None = None


class Access:
    """Finds who sends a request. local_key_sha256: of the key that a server prints at its start while there are no users."""

    def __init__(self, engine: Callable[[], Engine], local_key_sha256: str | None) -> None:
        self.engine, self.local_key_sha256 = engine, local_key_sha256
        self.keys = signing_keys()
        self._trusted: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._looked_up: dict[str, asyncio.Task[Principal]] = {}

    async def find(self, header: str) -> Principal:
        """Return who an Authorization header names, as was found just before, else by looking it up, once for all requests that
        come meanwhile. Raise as `authenticate` does."""
        if (principal := self._just_found(header)) is not None:
            return principal
        place = _place(header)
        if place not in self._looked_up:
            self._looked_up[place] = asyncio.create_task(anyio.to_thread.run_sync(self.authenticate, header))
            self._looked_up[place].add_done_callback(lambda _task: self._looked_up.pop(place, None))
        return await asyncio.shield(self._looked_up[place])  # who goes away ends it for nobody else

    def authenticate(self, header: str) -> Principal:
        """Return who an Authorization header names. ApiError (401), in the same words whatever is wrong; StoreError."""
        scheme, _, given = header.partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given or len(given) > LONGEST_TOKEN:
            raise ApiError(401, "The request carries no key and no access token.")
        known = _place(header)
        since, principal = self._trusted.get(known, (0.0, None))
        try:
            found = self._find(given)
        except IdentityError:
            self._trusted.pop(known, None)
            raise ApiError(401, "The key or access token is wrong, revoked or expired.") from None
        except StoreError:
            if principal is not None and time.monotonic() - since < TRUSTED_AWAY_SECONDS:
                return principal
            raise
        self._trusted.pop(known, None)  # not move_to_end: another thread may forget it in between
        self._trusted[known] = (time.monotonic(), found)
        while len(self._trusted) > MOST_TRUSTED:
            self._trusted.popitem(last=False)
        return found

    def _just_found(self, header: str) -> Principal | None:
        since, principal = self._trusted.get(_place(header), (0.0, None))
        return principal if principal is not None and time.monotonic() - since < TRUSTED_SECONDS else None

    def forget(self) -> None:
        """Look every key and token up again at its next use."""
        self._trusted.clear()

    def _find(self, given: str) -> Principal:
        if given.startswith(f"{PREFIX}_"):
            key = check_key(self.engine(), given)
            return Principal(f"{KEY_NAME_PREFIX}{key.name}", "key", key.permissions)
        if self.local_key_sha256 is not None and is_secret_of(given, self.local_key_sha256):
            if users_exist(self.engine()):
                raise IdentityError(REFUSED)
            return Principal(LOCAL, "key", frozenset(KEY_SCOPES))
        user = token_user(self.engine(), self.keys, given)
        return Principal(user.name, "user", user.permissions, user.role)

    def refuse(self, principal: Principal, permission: Permission, action: str) -> NoReturn:
        """Note in the audit table that a principal may not do something, and raise ApiError (403). action: method and route."""
        self.note_denied(principal, action, ", ".join(roles_with(permission)))
        if principal.kind == "key" and permission in KEY_SCOPES:
            raise ApiError(403, "This key lacks the scope '{scope}'.", scope=permission, remedy=KEY_REMEDY)
        raise ApiError(403, "This needs a user who is {roles}.", roles=either(roles_with(permission)))

    def note_denied(self, principal: Principal, action: str, allowed: str) -> None:
        """Note in the audit table that a principal may not do something. action: method and route. allowed: who may."""
        text = f"asked for by {principal.role or 'a key'}, allowed to {allowed}"
        record_action(self.engine(), [AuditRecord(principal.name, "denied", action, None, None, text)])


def _place(header: str) -> str:
    """Return where what is known of a header is kept: secrets are not held in memory for longer than a request."""
    return hashlib.sha256(header.encode()).hexdigest()


KEY_REMEDY = translatable("an admin makes a key with it: quiebra keys create NAME --scope SCOPE")
