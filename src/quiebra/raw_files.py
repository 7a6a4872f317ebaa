"""Raw files where neither git nor DVC brings them: an experiment, worktree or clone takes them from the checkout it came from,
where they are still the ones that dvc.lock records."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import yaml

from quiebra.checkouts import origins
from quiebra.workspace import Workspace

RAW = "data/raw"


def bring_raw_files(workspace: Workspace) -> list[str]:
    """Copy the files of data/raw that are missing here from the checkout that this one came from; return their names.

    Only where the other folder has the very hash that dvc.lock records for it, so that an experiment never runs on other data
    than its baseline; where it has not, that is said and nothing is copied.
    """
    here, wanted = {*_files(workspace.root / RAW)}, _recorded(workspace.root)
    came_from = [home for home in origins(workspace.root) if {*_files(home / RAW)} - here]
    if not came_from or folder_hash(workspace.root / RAW) == wanted:
        return []
    for home in came_from:
        if folder_hash(home / RAW) == (wanted or _recorded(home)):
            return _copy_missing(home / RAW, workspace.root / RAW)
    places = ", ".join(str(home / RAW) for home in came_from)
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
    """Return the hash that dvc.lock has for data/raw; None where ingest was never run."""
    try:
        deps = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]["ingest"]["deps"]
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None
    return next((dep.get("md5") for dep in deps if dep["path"] == RAW), None)


def folder_hash(folder: Path) -> str:
    """Return the hash of a folder as DVC writes it into dvc.lock."""
    entries = [{"md5": _md5(folder / name), "relpath": name} for name in sorted(_files(folder))]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _files(folder: Path) -> list[str]:
    """Return the files that DVC sees in a folder, as .dvcignore has it, relative to it."""
    ignored = (".partial", ".partial.ipynb")
    return [
        path.relative_to(folder).as_posix() for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(ignored) and ".ipynb_checkpoints" not in path.parts
    ]  # fmt: skip


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
