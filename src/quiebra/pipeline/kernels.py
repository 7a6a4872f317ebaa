"""The kernel of stages and reports: this environment's Python, whatever kernel specs are on the path."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets.config import Config

COMMAND = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def environment_kernel_spec() -> KernelSpec:
    """Return the kernel spec of the running Python."""
    return KernelSpec(argv=COMMAND, display_name="Python 3 (this environment)", language="python")


class EnvironmentKernelSpecManager(KernelSpecManager):
    """Kernel spec manager with this environment's kernel only, under any name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return environment_kernel_spec()


class EnvironmentKernelManager(KernelManager):
    """Kernel manager that starts this environment's kernel."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return EnvironmentKernelSpecManager()


class AsyncEnvironmentKernelManager(AsyncKernelManager):
    """The same as an asynchronous manager."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return EnvironmentKernelSpecManager()


def kernel_config() -> Any:
    """Return a configuration that connects to kernels over this user's socket files instead of network ports, if the system
    supports it.

    The files are in the temporary folder; see `quiebra.workspace.recovery.scratch_folder`.
    """
    if os.name != "posix":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "connection_file": f"{tempfile.gettempdir()}/kernel.json"}})


def foreign_kernel_program() -> str | None:
    """Return the program of the kernel ``python3`` on the path if it is not this environment's; None if it is, or if there is
    none."""
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    plain = {"python", "python3", f"python3.{sys.version_info.minor}", sys.executable}
    return None if program in plain or os.path.realpath(program) == os.path.realpath(sys.executable) else program
