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


def own_spec() -> KernelSpec:
    """Return the kernel of the Python that runs this."""
    return KernelSpec(argv=COMMAND, display_name="Python 3 (this environment)", language="python")


class OwnKernelSpecs(KernelSpecManager):
    """Knows one kernel: this environment's, under any name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return own_spec()


class OwnKernelManager(KernelManager):
    """Starts this environment's kernel."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return OwnKernelSpecs()


class OwnAsyncKernelManager(AsyncKernelManager):
    """The same for whoever waits for kernels without blocking."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return OwnKernelSpecs()


def kernel_config() -> Any:
    """Talk to the kernel over files of this user, not over network ports, where the system can; they lie in the temporary folder,
    see `quiebra.recovery.scratch_folder`."""
    if os.name != "posix":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "connection_file": f"{tempfile.gettempdir()}/kernel.json"}})


def foreign_kernel() -> str | None:
    """Return the program that a kernel named ``python3`` on the path starts where it is not this environment's; None: it is."""
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    plain = {"python", "python3", f"python3.{sys.version_info.minor}", sys.executable}
    return None if program in plain or os.path.realpath(program) == os.path.realpath(sys.executable) else program
