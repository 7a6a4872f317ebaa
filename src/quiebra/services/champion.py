"""Promote a model, or roll back to the previous champion: in the register's files, and in the database if this workspace
publishes."""

from __future__ import annotations

from quiebra import store
from quiebra.registry import Succession, promote, roll_back
from quiebra.store.ownership import belongs_to_another
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import why_not_published


def promote_model(workspace: Workspace, identifier: str, who: str, *, despite: bool = False) -> Succession:
    """Make a model the champion, recorded as ``who``'s decision; see `quiebra.registry.promote`."""
    done = promote(workspace, identifier, despite=despite)
    _mirror_register(
        workspace, who, "model promoted", "although it ranks worse than the champion" if despite else "no gate failed"
    )
    return done


def roll_back_model(workspace: Workspace, source: str | None, who: str) -> Succession:
    """Make the previous champion the champion again, recorded as ``who``'s decision; see `quiebra.registry.roll_back`."""
    done = roll_back(workspace, source)
    _mirror_register(workspace, who, "model rolled back", f"rolled back from {done.before}")
    return done


def _mirror_register(workspace: Workspace, who: str, action: str, why: str) -> None:
    if why_not_published(workspace) is None:
        engine = store.open_database(workspace)
        if belongs_to_another(engine, workspace) is None:
            store.mirror_register(engine, workspace, who=who, action=action, why=why)
