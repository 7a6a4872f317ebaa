"""Whether this process lives, whether it can answer, and its figures for monitoring."""

from __future__ import annotations

import anyio.to_thread
from fastapi import Request, Response

from quiebra.api.problems import request_language
from quiebra.api.routing import json_answer, router
from quiebra.api.service import service_of
from quiebra.errors import QuiebraError
from quiebra.text.words import Words

routes = router()


@routes.get("/health/live", summary="Whether this process lives", operation_id="health_live")
async def live(request: Request) -> Response:
    return json_answer(request, {"status": "live"})


@routes.get("/health/ready", summary="Whether predictions can be answered", operation_id="health_ready")
async def ready(request: Request) -> Response:
    """Answer 200 where there is a model in charge and the database answers, else 503 with what lacks."""
    service = service_of(request)
    lacks = []
    try:
        await anyio.to_thread.run_sync(service.models.get)
    except QuiebraError as error:
        lacks.append(Words(request_language(request)).say(error.said))
    if not await anyio.to_thread.run_sync(service.database_answers):
        lacks.append(Words(request_language(request))("The database does not answer."))
    return json_answer(
        request, {"status": "ready"} if not lacks else {"status": "not ready", "lacks": lacks}, 503 if lacks else 200
    )
