"""Sign in and out: the forms, and what becomes of the session."""

from __future__ import annotations

import json
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from tornado.web import HTTPError

from quiebra.dashboards.server.handlers import PlainHandler, ServerContext
from quiebra.dashboards.server.limits import TokenGuesses
from quiebra.dashboards.server.visitors import SESSION_OWNER, drop_session, keep_session, signed_in
from quiebra.errors import IdentityError, LocalisedMessage
from quiebra.identity import Session, User
from quiebra.identity.oidc import REFUSED, SignInAttempt
from quiebra.params import load_params
from quiebra.text.words import Words

LONGEST_FIELD = 1000
"""Characters of a name or password that are looked at; longer ones are wrong."""


class LoginHandler(PlainHandler, LoginFormHandler):
    """The form: name and password of a user, or as long as there are no users the token."""

    @allow_unauthenticated
    async def get(self) -> None:
        if self.current_user:
            self.go_on()
        else:
            await self._form()

    @allow_unauthenticated
    async def post(self) -> None:
        if not await self.context.accounts.exist():
            form: Any = super()
            form.post()
            return
        guesses: TokenGuesses = cast(Any, self.identity_provider).guesses
        address = self.request.remote_ip or ""
        guesses.check(address)
        name, password = (self.get_body_argument(field, "", strip=False) for field in ("name", "password"))
        try:
            if max(len(name), len(password)) > LONGEST_FIELD:
                raise IdentityError("the name or the password is too long")
            user = await self.context.accounts.sign_in(name, password)
        except IdentityError as error:
            guesses.failed(address)
            self.set_status(401)
            await self._form(error.said)
            return
        await start_session(self, user)
        self.go_on()

    def go_on(self) -> None:
        """Send the visitor on to the page that was asked for, of this server."""
        form: Any = self
        form._redirect_safe(self.get_argument("next", self.base_url))

    def login_address(self) -> str:
        """Return the address that the form is sent to, with the page that was asked for."""
        return f"{self.base_url}login?{urlencode({'next': self.get_argument('next', self.base_url)})}"

    def _render(self, message: dict[str, str] | None = None) -> None:
        """Show the form for a token."""
        wrong = message is not None
        self.plain(
            lambda _: {
                "title": _("Who is there?"),
                "note": _("That is not a token of this server.")
                if wrong
                else _("Open the address that the launcher printed, or give its token."),
                "door": {"action": self.request.uri, "label": _("Token"), "enter": _("Enter")},
            }
        )

    async def _form(self, refused: LocalisedMessage | None = None) -> None:
        if not await self.context.accounts.exist():
            self._render()
            return

        oidc = self.context.accounts.oidc
        start = f"{self.base_url}oidc/start?{urlencode({'next': self.get_argument('next', self.base_url)})}"

        def texts(_: Words) -> dict[str, Any]:
            by = _("Sign in with {name}", name=urlsplit(oidc.provider.issuer).hostname) if oidc else ""
            return {
                "elsewhere": {"address": start, "label": by} if oidc else None,
                "title": _("Sign in"),
                "note": _("With your name and password for Quiebra."),
                "fault": _.say(refused) if refused else "",
                "door": {
                    "action": self.login_address(),
                    "name": _("Name"),
                    "label": _("Password"),
                    "enter": _("Sign in"),
                },
            }

        self.plain(texts)


class OidcStartHandler(LoginHandler):
    """Sends the browser to the company's provider."""

    @allow_unauthenticated
    async def get(self) -> None:
        if not await self.context.accounts.exist():
            raise HTTPError(404)
        attempt = SignInAttempt.start()
        try:
            address = await self.context.accounts.address_to_sign_in(attempt, self.back_to())
        except IdentityError as error:
            self.set_status(503)
            await self._form(error.said)
            return
        content = json.dumps({**vars(attempt), "next": self.get_argument("next", self.base_url)})
        options: dict[str, Any] = {"path": f"{self.base_url}oidc", "httponly": True, "samesite": "Lax"}
        secure = self.request.protocol == "https"
        self.set_signed_cookie(self.attempt_cookie(), content, expires_days=None, secure=secure, **options)
        self.redirect(address)

    def attempt_cookie(self) -> str:
        return f"quiebra-oidc-{self.context.port}"

    def back_to(self) -> str:
        """Return the address that the provider sends the browser back to: of ``delivery.dashboards``, or as it was asked for."""
        known = load_params(self.context.workspace).delivery.dashboards
        here = f"{self.request.protocol}://{self.request.host}{self.base_url}"
        return f"{(known or here).rstrip('/')}/oidc/callback"


class OidcCallbackHandler(OidcStartHandler):
    """Where the provider sends the browser back to."""

    @allow_unauthenticated
    async def get(self) -> None:
        given = self.get_signed_cookie(self.attempt_cookie(), max_age_days=1)
        self.clear_cookie(self.attempt_cookie(), path=f"{self.base_url}oidc")  # each attempt counts once
        try:
            if given is None or not await self.context.accounts.exist():
                raise IdentityError(REFUSED)
            kept = json.loads(given)
            attempt = SignInAttempt(kept["state"], kept["nonce"], kept["verifier"], kept["started_at"])
            code = self.get_query_argument("code", "")
            if not attempt.fits(self.get_query_argument("state", "")) or not code:
                raise IdentityError(REFUSED)
            user = await self.context.accounts.signed_in_elsewhere(attempt, code, self.back_to())
        except IdentityError as error:
            self.set_status(401)
            await self._form(error.said)
            return
        await start_session(self, user)
        form: Any = self
        form._redirect_safe(kept["next"])


class LogoutHandler(PlainHandler):
    """Ends the session, and the pages that it opened."""

    @tornado.web.authenticated
    async def post(self) -> None:
        session = signed_in(self)
        if session is None:
            raise HTTPError(404)
        drop_session(self)
        await end_session(self.context, session)
        self.redirect(f"{self.base_url}login")


async def start_session(handler: Any, user: User) -> None:
    """Open a session under a new token for a user who has signed in; what the browser was signed in as before ends."""
    context: ServerContext = handler.settings["quiebra"]
    if (former := signed_in(handler)) is not None:
        await end_session(context, former)
    keep_session(handler, await context.accounts.open(user))


async def end_session(context: ServerContext, session: Session) -> None:
    """End a session in the database, and close its pages whether or not the database answers."""
    await context.close_pages(lambda owner: owner == f"{SESSION_OWNER}{session.session_id}")
    await context.accounts.end(session.session_id)
