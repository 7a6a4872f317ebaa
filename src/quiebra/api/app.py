"""The application: routes, limits, logs and metrics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic.json_schema import models_json_schema

from quiebra import __version__
from quiebra.api.limits import Gate, RateLimits
from quiebra.api.problems import add_handlers
from quiebra.api.request_log import RequestLogMiddleware
from quiebra.api.routes import companies, decisions, health, jobs, models, portfolios, predictions, sign_in
from quiebra.api.routing import guarded, json_answer, router
from quiebra.api.schemas import Problem
from quiebra.api.service import Service
from quiebra.environment import redis_url
from quiebra.errors import QuiebraError
from quiebra.identity import Permission
from quiebra.logs import is_correlation_id
from quiebra.workspace import Workspace

VERSION = "v1"
ROOT, LOCAL_KEY = "QUIEBRA_SERVED_WORKSPACE", "QUIEBRA_LOCAL_KEY_SHA256"
"""Environment variables from `quiebra.api.server` to the processes that it starts."""
DESCRIPTION = "Probabilities of default with reasons: scores of statements that are sent, and what the last run found."
ROUTES = (predictions, jobs, companies, portfolios, models, decisions, sign_in)


def create_app(workspace: Workspace | None = None, local_key_sha256: str | None = None) -> FastAPI:
    """Return the application of a workspace; without arguments that of the environment, as a server's process makes it."""
    root = workspace or Workspace(Path(os.environ[ROOT]))
    service = Service(root, local_key_sha256 or os.environ.get(LOCAL_KEY))
    rates = RateLimits(redis_url())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with contextlib.suppress(QuiebraError):  # /health/ready says so, and each prediction
            await anyio.to_thread.run_sync(service.models.get)
        yield
        await service.close()

    app = FastAPI(
        title="Quiebra",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.rates = service, rates
    add_handlers(app)
    app.include_router(health.routes, tags=["health"])
    for module in ROUTES:
        app.include_router(module.routes, prefix=f"/{VERSION}", tags=[module.__name__.rpartition(".")[2]])
    app.include_router(_about(app))
    Instrumentator(excluded_handlers=["/metrics", "/health/.*"]).instrument(app)
    app.add_middleware(Gate, service=service, rates=rates)
    app.add_middleware(RequestLogMiddleware, prefix=f"/{VERSION}")
    app.add_middleware(CorrelationIdMiddleware, validator=is_correlation_id)
    return app


def _about(app: FastAPI) -> Any:
    routes = router()

    @routes.get("/metrics", summary="Figures for Prometheus", **guarded(Permission.READ))
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @routes.get(f"/{VERSION}/openapi.json", summary="This document", response_model=None)
    async def document(request: Request) -> Response:
        return json_answer(request, openapi_document(app), kept=True)

    return routes


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of bodies that routes read themselves."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        models = [Problem, *(model for module in ROUTES for model in getattr(module, "SCHEMAS", ()))]
        template = "#/components/schemas/{model}"
        _, own = models_json_schema([(model, "validation") for model in models], ref_template=template)
        parts = made.setdefault("components", {})
        parts["schemas"] = {**parts.get("schemas", {}), **own.get("$defs", {})}
        parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "description": "API key or access token"}}
        app.openapi_schema = made
    return app.openapi_schema
