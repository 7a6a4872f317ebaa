"""Formatting an executed report: by Quarto where it is found, by the fallback elsewhere. Neither runs it again."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from quiebra.errors import WorkspaceError
from quiebra.reports.fallback import render

QUARTO_HELP = "conda install -c conda-forge quarto, or the installer from the Quarto project"


@dataclass(frozen=True)
class Published:
    """The pages of a report and who made them: ``quarto`` or ``fallback``."""

    html: Path
    pdf: Path
    by: str


def quarto() -> str | None:
    """Return the path of Quarto's program, or None."""
    return shutil.which("quarto")


def quarto_commands(program: str, executed: Path) -> list[list[str]]:
    """Return Quarto's command lines, HTML then PDF, to be run in the folder of the executed notebook, whose first cell says the
    rest."""
    return [
        [program, "render", executed.name, "--no-execute", "--to", kind, "--output", f"{executed.stem}.{ending}"]
        for kind, ending in (("html", "html"), ("typst", "pdf"))
    ]


def publish_report(executed: Path, folder: Path, metadata: dict[str, str]) -> Published:
    """Make ``NAME.html`` (self-contained) and ``NAME.pdf`` in ``folder`` from an executed notebook ``NAME.ipynb``.

    metadata: title, subtitle, lang and status; see `quiebra.reports.front.page_metadata`. Raises WorkspaceError with the publisher's own words where it fails.
    """
    html, pdf = folder / f"{executed.stem}.html", folder / f"{executed.stem}.pdf"
    program = quarto()
    if program is None:
        render(executed, html, pdf, metadata)
        return Published(html, pdf, "fallback")
    for command in quarto_commands(program, executed):
        done = subprocess.run(command, cwd=executed.parent, capture_output=True, text=True)
        if done.returncode:
            raise WorkspaceError(f"quarto failed on {executed.name}: {done.stderr.strip()[-2000:]}")
    for page in (html, pdf):
        made = executed.parent / page.name
        if not made.is_file():
            raise WorkspaceError(f"quarto said nothing was wrong, but made no {page.name}: try `quarto check`")
        if made != page:
            made.replace(page)
    return Published(html, pdf, "quarto")
