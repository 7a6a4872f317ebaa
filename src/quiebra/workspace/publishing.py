"""Which workspace publishes: the one declared by its first `quiebra run`; experiments never publish."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from quiebra.errors import LocalisedMessage
from quiebra.io.files import write_json
from quiebra.workspace import Workspace
from quiebra.workspace.checkouts import EXPERIMENT_FOLDER, origin_checkouts

EXPERIMENT_NAMES = ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV")
"""Environment variables that DVC sets in an experiment's commands, in the workspace, a temporary folder or a queue."""


def is_experiment(root: Path) -> bool:
    """Return whether this runs as a DVC experiment."""
    parts = root.resolve().parts
    inside = any(parts[i : i + len(EXPERIMENT_FOLDER)] == EXPERIMENT_FOLDER for i in range(len(parts)))
    return inside or any(os.environ.get(name) for name in EXPERIMENT_NAMES)


def _record(workspace: Workspace) -> Path:
    return workspace.root / "data" / "publisher.json"


def declare_publisher(workspace: Workspace, *, asked: bool = False) -> None:
    """Record, outside git, that the workspace at this root publishes; a copy at another root must be declared itself.

    Does nothing in an experiment, nor, unless a person ``asked`` for it, in a worktree or clone of a workspace that publishes.
    """
    if is_experiment(workspace.root) or is_publisher(workspace):
        return
    if asked or not any(is_publisher(Workspace(home)) for home in origin_checkouts(workspace.root)):
        write_json(_record(workspace), {"root": str(workspace.root)})


def is_publisher(workspace: Workspace) -> bool:
    """Return whether the workspace at this root was declared to publish."""
    return bool(_recorded(workspace))


def _recorded(workspace: Workspace) -> dict[str, Any]:
    """Return what is recorded of a workspace that publishes; empty where it was not declared at this root."""
    try:
        found = json.loads(_record(workspace).read_text(encoding="utf-8"))
        return dict(found) if found["root"] == str(workspace.root) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def note_database(workspace: Workspace, address: str) -> None:
    """Record the address of the database that this workspace publishes to, without its password; nothing if it publishes to
    none."""
    known = _recorded(workspace)
    if known and known.get("database") != address:
        write_json(_record(workspace), {**known, "database": address})


def noted_database(workspace: Workspace) -> str | None:
    """Return the address of the database that this workspace published to last; None where it has published to none."""
    found = _recorded(workspace).get("database")
    return found if isinstance(found, str) else None


def why_not_published(workspace: Workspace) -> LocalisedMessage | None:
    """Return why this workspace may not publish; None if it may."""
    if is_experiment(workspace.root):
        return LocalisedMessage("this is an experiment: it publishes to no database, raises no alert and mails nobody")
    if not is_publisher(workspace):
        for home in origin_checkouts(workspace.root):
            if is_publisher(Workspace(home)):
                return LocalisedMessage("it is {home} that publishes; `quiebra publish` has this workspace do so", {"home": home})
        return LocalisedMessage(
            "this workspace was not declared to publish: `quiebra run` in {root} declares it", {"root": workspace.root}
        )
    return None
