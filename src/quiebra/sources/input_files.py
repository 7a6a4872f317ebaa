"""The files that a run reads, with their hashes: what the stages depend on in place of the folders that the files lie in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from quiebra.errors import WorkspaceError
from quiebra.io.files import write_json, write_text
from quiebra.params import Ingest, Params
from quiebra.provenance import file_sha256
from quiebra.sources.macro_files import macro_input_files
from quiebra.sources.market_services import names_read
from quiebra.sources.raw_store import RawStore
from quiebra.sources.table import table_files
from quiebra.workspace import Workspace

INGEST, PORTFOLIO = "ingest", "portfolio"
"""Lists in ``data/inputs``: what the stages `ingest` and `stress` read."""


def write_input_lists(workspace: Workspace, params: Params) -> None:
    """Write the lists of the files that params name: path, size and SHA-256; a file that is missing has neither.

    Paths in the workspace are relative to it. A file is hashed again only where its size or time has changed.
    """
    portfolio = [workspace.root / params.portfolio.file] if params.portfolio.file else []
    hashes = _Hashes(workspace.root / "data" / ".hashes.json")
    for name, paths in ((INGEST, ingest_files(params.ingest, workspace.root)), (PORTFOLIO, portfolio)):
        listed = {_shown(path, workspace.root): hashes.described(path) for path in sorted(set(paths))}
        write_json(list_path(workspace.root, name), {"files": listed})
    hashes.write()


def list_path(root: Path, name: str) -> Path:
    """Return the path of a list."""
    return root / "data" / "inputs" / f"{name}.json"


def ingest_files(ingest: Ingest, root: Path) -> list[Path]:
    """Return the files that the chosen sources read, those of macro series among them."""
    of_sources = (path for name in ingest.sources for path in _source_files(name, ingest, root))
    return [*macro_input_files(ingest.macro, root), *of_sources]


def _source_files(name: str, ingest: Ingest, root: Path) -> Iterable[Path]:
    if name == "american":
        return [root / ingest.american.path]
    if name == "table":
        return [*table_files(root / ingest.table.path), *([root / ingest.table.failures] if ingest.table.failures else [])]
    if name == "edgar":
        store = RawStore(root / ingest.edgar.folder)
        own = [root / file for file in (ingest.edgar.failures, ingest.edgar.prices) if file]
        return [*own, store.list_of_answers, *(store.path(name) for name in store.names())]
    if name in ("alpha_vantage", "yahoo"):
        options = ingest.alpha_vantage if name == "alpha_vantage" else ingest.yahoo
        store = RawStore(root / options.folder)
        own = [root / options.failures] if options.failures else []
        return [*own, store.list_of_answers, *(store.path(name) for name in names_read(store, options))]
    return []


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class _Hashes:
    """Hashes of files by path, size and time, kept between runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.known: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}
        self.seen: dict[str, list[Any]] = {}

    def described(self, path: Path) -> dict[str, Any]:
        try:
            now = path.stat()
            mark = [now.st_size, now.st_mtime_ns]
            known = self.known.get(str(path), [])
            sha256 = str(known[2]) if known[:2] == mark else file_sha256(path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror or error}") from error
        self.seen[str(path)] = [*mark, sha256]
        return {"size": now.st_size, "sha256": sha256}

    def write(self) -> None:
        if self.seen != self.known:
            write_text(self.path, json.dumps(self.seen))
