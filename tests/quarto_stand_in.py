"""What tests need of Quarto, which they do not have: a program of that name, and what its Typst template puts around a report."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import nbformat
import pypandoc
import typst
import yaml
from conftest import ROOT
from IPython.core.display import SVG

from quiebra.reports.notebook import PAGE_BREAK, cell_options, finish_notebook

HEAD = {
    "title": "A report",
    "subtitle": "SIMULATED · Invented · as of June 30, 2025 · run 0123456789ab · DRAFT",
    "lang": "en",
    "status": "DRAFT",
}

PROGRAM = """#!/bin/sh
if [ "$1" = --version ]; then echo "{version}"; exit; fi
echo "$PWD|SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH|$*" >> "{log}"
mkdir -p .quarto "${{2%.ipynb}}_files"
for word in "$@"; do
  case "$last" in --to) kind="$word";; --output) out="$word";; esac
  last="$word"
done
if [ "$kind" = "{fails}" ]; then echo "ERROR: no luck" >&2; exit 3; fi
printf '%s' '{page}' > "$out"
"""


def stand_in(folder: Path, version: str = "1.10.18", fails: str = "none", page: str = "set by Quarto") -> Path:
    """Make a program called quarto that records how it was called and makes what it was asked for, litter included; give its folder.

    fails: the format at which it gives up.
    """
    folder.mkdir(exist_ok=True)
    program = folder / "quarto"
    program.write_text(PROGRAM.format(log=folder / "calls", version=version, fails=fails, page=page))
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return folder


def executed_notebook(path: Path, cells: list[tuple[str, str]], name: str = "risk_report", head: dict[str, str] = HEAD) -> Path:
    """Write an executed report with the first cell of one of ours; cells are (source of a code cell, what it gave), where what it
    gave begins with <svg if it is a picture, or (markdown, "")."""
    notebook = nbformat.v4.new_notebook(cells=nbformat.read(ROOT / f"reports/{name}.ipynb", as_version=4).cells[:1])
    for source, gave in cells:
        if not gave:
            notebook.cells.append(nbformat.v4.new_markdown_cell(source))
            continue
        data = {"image/svg+xml": gave} if gave.startswith("<svg") else {"text/markdown": gave}
        output = nbformat.v4.new_output("display_data", data)
        notebook.cells.append(nbformat.v4.new_code_cell(source, outputs=[output], metadata={"tags": []}))
    path.write_text(nbformat.writes(notebook))
    finish_notebook(path, head)
    return path


def front_matter(executed: Path) -> dict[str, Any]:
    return yaml.safe_load(nbformat.read(executed, as_version=4).cells[0].source.strip().strip("-"))


def picture(height: int, width: int = 500) -> str:
    box = f'<rect width="{width}" height="{height}" fill="#1f5a8a"/>'
    return SVG(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt">{box}</svg>').data


# What Quarto's template does to a document, in short: its own rules for tables, the preamble, the page, and an article that justifies.
TEMPLATE = """
#set table(inset: 6pt, stroke: none)
#let brand-color = (background: rgb("#ffffff"), foreground: rgb("#1c2733"))
#set page(fill: brand-color.background)
#set text(fill: brand-color.foreground)
#set table.hline(stroke: (paint: brand-color.foreground))
{preamble}
#set page(paper: "{papersize}", margin: ({margin}), numbering: none, columns: 1)
#let article(doc) = {{
  set document(title: [{title}])
  set par(justify: true, leading: 0.65em)
  set text(lang: "{lang}", size: {fontsize})
  place(top, float: true, scope: "parent", clearance: 4mm, block(below: 1em, width: 100%, align(center, block(inset: 2em)[
    #text(weight: "bold", size: 1.5em)[{title}] #parbreak() #text(size: 1.25em)[{subtitle}]
  ])))
  doc
}}
#show: article
{body}
"""
FLOAT = '#figure([\n{content}\n], caption: figure.caption(position: {position}, [{caption}]), kind: "quarto-float-{kind}", supplement: "{name}", )<{label}>\n'
NAMES = {"en": {"fig": "Figure", "tbl": "Table"}, "es": {"fig": "Figura", "tbl": "Tabla"}}


def set_as_by_quarto(executed: Path, pdf: Path) -> Path:
    """Make the PDF that Quarto's Typst template would make of an executed report: its figures, its template, our preamble."""
    front = front_matter(executed)
    chosen, parts = front["format"]["typst"], []
    for place, cell in enumerate(nbformat.read(executed, as_version=4).cells[1:]):
        if cell.cell_type == "markdown":
            source = re.sub(r"@((?:fig|tbl)-[\w-]+)", r"`@\1`{=typst}", cell.source)
            parts.append("#pagebreak()" if source.strip() == PAGE_BREAK else _typst(source))
        elif cell.cell_type == "code" and cell_options(cell.source).get("include") is not False:
            parts += [
                _shown(output["data"], cell_options(cell.source), pdf.parent / f"cell-{place}.svg", front["lang"])
                for output in cell.outputs
                if "data" in output
            ]
    source = TEMPLATE.format(
        preamble=chosen["include-in-header"]["text"],
        papersize=chosen["papersize"],
        fontsize=chosen["fontsize"],
        lang=front["lang"],
        margin=", ".join(f"{side}: {size}" for side, size in chosen["margin"].items()),
        title=_typst(front["title"]),
        subtitle=_typst(front["subtitle"]),
        body="\n\n".join(parts),
    )
    (pdf.parent / "report.typ").write_text(source)
    pdf.write_bytes(typst.compile(str(pdf.parent / "report.typ"), root=str(pdf.parent), timestamp=0))
    return pdf


def _shown(data: dict[str, str], choices: dict[str, Any], image: Path, lang: str) -> str:
    label = choices.get("label", "")
    kind = label.split("-")[0]
    named = {"kind": kind, "label": label, "name": NAMES[lang].get(kind, "")}
    if "image/svg+xml" in data:
        image.write_text(data["image/svg+xml"])
        return FLOAT.format(
            content=f'#box(image("{image.name}"))', position="bottom", caption=_typst(choices["fig-cap"]), **named
        )
    content = _typst(data["text/markdown"])
    return (
        FLOAT.format(content=content, position="top", caption=_typst(choices["tbl-cap"]), **named) if kind == "tbl" else content
    )


def _typst(markdown: str) -> str:
    """Return what pandoc makes of Markdown; a table without pandoc's own figure around it, as Quarto asks for."""
    made = pypandoc.convert_text(markdown, "typst", format="markdown", extra_args=["--wrap=none"]).strip()
    return re.sub(r"(?s)#figure\(\s*align\(center\)\[(#table\(.*?\n\s*\))\]\s*, kind: table\s*\)", r"\1", made)
