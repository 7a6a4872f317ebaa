"""Errors as problem details (RFC 9457), in the reader's language, with the field at fault and a remedy."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from quiebra.errors import (
    AlertError,
    IdentityError,
    InvalidDecisionError,
    InvalidValue,
    LocalisedFigure,
    LocalisedMessage,
    NothingPublishedError,
    QuiebraError,
    RecordNotFoundError,
    StoreError,
    WorkspaceError,
    either,
)
from quiebra.params.faults import FAULT_MESSAGES
from quiebra.text.words import LANGUAGES, Words, translatable

CONTENT_TYPE = "application/problem+json"
MOST_COUNTED = 10_000
"""Faults of a body that are looked at: each takes some microseconds and a kilobyte."""
MOST_FAULTS = 20
"""Faults of a request that are listed."""
TITLES = {
    400: translatable("The request cannot be read"),
    401: translatable("Not signed in"),
    403: translatable("Not allowed"),
    404: translatable("Not found"),
    405: translatable("No such method here"),
    406: translatable("No such format"),
    408: translatable("Too slow"),
    409: translatable("In conflict with what there is"),
    412: translatable("Changed in the meantime"),
    413: translatable("Too large"),
    415: translatable("Not a content type that is read"),
    422: translatable("The request cannot be used"),
    429: translatable("Too many requests"),
    500: translatable("Something went wrong here"),
    503: translatable("Not available now"),
}
REMEDIES = {
    401: translatable("send 'Authorization: Bearer …' with an API key (quiebra keys create) or an access token (POST /v1/token)"),
    404: translatable("GET /v1/openapi.json lists what there is"),
    405: translatable("GET /v1/openapi.json lists what there is"),
    415: translatable("send application/json, or application/x-ndjson where a list is taken"),
    422: translatable("GET /v1/openapi.json has the form of each request, with examples"),
    429: translatable("wait for the seconds that Retry-After says"),
    500: translatable("tell whoever keeps the service the correlation_id: the log has the reason"),
    503: translatable("try again in a few seconds"),
}
"""What to do, by status, where the error itself does not say it."""


class ApiError(QuiebraError):
    """An error with its HTTP status, and the number of seconds after which to come back."""

    def __init__(
        self, status: int, text: str, /, *, retry_after: float | None = None, remedy: str = "", **values: object
    ) -> None:
        super().__init__(text, **values)
        self.status, self.retry_after, self.remedy = status, retry_after, remedy

    @classmethod
    def of(cls, error: QuiebraError, status: int) -> ApiError:
        """Return an error of ours with another status."""
        made = cls(status, error.said.text)
        made.said = error.said
        return made


def request_language(request: Request) -> str:
    """Return the language that a request prefers, by Accept-Language; English where it prefers none of ours.

    Of several, the one with the highest weight counts, of equal ones the first.
    """
    best, weight = "en", 0.0
    for part in request.headers.get("accept-language", "").split(",")[:20]:
        name, _, rest = part.strip().partition(";")
        quality = rest.strip().removeprefix("q=")
        try:
            share = float(quality) if quality else 1.0
        except ValueError:
            continue
        code = name.partition("-")[0].lower()
        if code in LANGUAGES and share > weight:
            best, weight = code, share
    return best


def problem(
    request: Request,
    status: int,
    said: LocalisedMessage,
    *,
    faults: Sequence[tuple[str, LocalisedMessage]] = (),
    remedy: str = "",
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer to a request that failed. faults: field and problem. remedy: a text of its own, else by status."""
    words = Words(request_language(request))
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": words(TITLES.get(status, TITLES[500 if status >= 500 else 400])),
        "status": status,
        "detail": words.say(said),
        "remedy": words(remedy or REMEDIES.get(status, "")),
        "instance": request.url.path,
        "correlation_id": correlation_id.get(),
    }
    if faults:
        body["errors"] = [{"field": field, "problem": words.say(fault)} for field, fault in faults]
    kept = {"Content-Language": words.language, "Cache-Control": "no-store", **(headers or {})}
    if retry_after is not None:
        kept["Retry-After"] = str(max(1, round(retry_after)))
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps({name: value for name, value in body.items() if value}), status, kept, CONTENT_TYPE)


def status_of(error: QuiebraError) -> int:
    """Return the HTTP status of an error of ours."""
    if isinstance(error, ApiError):
        return error.status
    if isinstance(error, StoreError | WorkspaceError):
        return 503
    if isinstance(error, IdentityError):
        return 403
    if isinstance(error, RecordNotFoundError | InvalidDecisionError):
        return 404 if isinstance(error, RecordNotFoundError) else 422
    return 409 if isinstance(error, AlertError) else 422


def error_problem(request: Request, error: QuiebraError) -> Response:
    """Return the answer for an error of ours. What the database says is for the log alone."""
    status, said = status_of(error), error.said
    retry = error.retry_after if isinstance(error, ApiError) else 5 if status == 503 else None
    remedy = error.remedy if isinstance(error, ApiError) else ""
    if isinstance(error, StoreError) and not isinstance(error, NothingPublishedError):
        logging.getLogger("quiebra.api").error("database", extra={"reason": str(error)})
        said = LocalisedMessage("The database does not answer: nothing was changed, and nothing that was told is lost.")
    elif isinstance(error, WorkspaceError | StoreError):
        remedy = translatable("whoever keeps the workspace runs `quiebra run`; then try again")
    return problem(request, status, said, retry_after=retry, remedy=remedy)


def validation_faults(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, LocalisedMessage]]:
    """Return field and problem of pydantic's errors, the first few."""
    found = []
    for fault in list(errors)[:MOST_FAULTS]:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
        context = {name: _in_words(value) for name, value in {**fault.get("ctx", {}), "other": fault["msg"]}.items()}
        if " or " in str(context.get("expected")):
            context["expected"] = either(re.findall(r"'[^']*'", context["expected"]))
        found.append((path.lstrip("."), LocalisedMessage(FIELD_FAULTS.get(fault["type"], "{other}"), context)))
    return found


def _in_words(value: Any) -> Any:
    """Return a value of a fault so that it is said in the reader's language."""
    if isinstance(value, InvalidValue):
        return value.said
    if isinstance(value, float):
        return LocalisedFigure(value, 0 if value.is_integer() else len(f"{value:f}".rstrip("0").partition(".")[2]))
    return value


def body_faults(error: ValidationError) -> list[tuple[str, LocalisedMessage]]:
    """Return field and problem of a body's faults: of a great many, that there are."""
    if error.error_count() > MOST_COUNTED:
        said = "{n} faults are too many to list: send a part of it to see them"
        return [("", LocalisedMessage(said, {"n": LocalisedFigure(error.error_count())}))]
    return validation_faults(error.errors(include_url=False))


FIELD_FAULTS = {
    **FAULT_MESSAGES,
    "extra_forbidden": "no field of this name is read",
    "missing": "missing",
    "json_invalid": "not JSON ({error})",
    "date_from_datetime_parsing": "should be a date such as 2024-12-31",
    "date_parsing": "should be a date such as 2024-12-31",
    "date_type": "should be a date such as 2024-12-31",
    "date_from_datetime_inexact": "should be a date such as 2024-12-31",
    "enum": "should be {expected}",
    "int_parsing": "should be a valid integer",
    "float_parsing": "should be a valid number",
    "bool_parsing": "should be true or false",
    "model_attributes_type": "should hold names and values",
    "value_error": "{error}",
}
"""Pydantic's error type → message, of the params and of requests."""


def faults_problem(request: Request, faults: Sequence[tuple[str, LocalisedMessage]]) -> Response:
    """Return the answer to a request with faulty fields."""
    field, fault = faults[0]
    said = LocalisedMessage("{name}: {why}", {"name": field or "body", "why": fault})
    return problem(request, 422, said, faults=faults)


def add_handlers(app: FastAPI) -> None:
    """Let every error of the app end as problem details."""

    @app.exception_handler(QuiebraError)
    async def _ours(request: Request, error: QuiebraError) -> Response:
        return error_problem(request, error)

    @app.exception_handler(RequestValidationError)
    async def _faulty(request: Request, error: RequestValidationError) -> Response:
        return faults_problem(request, validation_faults(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        said = LocalisedMessage(TITLES.get(error.status_code, TITLES[400]))
        return problem(request, error.status_code, said, headers=error.headers)

    @app.exception_handler(Exception)
    async def _any(request: Request, error: Exception) -> Response:
        known = {"X-Request-ID": correlation_id.get() or ""}  # an answer to a bug is made outside of what sets it otherwise
        return problem(request, 500, LocalisedMessage(TITLES[500]), headers=known)
