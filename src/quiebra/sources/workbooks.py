"""Read workbooks in a separate process with limits; see `quiebra.sources.workbook_process`."""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import polars as pl

from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.date_parsing import EXCEL_EPOCHS

LIMITS = {"cells": 6_000_000, "inflated": 400_000_000, "bytes": 700_000_000, "seconds": 60}
"""A workbook of 100,000 rows and 26 columns takes 0.1 to 0.25 of each limit; one ten times as large is refused."""
TOO_LARGE_MESSAGE = LocalisedMessage(
    "{path} takes more memory than a table of 100,000 rows does: delete what lies beyond the table (Ctrl+End shows the last "
    "cell), or save it as CSV"
)
TOO_SLOW_MESSAGE = LocalisedMessage(
    "{path} takes too long to read: delete what lies beyond the table (Ctrl+End shows the last cell), or save it as CSV"
)
REFUSAL_MESSAGES = {
    "memory": TOO_LARGE_MESSAGE,
    "time": TOO_SLOW_MESSAGE,
    "inflated": LocalisedMessage("{path} inflates to more than a workbook of 100,000 rows does: save it as CSV"),
    "far": LocalisedMessage(
        "{path} has cells as far as row {row} and column {column}: delete what lies beyond the table, or save it as CSV"
    ),
    "password": LocalisedMessage("{path} is protected by a password: save it without one"),
    "damaged": LocalisedMessage("{path} cannot be read as {kind}: {reason}"),
    "sheet": LocalisedMessage("{path} has no sheet '{sheet}'; it has {sheets}"),
    "hidden": LocalisedMessage("{path} has hidden sheets alone ({sheets}): name one as sheet in params.yaml, or show it"),
}


@dataclass(frozen=True)
class SheetColumn:
    """A column's cells by type. numbers: NaN elsewhere. texts, dates: row (from 0) → cell; dates as ISO text."""

    numbers: np.ndarray
    texts: dict[int, str]
    dates: dict[int, str]

    def shown(self, row: int) -> str:
        """Return a cell as a user sees it; empty text where it is empty."""
        number = self.numbers[row]
        return self.texts.get(row) or self.dates.get(row) or ("" if np.isnan(number) else _digits(number))

    def below(self, header: int) -> pl.Series:
        """Return the cells below the row ``header``: as numbers or datetimes where all are of that type, else as text.

        In text, integers are plain digits and other numbers have an exponent, so that their decimal point is not ambiguous.
        """
        height, first = len(self.numbers), header + 1
        numbers = self.numbers[first:]
        texts = {row - first: cell for row, cell in self.texts.items() if row >= first}
        dates = {row - first: cell for row, cell in self.dates.items() if row >= first}
        if not texts and not dates:
            return pl.Series(numbers, dtype=pl.Float64).fill_nan(None)
        cells: list[str | None] = [None] * (height - first)
        for row, cell in (texts | dates).items():
            cells[row] = cell
        if not texts and np.isnan(numbers).all():
            series = pl.Series(cells, dtype=pl.String)
            return series.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False).fill_null(
                series.str.to_datetime("%Y-%m-%d", strict=False)
            )
        for place in np.flatnonzero(~np.isnan(numbers)):
            cells[place] = _digits(numbers[place])
        return pl.Series(cells, dtype=pl.String)


def _digits(number: float) -> str:
    return str(int(number)) if np.isfinite(number) and number == np.floor(number) and abs(number) < 2**63 else f"{number:.17e}"


@dataclass(frozen=True)
class Sheet:
    """A sheet's columns, all of the same height.

    merged: first row, first column, last row and last column (from 0) of merged cells. others: all sheets that are not hidden.
    uncalculated: row and column of formulas without a result. epoch: day 0 of the workbook's dates.
    """

    name: str
    columns: list[SheetColumn]
    height: int
    merged: list[tuple[int, int, int, int]]
    others: list[str]
    uncalculated: list[tuple[int, int]]
    epoch: dt.date


class _Reader:
    """The subprocess that reads workbooks, started on first use and kept; it reads one file at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.owner = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            for _ in range(2):  # a process that has ended is started again
                process = self._running()
                try:
                    asked, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)  # both are pipes
                    asked.write(json.dumps(request) + "\n")
                    asked.flush()
                    if answer := answers.readline():
                        read: dict[str, Any] = json.loads(answer)
                        return read
                except (BrokenPipeError, ValueError):
                    pass
                self.stop()
        return {"refused": "damaged", "reason": "the process that reads workbooks ends at once"}

    def _running(self) -> subprocess.Popen[str]:
        if self.owner != os.getpid():  # the subprocess belongs to the parent of this fork
            self.process, self.owner = None, os.getpid()
        if self.process is None or self.process.poll() is not None:
            script = Path(__file__).with_name("workbook_process.py")
            self.process = subprocess.Popen(
                [sys.executable, "-s", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )
        return self.process

    def stop(self) -> None:
        if self.process is not None and self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self.process = None


_READER = _Reader()
atexit.register(_READER.stop)
os.register_at_fork(after_in_child=lambda: setattr(_READER, "lock", threading.Lock()))


def read_sheet(path: Path, sheet: str | None) -> Sheet:
    """Return the cells of the named sheet, hidden or not, or of the first that is not hidden.

    Raise SourceError for a damaged file, a password, no such sheet (the message lists them), or one beyond `LIMITS`.
    """
    with tempfile.TemporaryDirectory(prefix="quiebra-") as folder:
        answer = _READER.ask({"path": str(path.resolve()), "sheet": sheet, "folder": folder, **LIMITS})
        if "refused" in answer:
            values = {**answer, "path": path, "sheet": sheet, "kind": path.suffix.lstrip(".")}
            code = values.pop("refused")
            if "sheets" in values:
                values["sheets"] = ", ".join(f"'{name}'" for name in values["sheets"])
            raise SourceError(REFUSAL_MESSAGES[code].text, **values)
        columns = [_column(Path(folder), index) for index in range(answer["width"])]
    for row, column, mark in answer.get("errors", ()):
        if row < answer["height"] and column < len(columns):
            columns[column].texts[row] = mark
    return Sheet(
        answer["sheet"],
        columns,
        answer["height"],
        [tuple(cells) for cells in answer.get("merged", ())],
        answer["sheets"],
        [tuple(cell) for cell in answer.get("uncalculated", ())],
        EXCEL_EPOCHS[bool(answer.get("from_1904"))],
    )


def _column(folder: Path, index: int) -> SheetColumn:
    other = json.loads((folder / f"{index}.json").read_text(encoding="utf-8"))
    texts, dates = (dict(zip(*other[kind], strict=True)) for kind in ("text", "date"))
    return SheetColumn(np.fromfile(folder / f"{index}.number", dtype=np.float64), texts, dates)
