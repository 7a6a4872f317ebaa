"""Pages as pictures: what is printed and shown is rendered for real, is not empty, and fits. Set QUIEBRA_PICTURES to keep them."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, FLAGS
from PIL import Image
from playwright.sync_api import sync_playwright

from quiebra.delivery.message_texts import report_messages
from quiebra.params import load_params
from quiebra.params.operations import Recipient
from quiebra.workspace import Workspace

PDFS = ("risk_report", "validation_report")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("QUIEBRA_PICTURES")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ink(picture: Path) -> np.ndarray:
    """Where a picture is darker than its watermark."""
    return np.asarray(Image.open(picture).convert("L")) < 160


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="poppler-utils is not installed")
@pytest.mark.parametrize("name", PDFS)
def test_every_page_of_a_pdf_has_something_on_it_and_keeps_its_margins(name: str, finished: Path, pictures: Path) -> None:
    subprocess.run(["pdftoppm", "-r", "50", "-png", finished / f"reports/build/{name}.pdf", pictures / name], check=True)
    pages = sorted(pictures.glob(f"{name}-*.png"))
    assert len(pages) > 3
    for page in pages:
        dark = ink(page)
        height, width = dark.shape
        assert dark.mean() > 0.004, page.name
        columns, rows = np.flatnonzero(dark.any(axis=0)), np.flatnonzero(dark.any(axis=1))
        assert columns.min() > 0.06 * width, page.name
        assert columns.max() < 0.94 * width, page.name
        assert rows.max() < 0.97 * height, page.name


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [700, 375])
def test_the_monthly_mail_is_a_screen_long_and_needs_no_sideways_scrolling(width: int, finished: Path, pictures: Path) -> None:
    params = load_params(Workspace(finished))
    delivery = params.delivery.model_copy(update={"recipients": [Recipient(address="ana@example.com")]})
    (letter,) = report_messages(Workspace(finished), params.model_copy(update={"delivery": delivery}))
    message = message_from_bytes(letter.body, policy=default)
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png").get_content()
    shown = (
        message.get_body(("html",)).get_content().replace("cid:pd", f"data:image/png;base64,{base64.b64encode(picture).decode()}")
    )
    (pictures / "mail.html").write_text(shown, encoding="utf-8")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto((pictures / "mail.html").as_uri())
        page.screenshot(path=pictures / f"mail-{width}.png", full_page=True)
        wide, high = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        browser.close()
    assert wide <= width
    assert high <= (1000 if width == 700 else 1700)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("name", PDFS)
@pytest.mark.parametrize("width", [1100, 400])
def test_a_page_is_shown_without_scrolling_sideways(name: str, width: int, finished: Path, pictures: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": width, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((finished / f"reports/build/{name}.html").as_uri())
        page.screenshot(path=pictures / f"{name}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        loaded = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
        browser.close()
    assert len(loaded) >= 8
    assert min(loaded) > 100
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert ink(pictures / f"{name}-{width}.png").mean() > 0.01
