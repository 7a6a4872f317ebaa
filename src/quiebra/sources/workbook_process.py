"""Read workbooks for another process, each in a fork of its own, so that a hostile or damaged file cannot harm the rest.

`quiebra.sources.workbooks` runs this file as a script; it imports little, so that it starts fast and forks safely. A request is a
line of JSON on standard input (path, sheet, folder and limits), the answer a line on standard output. Cells are passed through
files in the folder.
"""

from __future__ import annotations

import array
import contextlib
import datetime as dt
import json
import math
import os
import re
import resource
import signal
import sys
import time
import zipfile
import zlib
from typing import IO, Any
from xml.etree import ElementTree
from xml.parsers import expat

POLL_SECONDS = 0.02
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CHUNK = 1 << 20
VISIBLE = "Visible"


class WorkbookRefused(Exception):
    """A workbook that is not read: ``answer`` holds a code and values, which the calling process turns into a message."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.answer = {"refused": code, **values}


def main() -> None:
    """Answer requests until standard input ends."""
    import python_calamine  # imported once, for all forks  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps(serve_request(json.loads(line))), flush=True)


def serve_request(request: dict[str, Any]) -> dict[str, Any]:
    """Read one workbook in a fork, and kill the fork where it exceeds its limit of resident memory or time."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        _work(request, writes)
    os.close(writes)
    stopped, ends = None, time.monotonic() + request["seconds"]
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if _resident(child) > request["bytes"]:
            stopped = "memory"
        elif time.monotonic() > ends:
            stopped = "time"
        if stopped:
            os.kill(child, signal.SIGKILL)
            done = os.waitpid(child, 0)
            break
        time.sleep(POLL_SECONDS)
    with os.fdopen(reads) as answer:
        said = answer.read()
    if stopped:
        return {"refused": stopped}
    if done[1] or not said:  # the parser crashed: out of memory, or a bug
        return {"refused": "memory" if os.WIFSIGNALED(done[1]) else "damaged", "reason": "its parser stopped"}
    read: dict[str, Any] = json.loads(said)
    return read


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as counts:
            return int(counts.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):  # the process has ended, or there is no /proc: the address space limit still applies
        return 0


def _work(request: dict[str, Any], writes: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (4 * request["bytes"],) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(request["seconds"]) + 1,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "w") as nowhere:  # hides the parser's panic message; the answer reports it
        os.dup2(nowhere.fileno(), 2)
    try:
        answer = read_cells(request)
    except WorkbookRefused as refused:
        answer = refused.answer
    except MemoryError:
        answer = {"refused": "memory"}
    except BaseException as error:
        lines = str(error).splitlines() or [type(error).__name__]
        answer = {"refused": "damaged", "reason": lines[0][:300]}
    with os.fdopen(writes, "w") as out:
        out.write(json.dumps(answer))
    os._exit(0)


def read_cells(request: dict[str, Any]) -> dict[str, Any]:
    """Write a sheet's cells to the folder, and return the sheet's size and metadata.

    The sheet is the requested one, else the first that is not hidden.
    """
    import python_calamine

    path = request["path"]
    parts = count_inflated(path, request["inflated"]) if zipfile.is_zipfile(path) else {}
    try:
        book = python_calamine.load_workbook(path)
    except python_calamine.PasswordError:
        raise WorkbookRefused("password") from None
    sheets = [m for m in book.sheets_metadata if str(m.typ).endswith("WorkSheet")]
    visible = [m.name for m in sheets if str(m.visible).endswith("." + VISIBLE)]
    name = request["sheet"]
    if name is not None and name not in [m.name for m in sheets]:
        raise WorkbookRefused("sheet", sheets=[m.name for m in sheets])
    if name is None and not visible:
        raise WorkbookRefused("hidden", sheets=[m.name for m in sheets])
    sheet = book.get_sheet_by_name(name or visible[0])
    if sheet.end is None:
        return {"sheet": sheet.name, "sheets": visible, "width": 0, "height": 0}
    height, width = sheet.end[0] + 1, sheet.end[1] + 1
    if height * width > request["cells"]:
        raise WorkbookRefused("far", row=height, column=width)
    rows = sheet.to_python(skip_empty_area=False)
    errors, uncalculated = find_error_and_formula_cells(path, sheet.name) if any(parts.values()) else ([], [])
    merged = [[*first, *last] for first, last in sheet.merged_cell_ranges or []][:10_000]
    write_columns(rows, width, request["folder"])
    return {
        "sheet": sheet.name,
        "sheets": visible,
        "width": width,
        "height": len(rows),
        "errors": errors,
        "merged": merged,
        "uncalculated": uncalculated,
        "from_1904": bool(parts) and _counts_from_1904(path),
    }


def count_inflated(path: str, most: int) -> dict[str, bool]:
    """Return, for each part of a zip file, whether it may contain error cells or formulas without a result.

    Raise WorkbookRefused where the parts inflate to more than ``most`` bytes; the sizes in the zip directory are not trusted.
    """
    total, parts = 0, {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
        for part in archive.infolist():
            if part.flag_bits & 1:
                raise WorkbookRefused("password")
            total, parts[part.filename] = _inflate(archive, raw, part, total, most)
    return parts


def _inflate(archive: zipfile.ZipFile, raw: IO[bytes], part: zipfile.ZipInfo, total: int, most: int) -> tuple[int, bool]:
    raw.seek(part.header_offset)
    header = raw.read(30)
    if header[:4] != b"PK\x03\x04":
        raise WorkbookRefused("damaged", reason="its directory names a part that is not there")
    raw.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    inflater = zlib.decompressobj(-15) if part.compress_type == zipfile.ZIP_DEFLATED else None
    if inflater is None and part.compress_type != zipfile.ZIP_STORED:
        raise WorkbookRefused("damaged", reason="it is packed in a way that workbooks are not")
    left, rest, errors = part.compress_size, b"", False
    while left > 0 and (block := raw.read(min(CHUNK, left))):
        left -= len(block)
        while block:
            piece = inflater.decompress(block, CHUNK) if inflater else block
            block = inflater.unconsumed_tail if inflater else b""
            total += len(piece)
            if total > most:
                raise WorkbookRefused("inflated")
            errors = errors or bool(MARKED.search(rest + piece))
            rest = piece[-64:]
    return total, errors


MARKED = re.compile(
    rb"""\bt\s*=\s*["']e["']|(</(\w+:)?f>|<(\w+:)?f(\s[^<>]*)?/>)\s*(<(\w+:)?v\s*/>|<(\w+:)?v>\s*</(\w+:)?v>)?\s*</(\w+:)?c>"""
)
"""A cell with an error, or with a formula and no result."""
OFFICE_NAMESPACE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


def _counts_from_1904(path: str) -> bool:
    with zipfile.ZipFile(path) as archive, contextlib.suppress(KeyError, ElementTree.ParseError):
        settings = (part for part in ElementTree.fromstring(archive.read("xl/workbook.xml")) if part.tag.endswith("}workbookPr"))
        return any(part.get("date1904") in ("1", "true", "on") for part in settings)
    return False


def find_error_and_formula_cells(path: str, sheet: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return a sheet's error cells (row, column, text) and its formulas without a result (row, column) in an .xlsx file.

    Rows and columns count from 0. This is needed since the parser returns empty cells for both.
    """
    with zipfile.ZipFile(path) as archive:
        try:
            book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
            links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        except KeyError:
            return [], []
        wanted = [s.get(f"{OFFICE_NAMESPACE}id") for s in book.iter() if s.tag.endswith("}sheet") and s.get("name") == sheet]
        targets = {link.get("Id"): link.get("Target", "") for link in links}
        target = targets.get(wanted[0] if wanted else None, "")
        part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        found = _MarkedCells()
        try:
            with archive.open(part) as content:
                found.parser.ParseFile(content)
        except (KeyError, expat.ExpatError):
            return [], []
    return found.errors[:100_000], found.uncalculated[:1000]


class _MarkedCells:
    """Collect the error cells and the formulas without a result while a sheet's XML is parsed.

    The stored result of a text formula may be empty. A row or cell without a reference follows the one before it.
    """

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.buffer_text = True
        self.errors: list[list[Any]] = []
        self.uncalculated: list[list[Any]] = []
        self.row, self.column, self.said = -1, -1, ""
        self.kind, self.formula, self.value = "", False, False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "row":
            self.row = int(attributes["r"]) - 1 if attributes.get("r", "").isdigit() else self.row + 1
            self.column = -1
        elif tag == "c":
            place = re.fullmatch(r"([A-Za-z]{1,3})([0-9]{1,7})", attributes.get("r", ""))
            self.column = _column(place[1]) if place else self.column + 1
            self.row = int(place[2]) - 1 if place else self.row
            self.kind, self.formula, self.said = attributes.get("t", ""), False, ""
        self.formula = self.formula or tag == "f"
        self.value = tag == "v"

    def text(self, text: str) -> None:
        if self.value:
            self.said += text

    def end(self, tag: str) -> None:
        self.value = False
        if tag.rpartition(":")[2] != "c":
            return
        if self.kind == "e":
            self.errors.append([self.row, self.column, self.said.strip()[:20] or "#"])
        elif self.formula and self.kind != "str" and not self.said.strip():
            self.uncalculated.append([self.row, self.column])


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def write_columns(rows: list[list[Any]], width: int, folder: str) -> None:
    """Write each column's cells by type: numbers as doubles (NaN elsewhere), texts and dates as JSON (their rows and cells)."""
    for index in range(width):
        numbers = array.array("d", [math.nan]) * len(rows)
        other: dict[str, tuple[list[int], list[str]]] = {"text": ([], []), "date": ([], [])}
        for place, row in enumerate(rows):
            cell = row[index] if index < len(row) else ""
            if type(cell) is float or type(cell) is int:
                numbers[place] = cell
            elif cell != "":
                where, cells = other["date" if isinstance(cell, dt.date) else "text"]
                where.append(place)
                cells.append(str(cell).upper() if isinstance(cell, bool) else str(cell))
        with open(os.path.join(folder, f"{index}.number"), "wb") as out:
            numbers.tofile(out)
        with open(os.path.join(folder, f"{index}.json"), "w", encoding="utf-8", errors="replace") as out:
            json.dump(other, out)


if __name__ == "__main__":
    main()
