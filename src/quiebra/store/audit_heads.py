"""Note the end of the audit chain in a file outside the database after each addition, so that truncated or rewritten chains are
detected.

The file is beside a SQLite database, or in the workspace's ``data`` for PostgreSQL; or in the folder QUIEBRA_AUDIT_HEADS. One
line per addition: entry id, hash and time. Each must remain in the chain, whichever workspace wrote it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import PendingRollbackError

from quiebra.environment import audit_folder
from quiebra.errors import WorkspaceError
from quiebra.io.files import append_line, write_text
from quiebra.provenance import json_sha256
from quiebra.workspace import Workspace

HEAD_KEY = "quiebra audit head"
"""Key under which a transaction keeps the end it has written, until it is committed."""
HEAD_LINE_PATTERN = re.compile(r"(\d{1,18}):([0-9a-f]{64}) (\S{1,40})")
RETIRED_PREFIX = "# "
"""Prefix of lines that a person retired after restoring a backup."""


@dataclass(frozen=True)
class NotedHead:
    """A noted end of the chain: id and hash of the last entry, and when it was noted."""

    entry_id: int
    hash: str
    at: str


def heads_path(engine: Engine) -> Path | None:
    """Return the file with the noted ends of a database's chain; None for a database in memory, or without a workspace."""
    url, folder = engine.url, audit_folder()
    if engine.dialect.name == "sqlite":
        if not url.database or url.database == ":memory:":
            return None
        path = Path(url.database).absolute()
        return folder / f"{path.stem}-{json_sha256(str(path))[:8]}.heads" if folder else path.with_name(f"{path.name}.heads")
    name = re.sub(r"[^\w.-]", "_", f"{url.host}-{url.port or 5432}-{url.database}")
    if folder:
        return folder / f"{name}.heads"
    try:
        return Workspace.find().root / "data" / f"{name}.heads"
    except WorkspaceError:
        return None


def note_when_committed(engine: Engine) -> None:
    """Note the end a transaction has written (`schedule_head_note`) after its commit, not before."""

    @event.listens_for(engine, "rollback")
    def _lost(connection: Any) -> None:
        with contextlib.suppress(PendingRollbackError):  # a lost connection has taken it along
            connection.info.pop(HEAD_KEY, None)

    @event.listens_for(engine, "checkin")
    def _kept(connection: Any, record: Any) -> None:
        head = record.info.pop(HEAD_KEY, None)
        if head is not None and connection is not None and _is_in_database(connection, *head):
            note_head(engine, *head)


def _is_in_database(connection: Any, entry_id: int, hash_: str) -> bool:
    """Return whether an entry was committed: no event reports a commit that failed on a full disk, and its id is used again."""
    try:
        cursor = connection.cursor()
        # literal values, since each driver has its own parameter style
        said = f"SELECT 1 FROM auditoria WHERE entry_id = {int(entry_id)} AND hash = '{bytes.fromhex(hash_).hex()}'"  # noqa: S608  a number and hex digits
        cursor.execute(said)
        found = cursor.fetchone() is not None
        connection.rollback()
    except Exception:  # any driver error: what cannot be read is noted with the next entry
        return False
    return found


def schedule_head_note(connection: Any, entry_id: int, hash_: str) -> None:
    """Have the end written by this transaction noted after its commit."""
    connection.info[HEAD_KEY] = (entry_id, hash_)


def note_head(engine: Engine, entry_id: int, hash_: str) -> None:
    """Note the end of the chain. A failure to write only logs a warning, since the entry is already committed."""
    path = heads_path(engine)
    if path is None:
        return
    try:
        append_line(path, f"{entry_id}:{hash_} {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}")
    except WorkspaceError as error:
        logging.getLogger("quiebra").warning("the end of the audit table is not noted: %s", error)


def noted_heads(engine: Engine) -> tuple[list[NotedHead], list[str]]:
    """Return the noted ends, oldest first, and the faults of their file."""
    path = heads_path(engine)
    if path is None or not path.is_file():
        return [], []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return [], [f"{path} cannot be read: {error.strerror or error}"]
    found, faults = [], []
    for number, line in enumerate(lines, 1):
        if made := HEAD_LINE_PATTERN.fullmatch(line):
            found.append(NotedHead(int(made[1]), made[2], made[3]))
        elif line and not line.startswith(RETIRED_PREFIX):
            faults.append(f"line {number} of {path} was changed: it is no number and hash")
    return found, faults


def note_first_head(engine: Engine, entry_id: int, hash_: str) -> None:
    """Note the end of a chain without a file of noted ends, such as that of an earlier version."""
    path = heads_path(engine)
    if path is not None and not path.exists():
        folder = next(folder for folder in path.parents if folder.exists())
        if os.access(folder, os.W_OK):
            note_head(engine, entry_id, hash_)


def retire_noted_heads(engine: Engine, who: str) -> None:
    """Mark all noted ends as retired: they stay in the file but are not compared any more."""
    path = heads_path(engine)
    if path is None or not path.is_file():
        return
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    old = [line if line.startswith(RETIRED_PREFIX) else f"{RETIRED_PREFIX}{line} given up by {who} {when}" for line in lines]
    write_text(path, "\n".join([*old, ""]), private=True)
