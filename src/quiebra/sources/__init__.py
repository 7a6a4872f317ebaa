"""Readers of raw statements (simulated demo, American panel, EDGAR, services by ticker, user's file) into canonical tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from quiebra.canonical import Source
from quiebra.params import Ingest
from quiebra.sources import alpha_vantage, american, demo, edgar, table, yahoo
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
    def file(path: str | None) -> Path | None:
        return workspace.root / path if path else None

    if name == "demo":
        return demo.load(ingest.demo)
    if name == "american":
        return american.load(workspace.root / ingest.american.path)
    if name == "edgar":
        own = (file(ingest.edgar.failures), file(ingest.edgar.prices))
        return edgar.load(workspace.root / ingest.edgar.folder, ingest.edgar, *own)
    if name == "alpha_vantage":
        service = ingest.alpha_vantage
        return alpha_vantage.load(workspace.root / service.folder, service, file(service.failures))
    if name == "yahoo":
        return yahoo.load(workspace.root / ingest.yahoo.folder, ingest.yahoo, file(ingest.yahoo.failures))
    return table.load(workspace.root / ingest.table.path, ingest.table, file(ingest.table.failures))
