"""The visitor of a page, as known to its kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

READER = "reader"
VISITOR_FOLDER = "QUIEBRA_VISITORS"
"""Environment variable of a page's kernel with the folder in which the server records who opened it."""


def current_visitor() -> str | None:
    """Return the editor who opened this kernel's page; None: a reader, or a notebook outside the dashboards."""
    folder, kernel_id = os.environ.get(VISITOR_FOLDER), os.environ.get("VOILA_KERNEL_ID")
    if not folder or not kernel_id:
        return None
    path = Path(folder) / f"{Path(kernel_id).name}.json"
    person = json.loads(path.read_text(encoding="utf-8"))["person"] if path.exists() else READER
    return None if person == READER else person
