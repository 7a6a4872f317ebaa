"""Processes of this machine: which still live, for what a process leaves behind names it by an id that another may have later."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

import psutil


def started(pid: int) -> float | None:
    """Return when a process started, to be compared with itself alone; None where there is none any more, or it only waits to be
    buried. On Linux in clock ticks since the machine started, which setting the clock does not change; elsewhere in seconds.

    >>> started(os.getpid()) == started(os.getpid())
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


def place() -> str:
    """Return what process ids say something in: this start of this machine, and the container; without blanks."""
    found = []
    with contextlib.suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    return "/".join([*found, platform.node()])
