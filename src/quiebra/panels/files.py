"""Write and read the panel's files (Parquet and JSON): output of the ingest stage, input of all others."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.canonical import OwnColumn, SourceInfo
from quiebra.io.files import read_json, read_table, write_json, write_table
from quiebra.panels.contract import Panel
from quiebra.panels.schemas import validate_panel

TABLES = ("companies", "statements", "events", "macro")


def write_panel(panel: Panel, folder: Path, params: dict[str, Any]) -> None:
    """Write the tables, the quarantine, the lineage, the quality report, and the source's metadata with its params."""
    for name in TABLES:
        write_table(folder / f"{name}.parquet", getattr(panel, name))
    write_table(folder / "quarantine.parquet", panel.quarantined)
    write_table(folder / "lineage.parquet", panel.lineage)
    write_table(folder / "filings.parquet", panel.filings)
    write_json(folder / "quality.json", panel.quality)
    write_json(folder / "source.json", {**panel.info.as_record(), "params": params})


def read_panel_table(folder: Path, name: str) -> pl.DataFrame:
    """Read one canonical table, and check it against its schema."""
    return validate_panel(name, read_table(folder / f"{name}.parquet"))


def read_source(folder: Path) -> SourceInfo:
    """Read the source's metadata."""
    record = read_json(folder / "source.json")
    record.pop("params")
    own = tuple(OwnColumn(**column) for column in record.pop("own_columns", ()))
    return SourceInfo(**{**record, "as_of": dt.date.fromisoformat(record["as_of"]), "own_columns": own})
