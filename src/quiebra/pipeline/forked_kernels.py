"""Processes that start fast: forked from a factory process that has imported the libraries and shares their memory.

Stages, their kernels and the dashboards' kernels are started this way. Systems that cannot fork start them as usual.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

if TYPE_CHECKING:
    import subprocess

PROVISIONER = "quiebra-fork"
"""The name of `ForkingProvisioner` among the entry points, used in kernel specs."""


def can_fork() -> bool:
    """Return whether this system can fork processes from a factory."""
    return sys.platform == "linux" and "forkserver" in multiprocessing.get_all_start_methods()


def start_factory(preload: str, folder: Path | None = None) -> None:
    """Start the factory, if the system supports it; it imports the module ``preload`` in the background. The module and its
    imports may not start threads or compute, as forking would not be safe."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    if not can_fork():
        return
    if folder is not None:
        multiprocessing.current_process()._config["tempdir"] = str(folder)  # type: ignore[attr-defined]  # no public way either
    multiprocessing.get_context("forkserver").set_forkserver_preload([preload])
    forkserver.ensure_running()


def stop_factory() -> None:
    """Stop the factory of this process, if one is running: the next one imports the code as it is then."""
    server: Any = forkserver._forkserver  # there is no public way to stop it
    if server._forkserver_pid is not None:
        os.kill(server._forkserver_pid, signal.SIGTERM)
        server._stop()


def fork_process(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process from the factory that calls ``target``, a module-level function, and return it."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=args)
    launcher, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()  # otherwise it would import the launcher's program, which takes a second
    finally:
        sys.modules["__main__"] = launcher
    return process


def enter_environment(env: dict[bytes, bytes], folder: str) -> None:
    """Set a forked process's environment variables and folder, and let it exit as soon as its parent has ended for any reason."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environb.update(env)
    os.chdir(folder)


def encode_environment(env: dict[str, str]) -> dict[bytes, bytes]:
    """Return environment variables as bytes: some are str subclasses of a server, which the fork would have to import."""
    return {os.fsencode(name): os.fsencode(value) for name, value in env.items()}


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def run_kernel(argv: list[str], env: dict[bytes, bytes], folder: str) -> None:
    """Run a kernel in a forked process, without debugger and history, which pages and stages do not need."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # None makes importing it fail
    enter_environment(env, folder)
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.setpgid(0, 0)
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(argv=[*argv, "--HistoryManager.enabled=False", "--IPKernelApp.no_stdout=True"])


_reserved: list[tuple[BaseProcess, Connection]] = []
"""The process reserved for this process's next kernel, and the connection by which it is told the kernel's command."""


@contextlib.contextmanager
def reserve_kernel() -> Iterator[None]:
    """Fork the process of this process's next kernel now, while no threads run here; it ends with the block if it is not used.

    For a process that is a fork itself: it cannot reach the factory, and would start another one, which imports everything again.
    """
    asking, asked = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_run_reserved_kernel, args=(asking, asked))
    process.start()
    asked.close()
    _reserved.append((process, asking))
    try:
        yield
    finally:
        _reserved.clear()
        asking.close()


def _run_reserved_kernel(asking: Connection, asked: Connection) -> None:
    """Wait for a kernel's command and run it; return if there will be none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a kernel does between cells: who asked for it ends it
    asking.close()  # that of the other process; while one is open here, its end would not be noticed
    with contextlib.suppress(EOFError):
        run_kernel(*asked.recv())


def _start_kernel(argv: list[str], env: dict[bytes, bytes], folder: str) -> BaseProcess:
    """Start a kernel in the reserved process if there is one, otherwise in a new fork of the factory."""
    if not _reserved:
        return fork_process(run_kernel, argv, env, folder)
    process, asking = _reserved.pop()
    asking.send((argv, env, folder))
    return process


class ForkedKernel:
    """A forked kernel with those methods of `subprocess.Popen` that its provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, argv: list[str], env: dict[str, str], folder: str) -> None:
        self._process = _start_kernel(argv, encode_environment(env), folder)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.pid is not None and self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkingProvisioner(LocalProvisioner):
    """Kernel provisioner that forks. The kernel's command is the usual ``python -m ipykernel_launcher -f FILE``."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        argv = cmd[cmd.index("-f") :]
        forked = ForkedKernel(argv, kwargs.get("env") or dict(os.environ), kwargs.get("cwd") or os.getcwd())
        self.process = cast("subprocess.Popen[Any]", forked)  # it has the methods that are used
        self.pid, self.pgid = forked.pid, None
        return self.connection_info
