"""Render an executed report, with Quarto if it is installed, otherwise with the fallback. Neither executes it again."""

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
from quiebra.io.files import read_json, replace_files, write_json
from quiebra.reports.fallback import render_report
from quiebra.reports.self_contained import outside_addresses
from quiebra.workspace import Workspace

QUARTO_HELP = "conda install -c conda-forge quarto, or the installer from the Quarto project"
OLDEST_QUARTO = (1, 7)
"""The first Quarto version that accepts a brand for light pages only; with one for light and dark, a page has its style sheet
three times."""
PATIENCE_SECONDS = 600
PAGES = (".html", ".pdf")


@dataclass(frozen=True)
class Publisher:
    """The renderer: ``quarto`` or ``fallback``, its version or its parts' versions, and the path of Quarto's program."""

    name: str
    version: str
    program: str | None = None


@dataclass(frozen=True)
class Published:
    """The files of a report, and the renderer that made them: ``quarto`` or ``fallback``."""

    html: Path
    pdf: Path
    by: str


def find_publisher() -> Publisher:
    """Return Quarto if a version on the path is recent enough, otherwise the fallback."""
    program = shutil.which("quarto")
    version = "" if program is None else quarto_version(program)
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= OLDEST_QUARTO:
        return Publisher("quarto", version, program)
    return Publisher("fallback", ", ".join(f"{name} {packages.version(name)}" for name in ("pypandoc-binary", "typst")))


def quarto_version(program: str) -> str:
    """Return the version that Quarto's program reports; empty if none."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said if re.fullmatch(r"\d+\.\d+[\w.+-]*", said) else ""


def record_publisher(workspace: Workspace) -> Publisher:
    """Find the renderer and write its name and version to ``reports/build/publisher.json``, a dependency of the reports' stages:
    DVC renders reports again if the renderer changes, instead of restoring the former one's files from its cache."""
    found, record = find_publisher(), workspace.build / "publisher.json"
    content = {"publisher": found.name, "version": found.version}
    if not record.is_file() or read_json(record) != content:
        write_json(record, content)
    return found


def publish_report(executed: Path, page: Path, publisher: Publisher, metadata: dict[str, str]) -> Published:
    """Render an executed notebook to ``NAME.html`` (self-contained) and ``NAME.pdf``; the notebook is moved to ``page``,
    NAME.ipynb.

    All three files are replaced together; on failure none is, and nothing is left over.

    metadata: title, subtitle, lang and status; see `quiebra.reports.metadata.page_metadata`. Raises WorkspaceError with the
    renderer's error message, or if a page would fetch something from an outside address.
    """
    with tempfile.TemporaryDirectory(prefix="quiebra-report-") as scratch:
        made = Path(scratch) / page.name
        shutil.move(executed, made)
        html, pdf = (made.with_suffix(ending) for ending in PAGES)
        if publisher.program is None:
            render_report(made, html, pdf, metadata)
        else:
            _render_by_quarto(publisher.program, made)
        asked = outside_addresses(html.read_text(encoding="utf-8"))
        if asked:
            raise WorkspaceError(
                "the page {page} made by {publisher} {version} would fetch {address}: a page must need nothing from outside. "
                "Take that program off the path, and the fallback sets the page.",
                page=html.name,
                publisher=publisher.name,
                version=publisher.version,
                address=asked[0],
            )
        replace_files({page.with_suffix(path.suffix): path for path in (html, pdf, made)})
    return Published(page.with_suffix(".html"), page.with_suffix(".pdf"), publisher.name)


def quarto_commands(program: str, notebook: str) -> list[list[str]]:
    """Return Quarto's command lines, HTML then PDF, to be run in the folder of the executed notebook; other options are in the
    notebook's first cell."""
    stem = Path(notebook).stem
    return [
        [program, "render", notebook, "--no-execute", "--to", kind, "--output", stem + ending]
        for kind, ending in zip(("html", "typst"), PAGES, strict=True)
    ]


def _render_by_quarto(program: str, notebook: Path) -> None:
    """Render an executed notebook in its own folder, so that Quarto's leftovers are removed with the folder."""
    shutil.copyfile(Workspace.find().reports / "_brand.yml", notebook.parent / "_brand.yml")
    for command in quarto_commands(program, notebook.name):
        try:
            done = subprocess.run(
                command,
                cwd=notebook.parent,
                env=_environment(os.environ),
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise WorkspaceError(
                f"quarto took more than {PATIENCE_SECONDS} seconds for {notebook.name}: try `quarto check`"
            ) from None
        if done.returncode:
            said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()[-2000:]
            raise WorkspaceError(f"quarto failed on {notebook.name}: {said}")
    for ending in PAGES:
        if not notebook.with_suffix(ending).is_file():
            raise WorkspaceError(f"quarto said nothing was wrong, but made no {notebook.stem}{ending}: try `quarto check`")


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Quarto's output does not depend on the date, and has no colour codes."""
    return {**given, "SOURCE_DATE_EPOCH": "0", "NO_COLOR": "1"}
