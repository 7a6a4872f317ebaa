"""The users of the workspace's database, as the server asks for them: sign-in, sessions, and whether there are any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TypeVar

from sqlalchemy import Engine
from tornado.web import HTTPError

from quiebra.environment import oidc_provider
from quiebra.errors import IdentityError, StoreError
from quiebra.identity import Session, User, check_session, end_session, open_session, session_user, sign_in, users_exist
from quiebra.identity.oidc import OidcClient, SignInAttempt, find_user
from quiebra.store import open_database
from quiebra.workspace import Workspace

T = TypeVar("T")
HASHES_AT_ONCE, WAITING_SIGN_INS = 2, 16
"""Passwords that are hashed at once, as each takes 0.1 s and 64 MiB, and those that may wait; more are told to come back."""
PROVIDER_CALLS_AT_ONCE = 2
"""Questions to a company's sign-in service at once, which may take its time: they keep nothing else from being answered."""
OUTAGE_SECONDS = 60.0
"""How long a session that held is taken to hold while the database does not answer."""


class Busy(HTTPError):
    """Too many sign-ins wait; or the database does not answer. ``wait``: seconds after which to try again."""

    def __init__(self, wait: int) -> None:
        super().__init__(503)
        self.wait = wait


class Accounts:
    """Users and sessions of a workspace's database. What waits for the database runs in threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._exist = False
        self._confirmed: dict[str, tuple[float, User]] = {}
        self._hashing = ThreadPoolExecutor(HASHES_AT_ONCE, "password")
        self._elsewhere = ThreadPoolExecutor(PROVIDER_CALLS_AT_ONCE, "provider")
        self._waiting = {self._hashing: 0, self._elsewhere: 0}
        provider = oidc_provider()
        self.oidc = None if provider is None else OidcClient(provider)

    @cached_property
    def engine(self) -> Engine:
        return open_database(self.workspace)

    def any(self) -> bool:
        """Return whether there are users: once there are, they are never all gone. StoreError if the database does not answer."""
        self._exist = self._exist or users_exist(self.engine)
        return self._exist

    async def exist(self) -> bool:
        """Return whether there are users; while the database does not answer, what it said last."""
        try:
            return self._exist or await asyncio.to_thread(self.any)
        except StoreError:
            return self._exist

    async def sign_in(self, name: str, password: str) -> User:
        """Return the user of a name and password. IdentityError if they are wrong, Busy if too many wait."""
        return await self._in_turn(partial(sign_in, self.engine, name, password), self._hashing)

    async def address_to_sign_in(self, attempt: SignInAttempt, back_to: str) -> str:
        """Return the provider's address for a sign-in. IdentityError if it does not answer."""
        return await self._in_turn(partial(self._client().address_to_sign_in, attempt, back_to), self._elsewhere)

    async def signed_in_elsewhere(self, attempt: SignInAttempt, code: str, back_to: str) -> User:
        """Return the user whom the provider says has signed in. IdentityError if it refuses, or there is no such user."""
        client = self._client()
        return await self._in_turn(lambda: find_user(self.engine, client.claims(attempt, code, back_to)), self._elsewhere)

    def _client(self) -> OidcClient:
        if self.oidc is None:
            raise HTTPError(404)
        return self.oidc

    async def open(self, user: User) -> str:
        """Start a session and return its token."""
        return await self._ask(lambda: open_session(self.engine, user, "browser"))

    async def end(self, session_id: str) -> None:
        """End a session."""
        self._confirmed = {key: kept for key, kept in self._confirmed.items() if not key.startswith(session_id)}
        await self._ask(lambda: end_session(self.engine, session_id))

    async def session(self, token: str, *, note_use: bool) -> Session | None:
        """Return the session of a token; None if it has ended. Busy if the database has not answered for a while."""
        session_id = token.partition(".")[0]
        check = partial(check_session, self.engine, token, "browser", note_use=note_use)
        user = await self._confirm(token, lambda: check().user)
        return None if user is None else Session(session_id, user)

    async def holds(self, session_id: str) -> bool:
        """Return whether a session holds, by its id."""
        return await self._confirm(session_id, lambda: session_user(self.engine, session_id, "browser")) is not None

    async def _confirm(self, key: str, ask: Callable[[], User]) -> User | None:
        """Return the user that ``ask`` gives, None where it refuses; during an outage what it gave a short while ago."""
        try:
            user = await asyncio.to_thread(ask)
        except IdentityError:
            self._confirmed.pop(key, None)
            return None
        except StoreError:
            at, user = self._confirmed.get(key, (-OUTAGE_SECONDS, User("", "reader")))
            if time.monotonic() - at > OUTAGE_SECONDS:
                raise Busy(10) from None
            return user
        self._confirmed = {k: v for k, v in self._confirmed.items() if time.monotonic() - v[0] <= OUTAGE_SECONDS}
        self._confirmed[key] = (time.monotonic(), user)
        return user

    async def _in_turn(self, act: Callable[[], T], pool: ThreadPoolExecutor) -> T:
        """Return what ``act`` gives, in a thread of a pool that few may wait for. Busy if too many do."""
        if self._waiting[pool] >= HASHES_AT_ONCE + WAITING_SIGN_INS:
            raise Busy(5)
        self._waiting[pool] += 1
        try:
            return await self._ask(act, pool)
        finally:
            self._waiting[pool] -= 1

    async def _ask(self, act: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, act)
        except StoreError:
            raise Busy(10) from None
