"""Server that runs a run's stages as forks of a process that has imported the libraries, so that they are imported only once.

DVC starts a command for each stage. That command asks the server (`quiebra.pipeline.stage_client`), which runs the stage in a
fork with the command's folder, environment variables and output; its kernel is a fork too. The server is part of `quiebra run`,
or a process of its own where a person starts `dvc` (`quiebra.pipeline.dvc_server`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from quiebra.io.private_folders import private_folder
from quiebra.pipeline.forked_kernels import (
    PROVISIONER,
    can_fork,
    encode_environment,
    enter_environment,
    fork_process,
    reserve_kernel,
    start_factory,
    stop_factory,
)
from quiebra.pipeline.stage_client import ADDRESS, DECLINED, EXIT_CODE, INTERRUPTED, LENGTH, SOCKET_NAME
from quiebra.pipeline.stages import run_stage_command
from quiebra.terminal import run_cli
from quiebra.workspace import PACKAGE, Workspace, own_source

PRELOADED = "quiebra.pipeline.preloaded"
LONGEST_FOLDER = 64
"""Most bytes of the run folder's path: those of sockets in it may not have more than 107."""
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
"""Errors of accepting a connection that pass."""


@contextlib.contextmanager
def serve_stages(workspace: Workspace, folder: str | None = None) -> Iterator[dict[str, str]]:
    """Serve the stages of a run, and yield the environment variables with which commands find the server; empty if the system
    cannot fork, or if this is not the workspace's own code.

    A stage is stopped when its command ends, or when this process ends for any reason.
    folder: name of the private folder for sockets; None: the one of the workspace's run, whose lock the caller holds.
    """
    with contextlib.ExitStack() as stack:
        listener = _listen(folder or f"{workspace.id}-run", stack) if can_fork() and own_source(workspace.root) is None else None
        if listener is None:
            yield {}
            return
        stack.callback(stop_factory)
        server = _Server(workspace.root, Path(listener.getsockname()).parent)
        threading.Thread(target=server.accept, args=[listener], daemon=True).start()
        yield {ADDRESS: listener.getsockname()}
        listener.shutdown(socket.SHUT_RDWR)


def _listen(name: str, stack: contextlib.ExitStack) -> socket.socket | None:
    """Return a socket in the private folder; None if the folder cannot be written, or its path is too long for sockets."""
    try:
        folder = stack.enter_context(private_folder(name))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / SOCKET_NAME))
        listener.listen()
    except OSError:
        return None
    return listener if len(os.fsencode(folder)) <= LONGEST_FOLDER else None


def _source_state() -> dict[str, tuple[int, int]]:
    """Return file → modification time and size of the running code."""
    states = {}
    for path in PACKAGE.rglob("*.py"):
        with contextlib.suppress(OSError):  # an editor's lock, or removed meanwhile
            state = path.stat()
            states[str(path)] = (state.st_mtime_ns, state.st_size)
    return states


class _Server:
    """Start the factory at the first request, and run each stage as a fork of it. A stage in another folder, or whose code has
    changed since it was imported, is declined and runs in a process of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.lock = threading.Lock()
        self.imported: dict[str, tuple[int, int]] = {}

    def accept(self, listener: socket.socket) -> None:
        """Serve connections until the run has ended, each in a thread."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if error.errno not in SHORTAGES:
                    return  # the run has ended
                time.sleep(0.1)
                continue
            try:
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()
            except RuntimeError:  # no thread is to be had
                with connection, contextlib.suppress(OSError):
                    connection.sendall(EXIT_CODE.pack(DECLINED))

    def _serve(self, connection: socket.socket) -> None:
        """Run the stage that one command asks for, and answer with its exit code."""
        with connection, contextlib.suppress(OSError, ValueError):
            head, outputs, _, _ = socket.recv_fds(connection, LENGTH.size, 2)
            streams = [Connection(output, readable=False) for output in outputs]
            request = json.loads(connection.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL))
            process = self._start(request, streams)
            connection.sendall(EXIT_CODE.pack(DECLINED if process is None else _wait_for(process, connection)))

    def _start(self, request: dict[str, Any], streams: list[Connection]) -> BaseProcess | None:
        """Return the stage's process; None if the stage is declined, or the system refuses to fork."""
        environment = encode_environment({**request["env"], "JUPYTER_DEFAULT_PROVISIONER_NAME": PROVISIONER})
        try:
            if Path(request["folder"]) != self.root or not self._is_current():
                return None
            return fork_process(run_forked_stage, request["stage"], environment, request["folder"], streams)
        except (OSError, EOFError):
            return None

    def _is_current(self) -> bool:
        """Return whether the factory has the code as it is now; start it if it does not run yet."""
        with self.lock:
            now = _source_state()
            if not self.imported:
                self.imported = now
                start_factory(PRELOADED, self.folder)
            return self.imported == now


def _wait_for(process: BaseProcess, connection: socket.socket) -> int:
    """Return a stage's exit code; stop it if the command that asked for it ends first."""
    wait([process.sentinel, connection])
    if process.exitcode is None:
        process.terminate()
    process.join()
    return process.exitcode or 0


def run_forked_stage(stage: str, env: dict[bytes, bytes], folder: str, streams: list[Connection]) -> None:
    """Run a stage's command in a forked process. streams: its standard output and error."""
    for stream, number in zip(streams, (1, 2), strict=True):
        os.dup2(stream.fileno(), number)
        stream.close()
    with reserve_kernel():
        enter_environment(env, folder)
        try:
            run_cli(lambda: run_stage_command(Workspace.find(), stage))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
