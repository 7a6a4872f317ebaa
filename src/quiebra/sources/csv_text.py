"""Decode a CSV's bytes, and parse its text into rows of cells; refuse it where a guess could be silently wrong."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl

from quiebra.errors import LocalisedMessage, SourceError
from quiebra.sources.cells import normalised_name

SEPARATORS = (",", ";", "\t", "|")
HEADER_SEARCH_ROWS = 12
"""Rows in which the separator and the header are looked for."""
CHUNK_BYTES = 1 << 20
ROWS_PER_BATCH = 20_000
"""Rows held as Python text at a time."""


def read_bytes(path: Path, most: int) -> bytes:
    """Return a file's content, decompressed where its name ends in .gz.

    Raise SourceError where it has more than ``most`` bytes, or is damaged.
    """
    if path.name.lower().endswith(".gz"):
        pieces, size = [], 0
        for piece in _inflate(path):
            size += len(piece)
            if size > most:
                raise _too_large(path, most)
            pieces.append(piece)
        return b"".join(pieces)
    if path.stat().st_size > most:
        raise _too_large(path, most)
    return path.read_bytes()


def _inflate(path: Path) -> Iterator[bytes]:
    """Yield a gzip file's content in chunks of bounded size, one gzip member after another."""
    with path.open("rb") as handle:
        unused, inflater = b"", zlib.decompressobj(wbits=31)
        while block := unused or handle.read(CHUNK_BYTES):
            if inflater.eof:
                if not block.strip(b"\0"):
                    unused = b""
                    continue
                inflater = zlib.decompressobj(wbits=31)
            try:
                yield inflater.decompress(block, CHUNK_BYTES)
                while inflater.unconsumed_tail:
                    yield inflater.decompress(inflater.unconsumed_tail, CHUNK_BYTES)
            except zlib.error:
                raise SourceError("{path} is a damaged gzip file: fetch or export it again", path=path) from None
            unused = inflater.unused_data
        if not inflater.eof:
            raise SourceError("{path} is cut short: fetch or export it again", path=path)


def _too_large(path: Path, most: int) -> SourceError:
    return SourceError(
        "{path} holds more than {most} MB of text: split it, or raise memory_mb in params.yaml", path=path, most=most // 1_000_000
    )


def decode_text(content: bytes, path: Path, encoding: str | None) -> tuple[str, list[LocalisedMessage]]:
    """Return a file's text and notes on its encoding.

    Without ``encoding`` it is UTF-16 where there is a byte order mark, else UTF-8, else Windows-1252 where that is certain (with
    a note). Raise SourceError naming the first byte that does not fit.
    """
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    _refuse_packed(content, path)
    if content.startswith(codecs.BOM_UTF8) and encoding and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        raise SourceError(
            "{path} begins with the mark of UTF-8, and encoding in params.yaml says {encoding}: correct or empty that",
            path=path,
            encoding=encoding,
        )
    notes: list[LocalisedMessage] = []
    try:
        text = content.decode(encoding or "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, f"0x{content[error.start]:02x}"
        guess = None if encoding else _windows(content)
        if guess is None:
            wanted = encoding or "UTF-8"
            raise SourceError(
                "{path} is not {encoding}: byte {byte} on line {line}. Save it as 'CSV UTF-8', or name its encoding in "
                "params.yaml.",
                path=path,
                encoding=wanted,
                byte=byte,
                line=line,
            ) from error
        text, notes = (
            guess,
            [
                LocalisedMessage(
                    "{path} is read as Windows-1252, since it is not UTF-8 (line {line})", {"path": path, "line": line}
                )
            ],
        )
    if "\0" in text:
        raise SourceError("{path} is not a text file: it holds NUL bytes. Save it as 'CSV UTF-8'.", path=path)
    if "\r" in text:  # a lone CR ends rows in a file without LF; otherwise it is inside a row
        text = re.sub("\r(?!\n)", " " if "\n" in text else "\n", text)
    return text, notes


def _refuse_packed(content: bytes, path: Path) -> None:
    kind = {b"\x1f\x8b": "gzip (.csv.gz)", b"PK": "zip, as workbooks are (.xlsx)"}.get(content[:2])
    if kind and content[2:4] in (b"\x08\x00", b"\x08\x08", b"\x03\x04"):
        raise SourceError("{path} is no text but {kind}: give it that ending, or unpack it", path=path, kind=kind)


LATIN_LETTER_PATTERN = re.compile("[A-Za-z][À-ÖØ-öø-ÿŒœŠšŽžŸºª€]|[À-ÖØ-öø-ÿŒœŠšŽžŸºª€][a-z]|[^\\W\\d_]?[’–—“”´…«»¿¡·\u00a0]")


WRONG_ENCODING_PATTERN = re.compile(
    "Ã[\u0080-\u00bf\u0152-\u2122]|Â[\u00a0-\u00bf]|[^\\W\\d_][–—“”…«»¿¡\u00a0][a-zß-ÿ]|[A-Za-z][‚„ƒ†‡ˆ‰‹•˜›¤¢£][a-z]"
)
"""Traces of another encoding decoded as Windows-1252: UTF-8 in some of the rows, or a DOS or Mac code page inside a word."""


def _windows(content: bytes) -> str | None:
    """Return the text decoded as Windows-1252; None where that is not certain.

    It is certain where every non-ASCII character is a letter next to a Latin one, or a common punctuation mark.
    """
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    if re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        return None
    if WRONG_ENCODING_PATTERN.search(text):
        return None
    words = set(re.findall(r"[^\s,;|\t\"]*[^\x00-\x7f][^\s,;|\t\"]*", text))
    return text if all(_latin(word) for word in words) else None


def _latin(word: str) -> bool:
    foreign = sum(ord(sign) > 127 for sign in word)
    return bool(LATIN_LETTER_PATTERN.search(word)) and foreign <= max(1, len(word) // 2)


def find_separator(text: str, wanted: tuple[frozenset[str], ...]) -> tuple[str, list[list[str]]]:
    """Return the separator, and the first rows split by it.

    Chosen is the ``sep=`` line's, else the first by which a row has the ``wanted`` names, else the most frequent in the header.
    """
    start = text[: 1 << 16]
    if hint := re.match(r"sep=(.)\r?\n", start):
        return hint[1], _first_rows(start, hint[1])
    candidates = {separator: _first_rows(start, separator) for separator in SEPARATORS}
    for separator, rows in candidates.items():
        if any(has_column_names(row, names) for row in rows for names in wanted):
            return separator, rows
    header = start.split("\n", 1)[0]
    separator = max(SEPARATORS, key=header.count)
    return separator, candidates[separator]


def has_column_names(row: Sequence[str], names: Collection[str]) -> bool:
    """Return whether a row has all the names, whatever their spelling; see `quiebra.sources.cells.normalised_name`."""
    return {normalised_name(name) for name in names} <= {normalised_name(cell) for cell in row}


def _first_rows(text: str, separator: str) -> list[list[str]]:
    try:
        return list(itertools.islice(csv.reader(io.StringIO(text), delimiter=separator), HEADER_SEARCH_ROWS))
    except csv.Error:
        return []


def parse_rows(text: str, path: Path, separator: str, names: list[str], header: int) -> tuple[pl.DataFrame, list[int], list[int]]:
    """Return the rows below the header as text, the numbers of rows with too many cells, and of rows with too few.

    header: row number of the header, counted from 1. Rows with more cells than the header are empty in the table.
    Raise SourceError where a quotation mark is not closed, so that several rows are read as one cell.
    """
    width, place = len(names), header
    tables: list[pl.DataFrame] = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))]
    long: list[int] = []
    short: list[int] = []
    csv.field_size_limit(1 << 30)
    rows = itertools.islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), header, None)
    cell = ""
    try:
        while batch := list(itertools.islice(rows, ROWS_PER_BATCH)):
            for index, row in enumerate(batch):
                place += 1
                if len(row) != width:
                    if len(row) > width:
                        long.append(place)
                    elif row:
                        short.append(place)
                    batch[index] = row + [""] * (width - len(row)) if len(row) < width else [""] * width
                for cell in row:
                    if "\n" in cell and _holds_rows(cell, separator, width):
                        raise _open_quote(path, place)
            columns = zip(*batch, strict=True)
            tables.append(
                pl.DataFrame({name: pl.Series(cells, dtype=pl.String) for name, cells in zip(names, columns, strict=True)})
            )
    except csv.Error as error:
        raise SourceError("{path} cannot be read as csv: {reason}", path=path, reason=str(error)) from error
    if "\n" in cell and text.count('"') % 2:
        raise _open_quote(path, place)
    return pl.concat(tables), long, short


def _holds_rows(cell: str, separator: str, width: int) -> bool:
    return width > 1 and any(line.count(separator) >= width - 1 for line in cell.splitlines())


def _open_quote(path: Path, row: int) -> SourceError:
    return SourceError(
        "{path}: a quotation mark is left open in row {row}, so that the rows after it run into one cell: close or remove it",
        path=path,
        row=row,
    )
