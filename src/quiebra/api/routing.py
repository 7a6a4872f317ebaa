"""Routes that are guarded: who may ask is checked before a request's body is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from quiebra.api.access import Principal
from quiebra.api.json_body import REPEATED_KEY, find_repeated, find_repeated_key
from quiebra.api.limits import STREAMED, discard_body, read_body
from quiebra.api.problems import TITLES, ApiError, error_problem, faults_problem, request_language
from quiebra.api.schemas import Problem
from quiebra.api.service import service_of
from quiebra.errors import QuiebraError, either
from quiebra.identity import Permission
from quiebra.logs import add_log_fields

PERMISSION = "x-permission"
"""Name in the OpenAPI document of the permission that a route needs."""
NDJSON = "application/x-ndjson"
READ_TYPES = ("application/json", NDJSON)
"""Content types of bodies; which of them a route takes, it says itself."""
PROBLEM_STATUSES = (400, 401, 403, 404, 406, 408, 409, 413, 415, 422, 429, 503)


def guarded(permission: Permission, answer: type[BaseModel] | None = None, **extra: Any) -> dict[str, Any]:
    """Return the arguments of a route that needs a permission.

    answer: model of its answers, which one of the app's routes names in ``SCHEMAS``. extra: further parts of its OpenAPI
    operation.
    """
    responses: dict[int | str, dict[str, Any]] = {status: problem_response() for status in PROBLEM_STATUSES}
    if answer is not None:
        schema = {"$ref": f"#/components/schemas/{answer.__name__}"}
        responses[200] = {"description": "the answer", "content": {"application/json": {"schema": schema}}}
    return {
        "openapi_extra": {PERMISSION: permission.value, "security": [{"bearer": []}], **extra},
        "responses": responses,
        "response_model": None,
    }


def problem_response() -> dict[str, Any]:
    return {"description": "problem details", "content": {"application/problem+json": {"schema": {"$ref": PROBLEM_REF}}}}


PROBLEM_REF = f"#/components/schemas/{Problem.__name__}"


class GuardedRoute(APIRoute):
    """A route that lets in who has its permission, at a rate."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        needed = (self.openapi_extra or {}).get(PERMISSION)

        async def handle(request: Request) -> Response:
            try:
                if "\0" in request.url.path:  # PostgreSQL refuses it in a text
                    raise ApiError(404, TITLES[404])
                if needed is not None:
                    await _admit(request, Permission(needed), f"{request.method} {_template(request, self)}")
                _require_read_type(request)
                if (name := find_repeated(name for name, _ in request.query_params.multi_items())) is not None:
                    raise ApiError(422, "'{name}' is in the address more than once, and only one value can count", name=name)
                if request.method in ("POST", "PUT") and request.url.path != STREAMED:
                    await read_body(request, service_of(request))
                    if (key := find_repeated_key(await request.body())) is not None:
                        return faults_problem(request, [(key, REPEATED_KEY)])
            except QuiebraError as error:
                await discard_body(request, service_of(request))
                return error_problem(request, error)
            return await answer(request)

        return handle


def _template(request: Request, route: APIRoute) -> str:
    """Return a route's path with the prefix under which it is included."""
    return f"/v1{route.path_format}" if request.url.path.startswith("/v1/") else route.path_format


async def _admit(request: Request, permission: Permission, action: str) -> None:
    service = service_of(request)
    principal = await service.access.find(request.headers.get("authorization", ""))
    request.state.principal = principal
    add_log_fields(user=principal.name)
    rates = request.app.state.rates
    await rates.check(request.scope, service.options.rate_per_key, principal.kind, principal.name)
    if permission not in principal.permissions:
        await anyio.to_thread.run_sync(service.access.refuse, principal, permission, action)


def _require_read_type(request: Request) -> None:
    """Raise ApiError (415) for a body of a content type that no route reads."""
    given = request.headers.get("content-type", READ_TYPES[0]).partition(";")[0].strip().lower()
    if request.method not in ("GET", "HEAD", "DELETE") and given not in READ_TYPES:
        raise ApiError(415, "The content type '{given}' is not read: send {kinds}.", given=given[:80], kinds=READ_TYPES[0])


def require_type(request: Request, *kinds: str) -> str:
    """Return the content type of a request; ApiError (415) for one that is not read."""
    given = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if given not in kinds:
        raise ApiError(415, "The content type '{given}' is not read: send {kinds}.", given=given[:80], kinds=either(kinds))
    return given


def principal_of(request: Request) -> Principal:
    """Return who sends a request of a guarded route."""
    principal: Principal = request.state.principal
    return principal


def router() -> APIRouter:
    return APIRouter(route_class=GuardedRoute)


def json_answer(
    request: Request, content: Any, status: int = 200, *, kept: bool = False, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer as JSON. kept: the client may keep it and ask whether it has changed, by its ETag."""
    body = orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS)
    said = {"Content-Language": request_language(request), "Cache-Control": "no-store", **(headers or {})}
    if not kept:
        return Response(body, status, said, "application/json")
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    said |= {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Language, Authorization"}
    asked = request.headers.get("if-none-match", "")
    if tag in [part.strip().removeprefix("W/") for part in asked.split(",")] or asked.strip() == "*":
        return Response(None, 304, said)
    return Response(body, status, said, "application/json")
