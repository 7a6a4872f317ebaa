"""The fallback publisher: an executed notebook to a self-contained page by pandoc, and to PDF by pandoc and Typst."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path

import pypandoc
import typst

from quiebra.brand import palette
from quiebra.errors import WorkspaceError
from quiebra.files import write_atomically, write_text
from quiebra.reports.notebook import as_markdown
from quiebra.reports.preamble import typst_preamble
from quiebra.words import Words, mark

FOOTER = mark("Formatted without Quarto; with Quarto installed the same report is set by it.")
READER = "markdown+pipe_tables+implicit_figures+fenced_divs+raw_attribute-yaml_metadata_block"


def render(executed: Path, html: Path, pdf: Path, metadata: dict[str, str]) -> None:
    """Write the page and the PDF. Both show the same text, tables and figures, numbered alike.

    The page holds everything it needs; the PDF carries no date, so that the same notebook gives the same bytes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        markdown = as_markdown(executed, folder, metadata.get("lang", "en"))
        _html(markdown, folder, html, metadata)
        _pdf(markdown, folder, pdf, metadata)


def _convert(markdown: str, to: str, folder: Path, metadata: dict[str, str], *options: str) -> str:
    words = Words(metadata.get("lang", "en"))
    given = {"lang": "en", **metadata, "footer": words(FOOTER), "contents": words("Contents")}
    about = [f"--metadata={key}={value}" for key, value in given.items()]
    lua = f"--lua-filter={_asset('callouts.lua')}"
    try:
        return pypandoc.convert_text(
            markdown, to, format=READER, extra_args=["--standalone", lua, *about, f"--resource-path={folder}", *options]
        )
    except RuntimeError as error:
        raise WorkspaceError(f"pandoc failed: {error}") from error


def _html(markdown: str, folder: Path, html: Path, metadata: dict[str, str]) -> None:
    style = folder / "style.html"
    css = Path(_asset("style.css")).read_text(encoding="utf-8")
    write_text(style, f"<style>\n{_rootpalette()}\n{css}</style>")
    page = _convert(
        markdown, "html5", folder, metadata, "--embed-resources", "--section-divs", "--toc", "--toc-depth=1", "--mathml",
        f"--template={_asset('page.html')}", f"--include-in-header={style}",
    )  # fmt: skip
    write_text(html, page)


def _pdf(markdown: str, folder: Path, pdf: Path, metadata: dict[str, str]) -> None:
    source, look = folder / "report.typ", folder / "look.typ"
    note = Words(metadata.get("lang", "en"))(FOOTER)
    write_text(look, typst_preamble({**metadata, "note": note}))
    text = _convert(
        markdown, "typst", folder, metadata, f"--template={_asset('page.typ')}", f"--include-in-header={look}"
    )  # fmt: skip
    write_text(source, text)
    try:
        data = typst.compile(str(source), root=str(folder), timestamp=0)
    except RuntimeError as error:
        raise WorkspaceError(f"Typst could not set the report: {error}") from error
    write_atomically(pdf, lambda path: path.write_bytes(data))


def _asset(name: str) -> str:
    return str(files("quiebra.reports") / "assets" / name)


def _rootpalette() -> str:
    return ":root { " + " ".join(f"--{name}: {value};" for name, value in palette().items()) + " }"
