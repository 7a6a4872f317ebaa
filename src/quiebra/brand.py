"""The brand's colours: one place for pages, PDFs and charts."""

from __future__ import annotations

import yaml

from quiebra.workspace import Workspace


def palette() -> dict[str, str]:
    """Return the colours of the workspace's ``reports/_brand.yml`` by name."""
    brand = yaml.safe_load((Workspace.find().reports / "_brand.yml").read_text(encoding="utf-8"))
    return brand["color"]["palette"]
