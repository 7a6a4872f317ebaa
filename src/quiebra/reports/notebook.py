"""An executed notebook as one Markdown text: no code, outputs in place, figures and tables captioned and numbered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

OPTION = re.compile(r"^#\|\s?(.*)$")
REFERENCE = re.compile(r"(?<![\w\\])@((?:fig|tbl)-[\w-]+)")
KINDS = {"fig": "Figure", "tbl": "Table"}


def as_markdown(executed: Path, folder: Path) -> str:
    """Return the report's text, with pictures written into ``folder`` under their labels.

    Cell options are those of Quarto: ``label`` (fig-… or tbl-…), ``fig-cap``, ``fig-alt``, ``tbl-cap``. A reference such as
    ``@fig-pd`` becomes "Figure 1". Cells without output, and raw cells, leave nothing.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    parts: list[str] = []
    numbers: dict[str, str] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.extend(_outputs(cell, folder, numbers))
    text = "\n\n".join(parts)
    return REFERENCE.sub(lambda match: numbers.get(match.group(1), match.group(0)), text)


def options(source: str) -> dict[str, Any]:
    """Return the ``#|`` options at the head of a cell.

    >>> options("#| label: fig-a\\n#| fig-cap: A picture\\nshow(a)")
    {'label': 'fig-a', 'fig-cap': 'A picture'}
    """
    lines = []
    for line in source.splitlines():
        match = OPTION.match(line)
        if not match:
            break
        lines.append(match.group(1))
    return yaml.safe_load("\n".join(lines)) or {}


def _outputs(cell: Any, folder: Path, numbers: dict[str, str]) -> list[str]:
    choices = options(cell.source)
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


def _numbered(label: str, numbers: dict[str, str]) -> str:
    kind = KINDS[label.split("-")[0]]
    numbers[label] = f"{kind} {1 + sum(name.startswith(kind) for name in numbers.values())}"
    return numbers[label]


def _figure(svg: str, choices: Mapping[str, Any], folder: Path, numbers: dict[str, str]) -> str:
    label = choices.get("label", f"fig-{len(numbers)}")
    (folder / f"{label}.svg").write_text(svg, encoding="utf-8")
    caption = f"{_numbered(label, numbers)}: {choices.get('fig-cap', '')}"
    alt = str(choices.get("fig-alt", "")).replace('"', "'")
    return f'![{caption}]({label}.svg){{#{label} alt="{alt}"}}'


def _text(markdown: str, choices: Mapping[str, Any], numbers: dict[str, str]) -> str:
    label = choices.get("label", "")
    if not label.startswith("tbl-"):
        return markdown
    return f"{markdown}\n\n: {_numbered(label, numbers)}: {choices.get('tbl-cap', '')}"
