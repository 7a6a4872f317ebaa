"""Client of the stage server: a stage's command asks it first, if `quiebra run` started the command.

Only the standard library is imported, so that a stage's command costs a few hundredths of a second.
"""

from __future__ import annotations

import json
import os
import socket
import struct

ADDRESS = "QUIEBRA_STAGE_SERVER"
"""Environment variable of DVC's commands with the path of the server's socket."""
LENGTH, EXIT_CODE = struct.Struct("!I"), struct.Struct("!i")
INTERRUPTED = 130
"""Exit code of a command that was interrupted from the keyboard."""
DECLINED = -1000
"""Answer of a server that does not run the stage: the client runs it itself."""


def run_on_server(stage: str) -> int | None:
    """Have the server run a stage with this process's folder, environment variables and output; return its exit code.

    None if there is no server or it declines. If the server is stopped, it stops its stage, and the exit code is 1.
    """
    address = os.environ.get(ADDRESS)
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
