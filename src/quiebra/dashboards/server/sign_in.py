"""Sign in and out: the forms, and what becomes of the session."""

from __future__ import annotations

from typing import Any, cast

import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.login import LoginFormHandler
from tornado.web import HTTPError

from quiebra.dashboards.server.handlers import PlainHandler, ServerContext
from quiebra.dashboards.server.limits import TokenGuesses
from quiebra.dashboards.server.visitors import SESSION_OWNER, drop_session, keep_session, signed_in
from quiebra.errors import IdentityError, LocalisedMessage
from quiebra.identity import Session, User
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

        def texts(_: Words) -> dict[str, Any]:
            return {
                "title": _("Sign in"),
                "note": _("With your name and password for Quiebra."),
                "fault": _.say(refused) if refused else "",
                "door": {
                    "action": self.request.uri,
                    "name": _("Name"),
                    "label": _("Password"),
                    "enter": _("Sign in"),
                },
            }

        self.plain(texts)


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
