"""A served workspace and a real browser, for tests, pictures and timings."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Served:
    """A running server: its address without token, each person's token, and its process."""

    address: str
    tokens: dict[str, str]
    process: subprocess.Popen[str]

    def url(self, page: str, person: str = "reader") -> str:
        separator = "&" if "?" in page else "?"
        token = self.tokens.get(person)
        return f"{self.address}{page}{separator}token={token}" if token else f"{self.address}{page}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(workspace: Path, env: dict[str, str], *options: str, wait: float = 300, log: Path | None = None) -> Iterator[Served]:
    """Serve a workspace's dashboards, ready when this gives the server; stopped at the end. log: file for what it complains of."""
    port = free_port()
    complaints = log.open("w") if log else None
    process = subprocess.Popen(
        [sys.executable, "-m", "quiebra.cli", "dashboards", "--port", str(port), *options],
        cwd=workspace,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=complaints or subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        tokens, until = {}, time.monotonic() + wait
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(f"the server stopped: {process.stdout.read() if process.stdout else ''}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if urllib.request.urlopen(f"{address}health", timeout=5).status == 200:
                    break
            time.sleep(0.2)
        else:
            raise RuntimeError("the dashboards did not get ready")
        people = 1 + options.count("--editor") if "--no-token" not in options else 1
        for _ in range(people):
            line = process.stdout.readline() if process.stdout else ""
            if found := re.match(r"(\S+)\s+\S+\?token=(\S+)", line):
                tokens[found[1]] = found[2]
        yield Served(address, tokens, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@dataclass
class Watched:
    """A browser's page, and what it asked for and complained of."""

    page: object
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    asked_one_by_one: int = 0

    def outside(self, address: str) -> list[str]:
        return [u for u in self.requests if not u.startswith((address, address.replace("http", "ws"), "data:", "blob:"))]


def _count(watched: Watched, frame: str | bytes) -> None:
    asked = b'"request_state"' if isinstance(frame, bytes) else '"request_state"'
    watched.asked_one_by_one += asked in frame  # type: ignore[operator]


def leave(watched: Watched) -> None:
    """Close a page as a reader does, so that its kernel is let go; a window that is torn away keeps it for a while."""
    if not watched.page.is_closed():
        watched.page.goto("about:blank")
        watched.page.context.close()


@contextlib.contextmanager
def browsing(width: int = 1280, language: str = "", theme: str = "light") -> Iterator[object]:
    """Give a function that opens a page of a new visitor: ``open(url) -> Watched``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as program:
        browser = program.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def visit(url: str, width: int = width, language: str = language, theme: str = theme, live: bool = True) -> Watched:
            context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
            keep = f"if (!localStorage.getItem('quiebra.theme')) localStorage.setItem('quiebra.theme', '{theme}');"
            if language:
                keep += f"if (!localStorage.getItem('quiebra.language')) localStorage.setItem('quiebra.language', '{language}');"
            context.add_init_script(f"try {{ {keep} }} catch {{}}")
            watched = Watched(context.new_page())
            page = watched.page
            page.on("request", lambda request: watched.requests.append(request.url))
            page.on("websocket", lambda wire: wire.on("framesent", lambda frame: _count(watched, frame)))
            page.on("console", lambda message: watched.errors.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: watched.errors.append(str(error)))
            page.goto(url)
            if live:
                page.wait_for_selector("body[data-live=yes]", state="attached", timeout=60_000)
                if language:
                    page.wait_for_function(f"document.body.dataset.shown?.startsWith('{language}')", timeout=60_000)
            return watched

        yield visit
        browser.close()
