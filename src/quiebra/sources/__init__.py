"""Where raw statements come from. Every adapter gives the same canonical tables; `ingest.source` chooses one."""

from __future__ import annotations

from quiebra.canonical import Source
from quiebra.params import Ingest
from quiebra.sources import american, demo, table
from quiebra.workspace import Workspace

__all__ = ["Source", "load"]


def load(ingest: Ingest, workspace: Workspace) -> Source:
    """Return the tables of the chosen source. Paths in params are relative to the workspace.

    Raises SourceError where the file is missing, empty, wrongly encoded, lacks columns or holds text for numbers.
    """
    if ingest.source == "demo":
        return demo.load(ingest.demo)
    if ingest.source == "american":
        return american.load(workspace.root / ingest.american.path)
    return table.load(workspace.root / ingest.table.path, ingest.table)
