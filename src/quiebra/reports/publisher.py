"""Formatting an executed report: by Quarto where it is found, by the fallback elsewhere. Neither runs it again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path

from quiebra.errors import WorkspaceError
from quiebra.files import read_json, replace_together, write_json
from quiebra.reports.fallback import render
from quiebra.reports.outside import outside_addresses
from quiebra.workspace import Workspace

QUARTO_HELP = "conda install -c conda-forge quarto, or the installer from the Quarto project"
OLDEST = (1, 7)
"""The first Quarto that takes a brand for light pages alone; with one for both, a page carries its style sheet three times."""
PATIENCE_SECONDS = 600
PAGES = (".html", ".pdf")


@dataclass(frozen=True)
class Publisher:
    """Who sets the pages: ``quarto`` or ``fallback``, its version or those of its parts, and where Quarto's program is."""

    name: str
    version: str
    program: str | None = None


@dataclass(frozen=True)
class Published:
    """The pages of a report and who made them: ``quarto`` or ``fallback``."""

    html: Path
    pdf: Path
    by: str


def find_publisher() -> Publisher:
    """Return Quarto where a version is on the path that can set our reports, else the fallback."""
    program = shutil.which("quarto")
    version = "" if program is None else quarto_version(program)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= OLDEST:
        return Publisher("quarto", version, program)
    return Publisher("fallback", ", ".join(f"{name} {packages.version(name)}" for name in ("pypandoc-binary", "typst")))


def quarto_version(program: str) -> str:
    """Return what Quarto's program says its version is; nothing where it says none."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said if re.fullmatch(r"\d+\.\d+[\w.+-]*", said) else ""


def record_publisher(workspace: Workspace) -> Publisher:
    """Find the publisher and write its name and version into ``reports/build/publisher.json``, on which the reports' stages depend:
    DVC then sets them anew where it is another one, and takes no page of the former from its cache."""
    found, record = find_publisher(), workspace.build / "publisher.json"
    content = {"publisher": found.name, "version": found.version}
    if not record.is_file() or read_json(record) != content:
        write_json(record, content)
    return found


def publish_report(executed: Path, page: Path, publisher: Publisher, metadata: dict[str, str]) -> Published:
    """Make ``NAME.html`` (self-contained) and ``NAME.pdf`` of an executed notebook, which becomes ``page``, NAME.ipynb, beside them.

    All three take the place of the former ones, or, where something fails, none does and nothing is left over.
    metadata: title, subtitle, lang and status; see `quiebra.reports.front.page_metadata`. Raises WorkspaceError with the
    publisher's own words where it fails, and where a page would fetch something from an outside address.
    """
    with tempfile.TemporaryDirectory(prefix="quiebra-report-") as scratch:
        made = Path(scratch) / page.name
        shutil.move(executed, made)
        html, pdf = (made.with_suffix(ending) for ending in PAGES)
        if publisher.program is None:
            render(made, html, pdf, metadata)
        else:
            _render_by_quarto(publisher.program, made)
        asked = outside_addresses(html.read_text(encoding="utf-8"))
        if asked:
            raise WorkspaceError(
                "the page {page} made by {publisher} {version} would fetch {address}: a page must need nothing from outside. "
                "Take that program off the path, and the fallback sets the page.",
                page=html.name, publisher=publisher.name, version=publisher.version, address=asked[0],
            )  # fmt: skip
        replace_together({page.with_suffix(path.suffix): path for path in (html, pdf, made)})
    return Published(page.with_suffix(".html"), page.with_suffix(".pdf"), publisher.name)


def quarto_commands(program: str, notebook: str) -> list[list[str]]:
    """Return Quarto's command lines, HTML then PDF, to be run in the folder of the executed notebook, whose first cell says the
    rest."""
    stem = Path(notebook).stem
    return [
        [program, "render", notebook, "--no-execute", "--to", kind, "--output", stem + ending]
        for kind, ending in zip(("html", "typst"), PAGES, strict=True)
    ]


def _render_by_quarto(program: str, notebook: Path) -> None:
    """Set an executed notebook in its own folder, which holds nothing else, so that what Quarto leaves lying goes with it."""
    shutil.copyfile(Workspace.find().reports / "_brand.yml", notebook.parent / "_brand.yml")
    for command in quarto_commands(program, notebook.name):
        try:
            done = subprocess.run(
                command, cwd=notebook.parent, env=_environment(os.environ), capture_output=True, text=True, timeout=PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise WorkspaceError(f"quarto took more than {PATIENCE_SECONDS} seconds for {notebook.name}: try `quarto check`") from None
        if done.returncode:
            said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()[-2000:]
            raise WorkspaceError(f"quarto failed on {notebook.name}: {said}")
    for ending in PAGES:
        if not notebook.with_suffix(ending).is_file():
            raise WorkspaceError(f"quarto said nothing was wrong, but made no {notebook.stem}{ending}: try `quarto check`")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Quarto gives the same bytes for the same notebook: no date of today, no colours."""
    return {**given, "SOURCE_DATE_EPOCH": "0", "NO_COLOR": "1"}
