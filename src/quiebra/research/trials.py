"""The log of verdicts: every idea that was judged, on which years, and who opened the sealed last year for which idea."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock, Timeout

from quiebra.environment import current_person
from quiebra.errors import ResearchError
from quiebra.io.files import append_line
from quiebra.research.frames import FrameKind, to_frame
from quiebra.workspace import Workspace

LOG_SCHEMA: dict[str, Any] = {
    "at": pl.String,
    "who": pl.String,
    "idea": pl.String,
    "name": pl.String,
    "estimator": pl.String,
    "features": pl.List(pl.String),
    "source": pl.String,
    "panel": pl.String,
    "years": pl.List(pl.Int32),
    "opened": pl.Int32,
    "rows": pl.Int64,
    "failures": pl.Int64,
    "auc": pl.Float64,
    "auc_less_champion": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
"""opened: the sealed year that the verdict opened; null: none. low, high: interval of auc_less_champion."""


def verdicts(frame: FrameKind = "pandas", workspace: str | Path | None = None) -> Any:
    """Return the log of verdicts, one row each, oldest first; the same idea judged twice has the same ``idea``."""
    entries = _read(Workspace.find(workspace))
    return to_frame(pl.DataFrame(entries, schema=LOG_SCHEMA, orient="row"), frame)


def log_verdict(workspace: Workspace, entry: dict[str, Any]) -> int:
    """Append a verdict, and return how many ideas were judged on any of its years, this one among them.

    Raise ResearchError, and append nothing, if it opens a year that was opened for another idea.
    """
    entry = {"at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "who": current_person(), **entry}
    with _lock(workspace):
        if entry["opened"] is not None:
            refuse_second_opening(workspace, entry["source"], entry["opened"], entry["idea"])
        append_line(_path(workspace), json.dumps(entry))
        return len({other["idea"] for other in _on(_read(workspace), entry["source"], entry["years"])})


def refuse_unwritable_log(workspace: Workspace) -> None:
    """Raise ResearchError where a verdict could not be logged: before it is worked out."""
    try:
        with _lock(workspace):
            if _path(workspace).exists():
                _path(workspace).open("a").close()
    except Timeout:
        raise ResearchError(f"another session is writing to the log of verdicts ({_path(workspace)}): try again") from None
    except OSError as error:
        raise ResearchError(
            f"the log of verdicts cannot be written: {_path(workspace)} ({error.strerror or error}). Make it writable, or work "
            "in a copy of the workspace."
        ) from error


def sealed_year_opening(workspace: Workspace, source: str, year: int) -> str | None:
    """Return the name of the idea for which the sealed year was opened; None: it was not."""
    return next((entry["name"] for entry in _read(workspace) if (entry["opened"], entry["source"]) == (year, source)), None)


def refuse_second_opening(workspace: Workspace, source: str, year: int, idea: str) -> None:
    """Raise ResearchError where the sealed year was opened for another idea before."""
    for entry in _read(workspace):
        if entry["opened"] == year and entry["source"] == source and entry["idea"] != idea:
            raise ResearchError(
                f"fiscal year {year} was opened on {entry['at'][:10]} by {entry['who']} for '{entry['name']}': it judges one "
                "idea, as the best of several tries would be no test any more. Judge this one on the years before it, or on the "
                "next year."
            )


def _on(entries: Iterable[dict[str, Any]], source: str, years: Iterable[int]) -> list[dict[str, Any]]:
    wanted = set(years)
    return [entry for entry in entries if entry["source"] == source and wanted & set(entry["years"])]


def _path(workspace: Workspace) -> Path:
    return workspace.research / "verdicts.jsonl"


def _lock(workspace: Workspace) -> FileLock:
    path = _path(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"), timeout=60)


def _read(workspace: Workspace) -> list[dict[str, Any]]:
    path = _path(workspace)
    if not path.is_file():
        return []
    entries = []
    for line in path.read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):  # cut short by a kill: it was never told
            entry = json.loads(line)
            entries.append({name: _checked(entry[name], kind) for name, kind in LOG_SCHEMA.items()})
    return entries


def _checked(value: Any, kind: Any) -> Any:
    """Return a value of the log. TypeError or ValueError where it is none of its column's type: that line is passed over."""
    if value is None:
        return None
    if isinstance(kind, pl.List):
        return [_checked(each, kind.inner) for each in value] if isinstance(value, list) else _checked(value, kind.inner)
    wanted: tuple[type, ...] = (str,) if kind == pl.String else (int,) if kind.is_integer() else (int, float)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise TypeError(f"{value!r:.50} is none")
    if isinstance(value, str):
        value.encode()  # UnicodeEncodeError, a ValueError, for half a pair of surrogates
    elif isinstance(value, int) and abs(value) > 2**31 - 1:
        raise ValueError(f"{value} is too large")
    return value
