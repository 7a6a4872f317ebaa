"""People's files: what is read is what is meant, and what could mean two things is refused with the remedy."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from conftest import ROOT, default_params
from hypothesis import given
from hypothesis import strategies as st

from quiebra.errors import SourceError
from quiebra.params import Table, validate_params
from quiebra.sources import table
from quiebra.sources.cells import ROW_COLUMN, cast_columns, cast_with_faults
from quiebra.sources.number_parsing import parse_numbers
from quiebra.sources.reading import read_file, read_rows

CASES = ROOT.parent / "shared" / "cases"
HEAD = "company_id;fiscal_year;total_assets;total_liabilities"


def options(**changes: object) -> Table:
    return validate_params(default_params(ingest={"table": changes})).ingest.table


def statements(path: Path, **changes: object) -> pl.DataFrame:
    return table.read_statements(path, options(**changes))[0]


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def book(folder: Path, *rows: list[object], name: str = "t.xlsx") -> Path:
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    made.save(folder / name)
    return folder / name


# --- numbers


@pytest.mark.parametrize(
    ("rows", "assets"),
    [
        ("A;2020;1.421;500\nB;2020;483;90", [1421, 483]),
        ("A;2020;250.000;1.500\nB;2020;900;1.151", [250_000, 900]),
        ("A;2020;1.421;600,25\nB;2020;2.500,5;90", [1421, 2500.5]),
        ("A;2020;1.421;2.345.678\nB;2020;900;12,5", [1421, 900]),
        ("A;2020;950.125;600.25\nB;2020;750.500;300.250", [950.125, 750.5]),
        ("A;2020;950.125;0.5\nB;2020;1200.5;300", [950.125, 1200.5]),
        ("A;2.020;950.125;0\nB;2.021;1.421;3", [950_125, 1421]),
        ("A;2020;1 421;2\nB;2020;3\u202f000\u202f421,5;9", [1421, 3_000_421.5]),
        ("A;2020;1\u2019421.5;2\nB;2020;421.125;9", [1421.5, 421.125]),
        ("A;2020;12,34,567.5;2\nB;2020;1,421;9", [1_234_567.5, 1421]),
        ("A;2020;(1.234,5);2\nB;2020;\u2212900,5;9\nC;2020;1.000-;5", [-1234.5, -900.5, -1000]),
        ("A;2020;1,5E+03;2\nB;2020;12,5;9", [1500, 12.5]),
    ],
)
def test_amounts_are_read_as_they_are_meant(tmp_path: Path, rows: str, assets: list[float]) -> None:
    assert statements(write(tmp_path, f"{HEAD}\n{rows}\n"))["total_assets"].to_list() == assets


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (f"{HEAD};nota\nA;2020;950.125;600.250;12,5\nB;2020;750.500;300.250;1,25\n", "'950.125'"),
        (f"{HEAD}\nA;2020;950.125;600,25\nB;2020;750.500;300,5\n", "'950.125'"),
        ("company_id,fiscal_year,total_assets,total_liabilities\nA,2020,950.125,600.250\n", "'950.125'"),
        ('company_id,fiscal_year,total_assets,total_liabilities\nA,2020,"950,125",600\n', "'950,125'"),
        (f"{HEAD}\nA;2020;950,125;600\n", "'950,125'"),
        (f"{HEAD}\nA;2020;950.125;600\n".replace(";", "\t"), "'950.125'"),
    ],
)
def test_an_amount_that_nothing_settles_is_refused_naming_the_options(tmp_path: Path, text: str, cell: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SourceError) as said:
        statements(path)
    assert all(word in str(said.value) for word in ("decimal", "thousands", "row 2", cell)), str(said.value)
    value = float(cell.strip("'").replace(",", "."))
    mark = "," if "," in cell else "."
    other = "." if mark == "," else ","
    assert statements(path, decimal=other)["total_assets"][0] == 1000 * value
    if "600,25" not in text:
        assert statements(path, decimal=mark)["total_assets"][0] == value


PLAIN_NUMBERS = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{0,5})?", fullmatch=True)


@given(
    st.lists(PLAIN_NUMBERS, min_size=1),
    st.sampled_from([{".": "decimal"}, {".": "decimal", ",": "thousands"}, {".": "thousands"}, {}]),
)
def test_a_column_of_plain_numbers_is_read_as_beside_others(cells: list[str], meanings: dict) -> None:
    """A column of plain numbers alone is read by a shorter way."""
    alone, beside = pl.DataFrame({"x": cells}), pl.DataFrame({"x": [*cells, "no number"]})
    read = [frame.select(parse_numbers(frame, "x", meanings, strict=False))["x"].head(len(cells)) for frame in (alone, beside)]
    assert read[0].equals(read[1])


def test_what_a_person_has_set_holds_and_cells_against_it_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}\nA;2020;1.421;2\nB;2020;12,5;3\n")
    with pytest.raises(SourceError, match=r"row 3 has '12,5'"):
        statements(path, decimal=".", thousands="")
    assert statements(path, decimal=",")["total_assets"].to_list() == [1421, 12.5]
    assert statements(path, thousands=".")["total_assets"].to_list() == [1421, 12.5]


def test_a_cell_against_its_column_is_blamed_and_no_good_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"row 4 has '12.5' \(such values: 1\)"):
        statements(write(tmp_path, f"{HEAD}\nA;2020;1.421,5;2\nB;2020;12,5;3\nC;2020;12.5;3\n"))


def test_identifiers_are_never_numbers(tmp_path: Path) -> None:
    text = f"{HEAD};name\n12.345.678;2020;900,5;2;1.421\n00123;2020;12,5;3;12,5\n1e5;2020;3;1;0,5\n"
    rows = statements(write(tmp_path, text))
    assert rows["company_id"].to_list() == ["12.345.678", "00123", "1e5"]
    assert rows["name"].to_list() == ["1.421", "12,5", "0,5"]


def test_text_in_a_workbook_beside_numbers(tmp_path: Path) -> None:
    path = book(tmp_path, ["company_id", "exposure"], ["A", "1.500"], ["B", 200])
    with pytest.raises(SourceError, match=r"'1\.500' \(column 'exposure', row 2\)"):
        cast_columns(read_file(path), {"exposure": pl.Float64})
    path = book(tmp_path, ["company_id", "exposure"], ["A", "1.500"], ["B", 200.25], ["C", "1.234.567"], ["D", "n.d."])
    assert cast_columns(read_file(path), {"exposure": pl.Float64})["exposure"].to_list() == [1500, 200.25, 1_234_567, None]


# --- columns and headers


@pytest.mark.parametrize("twice", ["total_liabilities", " total_liabilities", "Total_Liabilities", "TOTAL_LIABILITIES "])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, twice: str, kind: str) -> None:
    header = ["company_id", "fiscal_year", "total_assets", "total_liabilities", twice]
    row = ["A", 2020, 100, 60, 61]
    path = book(tmp_path, header, row) if kind == "xlsx" else write(tmp_path, f"{','.join(header)}\n{','.join(map(str, row))}\n")
    with pytest.raises(SourceError, match=r"(?i)column 'total_liabilities' twice"):
        statements(path)


def test_a_column_with_cells_and_no_name_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    assert statements(write(tmp_path, f"{HEAD};;\nA;2020;100;60;;\n")).height == 1
    with pytest.raises(SourceError, match="column 5 has no name"):
        statements(write(tmp_path, f"{HEAD};;\nA;2020;100;60;7;\n"))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize("above", [1, 2])
def test_a_header_further_down_is_found_and_said(tmp_path: Path, kind: str, above: int) -> None:
    rows = [*[["Balances, en miles"], ["", ""]][:above], HEAD.split(";"), ["A", 2020, 100, 60], ["B", 2020, "bad", 60]]
    text = "\n".join(";".join(map(str, row)) for row in rows)
    path = book(tmp_path, *rows) if kind == "xlsx" else write(tmp_path, text)
    read = read_file(path, options(), wanted=[table.required_headers(options())])
    assert [str(note).endswith(f"from row {above + 1}") for note in read.notes] == [True]
    faults = cast_with_faults(table.canonical_columns(read, options()), table.COLUMN_TYPES)[1]
    assert faults.select("row", "value").rows() == [(above + 3, "'bad'")]
    assert statements(write(tmp_path, text.replace("bad", "5"), "u.csv"), header_row=above + 1).height == 2


def test_a_header_over_several_columns_is_refused(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    for row in (["company_id", "fiscal_year", "amounts", None], ["A", 2020, 100, 60]):
        made.active.append(row)
    made.active.merge_cells("C1:D1")
    made.save(tmp_path / "t.xlsx")
    with pytest.raises(SourceError, match="'amounts' lies over columns 3 to 4"):
        read_file(tmp_path / "t.xlsx")


# --- workbooks


def sheets(folder: Path, **hidden: str) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for place, (name, state) in enumerate(hidden.items()):
        sheet = made.create_sheet(name)
        sheet.append(["company_id", "exposure"])
        sheet.append(["A", place + 1])
        sheet.sheet_state = state
    made.save(folder / "s.xlsx")
    return folder / "s.xlsx"


def test_hidden_sheets_are_read_by_name_alone(tmp_path: Path) -> None:
    path = sheets(tmp_path, old="hidden", older="veryHidden", now="visible", other="visible")
    assert read_file(path).frame["exposure"].to_list() == [3]
    assert read_file(path, options(sheet="old")).frame["exposure"].to_list() == [1]
    with pytest.raises(SourceError, match="no sheet 'Now'; it has 'old', 'older', 'now', 'other'"):
        read_file(path, options(sheet="Now"))


def test_errors_in_cells_are_missing_or_blamed(tmp_path: Path) -> None:
    import xlsxwriter

    path = tmp_path / "e.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet()
        sheet.write_row(0, 0, HEAD.split(";"))
        sheet.write_row(1, 0, ["A", 2020, 100, 60])
        sheet.write_row(2, 0, ["B", 2020, 90])
        sheet.write_formula(2, 3, "=NA()", None, "#N/A")
        sheet.write_row(3, 0, ["C", 2020, 80])
        sheet.write_formula(3, 3, "=1/0", None, "#DIV/0!")
    table_ = table.canonical_columns(read_file(path), options())
    done, faults = cast_with_faults(table_, table.COLUMN_TYPES)
    assert done["total_liabilities"].to_list() == [60, None, None]
    assert faults.select("row", "column", "value").rows() == [(4, "total_liabilities", "'#DIV/0!'")]


def test_serial_dates_and_dates_in_text(tmp_path: Path) -> None:
    rows = [["company_id", "fiscal_year", "total_assets", "total_liabilities", "period_end"]]
    ends = [44196, dt.date(2020, 12, 31), "2020-12-31", "31/12/2020", dt.datetime(2020, 12, 31, 23, 59)]
    path = book(tmp_path, *rows, *([f"C{i}", 2020, 100, 60, end] for i, end in enumerate(ends)))
    assert statements(path)["period_end"].unique().to_list() == [dt.date(2020, 12, 31)]
    path = book(tmp_path, *rows, *([f"C{i}", 2020, 100, 60, day] for i, day in enumerate((44196, 44197.5))))
    assert statements(path)["period_end"].to_list() == [dt.date(2020, 12, 31), dt.date(2021, 1, 1)]


# --- what is missing


@pytest.mark.parametrize("mark", ["n.d.", "n.s.", "N.A.", "-", ".", "#N/D", "NA", "null", "s/d", "—", "  "])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_marks_of_a_missing_amount(tmp_path: Path, mark: str, kind: str) -> None:
    header, rows = [*HEAD.split(";"), "interest_expense"], [["A", 2024, 950.5, 600, mark], ["B", 2024, 20.5, 5, 1.7]]
    text = "\n".join(";".join(map(str, row)) for row in [header, *rows])
    path = book(tmp_path, header, *rows) if kind == "xlsx" else write(tmp_path, text)
    assert statements(path)["interest_expense"].to_list() == [None, 1.7]


def test_a_company_may_be_called_na(tmp_path: Path) -> None:
    text = f"{HEAD};name;country;sector\nNA;2020;1;1;null;NA;n.d.\nnull;2020;2;1;None;ES;C\nNone;2020;3;1;-;ES;NA\n#N/D;2020;4;1;x;ES;C\n"
    rows = statements(write(tmp_path, text))
    assert rows["company_id"].to_list() == ["NA", "null", "None", None]
    assert rows["name"].to_list() == ["null", "None", "-", "x"]
    assert rows["country"].to_list() == ["NA", "ES", "ES", "ES"]
    assert rows["sector"].to_list() == [None, "C", None, "C"]


def test_a_mark_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD};revenue\nA;2020;1;1;pendiente\nB;2020;1;1;5\n")
    with pytest.raises(SourceError, match="row 2 has 'pendiente'"):
        statements(path)
    assert statements(path, missing=["pendiente"])["revenue"].to_list() == [None, 5]


# --- dates


@pytest.mark.parametrize(
    ("ends", "read"),
    [
        (["31/12/2020", "05/04/2021"], ["2020-12-31", "2021-04-05"]),
        (["12/31/2020", "05/04/2021"], ["2020-12-31", "2021-05-04"]),
        (["31.12.2020", "1.2.2021"], ["2020-12-31", "2021-02-01"]),
        (["2020-12-31T00:00:00+01:00", "2020-12-31 23:30:00-05:00"], ["2020-12-31", "2020-12-31"]),
        (["2020-12-31T00:00:00.000Z", "2020/12/31"], ["2020-12-31", "2020-12-31"]),
        (["05/05/2020", "2020-12-31"], ["2020-05-05", "2020-12-31"]),
    ],
)
def test_dates_are_read_as_they_are_meant(tmp_path: Path, ends: list[str], read: list[str]) -> None:
    text = f"{HEAD};period_end\nA;2020;1;1;{ends[0]}\nB;2020;1;1;{ends[1]}\n"
    assert statements(write(tmp_path, text))["period_end"].cast(pl.String).to_list() == read


def test_dates_that_can_be_read_two_ways_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD};period_end\nA;2020;1;1;05/04/2021\nB;2020;1;1;06/07/2021\n")
    with pytest.raises(SourceError, match=r"'05/04/2021' \(column 'period_end', row 2\).*date_format"):
        statements(path)
    assert str(statements(path, date_format="%d/%m/%Y")["period_end"][0]) == "2021-04-05"
    assert str(statements(path, date_format="%m/%d/%Y")["period_end"][0]) == "2021-05-04"


@pytest.mark.parametrize("cell", ["2020-12-31garbage", "31/13/2020", "2020-02-30", "31/12/20", "2020"])
def test_what_is_no_date_is_blamed(tmp_path: Path, cell: str) -> None:
    text = f"{HEAD};period_end\nA;2020;1;1;31/12/2020\nB;2020;1;1;{cell}\n"
    with pytest.raises(SourceError, match=f"'period_end' must hold a date .*row 3 has '{cell}'"):
        statements(write(tmp_path, text))


def test_times_with_a_zone_keep_their_day(tmp_path: Path) -> None:
    moment = pl.Series([dt.datetime(2020, 12, 31, 0, 30)]).dt.replace_time_zone("Europe/Madrid")
    late = pl.Series([dt.datetime(2020, 12, 31, 23, 30)]).dt.replace_time_zone("America/New_York")
    for place, series in enumerate((moment, late, moment.dt.replace_time_zone(None))):
        frame = pl.DataFrame({"company_id": ["A"], "fiscal_year": [2020], "total_assets": [1.0], "total_liabilities": [0.5]})
        frame.with_columns(period_end=series).write_parquet(tmp_path / f"{place}.parquet")
        assert str(statements(tmp_path / f"{place}.parquet")["period_end"][0]) == "2020-12-31"


# --- bytes


def test_windows_text_is_read_and_said_where_it_is_certain(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD};name\nA;2020;1;1;Año Peña, S.A. – «Sur»\nB;2020;1;1;Cañón\n".encode("cp1252"))
    rows, notes = table.read_statements(path, options())
    assert rows["name"].to_list() == ["Año Peña, S.A. – «Sur»", "Cañón"]
    assert "Windows-1252" in str(notes[0])
    for other in ("Łódź źródła".encode("cp1250"), "Ромашка".encode("cp1251"), "Peña Año".encode("cp850")):
        bad = write(tmp_path, f"{HEAD};name\nA;2020;1;1;".encode() + other + b"\n", "other.csv")
        with pytest.raises(SourceError, match=r"not UTF-8: byte 0x.. on line 2"):
            statements(bad)
    bad = write(tmp_path, f"{HEAD};name\nA;2020;1;1;Ромашка\n".encode("cp1251"), "named.csv")
    assert statements(bad, encoding="cp1251")["name"].to_list() == ["Ромашка"]


def test_utf16_and_old_line_ends_are_read(tmp_path: Path) -> None:
    assert statements(write(tmp_path, f"{HEAD}\nÑ;2020;1;1\n".encode("utf-16")))["company_id"].to_list() == ["Ñ"]
    assert statements(write(tmp_path, f"{HEAD}\rA;2020;1;1\rB;2020;1;1\r")).height == 2
    assert statements(write(tmp_path, f"sep=;\n{HEAD}\nA;2020;1;1\n")).height == 1


@pytest.mark.parametrize(
    "rows",
    ['A;2020;1;"1\nB;2020;1;1\nC;2020;1;1\n', 'A;2020;"1;1\nB;2020;1;1\nC;2020";1;1\n', 'A;2020;1;1\nB;2020;1;"1\n'],
    ids=["to the end", "until another", "in the last row"],
)
def test_an_open_quotation_mark_does_not_swallow_rows(tmp_path: Path, rows: str) -> None:
    with pytest.raises(SourceError, match="quotation mark is left open in row"):
        statements(write(tmp_path, f"{HEAD}\n{rows}"))


def test_quoted_text_rows_and_blank_lines_count_as_a_person_counts(tmp_path: Path) -> None:
    text = f'{HEAD};name\nA;2020;1;1;"two\nlines; and ""more"""\n\nB;2020;x;1;5" pipe\n'
    read = read_file(write(tmp_path, text), options())
    assert read.frame[ROW_COLUMN].to_list() == [2, 4]
    assert read.frame["name"].to_list() == ['two\nlines; and "more"', '5" pipe']
    with pytest.raises(SourceError, match="row 4 has 'x'"):
        cast_columns(read, {"total_assets": pl.Float64})


def test_rows_that_are_too_short_are_said(tmp_path: Path) -> None:
    read = read_rows(write(tmp_path, f"{HEAD}\nA;2020;1;1\nB;2020\n"), options())
    assert read.frame.height == 2
    assert "rows with fewer cells than the header: 1, the first of them row 3" in str(read.notes[0])


@pytest.mark.skipif(not CASES.exists(), reason="the collection of inputs is not on this machine")
@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("01_dots_no_decimal_comma.csv", "revenue", [1421, 1319, 1546]),
        ("09_dates_with_zone.parquet", "period_end", [dt.date(2020, 12, 31)]),
        ("09_dates_with_zone.parquet", "event_date", [dt.date(2022, 1, 1)]),
        ("11_nd.csv", "interest_expense", [None, None, 1.7]),
    ],
)
def test_inputs_that_went_wrong(name: str, column: str, values: list) -> None:
    assert statements(CASES / name)[column].to_list()[: len(values)] == values


def test_a_gzip_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(f"{HEAD}\nA;2020;1;1\n".encode() * 50)
    with pytest.raises(SourceError, match=r"t\.csv\.gz is cut short"):
        statements(write(tmp_path, content[:-12], "t.csv.gz"))


def test_a_header_below_a_hint_and_a_title_is_found_and_said(tmp_path: Path) -> None:
    path = write(tmp_path, f"sep=;\nBalances;;;\n{HEAD}\nA;2020;1;1\n")
    rows, notes = table.read_statements(path, options())
    assert rows.height == 1
    assert [str(note) for note in notes] == [f"{path}: the header is taken from row 3"]
