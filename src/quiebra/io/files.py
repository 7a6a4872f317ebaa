"""Read and write files atomically; the same content always gives the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from quiebra.errors import WorkspaceError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # a module on other systems

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
"""Permissions for the current user only, whatever the umask: for the database, messages, and the log of page visits."""


def write_atomically(path: Path, write: Callable[[Path], object], *, private: bool = False) -> Path:
    """Call ``write`` on a temporary file next to ``path``, flush it to disk and move it into place.

    A process killed half-way leaves the old file or none, never a partial one. A replaced file keeps its permissions.
    private: only the current user can read the file, from its creation on.
    Raise WorkspaceError naming the path where the disk cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _prepare(partial, path, private)
        write(partial)
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    except (OSError, pl.exceptions.ComputeError) as error:  # Polars raises ComputeError where the disk is full
        raise unwritable_message(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def _prepare(partial: Path, path: Path, private: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        mode = PRIVATE_FILE if private else path.stat().st_mode & 0o777 | 0o600
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        partial.chmod(mode)


def unwritable_message(path: Path, error: Exception) -> WorkspaceError:
    """Return the error for a path that cannot be written."""
    why = getattr(error, "strerror", None) or error
    return WorkspaceError("cannot write {path}: {why}. Check the disk and its permissions.", path=path, why=why)


@contextlib.contextmanager
def name_path_in_errors(path: Path) -> Any:
    """Convert an OSError raised in the block to a WorkspaceError that names the path (a full disk's error does not)."""
    try:
        yield
    except OSError as error:
        raise unwritable_message(path, error) from error


def make_private_folder(path: Path) -> Path:
    """Create a folder that only the current user can open, or restrict an existing one; raise WorkspaceError on failure."""
    with name_path_in_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        _limit(path, PRIVATE_FOLDER)
    return path


def make_private_file(path: Path) -> None:
    """Create an empty file that only the current user can read, or restrict an existing one.

    A file of another user, or on a disk that cannot be written, is left unchanged. An existing file is not opened: if it is a
    SQLite database in use, closing it again would release this process's locks on it
    (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
    with contextlib.suppress(OSError):
        _limit(path, PRIVATE_FILE)


def _limit(path: Path, mode: int) -> None:
    """Remove all permissions of other users from a path; the current user can read it, whatever the umask."""
    now = path.stat().st_mode & 0o777
    if now & 0o077 or not now & 0o400:
        path.chmod(mode)


def append_line(path: Path, line: str) -> None:
    """Append a line to a private file; concurrent writers never mix their lines. Raise WorkspaceError on failure."""
    with name_path_in_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, PRIVATE_FILE)
        try:
            if fcntl is not None:  # or a line that another process is just writing would look cut off; closing ends the lock
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            cut = b"\n" if size and os.pread(handle, 1, size - 1) != b"\n" else b""  # the last line is incomplete
            left = cut + f"{line}\n".encode()
            while left:  # a write that the disk or a limit cuts short is not told as an error: the next one is
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
    make_private_file(path)


def replace_files(sources: Mapping[Path, Path]) -> None:
    """Copy files (target → source) into place: all of them, or none where one copy fails.

    Raise WorkspaceError naming the path where the disk cannot be written.
    """
    partials = {target: target.with_name(f".{target.name}.{os.getpid()}.partial") for target in sources}
    target = next(iter(sources))
    try:
        for target, source in sources.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, partials[target])
            with partials[target].open("rb+") as handle:
                os.fsync(handle.fileno())
        for target, partial in partials.items():
            partial.replace(target)
    except OSError as error:
        raise unwritable_message(target, error) from error
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, private: bool = False) -> Path:
    """Write UTF-8 text atomically."""
    return write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), private=private)


def write_json(path: Path, content: Any) -> Path:
    """Write JSON atomically: sorted keys, two-space indent, no NaN; dates as ISO text."""
    return write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False, default=str) + "\n")


def write_table(path: Path, table: pl.DataFrame) -> Path:
    """Write a table as Parquet (zstd) atomically. The caller sorts the rows."""
    return write_atomically(path, lambda p: table.write_parquet(p, compression="zstd", statistics=False))


def _needs(path: Path) -> Path:
    if not path.is_file():
        raise WorkspaceError("{path} is missing: run `dvc repro` (or `make run`), which makes it", path=path)
    return path


def _damaged(path: Path, error: Exception) -> WorkspaceError:
    why = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return WorkspaceError("{path} is damaged ({why}): delete it and run `quiebra run`, which makes it anew", path=path, why=why)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise WorkspaceError, with the remedy, where the file is missing or damaged."""
    try:
        content = json.loads(_needs(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict):
        raise _damaged(path, ValueError("it holds no names and values"))
    return content


def read_table(path: Path) -> pl.DataFrame:
    """Read a Parquet table; raise WorkspaceError, with the remedy, where the file is missing or damaged."""
    try:
        return pl.read_parquet(_needs(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, error) from None
