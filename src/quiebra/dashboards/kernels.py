"""Kernels that start at once: forked from one process that has imported the libraries, and so sharing its memory.

A page's kernel is used as it is anywhere else; only its start differs. Where the system cannot fork, kernels start as usual.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver
from types import ModuleType
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

PRELOADED = ["quiebra.dashboards.preloaded"]
"""Imported before the first fork. It may import what starts no thread; it may not compute."""


def can_fork() -> bool:
    return sys.platform == "linux" and "forkserver" in multiprocessing.get_all_start_methods()


def preload() -> None:
    """Start the process that kernels are forked from, where the system can; it imports while the caller goes on."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    os.environ.setdefault("POLARS_MAX_THREADS", str(max(1, min(4, os.cpu_count() or 1))))
    if not can_fork():
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def run_kernel(argv: list[str], env: dict[bytes, bytes], folder: str) -> None:
    """Be a kernel, in a process that was just forked: without debugger and history, which no page needs."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    os.environ.clear()
    os.environb.update(env)
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.chdir(folder)
    os.setpgid(0, 0)
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(argv=[*argv, "--HistoryManager.enabled=False", "--IPKernelApp.no_stdout=True"])


class Forked:
    """A forked kernel with the part of `subprocess.Popen` that its provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, argv: list[str], env: dict[str, str], folder: str) -> None:
        context = multiprocessing.get_context("forkserver")
        plain = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}  # some are Voila's: a fork would import it
        self._process = context.Process(target=run_kernel, args=(argv, plain, folder), daemon=True)
        launcher, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            self._process.start()  # which would have the kernel import the launcher's program: a second of work for nothing
        finally:
            sys.modules["__main__"] = launcher
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
    """Starts a kernel by fork. Its command is the usual one: ``python -m ipykernel_launcher -f FILE``."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        argv = cmd[cmd.index("-f") :]
        self.process = Forked(argv, kwargs.get("env") or dict(os.environ), kwargs.get("cwd") or os.getcwd())
        self.pid, self.pgid = self.process.pid, None
        return self.connection_info
