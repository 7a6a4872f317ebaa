"""Client of the stage server: a stage's command asks it first, if DVC started the command.

Only the standard library is imported, so that a stage's command costs a few hundredths of a second.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from quiebra.io.private_folders import is_private, private_folder_path

ADDRESS = "QUIEBRA_STAGE_SERVER"
"""Environment variable of DVC's commands with the path of the server's socket."""
SOCKET_NAME = "stages"
LENGTH, EXIT_CODE = struct.Struct("!I"), struct.Struct("!i")
INTERRUPTED = 130
"""Exit code of a command that was interrupted from the keyboard."""
DECLINED = -1000
"""Answer of a server that does not run the stage: the client runs it itself."""


def run_on_server(stage: str) -> int | None:
    """Have the server run a stage with this process's folder, environment variables and output; return its exit code.

    None if there is no server or it declines. If the server is stopped, it stops its stage, and the exit code is 1.
    """
    address = os.environ.get(ADDRESS) or _dvc_server_address()
    if not address:
        return None
    request = json.dumps({"stage": stage, "folder": os.getcwd(), "env": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:  # the process that started the run has ended, but DVC is still running
            return None
        try:
            socket.send_fds(connection, [LENGTH.pack(len(request))], [1, 2])
            connection.sendall(request)
            answer = connection.recv(EXIT_CODE.size, socket.MSG_WAITALL)
        except OSError:
            answer = b""
        except KeyboardInterrupt:
            return INTERRUPTED
    if len(answer) < EXIT_CODE.size:
        return 1
    (code,) = EXIT_CODE.unpack(answer)
    return None if code == DECLINED else int(code)


def dvc_folder(pid: int) -> str:
    """Return the name of the private folder of the stage server of a ``dvc`` command with this process id."""
    return f"dvc-{pid}"


def _dvc_process() -> int:
    """Return the id of the ``dvc`` process that started this command: the nearest ancestor that is not part of the stage.

    Between the two stands a shell, unless it replaces itself with its last command (bash does, dash does not). A process whose
    variables cannot be read counts as ``dvc``.
    """
    pid = os.getppid()
    variable = f"DVC_STAGE={os.environ['DVC_STAGE']}".encode()
    with suppress(OSError):
        while variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def _dvc_server_address() -> str | None:
    """Return the address of the server of the ``dvc`` command that started this command, after starting it if this is the first
    stage; None if DVC did not start this command, or no server can be started."""
    if "DVC_STAGE" not in os.environ or not hasattr(os, "pidfd_open"):
        return None
    dvc = _dvc_process()
    folder = private_folder_path(dvc_folder(dvc))
    if is_private(folder) and (folder / SOCKET_NAME).is_socket():
        return str(folder / SOCKET_NAME)
    code = os.pathsep.join(filter(None, (os.path.join(os.getcwd(), "src"), os.environ.get("PYTHONPATH", ""))))
    try:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "quiebra.pipeline.dvc_server", str(dvc)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is for the commands: they stop their stages
            env={**os.environ, "PYTHONPATH": code},
            text=True,
        )
    except OSError:
        return None
    return server.stdout.readline().strip() or None if server.stdout else None
