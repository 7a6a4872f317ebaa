"""The end of the audit chain, noted outside the database each time it moves: what is cut off or written anew is found by it.

A file beside a SQLite database, or in ``data`` of the workspace for PostgreSQL; where QUIEBRA_AUDIT_HEADS names a folder, there.
One line an addition: number, hash and time. Each must be in the chain for ever, whoever else writes to the same database.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from quiebra.errors import WorkspaceError
from quiebra.files import append_line, write_text
from quiebra.provenance import digest
from quiebra.settings import audit_folder
from quiebra.workspace import Workspace

SEAL = "quiebra audit head"
"""Under which name a transaction keeps the end that it has written, until it is committed."""
LINE = re.compile(r"(\d{1,18}):([0-9a-f]{64}) (\S{1,40})")
GIVEN_UP = "# "
"""How a line begins that a person has given up, after a backup was restored."""


@dataclass(frozen=True)
class Noted:
    """The end of the chain as it was noted: the last entry's id and hash, and when."""

    entry_id: int
    hash: str
    at: str


def heads_path(engine: Engine) -> Path | None:
    """Return the file in which the ends of a database's chain are noted; None for a database in memory."""
    url, folder = engine.url, audit_folder()
    if engine.dialect.name == "sqlite":
        if not url.database or url.database == ":memory:":
            return None
        path = Path(url.database).absolute()
        return folder / f"{path.stem}-{digest(str(path))[:8]}.heads" if folder else path.with_name(f"{path.name}.heads")
    name = re.sub(r"[^\w.-]", "_", f"{url.host}-{url.port or 5432}-{url.database}")
    if folder:
        return folder / f"{name}.heads"
    try:
        return Workspace.find().root / "data" / f"{name}.heads"
    except WorkspaceError:
        return None


def note_when_committed(engine: Engine) -> None:
    """Note the end that a transaction has written once it is in the database, and not before: see `about_to`."""

    @event.listens_for(engine, "rollback")
    def _lost(connection: Any) -> None:
        connection.info.pop(SEAL, None)

    @event.listens_for(engine, "checkin")
    def _kept(connection: Any, record: Any) -> None:
        head = record.info.pop(SEAL, None)
        if head is not None and connection is not None and _is_in_database(connection, *head):
            note(engine, *head)


def _is_in_database(connection: Any, entry_id: int, hash_: str) -> bool:
    """Whether an entry was committed: of a commit that a full disk refused no event tells, and another entry takes its place."""
    try:
        cursor = connection.cursor()
        cursor.execute(f"SELECT 1 FROM auditoria WHERE entry_id = {int(entry_id)} AND hash = '{bytes.fromhex(hash_).hex()}'")
        found = cursor.fetchone() is not None
        connection.rollback()
    except Exception:  # whatever the driver raises: what cannot be read is noted with the next entry
        return False
    return found


def about_to(connection: Any, entry_id: int, hash_: str) -> None:
    """Have the end that a transaction writes noted when it is committed."""
    connection.info[SEAL] = (entry_id, hash_)


def note(engine: Engine, entry_id: int, hash_: str) -> None:
    """Note the end of the chain. Where it cannot be written the work that it is of is done already: the log has a warning."""
    path = heads_path(engine)
    if path is None:
        return
    try:
        append_line(path, f"{entry_id}:{hash_} {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}")
    except WorkspaceError as error:
        logging.getLogger("quiebra").warning("the end of the audit table is not noted: %s", error)


def noted(engine: Engine) -> tuple[list[Noted], list[str]]:
    """Return the ends that were noted, oldest first, and what is wrong with the file that they are in."""
    path = heads_path(engine)
    if path is None or not path.is_file():
        return [], []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return [], [f"{path} cannot be read: {error.strerror or error}"]
    found, faults = [], []
    for number, line in enumerate(lines, 1):
        if made := LINE.fullmatch(line):
            found.append(Noted(int(made[1]), made[2], made[3]))
        elif line and not line.startswith(GIVEN_UP):
            faults.append(f"line {number} of {path} was changed: it is no number and hash")
    return found, faults


def begin(engine: Engine, entry_id: int, hash_: str) -> None:
    """Note the end of a chain of which nothing is noted yet, such as that of an earlier version."""
    path = heads_path(engine)
    if path is not None and not path.exists():
        folder = next(folder for folder in path.parents if folder.exists())
        if os.access(folder, os.W_OK):
            note(engine, entry_id, hash_)


def give_up(engine: Engine, who: str) -> None:
    """Keep what was noted so far as lines that are not looked at any more."""
    path = heads_path(engine)
    if path is None or not path.is_file():
        return
    when = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    old = [line if line.startswith(GIVEN_UP) else f"{GIVEN_UP}{line} given up by {who} {when}" for line in lines]
    write_text(path, "\n".join([*old, ""]), private=True)
