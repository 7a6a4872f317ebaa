"""Stage server of a `dvc` command that a person started: started by its first stage, it ends with the `dvc` command.

    python -m quiebra.pipeline.dvc_server PROCESS_ID

Prints the path of its socket, or an empty line if it cannot serve.
"""

import os
import select
import sys

from quiebra.pipeline.stage_client import ADDRESS, dvc_folder
from quiebra.pipeline.stage_server import serve_stages
from quiebra.workspace import Workspace


def serve_dvc(pid: int) -> None:
    """Serve the stages that the process ``pid`` starts in the current folder, until it ends."""
    process = os.pidfd_open(pid)
    with serve_stages(Workspace.find(), dvc_folder(pid)) as server:
        print(server.get(ADDRESS, ""), flush=True)
        if server:
            select.select([process], [], [])


if __name__ == "__main__":
    serve_dvc(int(sys.argv[1]))
