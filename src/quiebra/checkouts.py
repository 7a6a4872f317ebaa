"""Where a checkout came from, on this machine: an experiment's folder, a worktree and a clone each have an origin."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

DVC_ROOT = "DVC_ROOT"
"""Set by DVC for the commands of an experiment: the checkout that it was started in."""
EXPERIMENTS = (".dvc", "tmp", "exps")
"""Where DVC makes the temporary folders of experiments."""


def origins(root: Path) -> list[Path]:
    """Return the other checkouts that this one may have come from: the one that DVC started the experiment in, the one that its
    temporary folder lies in, the main worktree, and a clone's origin on this machine."""
    found = [Path(os.environ[DVC_ROOT])] if os.environ.get(DVC_ROOT) else []
    found += [parent.parents[2] for parent in root.parents if parent.parts[-3:] == EXPERIMENTS]
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
