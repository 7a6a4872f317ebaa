"""The brand's colours for pages, PDFs and charts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

from quiebra.workspace import Workspace


def brand_colours() -> dict[str, str]:
    """Return colour name → hex value, from the workspace's ``reports/_brand.yml``."""
    path = Workspace.find().reports / "_brand.yml"
    return dict(_palette(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=8)
def _palette(path: Path, _changed: int) -> dict[str, str]:
    """Read the palette, again only after a change: a chart asks for its colours many times."""
    palette: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))["color"]["palette"]
    return palette


def risk_colours(count: int) -> list[str]:
    """Return ``count`` colours from safe to failing. Lightness varies with risk, so that colour-blind readers can tell them
    apart."""
    stops = [brand_colours()[name] for name in ("teal", "sand", "rust", "wine")]
    found = []
    for place in range(count):
        at = place / max(count - 1, 1) * (len(stops) - 1)
        left = min(int(at), len(stops) - 2)
        found.append(_mixed(stops[left], stops[left + 1], at - left))
    return found


def _mixed(first: str, second: str, share: float) -> str:
    parts = ((int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)
