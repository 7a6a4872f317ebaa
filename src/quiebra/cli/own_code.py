"""A workspace runs its own code: an experiment, a worktree or a second clone that shares an installation does not run the
checkout that the installation was made from."""

from __future__ import annotations

import os
import sys

from quiebra.errors import WorkspaceError
from quiebra.workspace import Workspace, own_source, refuse_other_code

STARTED_AGAIN = "QUIEBRA_CODE"
"""The folder that a command was started again for, so that it never is twice."""


def run_own_code() -> None:
    """Start this command again with the code of the workspace around the current folder, where other code runs; otherwise return.

    WorkspaceError where that code cannot be had although it was asked for.
    """
    try:
        root = Workspace.find().root
    except WorkspaceError:  # the command says so itself, if it needs one
        return
    source = own_source(root)
    if source is None:
        return
    if os.environ.get(STARTED_AGAIN) == str(source):
        refuse_other_code(root)
    path = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": path, STARTED_AGAIN: str(source)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "quiebra.cli", *sys.argv[1:]], environment)
