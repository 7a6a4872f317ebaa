"""Workbooks made to do harm: each is refused in words, within limits of memory and time, and the next file is read as before."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import openpyxl
import pytest
from peak_memory import peak_memory, reset_peak_memory

from quiebra.errors import SourceError
from quiebra.params.file_format import FileFormat
from quiebra.sources import workbooks
from quiebra.sources.reading import read_file

PLAIN = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'


def workbook(path: Path, rows: str, *, sheet: str = "xl/worksheets/sheet1.xml", head: str = "") -> Path:
    """A workbook of one sheet with the given XML, in any folder."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/worksheet" Target="/{sheet}"/></Relationships>',
        sheet: f'{head}<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def cell(place: str, quote: str = '"', blank: str = "") -> str:
    return f"<c r{blank}={blank}{quote}{place}{quote}><v>1</v></c>"


FAR = {
    "far out": PLAIN + f'<row r="1048576">{cell("XFD1048576")}</row>',
    "single quotes": PLAIN + f"<row r='1048576'>{cell('XFD1048576', chr(39))}</row>",
    "blanks around the sign": PLAIN + f'<row r = "1048576">{cell("XFD1048576", blank=" ")}</row>',
    "lower case": PLAIN + f'<row r="1048576">{cell("xfd1048576")}</row>',
    "two cells over 47 columns": PLAIN + f'<row r="1048576">{cell("AU1048576")}</row>',
    "many columns, few rows": PLAIN + f'<row r="5000">{cell("XFD5000")}</row>',
    "one long column": PLAIN + f'<row r="1048576">{cell("J1048576")}</row>',
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    book = openpyxl.Workbook()
    book.active.append(["company_id", "exposure"])
    book.active.append(["A", 1.5])
    book.save(tmp_path / "good.xlsx")
    return tmp_path / "good.xlsx"


def check_refused(path: Path, good: Path, words: str) -> None:
    """The file is refused with the remedy, the process that asked stays small, and the reader goes on."""
    before = reset_peak_memory()
    with pytest.raises(SourceError, match=words):
        read_file(path)
    assert peak_memory() - before < 200_000, "kilobytes"
    assert read_file(good).frame["exposure"].to_list() == [1.5]


@pytest.mark.parametrize("rows", FAR.values(), ids=FAR)
def test_cells_far_apart_are_refused(tmp_path: Path, good: Path, rows: str) -> None:
    check_refused(workbook(tmp_path / "far.xlsx", rows), good, "delete what lies beyond the table")


def test_a_sheet_in_another_folder_is_held_to_the_same_limits(tmp_path: Path, good: Path) -> None:
    check_refused(
        workbook(tmp_path / "far.xlsx", FAR["far out"], sheet="elsewhere/data.xml"), good, "delete what lies beyond the table"
    )


def test_cells_without_a_place_are_counted(tmp_path: Path, good: Path) -> None:
    rows = PLAIN + "<row>" + "<c><v>1</v></c>" * 16_000 + "</row>" + "<row><c><v>1</v></c></row>" * 1000
    check_refused(workbook(tmp_path / "far.xlsx", rows), good, "delete what lies beyond the table")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = workbook(tmp_path_factory.mktemp("bomb") / "bomb.xlsx", PLAIN + " " * 450_000_000)
    assert path.stat().st_size < 1_000_000
    return path


@pytest.mark.slow
def test_a_small_file_that_inflates_far_is_refused(bomb: Path, good: Path) -> None:
    check_refused(bomb, good, "inflates to more")


@pytest.mark.slow
def test_a_size_in_the_directory_is_not_believed(bomb: Path, tmp_path: Path, good: Path) -> None:
    with zipfile.ZipFile(bomb) as archive:
        size = struct.pack("<I", archive.getinfo("xl/worksheets/sheet1.xml").file_size)
    content = bomb.read_bytes()
    assert content.count(size) == 2
    path = tmp_path / "liar.xlsx"
    path.write_bytes(content.replace(size, struct.pack("<I", 500)))
    check_refused(path, good, "inflates to more")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[: len(content) // 2], "cannot be read as xlsx"),
        (lambda content: content[:200] + bytes(200) + content[400:], "cannot be read as xlsx"),
        (lambda content: b"PK\x03\x04" + bytes(500), "cannot be read as xlsx"),
        (lambda content: b"", "is empty"),
    ],
    ids=["cut short", "overwritten", "a beginning alone", "nothing"],
)
def test_damaged_workbooks_are_words(tmp_path: Path, good: Path, damage, words: str) -> None:
    path = tmp_path / "bad.xlsx"
    path.write_bytes(damage(good.read_bytes()))
    check_refused(path, good, words)
    with pytest.raises(SourceError) as said:
        read_file(path)
    assert not str(said.value).rstrip().endswith(tuple("0123456789")), "a number alone says nothing"


def test_entities_that_multiply_are_not_unfolded(tmp_path: Path, good: Path) -> None:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "x" * 10}">' for i in range(12))
    rows = '<row r="1"><c r="A1" t="e"><v>&a11;</v></c></row>'
    path = workbook(tmp_path / "entities.xlsx", rows, head=f"<!DOCTYPE x [{entities}]>")
    try:
        read_file(path)
    except SourceError as said:
        assert "entities.xlsx" in str(said)
    assert read_file(good).frame["exposure"].to_list() == [1.5]


@pytest.mark.slow
def test_a_workbook_of_a_hundred_thousand_rows_is_read_and_one_ten_times_as_large_is_refused(tmp_path: Path, good: Path) -> None:
    names = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in ("company_id", *"bcdefghijklmnopqrstuvwxyz"))
    row = '<row><c t="inlineStr"><is><t>Company</t></is></c>' + "<c><v>1234.5678</v></c>" * 25 + "</row>"
    frame = read_file(workbook(tmp_path / "large.xlsx", f"<row>{names}</row>" + row * 100_000)).frame
    assert frame.height == 100_000
    assert frame["z"][-1] == 1234.5678
    check_refused(
        workbook(tmp_path / "larger.xlsx", f"<row>{names}</row>" + row * 1_000_000), good, "100,000 rows|delete what lies beyond"
    )


def test_the_reader_starts_again_after_it_was_killed(good: Path) -> None:
    read_file(good)
    assert workbooks._READER.process is not None
    workbooks._READER.process.kill()
    assert read_file(good).frame.height == 1


def test_a_gzip_file_that_inflates_to_gigabytes_is_refused(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    path = tmp_path / "bomb.csv.gz"
    with path.open("wb") as out:
        out.write(packer.compress(b"company_id,exposure\n"))
        for _ in range(250):
            out.write(packer.compress(b"A,1\n" * 250_000))
        out.write(packer.flush())
    before = reset_peak_memory()
    with pytest.raises(SourceError, match="memory_mb"):
        read_file(path, FileFormat(memory_mb=400))
    assert peak_memory() - before < 300_000, "kilobytes"
