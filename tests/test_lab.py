"""JupyterLab opens at the research notebooks, asks nothing, and calls nothing outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from browser import CHROMIUM, FLAGS, free_port
from conftest import ROOT, environment
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.slow


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_it_opens_at_the_start_page_without_a_question_and_without_a_call_outside(workspace: Path) -> None:
    port = free_port()
    words = ["jupyter", "lab", "--allow-root", "--no-browser", f"--port={port}", "--IdentityProvider.token=t"]
    env = environment(JUPYTER_CONFIG_PATH=str(ROOT / ".jupyter"), PYTHONPATH=str(workspace / "src"))
    server = subprocess.Popen(words, cwd=workspace, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/api?token=t")
        asked: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS[1:])
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"http://127.0.0.1:{port}/?token=t")
            page.get_by_role("heading", name="Start here").wait_for(timeout=60_000)
            page.get_by_role("link", name="A feature of your own").wait_for()
            page.wait_for_timeout(1500)  # a question would come a moment later
            assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0
            browser.close()
        assert [url for url in asked if not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))] == []
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing answers at {url}")


@pytest.mark.skipif(os.geteuid() != 0, reason="it is root who is told")
def test_root_is_told_what_to_say(tmp_path: Path) -> None:
    words = ["make", "-f", str(ROOT / "Makefile"), "-o", "setup", "lab", "LAB="]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'make lab LAB="--allow-root"' in done.stdout
