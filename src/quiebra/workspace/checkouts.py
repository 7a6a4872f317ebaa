"""Find the checkout on this machine that an experiment's folder, worktree or clone was made from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DVC_ROOT = "DVC_ROOT"
"""Environment variable that DVC sets in an experiment's commands: the checkout it was started in."""
EXPERIMENT_FOLDER = (".dvc", "tmp", "exps")
"""Parent folder of DVC's temporary experiment folders."""


def origin_checkouts(root: Path) -> list[Path]:
    """Return the checkouts that this one may have been made from: the one where DVC started the experiment, the one that contains
    its temporary folder, the main worktree, and a clone's local origin."""
    found = [Path(os.environ[DVC_ROOT])] if os.environ.get(DVC_ROOT) else []
    found += [parent.parents[2] for parent in root.parents if parent.parts[-3:] == EXPERIMENT_FOLDER]
    common = _git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    found += [Path(common).parent] if common else []
    origin = _git(root, "config", "--get", "remote.origin.url")
    found += [Path(origin)] if origin and Path(origin).is_dir() else []
    return [home for home in dict.fromkeys(path.resolve() for path in found) if home != root.resolve()]


def _git(root: Path, *words: str) -> str:
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
