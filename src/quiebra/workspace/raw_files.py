"""Bring raw files, which neither git nor DVC checks out, into an experiment, worktree or clone, if they are those of dvc.lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from quiebra.provenance import file_sha256
from quiebra.workspace import Workspace
from quiebra.workspace.checkouts import origin_checkouts

LIST_OF_FILES = "data/inputs/ingest.json"
"""List of the files that ingest reads, with their hashes; see `quiebra.sources.input_files`."""


def bring_raw_files(workspace: Workspace, files_of: Callable[[Path], Iterable[Path]]) -> list[str]:
    """Link or copy the files that are missing here from the checkout that this one was made from; return their names.

    files_of: gives the files that a run in a checkout reads. A file that the baseline read too must have the hash that it had
    then, so that an experiment never runs on other data than its baseline; otherwise a warning is printed, and none is taken.
    """
    root, brought = workspace.root, list[str]()
    for home in origin_checkouts(root):
        names = [path.relative_to(home) for path in files_of(home) if path.is_file() and path.is_relative_to(home)]
        missing = [name for name in names if not (root / name).exists()]
        if not missing:
            continue
        recorded = _recorded(root, home)
        if recorded is None or any(_differs(home / name, recorded.get(name.as_posix())) for name in missing):
            print(f"{home / missing[0].parent} is not what dvc.lock records: no raw file was taken from there", file=sys.stderr)
            continue
        for name in missing:
            _bring(home / name, root / name)
            brought.append(name.as_posix())
    return brought


def _bring(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # another file system
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def _recorded(root: Path, home: Path) -> dict[str, dict[str, Any]] | None:
    """Return the files that the recorded run read, by path: none where ingest was never run; None where they cannot be had."""
    try:
        deps = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]["ingest"]["deps"]
        md5 = next(dep["md5"] for dep in deps if dep["path"] == LIST_OF_FILES)
    except (OSError, KeyError, TypeError, StopIteration, yaml.YAMLError):
        return {}
    kept = [place / ".dvc/cache/files/md5" / md5[:2] / md5[2:] for place in (root, home)]
    for path in (*kept, home / LIST_OF_FILES):
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = path.read_bytes()
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
                files: dict[str, dict[str, Any]] = json.loads(content)["files"]
                return files
    return None


def _differs(path: Path, recorded: dict[str, Any] | None) -> bool:
    """Return whether a file is another one than was recorded; one that was not recorded was not read."""
    if not recorded:
        return False
    return bool(path.stat().st_size != recorded["size"] or file_sha256(path) != recorded["sha256"])
