"""The most memory that this process held, in kilobytes, as Linux counts it.

``resource.getrusage`` does not serve here: its maximum is kept when a process becomes another program, so that a new process
starts with the maximum of the one that started it."""

from __future__ import annotations

import re
from pathlib import Path


def reset_peak_memory() -> int:
    """Forget the maximum so far, and return what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read("VmRSS")


def peak_memory() -> int:
    """Return the most that was held since the process began or the maximum was reset."""
    return _read("VmHWM")


def _read(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
