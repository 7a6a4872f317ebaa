"""A line in the log for each request: who asked what, what came of it, and how long it took."""

from __future__ import annotations

import logging
import time

from asgi_correlation_id import correlation_id
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quiebra.logs import set_log_fields

QUIET_ROUTES = ("/health/live", "/health/ready", "/metrics")
"""Routes that machines ask again and again: they are logged where they fail."""
CUT_OFF = 499
"""Status of a request whose client had gone before it was answered, as nginx writes it."""
LONGEST_PATH = 200


class RequestLogMiddleware:
    """Logs each request once it is answered; what is logged meanwhile carries its correlation id, user and run. prefix: of the
    routes' addresses, which their templates lack."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self.prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        set_log_fields(correlation_id=correlation_id.get())
        began, status = time.perf_counter(), CUT_OFF

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception:
            status = 500
            raise
        finally:
            self._log(scope, status, time.perf_counter() - began)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        if scope["path"] in QUIET_ROUTES and status < 500:
            return
        client = scope.get("client")
        what = {"method": scope["method"], "route": self._route(scope), "status": status, "ms": round(seconds * 1000, 1)}
        level = logging.ERROR if status >= 500 else logging.INFO
        logging.getLogger("quiebra.api").log(level, "request", extra={**what, "address": client[0] if client else None})

    def _route(self, scope: Scope) -> str:
        """Return the template of the route, such as /v1/companies/{company_id}; the path where there is none."""
        template, path = getattr(scope.get("route"), "path_format", None), str(scope["path"])
        if template is None:
            return path[:LONGEST_PATH]
        within = path.startswith(f"{self.prefix}/") and not template.startswith(f"{self.prefix}/")
        return f"{self.prefix}{template}" if within else str(template)
