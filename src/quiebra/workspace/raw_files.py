"""Copy raw files, which neither git nor DVC checks out, into an experiment, worktree or clone from the checkout it was made from,
if they match the hash in dvc.lock."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import yaml

from quiebra.workspace import Workspace
from quiebra.workspace.checkouts import origin_checkouts

RAW_FOLDER = "data/raw"


def bring_raw_files(workspace: Workspace) -> list[str]:
    """Copy the files missing in data/raw from the checkout that this one was made from; return their names.

    Only if the other folder has the hash recorded in dvc.lock, so that an experiment never runs on other data than its baseline;
    otherwise a warning is printed and nothing is copied.
    """
    here, wanted = {*_files(workspace.root / RAW_FOLDER)}, _recorded(workspace.root)
    came_from = [home for home in origin_checkouts(workspace.root) if {*_files(home / RAW_FOLDER)} - here]
    if not came_from or folder_hash(workspace.root / RAW_FOLDER) == wanted:
        return []
    for home in came_from:
        if folder_hash(home / RAW_FOLDER) == (wanted or _recorded(home)):
            return _copy_missing(home / RAW_FOLDER, workspace.root / RAW_FOLDER)
    places = ", ".join(str(home / RAW_FOLDER) for home in came_from)
    print(f"{places} is not what dvc.lock records: no raw file was taken from there", file=sys.stderr)
    return []


def _copy_missing(source: Path, target: Path) -> list[str]:
    copied = []
    for name in sorted(_files(source)):
        if not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
            copied.append(name)
    return copied


def _recorded(root: Path) -> str | None:
    """Return the hash of data/raw in dvc.lock; None if ingest was never run."""
    try:
        deps = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]["ingest"]["deps"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None
    return next((dep.get("md5") for dep in deps if dep["path"] == RAW_FOLDER), None)


def folder_hash(folder: Path) -> str:
    """Return a folder's hash as DVC writes it to dvc.lock."""
    entries = [{"md5": _md5(folder / name), "relpath": name} for name in sorted(_files(folder))]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _files(folder: Path) -> list[str]:
    """Return the relative paths of the files that DVC hashes in a folder: all but those in .dvcignore."""
    ignored = (".partial", ".partial.ipynb")
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(ignored) and ".ipynb_checkpoints" not in path.parts
    ]


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
