"""Start of every PDF's Typst source: colours, watermark, footer, and the rules of `assets/look.typ`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

from quiebra.brand import brand_colours


def typst_preamble(metadata: Mapping[str, str]) -> str:
    """Return the Typst preamble used by both the fallback's template and Quarto, so that both look alike.

    metadata: ``status`` is the watermark; ``subtitle`` (source, date, run, whether simulated) is the footer of every page,
    ``note``, if given, that of the last.
    """
    colours = ", ".join(f"{name}: rgb({_text(value)})" for name, value in brand_colours().items())
    said = {"status": metadata["status"], "running": metadata["subtitle"], "note": metadata.get("note", "")}
    lets = [f"#let colour = ({colours})", *(f"#let {name} = {_text(value)}" for name, value in said.items())]
    return "\n".join(lets) + "\n" + (files("quiebra.reports") / "assets" / "look.typ").read_text(encoding="utf-8")


def _text(value: str) -> str:
    """Return a Typst string literal; characters that would end it are escaped."""
    return json.dumps(" ".join(value.split()), ensure_ascii=False)
