"""Reading and writing the files between stages: whole or not at all, and the same bytes for the same content."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.errors import WorkspaceError


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Call ``write`` on a temporary neighbour of ``path``, flush it to disk and move it into place.

    A process killed in the middle leaves the old file, or none, never half of one. Raises WorkspaceError, naming
    the path, where the disk cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    except OSError as error:
        why = error.strerror or error
        raise WorkspaceError("cannot write {path}: {why}. Check the disk and its permissions.", path=path, why=why) from error
    finally:
        if partial.exists():
            partial.unlink()
    return path


def replace_together(sources: Mapping[Path, Path]) -> None:
    """Put copies of files (target → source) in their places: all of them, or none where the disk refuses one of them.

    Raises WorkspaceError, naming the path, where the disk cannot be written.
    """
    partials = {target: target.with_name(f".{target.name}.{os.getpid()}.partial") for target in sources}
    target = next(iter(sources))
    try:
        for target, source in sources.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partials[target])
            with partials[target].open("rb+") as handle:
                os.fsync(handle.fileno())
        for target, partial in partials.items():
            partial.replace(target)
    except OSError as error:
        why = error.strerror or error
        raise WorkspaceError("cannot write {path}: {why}. Check the disk and its permissions.", path=target, why=why) from error
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> Path:
    """Write JSON atomically: sorted keys, two spaces, no NaN; dates as ISO text."""
    return write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False, default=str) + "\n")


def write_table(path: Path, table: pl.DataFrame) -> Path:
    """Write a table as Parquet (zstd) atomically. The caller has sorted the rows."""
    return write_atomically(path, lambda p: table.write_parquet(p, compression="zstd", statistics=False))


def _needs(path: Path) -> Path:
    if not path.is_file():
        raise WorkspaceError("{path} is missing: run `dvc repro` (or `make run`), which makes it", path=path)
    return path


def read_json(path: Path) -> Any:
    """Read JSON; WorkspaceError, with the command that makes it, where the file is missing."""
    return json.loads(_needs(path).read_text(encoding="utf-8"))


def read_table(path: Path) -> pl.DataFrame:
    """Read a Parquet table; WorkspaceError, with the command that makes it, where the file is missing."""
    return pl.read_parquet(_needs(path))
