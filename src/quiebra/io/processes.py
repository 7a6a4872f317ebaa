"""Identify processes of this machine, and whether they are alive: an id left by an ended process may be reused."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

import psutil


def process_start(pid: int) -> float | None:
    """Return when a process started, to compare with other calls for the same id; None where it has ended or is a zombie.

    On Linux in clock ticks since boot, which setting the clock does not change; elsewhere in seconds.

    >>> process_start(os.getpid()) == process_start(os.getpid())
    True
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        with contextlib.suppress(FileNotFoundError):
            return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return process.create_time()
    except (psutil.Error, OSError, ValueError):
        return None


def process_namespace() -> str:
    """Return an id of the scope in which process ids are unique (boot, PID namespace and host name), without blanks."""
    found = []
    with contextlib.suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    return "/".join([*found, platform.node()])
