"""Run commands with the code of the current workspace: an experiment, worktree or second clone that shares an installation must
not run the code of the checkout the installation was made from."""

from __future__ import annotations

import os
import sys

from quiebra.errors import WorkspaceError
from quiebra.workspace import Workspace, own_source, refuse_other_code

STARTED_AGAIN = "QUIEBRA_CODE"
"""Environment variable with the source folder that the command was restarted for, so that it restarts only once."""


def run_own_code() -> None:
    """Restart this command with the code of the current folder's workspace, if other code is running; otherwise return.

    WorkspaceError if the restarted command still runs other code.
    """
    try:
        root = Workspace.find().root
    except WorkspaceError:  # commands that need a workspace raise the error themselves
        return
    source = own_source(root)
    if source is None:
        return
    if os.environ.get(STARTED_AGAIN) == str(source):
        refuse_other_code(root)
    path = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": path, STARTED_AGAIN: str(source)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "quiebra.cli", *sys.argv[1:]], environment)  # noqa: S606  no shell is meant
