"""Private folders for sockets and temporary files, at paths that other processes of the same user can find."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

LONGEST_TEMPORARY_PATH = 40
"""Most bytes of the folder for temporary files in which sockets are made: their paths may not have more than 107."""
USER_ID = os.getuid() if hasattr(os, "getuid") else 0


def private_folder_path(name: str) -> Path:
    """Return the path of the folder ``name``: in the folder for temporary files, or in /tmp where that one's path is too long."""
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > LONGEST_TEMPORARY_PATH and os.access("/tmp", os.W_OK):  # noqa: S108  the folder is private
        base = Path("/tmp")  # noqa: S108
    return base / f"quiebra-{USER_ID}-{name}"


def make_temporary_folder(name: str) -> Path:
    """Create the folder ``name``, empty, and return its path; another one if it cannot be had."""
    folder = private_folder_path(name)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError:  # it is another user's, or the disk is full: the caller reports errors of writing
        folder = Path(tempfile.mkdtemp(prefix="quiebra-"))
    return folder


@contextlib.contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """Yield the folder ``name``, empty, and remove it at the end; what a killed process left in it is removed at the start."""
    folder = make_temporary_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_private(folder: Path) -> bool:
    """Return whether a folder exists, belongs to this user, and nobody else can enter it."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == USER_ID and not state.st_mode & 0o077
