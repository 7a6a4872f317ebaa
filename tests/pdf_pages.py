"""Reading a PDF as a person sees it: words with their places, what is printed over what, and how full each page is."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOOT = 775
"""Points from the top of an A4 page from which on there is only the footer."""


@dataclass(frozen=True)
class Word:
    """A word and its box: page from 1, points from the page's top left."""

    page: int
    left: float
    top: float
    right: float
    bottom: float
    text: str


def words(pdf: Path) -> list[Word]:
    """Return a PDF's words without its watermark, whose letters are taller than a line."""
    if not shutil.which("pdftotext"):
        pytest.skip("no poppler: pdftotext not found")
    text = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
    found = []
    for page, part in enumerate(text.split("<page ")[1:], 1):
        boxes = re.findall(r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)</word>', part)
        found += [Word(page, *map(float, box[:4]), html.unescape(box[4])) for box in boxes]
    return [word for word in found if word.bottom - word.top < 30 and len(word.text) > 0]


def overprinted(pdf: Path) -> list[tuple[str, str]]:
    """Return pairs of words that lie upon each other."""
    pages = defaultdict(list)
    for word in words(pdf):
        pages[word.page].append(word)
    found = []
    for on_page in pages.values():
        on_page.sort(key=lambda word: word.top)
        for place, one in enumerate(on_page):
            for other in on_page[place + 1 :]:
                if other.top > one.bottom:
                    break
                across = min(one.right, other.right) - max(one.left, other.left)
                down = min(one.bottom, other.bottom) - max(one.top, other.top)
                if across > 0.6 and down > 0.45 * min(one.bottom - one.top, other.bottom - other.top):
                    found.append((one.text, other.text))
    return found


def beyond_the_margin(pdf: Path, margin: float = 50) -> list[str]:
    """Return words that leave the text's width on an A4 page."""
    return [word.text for word in words(pdf) if word.left < margin or word.right > 595.3 - margin]


def lines(pdf: Path) -> dict[int, list[str]]:
    """Return each page's lines above its footer, from top to bottom."""
    found: dict[int, dict[int, list[Word]]] = defaultdict(lambda: defaultdict(list))
    for word in words(pdf):
        if word.top < FOOT:
            found[word.page][round(word.bottom / 3)].append(word)
    return {
        page: [" ".join(w.text for w in sorted(on_page[row], key=lambda w: w.left)) for row in sorted(on_page)]
        for page, on_page in sorted(found.items())
    }


def fullness(pdf: Path, folder: Path) -> list[float]:
    """Return how far down each page is used, as a share of the room above its footer; text and pictures count, a watermark does not."""
    subprocess.run(["pdftoppm", "-r", "36", "-gray", pdf, folder / "page"], check=True)
    found = []
    for path in sorted(folder.glob("page-*.pgm")):
        grey = np.asarray(Image.open(path))
        used = np.flatnonzero((grey[28 : FOOT // 2] < 200).any(axis=1))
        found.append((used[-1] + 1) / (FOOT // 2 - 28) if used.size else 0.0)
        path.unlink()
    return found
