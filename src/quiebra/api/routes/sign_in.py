"""Sign-in of users to the API: tokens for a name and a password, renewed and revoked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import Request, Response
from pydantic import ConfigDict, Field

from quiebra.api.problems import ApiError
from quiebra.api.routing import json_answer, problem_response, router
from quiebra.api.schemas import Body
from quiebra.api.service import service_of
from quiebra.errors import IdentityError
from quiebra.identity.passwords import LONGEST_PASSWORD
from quiebra.identity.tokens import Tokens, issue_tokens, renew_tokens, revoke_tokens

routes = router()
CONCURRENT_HASHES = anyio.CapacityLimiter(2)
"""Passwords checked at once: each takes 0.1 s and 64 MiB."""
RESPONSES: dict[int | str, dict[str, Any]] = {status: problem_response() for status in (401, 422, 429, 503)}


class SignIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ana", "password": "a long password of her own"}]})

    name: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class RefreshToken(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": "as POST /v1/token gave it"}]})

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


@routes.post("/token", summary="Sign in with name and password", operation_id="sign_in", responses=RESPONSES, response_model=None)
async def sign_in(request: Request, given: SignIn) -> Response:
    """Return an access token for 15 minutes, and a refresh token that is valid once, for the next pair."""
    service = service_of(request)
    address = request.client.host if request.client else "-"
    await request.app.state.rates.check(request.scope, service.options.sign_ins_per_address, "sign-in", address)
    async with CONCURRENT_HASHES:
        return await _tokens(request, lambda: issue_tokens(service.engine(), service.access.keys, given.name, given.password))


@routes.post(
    "/token/refresh", summary="Get the next pair of tokens", operation_id="refresh", responses=RESPONSES, response_model=None
)
async def refresh(request: Request, given: RefreshToken) -> Response:
    """Return the next pair. A refresh token that is shown twice has been copied: its session ends."""
    service = service_of(request)
    return await _tokens(request, lambda: renew_tokens(service.engine(), service.access.keys, given.refresh_token))


@routes.post(
    "/token/revoke", summary="Sign out", operation_id="sign_out", responses=RESPONSES, response_model=None, status_code=204
)
async def revoke(request: Request, given: RefreshToken) -> Response:
    """End the session of a refresh token, and its access tokens with it; nothing happens where it has ended."""
    service = service_of(request)
    with contextlib.suppress(IdentityError):
        await anyio.to_thread.run_sync(revoke_tokens, service.engine(), given.refresh_token)
        service.access.forget()
    return Response(status_code=204)


async def _tokens(request: Request, make: Callable[[], Tokens]) -> Response:
    try:
        made = await anyio.to_thread.run_sync(make)
    except IdentityError as error:
        raise ApiError.of(error, 401) from None
    return json_answer(request, {**vars(made), "token_type": "Bearer"})
