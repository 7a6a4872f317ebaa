"""A real server of the API on loopback, in a process of its own, on a workspace."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from conftest import environment
from servers import free_port

PLAIN = {"fiscal_year": 2022, "total_assets": 100.0, "total_liabilities": 60.0, "current_assets": 40.0, "revenue": 90.0}


def company(company_id: str = "new", **changes: Any) -> dict[str, Any]:
    """The body of a request for one company."""
    return {"company_id": company_id, "statements": [{**PLAIN, **changes}]}


@contextlib.contextmanager
def api_server(workspace: Path, *options: str, wait: bool = True, **variables: str) -> Iterator[Server]:
    """Serve a workspace until the block ends."""
    port = free_port()
    log = workspace / f"server-{port}.log"
    words = ["quiebra", "serve", "--port", str(port), *options]
    with log.open("w") as out:
        process = subprocess.Popen(words, cwd=workspace, env=environment(**variables), stdout=out, stderr=out)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        server.wait("/health/ready" if wait else "/health/live")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


class Server:
    """A running server: its address, process and log."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url, self.process, self.log = url, process, log

    def wait(self, path: str, seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url + path).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    @property
    def local_key(self) -> str:
        """The key that it printed, as there are no users."""
        return self.log.read_text().partition("yet: ")[2].split()[0]

    def client(self, token: str | None, **headers: str) -> httpx.Client:
        kept = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers={**kept, **headers}, timeout=60)
