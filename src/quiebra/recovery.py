"""After a kill or a full disk: what was left half done is put away, so that nothing holds the next run up or is done twice."""

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
from quiebra.files import write_text
from quiebra.processes import started
from quiebra.provenance import digest
from quiebra.workspace import Workspace

PARTIAL = re.compile(r"^\..+\.(\d+)\.partial$")
"""A file that `quiebra.files.write_atomically` was writing, with the id of the process that was."""
DVC_PARTIAL = re.compile(r"^.*\.[\w-]{22}\.tmp$")
"""A file that DVC was copying."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
KEPT = ("data", "models", "reports/build")


@contextlib.contextmanager
def scratch_folder(workspace: Workspace) -> Iterator[Path]:
    """Give an empty folder of the workspace for what is unfinished, ``data/running``, and keep the temporary files and sockets of
    this process, and of those that it starts, in a folder of their own.

    Both are gone in the end; what a killed process left in them is removed first. The caller holds the lock of what it does, so
    that nobody else uses them.
    """
    unfinished, before = workspace.root / "data" / "running", (os.environ.get("TMPDIR"), tempfile.tempdir)
    temporary = _own_folder(Path(tempfile.gettempdir()), digest(str(workspace.root))[:12])
    for socket in workspace.root.glob("kernel-ipc-*"):  # where kernels had them once
        socket.unlink(missing_ok=True)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        yield unfinished
    except OSError as error:
        if error.errno not in FULL:
            raise
        path, why = error.filename or workspace.root, error.strerror
        raise WorkspaceError("cannot write {path}: {why}. Check the disk.", path=path, why=why) from error
    finally:
        os.environ.pop("TMPDIR") if before[0] is None else os.environ.update(TMPDIR=before[0])
        tempfile.tempdir = before[1]
        for folder in (unfinished, temporary):
            shutil.rmtree(folder, ignore_errors=True)


def _own_folder(base: Path, name: str) -> Path:
    """Make an empty folder that nobody else can read, whose path is short enough for sockets, and the same each time."""
    folder = base / f"quiebra-{os.getuid() if hasattr(os, 'getuid') else 0}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError:  # somebody else's, or no space: the caller says so when it writes
        folder = Path(tempfile.mkdtemp(prefix="quiebra-"))
    return folder


def mend(workspace: Workspace) -> None:
    """Put away what a killed run or a full disk left: locks of dead processes, a lock file or record of DVC that was cut short,
    and files that nobody will finish. The caller holds the lock of a run.

    Work by hand that is under way (`dvc repro`, an experiment) keeps its locks and files. WorkspaceError where it is, and the
    file with its locks cannot be read.
    """
    _mend_locks(workspace.root)
    _mend_record(workspace.root / "dvc.lock")
    for path in _unfinished(workspace.root):
        path.unlink(missing_ok=True)
    with contextlib.suppress(Timeout), FileLock(workspace.root / "data" / ".stage.lock", timeout=0), scratch_folder(workspace):
        pass  # no stage is running: what one left is gone by this


def _mend_locks(root: Path) -> None:
    """Take out of DVC's file of locks those of processes that are gone, or whose id another process has now."""
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
                pid=working, path=path,
            )  # fmt: skip
        path.unlink()
        _say(f"{path} was cut short and is made anew")
        return
    read = {name: [one for one in holders if _holds(one, written)] for name, holders in locks["read"].items()}
    write = {name: one for name, one in locks["write"].items() if _holds(one, written)}
    alive = {"read": {name: holders for name, holders in read.items() if holders}, "write": write}
    if alive != locks:
        write_text(path, json.dumps(alive))


def _locks(text: str) -> dict[str, dict[str, Any]] | None:
    """Return who reads and who writes what, as DVC wrote it; None where the file cannot be read."""
    try:
        content = json.loads(text)
        read, write = content.get("read", {}), content.get("write", {})
        for one in [*write.values(), *(one for holders in read.values() for one in holders)]:
            one["pid"] + 0, one["cmd"] + ""
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {"read": read, "write": write}


def _holds(lock: dict[str, Any], written: float) -> bool:
    """Whether a lock's process lives: it began before the lock was written, with the command that the lock names."""
    if started(lock["pid"]) is None:
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
    """Return the id of a process that runs DVC in the workspace, if there is one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            dvc = any(Path(word).name == "dvc" for word in words[:2]) or words[1:3] == ["-m", "dvc"]
            if dvc and process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(root):
                return process.pid
    return None


def _mend_record(path: Path) -> None:
    """Cut a record of finished stages that ends in the middle of one back to those before it: DVC finds the others in its cache.
    One that a merge left in conflict is a person's to mend."""
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
    """Whether DVC can read a record."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, Invalid):
        return False
    return True


def _unfinished(root: Path) -> Iterator[Path]:
    """Give the files that a process began to write and cannot finish any more."""
    for folder in (root / name for name in KEPT):
        for path in folder.rglob(".*"):
            found = PARTIAL.match(path.name)
            if found and _gone(int(found[1]), path):
                yield path
    if _working_by_hand(root) is None:
        for folder in (root / name for name in (*KEPT, ".dvc/cache")):
            yield from (path for path in folder.rglob("*.tmp") if DVC_PARTIAL.match(path.name))


def _gone(pid: int, path: Path) -> bool:
    """Whether the process that was writing a file is gone, or its id is another's now."""
    try:
        return started(pid) is None or psutil.Process(pid).create_time() > path.stat().st_mtime + 1
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True
    except psutil.AccessDenied:
        return False


def _say(what: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"mended after a kill or a full disk: {what}\n")
