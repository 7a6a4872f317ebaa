"""Readers of raw statements (simulated demo, American panel, SEC's EDGAR, user's file) into canonical tables."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from quiebra.canonical import Source
from quiebra.params import Ingest
from quiebra.sources import american, demo, edgar, table
from quiebra.sources.cells import without_folder
from quiebra.sources.combined import combine
from quiebra.sources.macro_files import macro_hash, read_macro
from quiebra.workspace import Workspace

__all__ = ["Source", "load"]


def load(ingest: Ingest, workspace: Workspace) -> Source:
    """Return the tables of the sources in ``ingest.sources`` as one, with the macro series of ``ingest.macro`` beside their own.

    Paths in params are relative to the workspace. A series in params replaces the source's series of the same name.
    Raise SourceError where a file is missing, empty, wrongly encoded, lacks columns or has text in a column of numbers.
    """
    tables: dict[str, Source] = {name: _tables(name, ingest, workspace) for name in ingest.sources}
    source = tables[ingest.sources[0]] if len(tables) == 1 else combine(tables)
    own = source.macro.filter(~pl.col("series").is_in(list(ingest.macro)))
    info = replace(source.info, macro_sha256=macro_hash(ingest.macro, workspace.root))
    macro, notes = read_macro(ingest.macro, workspace.root)
    return replace(source, info=info, macro=pl.concat([own, macro]), warnings=(*source.warnings, *map(without_folder, notes)))


def _tables(name: str, ingest: Ingest, workspace: Workspace) -> Source:
    if name == "demo":
        return demo.load(ingest.demo)
    if name == "american":
        return american.load(workspace.root / ingest.american.path)
    if name == "edgar":
        failures = ingest.edgar.failures
        return edgar.load(workspace.root / ingest.edgar.folder, ingest.edgar, workspace.root / failures if failures else None)
    failures = ingest.table.failures
    return table.load(workspace.root / ingest.table.path, ingest.table, workspace.root / failures if failures else None)
