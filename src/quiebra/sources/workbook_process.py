"""A process that reads workbooks for another one, each in a fork of its own, so that a hostile or damaged file costs nothing
else.

Run as a script, by `quiebra.sources.workbooks`: it imports little, so that it starts fast and forks safely. A request is a line
of JSON on standard input (path, sheet, folder and limits); the answer is one on standard output. Cells go through files in the
folder.
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
from xml.etree import ElementTree
from xml.parsers import expat

POLL_SECONDS = 0.02
PAGE = os.sysconf("SC_PAGE_SIZE")
CHUNK = 1 << 20
VISIBLE = "Visible"


class Refused(Exception):
    """Why a workbook is not read: ``code`` and values, put into words by the process that asked."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.answer = {"refused": code, **values}


def main() -> None:
    """Answer requests until standard input ends."""
    import python_calamine  # once, for every fork  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


def serve(request: dict) -> dict:
    """Read one workbook in a fork, watched: it is killed where it takes more resident memory or time than it may."""
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
    if done[1] or not said:  # the parser died: out of memory, or a fault of its own
        return {"refused": "memory" if os.WIFSIGNALED(done[1]) else "damaged", "reason": "its parser stopped"}
    return json.loads(said)


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm", encoding="ascii") as counts:
            return int(counts.read().split()[1]) * PAGE
    except (OSError, IndexError):  # it has just ended, or the system has no /proc: the limit of address space holds
        return 0


def _work(request: dict, writes: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (4 * request["bytes"],) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(request["seconds"]) + 1,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(os.devnull, "w") as nowhere:  # a parser's panic is said in words instead
        os.dup2(nowhere.fileno(), 2)
    try:
        answer = read(request)
    except Refused as refused:
        answer = refused.answer
    except MemoryError:
        answer = {"refused": "memory"}
    except BaseException as error:
        lines = str(error).splitlines() or [type(error).__name__]
        answer = {"refused": "damaged", "reason": lines[0][:300]}
    with os.fdopen(writes, "w") as out:
        out.write(json.dumps(answer))
    os._exit(0)


def read(request: dict) -> dict:
    """Read a sheet's cells into the folder: the chosen one, or the first that is not hidden."""
    import python_calamine

    path = request["path"]
    parts = count_inflated(path, request["inflated"]) if zipfile.is_zipfile(path) else {}
    try:
        book = python_calamine.load_workbook(path)
    except python_calamine.PasswordError:
        raise Refused("password") from None
    sheets = [m for m in book.sheets_metadata if str(m.typ).endswith("WorkSheet")]
    visible = [m.name for m in sheets if str(m.visible).endswith("." + VISIBLE)]
    name = request["sheet"]
    if name is not None and name not in [m.name for m in sheets]:
        raise Refused("sheet", sheets=[m.name for m in sheets])
    if name is None and not visible:
        raise Refused("hidden", sheets=[m.name for m in sheets])
    sheet = book.get_sheet_by_name(name or visible[0])
    if sheet.end is None:
        return {"sheet": sheet.name, "sheets": visible, "width": 0, "height": 0}
    height, width = sheet.end[0] + 1, sheet.end[1] + 1
    if height * width > request["cells"]:
        raise Refused("far", row=height, column=width)
    rows = sheet.to_python(skip_empty_area=False)
    errors, uncalculated = find_error_and_formula_cells(path, sheet.name) if any(parts.values()) else ([], [])
    merged = [[*first, *last] for first, last in sheet.merged_cell_ranges or []][:10_000]
    write_columns(rows, width, request["folder"])
    return {
        "sheet": sheet.name, "sheets": visible, "width": width, "height": len(rows), "errors": errors, "merged": merged,
        "uncalculated": uncalculated, "from_1904": bool(parts) and _counts_from_1904(path),
    }  # fmt: skip


def count_inflated(path: str, most: int) -> dict[str, bool]:
    """Return for each part of a zip file whether it may hold error cells or formulas without a result; Refused where its parts
    inflate to more than ``most`` bytes, whatever its directory says."""
    total, parts = 0, {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
        for part in archive.infolist():
            if part.flag_bits & 1:
                raise Refused("password")
            total, parts[part.filename] = _inflate(archive, raw, part, total, most)
    return parts


def _inflate(archive: zipfile.ZipFile, raw, part: zipfile.ZipInfo, total: int, most: int) -> tuple[int, bool]:
    raw.seek(part.header_offset)
    header = raw.read(30)
    if header[:4] != b"PK\x03\x04":
        raise Refused("damaged", reason="its directory names a part that is not there")
    raw.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    inflater = zlib.decompressobj(-15) if part.compress_type == zipfile.ZIP_DEFLATED else None
    if inflater is None and part.compress_type != zipfile.ZIP_STORED:
        raise Refused("damaged", reason="it is packed in a way that workbooks are not")
    left, rest, errors = part.compress_size, b"", False
    while left > 0 and (block := raw.read(min(CHUNK, left))):
        left -= len(block)
        while block:
            piece = inflater.decompress(block, CHUNK) if inflater else block
            block = inflater.unconsumed_tail if inflater else b""
            total += len(piece)
            if total > most:
                raise Refused("inflated")
            errors = errors or bool(MARKED.search(rest + piece))
            rest = piece[-64:]
    return total, errors


MARKED = re.compile(
    rb"""\bt\s*=\s*["']e["']|(</(\w+:)?f>|<(\w+:)?f(\s[^<>]*)?/>)\s*(<(\w+:)?v\s*/>|<(\w+:)?v>\s*</(\w+:)?v>)?\s*</(\w+:)?c>"""
)
"""A cell with an error, or with a formula and no result."""
OFFICE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


def _counts_from_1904(path: str) -> bool:
    with zipfile.ZipFile(path) as archive, contextlib.suppress(KeyError, ElementTree.ParseError):
        settings = (part for part in ElementTree.fromstring(archive.read("xl/workbook.xml")) if part.tag.endswith("}workbookPr"))
        return any(part.get("date1904") in ("1", "true", "on") for part in settings)
    return False


def find_error_and_formula_cells(path: str, sheet: str) -> tuple[list[list], list[list]]:
    """Return row, column (from 0) and text of a sheet's error cells in an .xlsx file, and row and column of its formulas without
    a result: the parser makes empty cells of both."""
    with zipfile.ZipFile(path) as archive:
        try:
            book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
            links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        except KeyError:
            return [], []
        wanted = [s.get(f"{OFFICE}id") for s in book.iter() if s.tag.endswith("}sheet") and s.get("name") == sheet]
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
    """Error cells of a sheet's XML, and formulas without a result (that of a formula of text may be empty), as the parser walks
    through it; a row or cell without a place comes after the one before."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.buffer_text = True
        self.errors: list[list] = []
        self.uncalculated: list[list] = []
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


def write_columns(rows: list[list], width: int, folder: str) -> None:
    """Write each column's cells by kind: numbers (doubles, NaN where there is none), text and dates (their rows and cells, as
    JSON)."""
    for index in range(width):
        numbers, other = array.array("d", [math.nan]) * len(rows), {"text": ([], []), "date": ([], [])}
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
