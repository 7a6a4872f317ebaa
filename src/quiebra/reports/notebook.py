"""Convert an executed notebook to Markdown without code, with captioned and numbered figures and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from quiebra.io.files import write_text
from quiebra.reports.preamble import typst_preamble
from quiebra.text.words import Words, escape_markup, translatable

OPTION = re.compile(r"^#\|\s?(.*)$")
REFERENCE = re.compile(r"(?<![\w\\])@((?:fig|tbl)-[\w-]+)")
PAGE_BREAK = "{{< pagebreak >}}"
TYPST_BREAK = "```{=typst}\n#pagebreak(weak: true)\n```"
"""Quarto's page break, and its replacement in the fallback; HTML has none."""
KINDS = {"fig": translatable("Figure"), "tbl": translatable("Table")}
TRANSLATED_OPTIONS = ("fig-cap", "fig-alt", "tbl-cap")
"""Cell options with text for readers."""


def finish_notebook(executed: Path, metadata: Mapping[str, str]) -> None:
    """Translate an executed report, and give its first cell the front matter with which Quarto, run by hand, renders it as the
    run does.

    metadata: title, subtitle, lang and status (the watermark). Markdown cells and captions are msgids of the catalogue.
    """
    import nbformat

    notebook, words = nbformat.read(executed, as_version=4), Words(metadata["lang"])
    notebook.cells[0].source = _front_matter(notebook.cells[0].source, metadata)
    for cell in notebook.cells:
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]  # Quarto would turn Papermill's empty ones into attributes
    for cell in notebook.cells[1:]:
        if cell.cell_type == "markdown":
            cell.source = words(cell.source)
        elif cell.cell_type == "code":
            cell.source = _translated(cell.source, words)
    write_text(executed, nbformat.writes(notebook))


def _translated(source: str, words: Words) -> str:
    for name, value in cell_options(source).items():
        if name in TRANSLATED_OPTIONS:
            source = source.replace(f"#| {name}: {value}", f"#| {name}: {json.dumps(words(value), ensure_ascii=False)}")
    return source


def _front_matter(source: str, metadata: Mapping[str, str]) -> str:
    content = yaml.safe_load(source.strip().strip("-"))
    content |= {
        "title": escape_markup(metadata["title"]),
        "subtitle": escape_markup(metadata["subtitle"]),
        "lang": metadata["lang"],
    }
    css = f"body::before {{ content: '{metadata['status']}'; {WATERMARK} }}"
    content["format"]["html"]["include-in-header"] = {"text": f"<style>{css}</style>"}
    content["format"]["typst"]["include-in-header"] = {"text": typst_preamble(metadata)}
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)}---"


WATERMARK = (
    "position: fixed; top: 38%; left: 0; right: 0; text-align: center; transform: rotate(-35deg); font-size: 9rem; "
    "font-weight: 700; "
    "color: rgba(28, 39, 51, 0.06); pointer-events: none; z-index: 10;"
)


def notebook_to_markdown(executed: Path, folder: Path, lang: str = "en") -> str:
    """Return the report as Markdown, with pictures written to ``folder`` under their labels.

    Cell options are those of Quarto: ``label`` (fig-… or tbl-…), ``fig-cap``, ``fig-alt``, ``tbl-cap``. A reference such as
    ``@fig-pd`` becomes "Figure 1". Cells without output, and raw cells, are left out.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    parts: list[str] = []
    numbers = CaptionNumbers(Words(lang))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source.replace(PAGE_BREAK, TYPST_BREAK))
        elif cell.cell_type == "code":
            parts.extend(_outputs(cell, folder, numbers))
    text = "\n\n".join(parts)
    return REFERENCE.sub(lambda match: numbers.given.get(match.group(1), match.group(0)), text)


@dataclass
class CaptionNumbers:
    """Label → "Figure 1", numbered in order of appearance."""

    words: Words
    given: dict[str, str] = field(default_factory=dict)

    def next(self, label: str) -> str:
        kind = self.words(KINDS[label.split("-")[0]])
        self.given[label] = f"{kind} {1 + sum(name.startswith(kind) for name in self.given.values())}"
        return self.given[label]


def cell_options(source: str) -> dict[str, Any]:
    """Return the ``#|`` options at the start of a cell.

    >>> cell_options("#| label: fig-a\\n#| fig-cap: A picture\\nshow(a)")
    {'label': 'fig-a', 'fig-cap': 'A picture'}
    """
    lines = []
    for line in source.splitlines():
        match = OPTION.match(line)
        if not match:
            break
        lines.append(match.group(1))
    return yaml.safe_load("\n".join(lines)) or {}


def _outputs(cell: Any, folder: Path, numbers: CaptionNumbers) -> list[str]:
    choices = cell_options(cell.source)
    if choices.get("include") is False or choices.get("output") is False:
        return []
    parts = []
    for output in cell.outputs:
        data: Mapping[str, str] = output.get("data", {})
        if "image/svg+xml" in data:
            parts.append(_figure(data["image/svg+xml"], choices, folder, numbers))
        elif "text/markdown" in data:
            parts.append(_text(data["text/markdown"], choices, numbers))
    return parts


def _figure(svg: str, choices: Mapping[str, Any], folder: Path, numbers: CaptionNumbers) -> str:
    label = choices.get("label", f"fig-{len(numbers.given)}")
    write_text(folder / f"{label}.svg", svg)
    caption = f"{numbers.next(label)}: {choices.get('fig-cap', '')}"
    alt = str(choices.get("fig-alt", "")).replace('"', "'")
    return f'![{caption}]({label}.svg){{#{label} alt="{alt}"}}'


def _text(markdown: str, choices: Mapping[str, Any], numbers: CaptionNumbers) -> str:
    label = choices.get("label", "")
    if not label.startswith("tbl-"):
        return markdown
    return f"{markdown}\n\n: {numbers.next(label)}: {choices.get('tbl-cap', '')} {{#{label}}}"
