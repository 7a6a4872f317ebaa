"""Who publishes: the one workspace that was declared to, by its first `quiebra run`. An experiment never does."""

from __future__ import annotations

import json
import os
from pathlib import Path

from quiebra.checkouts import EXPERIMENTS, origins
from quiebra.errors import Said
from quiebra.files import write_json
from quiebra.workspace import Workspace

EXPERIMENT_NAMES = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
"""Set by DVC for the commands of an experiment, in the workspace, a temporary folder or a queue."""


def is_experiment(root: Path) -> bool:
    """Whether this runs as an experiment of DVC."""
    parts = root.resolve().parts
    inside = any(parts[i : i + len(EXPERIMENTS)] == EXPERIMENTS for i in range(len(parts)))
    return inside or any(os.environ.get(name) for name in EXPERIMENT_NAMES)


def _record(workspace: Workspace) -> Path:
    return workspace.root / "data" / "publisher.json"


def declare(workspace: Workspace, *, asked: bool = False) -> None:
    """Record, outside git, that the workspace at this root publishes. A copy of a workspace is another root, and has to be
    declared itself. Not an experiment, and, unless a person ``asked`` for it, no worktree or clone of one that publishes."""
    if is_experiment(workspace.root) or is_declared(workspace):
        return
    if asked or not any(is_declared(Workspace(home)) for home in origins(workspace.root)):
        write_json(_record(workspace), {"root": str(workspace.root)})


def is_declared(workspace: Workspace) -> bool:
    """Whether the workspace at this root was declared to publish."""
    try:
        return json.loads(_record(workspace).read_text(encoding="utf-8"))["root"] == str(workspace.root)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def why_not_published(workspace: Workspace) -> Said | None:
    """Return why nothing is published from here; None where the workspace may publish."""
    if is_experiment(workspace.root):
        return Said("this is an experiment: it publishes to no database, raises no alert and mails nobody")
    if not is_declared(workspace):
        for home in origins(workspace.root):
            if is_declared(Workspace(home)):
                return Said("it is {home} that publishes; `quiebra publish` has this workspace do so", {"home": home})
        return Said("this workspace was not declared to publish: `quiebra run` in {root} declares it", {"root": workspace.root})
    return None
