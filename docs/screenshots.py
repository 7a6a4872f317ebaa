"""Take the pictures in docs/ of a workspace with a finished run: the current one, or the path given.

Pages of the dashboards, the report and a tear sheet (the first two pages of their PDFs), and the monthly mail.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import browsing, serving
from PIL import Image

from quiebra.dashboards.pages.base import PAGE_TITLES
from quiebra.delivery.message_texts import report_messages
from quiebra.io.files import read_table
from quiebra.params import load_params
from quiebra.params.operations import Recipient
from quiebra.pipeline.stages import run_stage
from quiebra.services.tear_sheets import write_tear_sheets
from quiebra.workspace import Workspace

DOCS = Path(__file__).parent
SHOTS = dict.fromkeys(PAGE_TITLES, ("en", "light", 1280)) | {
    "empresa": ("es", "dark", 1280),
    "resumen-movil": ("es", "light", 400),
}
"""Picture → language, theme and width; pages, and two that show the rest of it."""
PAGE_OF = {"empresa": "company", "resumen-movil": "executive"}


def dashboards(workspace: Workspace, visit: Callable[..., object]) -> None:
    (DOCS / "dashboards").mkdir(exist_ok=True)
    with serving(workspace.root, dict(os.environ), "--no-token") as server:
        for name, (language, theme, width) in SHOTS.items():
            page = visit(server.url(PAGE_OF.get(name, name)), width=width, language=language, theme=theme).page
            if name == "stress":
                page.locator(".q-levers select").first.select_option(label="severe")
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": height})  # charts are drawn when they come into sight
            page.wait_for_timeout(2500)
            page.screenshot(path=DOCS / "dashboards" / f"{name}.png", full_page=True)
            page.context.close()


def mail(workspace: Workspace, visit: Callable[..., object]) -> None:
    """The mail in Spanish, as a mail client shows it."""
    run_stage(workspace, "report", lang="es")
    params = load_params(workspace)
    someone = [Recipient(address="ana@example.com", lang="es")]
    delivery = params.delivery.model_copy(update={"recipients": someone, "dashboards": "https://risk.example.com"})
    (letter,) = report_messages(workspace, params.model_copy(update={"delivery": delivery}))
    message = message_from_bytes(letter.body, policy=default)
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png").get_content()
    body = message.get_body(("html",)).get_content()
    shown = body.replace("cid:pd", "data:image/png;base64," + base64.b64encode(picture).decode())
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(shown)
        file.flush()
        page = visit(Path(file.name).as_uri(), width=700, live=False).page
        page.screenshot(path=DOCS / "mail.png", full_page=True)


def spread(pdf: Path, picture: Path) -> None:
    """Write the first two pages of a PDF, side by side."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["pdftoppm", "-r", "75", "-l", "2", "-png", pdf, f"{folder}/page"], check=True)
        pages = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.png"))]
    gap = 8
    whole = Image.new("RGB", (sum(page.width for page in pages) + gap, pages[0].height), "#c4ccd4")
    whole.paste(pages[0], (0, 0))
    whole.paste(pages[1], (pages[0].width + gap, 0))
    whole.save(picture)


def main() -> None:
    workspace = Workspace.find(sys.argv[1] if len(sys.argv) > 1 else None)
    riskiest = read_table(workspace.scores / "scores.parquet").sort("pd_12m", "company_id", descending=True)["company_id"][0]
    spread(workspace.build / "risk_report.pdf", DOCS / "report.png")
    for sheet in write_tear_sheets(workspace, [riskiest]):
        spread(sheet.pdf, DOCS / "tear-sheet.png")
    with browsing() as visit:
        mail(workspace, visit)
        dashboards(workspace, visit)


if __name__ == "__main__":
    main()
