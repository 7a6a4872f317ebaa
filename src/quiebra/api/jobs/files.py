"""Files of jobs: the input as it was sent, and one file of results a part."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from quiebra.errors import WorkspaceError
from quiebra.io.files import PRIVATE_FILE, make_private_folder, name_path_in_errors, write_atomically

COMPANIES_PER_PART = 500
PART_BYTES = 8_000_000
"""Input of a part, at most about: long lines make parts of fewer companies."""
LONGEST_LINE = 2_000_000
"""Bytes of a company; the most that a request can say of one takes about as many."""


@dataclass(frozen=True)
class JobFiles:
    """The folder of a job."""

    folder: Path

    @property
    def input(self) -> Path:
        return self.folder / "input.ndjson"

    def part(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.ndjson"

    def read_part(self, number: int) -> list[dict[str, Any]] | None:
        """Return the results of a part, one a company; None where there are none."""
        try:
            return [orjson.loads(line) for line in self.part(number).read_bytes().splitlines()]
        except FileNotFoundError:
            return None

    def keep_part(self, number: int, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write the results of a part, all or nothing, and return them; those of another worker where it was faster.

        A file that is there is never replaced: a worker that has lost its lease, and does not know it yet, changes nothing.
        """
        content = b"".join(orjson.dumps(row) + b"\n" for row in results)
        made, path = self.folder / f".{uuid.uuid4().hex}.partial", self.part(number)
        write_atomically(made, lambda partial: partial.write_bytes(content), private=True)
        try:
            os.link(made, path)
        except FileExistsError:
            return self.read_part(number) or [*results]
        except OSError:  # a disk without links
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
        return [*results]

    def delete_unfinished(self) -> None:
        """Delete what workers that were killed in the middle of writing a part have left."""
        for path in self.folder.glob(".*.partial"):
            path.unlink(missing_ok=True)


@dataclass
class Upload:
    """A job's input, written to a new folder as it comes. most: bytes. companies: lines that are not empty. kept: whether it
    may have become a job."""

    jobs: Path
    most: int
    job_id: str = field(default_factory=lambda: secrets.token_hex(6))
    size: int = 0
    companies: int = 0
    kept: bool = False

    def __post_init__(self) -> None:
        make_private_folder(self.jobs)
        self.files = JobFiles(make_private_folder(self.jobs / self.job_id))
        self._hash = hashlib.sha256()
        self._line_has_content = False
        with name_path_in_errors(self.files.input):
            self._handle = os.fdopen(os.open(self.files.input, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE), "wb")

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, data: bytes) -> bool:
        """Write what has come; return False, and write nothing, where it is more than ``most`` in all. WorkspaceError where the
        disk takes no more."""
        self.size += len(data)
        if self.size > self.most:
            return False
        self._hash.update(data)
        *ended, last = data.split(b"\n")
        for line in ended:
            self.companies += self._line_has_content or bool(line.strip())
            self._line_has_content = False
        self._line_has_content = self._line_has_content or bool(last.strip())
        with name_path_in_errors(self.files.input):
            self._handle.write(data)
        return True

    def finish(self) -> None:
        """Flush the file to the disk."""
        self.companies += self._line_has_content
        with name_path_in_errors(self.files.input):
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()

    def delete(self) -> None:
        """Delete the folder: it becomes no job."""
        self._handle.close()
        shutil.rmtree(self.files.folder, ignore_errors=True)


@dataclass(frozen=True)
class Part:
    """Companies of the input that are worked on together. rows: number and content of each line that is not empty; content None:
    it is longer than `LONGEST_LINE`. lines, position: of the input, up to its end."""

    rows: list[tuple[int, bytes | None]]
    lines: int
    position: int


def next_part(path: Path, lines: int, position: int) -> Part:
    """Return the next companies after so many lines and bytes of the input; none at its end. WorkspaceError where it is gone."""
    rows: list[tuple[int, bytes | None]] = []
    begin = position
    try:
        with path.open("rb") as handle:
            handle.seek(position)
            while (
                len(rows) < COMPANIES_PER_PART and (not rows or position - begin < PART_BYTES) and (line := _line(handle)) != b""
            ):
                lines, position = lines + 1, handle.tell()
                if line is None or line.strip():
                    rows.append((lines, line))
    except FileNotFoundError:
        raise WorkspaceError("the file of this job is gone: send it again") from None
    return Part(rows, lines, position)


def _line(handle: BinaryIO) -> bytes | None:
    """Return the next line; None for one that is too long, which is passed over; empty at the end."""
    line = handle.readline(LONGEST_LINE)
    if len(line) < LONGEST_LINE or line.endswith(b"\n"):
        return line
    rest, empty = line, not line.strip()
    while rest and not rest.endswith(b"\n"):
        rest = handle.readline(LONGEST_LINE)
        empty = empty and not rest.strip()
    return b"\n" if empty else None
