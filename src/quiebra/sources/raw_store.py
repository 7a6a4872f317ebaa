"""Answers of data services as they came, kept as files under data/raw/<service>, with a line about each in ``answers.jsonl``.

Runs read these files and never the network. An answer is written to ``NAME.partial``, then noted in the list, then put in its
place, so that a kill leaves it whole or absent; the next process that fetches finishes what was noted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from quiebra.errors import FetchError
from quiebra.io.files import append_line
from quiebra.provenance import file_sha256

PARTIAL = ".partial"
ZIPPED = (".zip", ".gz")
"""Endings of files that are kept as they were sent; other bodies are compressed, and get the ending ``.gz``."""


@dataclass(frozen=True)
class StoredAnswer:
    """One answer. name: its file in the folder, without ``.gz``. address: without the key. at: when it came, UTC. status: 404 for
    what the service does not have, which has no file. size, sha256: of the file. etag, modified: as the service says, to ask for
    changes only."""

    name: str
    address: str
    at: str
    status: int
    size: int = 0
    sha256: str = ""
    etag: str = ""
    modified: str = ""


class RawStore:
    """The answers of one service.

    folder: made when the first answer is kept. One process writes at a time: it holds `writing`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._answers = {answer.name: answer for answer in self._noted()}

    def __contains__(self, name: str) -> bool:
        answer = self._answers.get(name)
        return answer is not None and (answer.status == 404 or self.path(name).is_file())

    def names(self, under: str = "") -> list[str]:
        """Return the names of the answers that have a file, in order; only those that begin with ``under``."""
        return sorted(name for name in self._answers if name.startswith(under) and self.path(name).is_file())

    def answer(self, name: str) -> StoredAnswer | None:
        """Return what is noted about an answer."""
        return self._answers.get(name)

    def path(self, name: str) -> Path:
        """Return the path of an answer's file."""
        return self.folder / (name if name.endswith(ZIPPED) else f"{name}.gz")

    def partial(self, name: str) -> Path:
        """Return the path at which an answer is written before it is kept; the folder is made."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(path.name + PARTIAL)

    def read(self, name: str) -> bytes:
        """Return an answer's body. FetchError where it is not there or damaged."""
        path = self.path(name)
        try:
            return path.read_bytes() if name.endswith(ZIPPED) else gzip.decompress(path.read_bytes())
        except FileNotFoundError:
            raise FetchError(f"{path} is not there: fetch it first") from None
        except (OSError, EOFError) as error:
            raise FetchError(f"{path} is damaged ({error}): delete it, and fetch it again") from error

    def begin_partial(self, name: str, headers: Mapping[str, str]) -> None:
        """Begin a partial file anew, and note what the service says of it, so that a later process can go on with it."""
        partial = self.partial(name)
        partial.write_bytes(b"")
        told = {field: headers[field] for field in ("ETag", "Last-Modified") if field in headers}
        _headers_path(partial).write_text(json.dumps(told), encoding="utf-8")

    def partial_headers(self, name: str) -> dict[str, str]:
        """Return what the service said of a partial file when it was begun."""
        try:
            told: dict[str, str] = json.loads(_headers_path(self.partial(name)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told

    def drop_partial(self, name: str) -> None:
        """Delete a partial file."""
        partial = self.partial(name)
        partial.unlink(missing_ok=True)
        _headers_path(partial).unlink(missing_ok=True)

    def keep(self, name: str, body: bytes, address: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep a body; the same body makes the same file."""
        self.partial(name).write_bytes(gzip.compress(body, mtime=0))
        self.keep_partial(name, address, headers)

    def keep_partial(self, name: str, address: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep what has been written to `partial`."""
        partial, told = self.partial(name), headers or {}
        self._note(
            StoredAnswer(
                name,
                address,
                _now(),
                200,
                partial.stat().st_size,
                file_sha256(partial),
                told.get("ETag", ""),
                told.get("Last-Modified", ""),
            )
        )
        partial.replace(self.path(name))
        _headers_path(partial).unlink(missing_ok=True)

    def keep_absent(self, name: str, address: str) -> None:
        """Note that the service has no such thing, so that it is not asked again."""
        self._note(StoredAnswer(name, address, _now(), 404))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store, after finishing what a killed process had noted. FetchError where another process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "fetch.lock", timeout=0):
                for answer in self._answers.values():
                    self._finish(answer)
                yield
        except Timeout:
            raise FetchError(f"another process is fetching into {self.folder}: wait for it") from None

    def _note(self, answer: StoredAnswer) -> None:
        append_line(self.list_of_answers, json.dumps(asdict(answer)))
        self._answers[answer.name] = answer

    @property
    def list_of_answers(self) -> Path:
        """Path of the list."""
        return self.folder / "answers.jsonl"

    def _noted(self) -> list[StoredAnswer]:
        """Return the answers of the list, oldest first; a line that a kill cut short is passed over."""
        found = []
        for line in self.list_of_answers.read_bytes().split(b"\n") if self.list_of_answers.is_file() else []:
            with contextlib.suppress(ValueError, TypeError):
                fields: dict[str, Any] = json.loads(line)
                found.append(StoredAnswer(**fields))
        return found

    def _finish(self, answer: StoredAnswer) -> None:
        """Put an answer in its place that was noted, but not moved there any more."""
        path = self.path(answer.name)
        partial = path.with_name(path.name + PARTIAL)
        if answer.sha256 and partial.is_file() and _sha256_or_none(partial, answer.size) == answer.sha256:
            partial.replace(path)


def _sha256_or_none(path: Path, size: int) -> str | None:
    return file_sha256(path) if path.stat().st_size == size else None


def _headers_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
