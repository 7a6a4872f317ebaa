"""Clean up after a killed run or a full disk, so that the next run is not blocked and repeats no work."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml
from filelock import FileLock, Timeout

from quiebra.errors import WorkspaceError
from quiebra.io.files import write_text
from quiebra.io.private_folders import make_temporary_folder
from quiebra.io.processes import process_start
from quiebra.workspace import Workspace

PARTIAL = re.compile(r"^\..+\.(\d+)\.partial$")
"""A temporary file of `quiebra.io.files.write_atomically`, with the id of the writing process."""
DVC_PARTIAL = re.compile(r"^.*\.[\w-]{22}\.tmp$")
"""A temporary file of DVC's copying."""
DVC_REPRO = "quiebra.pipeline.dvc_repro"
"""The module that runs DVC in a run; its process ends with an argument, as DVC's locks know processes by their last word."""
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
CLEANED_FOLDERS = ("data", "models", "reports/build")


@contextlib.contextmanager
def scratch_folder(workspace: Workspace) -> Iterator[Path]:
    """Yield an empty folder ``data/running`` for unfinished files, and redirect this process's temporary files and sockets, and
    its subprocesses', to a folder of their own.

    Both are removed at the end, and leftovers of a killed process at the start. The caller holds a lock, so that no other process
    uses them.
    """
    unfinished, before = workspace.root / "data" / "running", (os.environ.get("TMPDIR"), tempfile.tempdir)
    temporary = make_temporary_folder(workspace.id)
    for socket in workspace.root.glob("kernel-ipc-*"):  # location of kernel sockets in earlier versions
        socket.unlink(missing_ok=True)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        yield unfinished
    except OSError as error:
        if error.errno not in DISK_FULL_ERRORS:
            raise
        path, why = error.filename or workspace.root, error.strerror
        raise WorkspaceError("cannot write {path}: {why}. Check the disk.", path=path, why=why) from error
    finally:
        os.environ.pop("TMPDIR") if before[0] is None else os.environ.update(TMPDIR=before[0])
        tempfile.tempdir = before[1]
        for folder in (unfinished, temporary):
            shutil.rmtree(folder, ignore_errors=True)


def repair_workspace(workspace: Workspace) -> None:
    """Remove leftovers of a killed run or a full disk: locks of dead processes, truncated DVC lock files and records, and
    unfinished files. The caller holds the lock of a run.

    DVC commands run by hand (`dvc repro`, an experiment) keep their locks and files. WorkspaceError if one is running and the
    file with its locks is damaged.
    """
    _mend_locks(workspace.root)
    _mend_record(workspace.root / "dvc.lock")
    for path in _unfinished(workspace.root):
        path.unlink(missing_ok=True)
    with contextlib.suppress(Timeout), FileLock(workspace.root / "data" / ".stage.lock", timeout=0), scratch_folder(workspace):
        pass  # no stage is running: scratch_folder removes what one left


def _mend_locks(root: Path) -> None:
    """Remove DVC's locks whose process has ended, or whose process id was reused."""
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        written, text = path.stat().st_mtime, path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    locks = _locks(text)
    if locks is None:
        if (working := _working_by_hand(root)) is not None:
            raise WorkspaceError(
                "process {pid} runs DVC here and its file of locks, {path}, is damaged: let it end, or stop it, and run again",
                pid=working,
                path=path,
            )
        path.unlink()
        _say(f"{path} was cut short and is made anew")
        return
    read = {name: [one for one in holders if _holds(one, written)] for name, holders in locks["read"].items()}
    write = {name: one for name, one in locks["write"].items() if _holds(one, written)}
    alive = {"read": {name: holders for name, holders in read.items() if holders}, "write": write}
    if alive != locks:
        write_text(path, json.dumps(alive))


def _locks(text: str) -> dict[str, dict[str, Any]] | None:
    """Return DVC's read and write locks; None if the file is damaged."""
    try:
        content = json.loads(text)
        read, write = content.get("read", {}), content.get("write", {})
        for one in [*write.values(), *(one for holders in read.values() for one in holders)]:
            one["pid"] + 0, one["cmd"] + ""
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {"read": read, "write": write}


def _holds(lock: dict[str, Any], written: float) -> bool:
    """Return whether a lock's process is alive: started before the lock was written, with the command in the lock."""
    if process_start(lock["pid"]) is None:
        return False
    try:
        process = psutil.Process(lock["pid"])
        words = process.cmdline()
        return process.create_time() <= written + 1 and bool(words) and lock["cmd"].endswith(words[-1])
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _working_by_hand(root: Path) -> int | None:
    """Return the id of a process that runs DVC in the workspace, or None."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            dvc = any(Path(word).name == "dvc" for word in words[:2]) or words[1:3] in (["-m", "dvc"], ["-m", DVC_REPRO])
            if dvc and process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(root):
                return process.pid
    return None


def _mend_record(path: Path) -> None:
    """Truncate a damaged dvc.lock after its last complete stage: DVC restores the others from its cache. Files with merge
    conflicts are left for the user."""
    if not path.is_file() or "<<<<<<<" in (text := path.read_text(encoding="utf-8", errors="replace")):
        return
    if _whole(text):
        return
    lines = text.splitlines(keepends=True)
    stages = [number for number, line in enumerate(lines) if re.fullmatch(r"  \w+:\n?", line)]
    kept = next((part for end in reversed(stages) if _whole(part := "".join(lines[:end]))), None)
    path.unlink() if kept is None else write_text(path, kept)
    _say(f"{path} was cut short; stages that it lacks are taken from DVC's cache, or run again")


def _whole(text: str) -> bool:
    """Return whether DVC can read a dvc.lock."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, Invalid):
        return False
    return True


def _unfinished(root: Path) -> Iterator[Path]:
    """Yield temporary files whose process cannot finish them any more."""
    for folder in (root / name for name in CLEANED_FOLDERS):
        for path in folder.rglob(".*"):
            found = PARTIAL.match(path.name)
            if found and _gone(int(found[1]), path):
                yield path
    if _working_by_hand(root) is None:
        for folder in (root / name for name in (*CLEANED_FOLDERS, ".dvc/cache")):
            yield from (path for path in folder.rglob("*.tmp") if DVC_PARTIAL.match(path.name))


def _gone(pid: int, path: Path) -> bool:
    """Return whether the process that wrote a file has ended, or its id was reused."""
    try:
        return process_start(pid) is None or psutil.Process(pid).create_time() > path.stat().st_mtime + 1
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True
    except psutil.AccessDenied:
        return False


def _say(what: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"mended after a kill or a full disk: {what}\n")
