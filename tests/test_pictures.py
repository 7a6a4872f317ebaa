"""Pages as pictures: what is printed and shown is rendered for real, is not empty, and fits. Set QUIEBRA_PICTURES to keep them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, FLAGS
from PIL import Image
from playwright.sync_api import sync_playwright

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
