"""A browser without a screen: cookies of its own, and the wire to a page's kernel."""

from __future__ import annotations

import asyncio
import http.client
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

from browser import Served
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

KERNEL = r'"kernelId":\s*"([\w-]+)"'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Browser:
    """A browser with cookies of its own, which follows nothing. source: the loopback address that it comes from."""

    def __init__(self, served: Served, source: str = "127.0.0.1") -> None:
        self.netloc = urlsplit(served.address).netloc
        self.cookies: dict[str, str] = {}
        self.source = source

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> http.client.HTTPResponse:
        link = http.client.HTTPConnection(self.netloc, timeout=60, source_address=(self.source, 0))
        if self.cookies:
            headers["Cookie"] = self.cookie_header
        link.request(method, path, body, headers)
        answer = link.getresponse()
        for given in answer.headers.get_all("Set-Cookie", []):
            name, _, value = given.partition(";")[0].partition("=")
            if value in ("", '""'):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        answer.text = answer.read().decode(errors="replace")  # type: ignore[attr-defined]
        link.close()
        return answer

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def open(self, page: str, token: str = "") -> str:
        """Open a page and return its kernel."""
        if token:
            assert self.ask("GET", f"/{page}?token={token}").status == 302
        return re.search(KERNEL, self.ask("GET", f"/{page}").text)[1]  # type: ignore[attr-defined]

    def post(self, path: str) -> int:
        self.ask("GET", "/")
        return self.ask(
            "POST", path, "", **{"X-XSRFToken": self.cookies.get("_xsrf", ""), "Origin": f"http://{self.netloc}"}
        ).status

    def sign_in(self, name: str, password: str, to: str = "/login") -> http.client.HTTPResponse:
        """Fill in the form for name and password, and return the answer."""
        if "_xsrf" not in self.cookies:
            self.ask("GET", "/login")
        form = urlencode({"name": name, "password": password, "_xsrf": self.cookies["_xsrf"]})
        return self.ask("POST", to, form, **FORM)

    def join(self, kernel: str) -> int:
        """Open the wire to a kernel; return 101, or the status that it was refused with."""

        async def connect() -> int:
            try:
                wire = await self.wire(kernel)
            except HTTPClientError as error:
                return error.code
            wire.close()
            return 101

        return asyncio.run(connect())

    async def wire(self, kernel: str, **headers: str) -> WebSocketClientConnection:
        """Return the wire to a kernel."""
        given: dict[str, Any] = {"Cookie": self.cookie_header, "Origin": f"http://{self.netloc}", **headers}
        address = f"ws://{self.netloc}/api/kernels/{kernel}/channels?session_id=x"
        return await websocket_connect(HTTPRequest(address, headers=given))
