"""What every PDF begins with: its colours, watermark and footer, and the rules of `assets/look.typ`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

from quiebra.brand import palette


def typst_preamble(metadata: Mapping[str, str]) -> str:
    """Return the Typst that the fallback's template and Quarto's both put before a report, so that both look alike.

    metadata: ``status`` is the watermark; ``subtitle`` (what, as of when, which run, whether simulated) stands at the foot of
    every page, ``note``, where there is one, at that of the last.
    """
    colours = ", ".join(f"{name}: rgb({_text(value)})" for name, value in palette().items())
    said = {"status": metadata["status"], "running": metadata["subtitle"], "note": metadata.get("note", "")}
    lets = [f"#let colour = ({colours})", *(f"#let {name} = {_text(value)}" for name, value in said.items())]
    return "\n".join(lets) + "\n" + (files("quiebra.reports") / "assets" / "look.typ").read_text(encoding="utf-8")


def _text(value: str) -> str:
    """Return a Typst string: text that no sign in it can leave."""
    return json.dumps(" ".join(value.split()), ensure_ascii=False)
