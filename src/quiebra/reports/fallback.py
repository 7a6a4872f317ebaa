"""Fallback renderer: an executed notebook to self-contained HTML with pandoc, and to PDF with pandoc and Typst."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path

import pypandoc
import typst

from quiebra.brand import brand_colours
from quiebra.errors import WorkspaceError
from quiebra.io.files import write_atomically, write_text
from quiebra.reports.notebook import notebook_to_markdown
from quiebra.reports.preamble import typst_preamble
from quiebra.text.words import Words, translatable

FALLBACK_FOOTER = translatable("Formatted without Quarto; with Quarto installed the same report is set by it.")
PANDOC_READER = "markdown+pipe_tables+implicit_figures+fenced_divs+raw_attribute-yaml_metadata_block"


def render_report(executed: Path, html: Path, pdf: Path, metadata: dict[str, str]) -> None:
    """Write the HTML and the PDF, with the same text, tables, figures and numbering.

    The HTML is self-contained; the PDF has no date, so that the same notebook gives the same bytes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        markdown = notebook_to_markdown(executed, folder, metadata.get("lang", "en"))
        _html(markdown, folder, html, metadata)
        _pdf(markdown, folder, pdf, metadata)


def _convert(markdown: str, to: str, folder: Path, metadata: dict[str, str], *options: str) -> str:
    words = Words(metadata.get("lang", "en"))
    given = {"lang": "en", **metadata, "footer": words(FALLBACK_FOOTER), "contents": words("Contents")}
    about = [f"--metadata={key}={value}" for key, value in given.items()]
    lua = f"--lua-filter={_asset('callouts.lua')}"
    try:
        made: str = pypandoc.convert_text(
            markdown, to, format=PANDOC_READER, extra_args=["--standalone", lua, *about, f"--resource-path={folder}", *options]
        )
    except RuntimeError as error:
        raise WorkspaceError(f"pandoc failed: {error}") from error
    return made


def _html(markdown: str, folder: Path, html: Path, metadata: dict[str, str]) -> None:
    style = folder / "style.html"
    css = Path(_asset("style.css")).read_text(encoding="utf-8")
    write_text(style, f"<style>\n{_rootpalette()}\n{css}</style>")
    page = _convert(
        markdown,
        "html5",
        folder,
        metadata,
        "--embed-resources",
        "--section-divs",
        "--toc",
        "--toc-depth=1",
        "--mathml",
        f"--template={_asset('page.html')}",
        f"--include-in-header={style}",
    )
    write_text(html, page)


def _pdf(markdown: str, folder: Path, pdf: Path, metadata: dict[str, str]) -> None:
    source, look = folder / "report.typ", folder / "look.typ"
    note = Words(metadata.get("lang", "en"))(FALLBACK_FOOTER)
    write_text(look, typst_preamble({**metadata, "note": note}))
    text = _convert(markdown, "typst", folder, metadata, f"--template={_asset('page.typ')}", f"--include-in-header={look}")
    write_text(source, text)
    try:
        data = typst.compile(str(source), root=str(folder), timestamp=0)
    except RuntimeError as error:
        raise WorkspaceError(f"Typst could not set the report: {error}") from error
    write_atomically(pdf, lambda path: path.write_bytes(data))


def _asset(name: str) -> str:
    return str(files("quiebra.reports") / "assets" / name)


def _rootpalette() -> str:
    return ":root { " + " ".join(f"--{name}: {value};" for name, value in brand_colours().items()) + " }"
