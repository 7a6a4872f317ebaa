"""Take the pictures in docs/dashboards/ of a workspace with a finished run: the current one, or the path given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import browsing, serving

from quiebra.dashboards.page import PAGES
from quiebra.workspace import Workspace

FOLDER = Path(__file__).parent / "dashboards"
SHOTS = dict.fromkeys(PAGES, ("en", "light", 1280)) | {"empresa": ("es", "dark", 1280), "resumen-movil": ("es", "light", 400)}
"""Picture → language, theme and width; the six pages, and two that show the rest of it."""
PAGE_OF = {"empresa": "company", "resumen-movil": "executive"}


def main() -> None:
    workspace = Workspace.find(sys.argv[1] if len(sys.argv) > 1 else None)
    FOLDER.mkdir(exist_ok=True)
    with serving(workspace.root, dict(os.environ), "--no-token") as server, browsing() as visit:
        for name, (language, theme, width) in SHOTS.items():
            page = visit(server.url(PAGE_OF.get(name, name)), width=width, language=language, theme=theme).page
            if name == "stress":
                page.locator(".q-levers select").first.select_option(label="severe")
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": height})  # charts are drawn when they come into sight
            page.wait_for_timeout(2500)
            page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
            page.context.close()


if __name__ == "__main__":
    main()
