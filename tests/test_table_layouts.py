"""Files that are not one row a company and year, exits by status, bases and months of accounts, folders of files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from quiebra.errors import SourceError
from quiebra.panels import build_panel
from quiebra.panels.quality import quality_warnings
from quiebra.params import Table
from quiebra.sources import table
from quiebra.sources.derived_items import derive_items
from quiebra.sources.event_kinds import KIND_WORDS, event_kind
from quiebra.sources.layouts import YearOfColumn, year_of_column
from quiebra.sources.reading import joined_header, read_file
from quiebra.sources.table import KNOWN_COLUMNS, NUMBER_COLUMNS

HEAD = "company_id,fiscal_year,total_assets,total_liabilities"


def options(**changes: object) -> Table:
    return Table(**{"path": "x", "columns": {}, "outcomes_through": None, **changes})


def read(folder: Path, text: str, name: str = "t.csv", **changes: object) -> table.Source:
    (folder / name).write_text(text, encoding="utf-8")
    return table.load(folder / name, options(**changes))


def rows_of(source: table.Source, *names: str) -> list[tuple]:
    return source.statements.select("company_id", "fiscal_year", *names).rows()


@pytest.mark.parametrize(
    ("name", "base", "year", "back"),
    [
        ("Total activo mil EUR 2022", "Total activo mil EUR", 2022, None),
        ("2022 Total assets", "Total assets", 2022, None),
        ("Sales\n31/12/2021", "Sales", 2021, None),
        ("Sales 2021-12-31", "Sales", 2021, None),
        ("Ventas\nmil EUR\nÚlt. año disp.", "Ventas mil EUR", None, 0),
        ("Sales th USD Last avail. yr", "Sales th USD", None, 0),
        ("Sales Year - 3", "Sales", None, 3),
        ("Ventas Año - 2", "Ventas", None, 2),
        ("Ventas N-1", "Ventas", None, 1),
        ("Sales", None, None, None),
        ("Code 20221", None, None, None),
        ("Total assets 12022", None, None, None),
    ],
)
def test_a_column_tells_its_year(name: str, base: str | None, year: int | None, back: int | None) -> None:
    assert year_of_column(name) == (None if base is None else YearOfColumn(base, year, back))


def test_a_wide_table_gives_a_row_a_year_and_leaves_empty_years_out(tmp_path: Path) -> None:
    source = read(
        tmp_path,
        "company_id,total_assets 2020,total_assets 2021,total_liabilities 2020,total_liabilities 2021,NACE 2009\n"
        "A,10,11,5,6,64\nB,n.a.,20,n.a.,8,65\n",
        layout="wide",
    )
    assert rows_of(source, "total_assets", "total_liabilities") == [("A", 2020, 10, 5), ("A", 2021, 11, 6), ("B", 2021, 20, 8)]


def test_years_that_count_back_need_the_last_one(tmp_path: Path) -> None:
    head = (
        "company_id,total_assets Last avail. yr,total_assets Year - 1,total_liabilities Last avail. yr,total_liabilities Year - 1"
    )
    for last in ("Last avail. year", "Closing date Last avail. yr"):
        value = "2021" if last == "Last avail. year" else "2021-12-31"
        source = read(tmp_path, f"{head},{last}\nA,11,10,6,5,{value}\n", layout="wide")
        assert rows_of(source, "total_assets") == [("A", 2020, 10), ("A", 2021, 11)]
    with pytest.raises(SourceError, match="no column says which year that is"):
        read(tmp_path, f"{head}\nA,11,10,6,5\n", layout="wide")
    with pytest.raises(SourceError, match="no column's name has a year"):
        read(tmp_path, f"{HEAD}\nA,2020,1,1\n", layout="wide")


def test_numbers_and_texts_of_a_workbook_keep_their_value_when_years_are_joined(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "w.xlsx"))
    sheet = book.add_worksheet()
    sheet.write_row(
        0, 0, ["company_id", "total_assets 2020", "total_assets 2021", "total_liabilities 2020", "total_liabilities 2021"]
    )
    sheet.write_row(1, 0, ["A", 1234.567, "n.a.", 1000, 5])
    sheet.write_row(2, 0, ["B", 1, 0.001234, 3, 0.001])
    book.close()
    source = table.load(tmp_path / "w.xlsx", options(layout="wide"))
    assert rows_of(source, "total_assets") == [("A", 2020, 1234.567), ("A", 2021, None), ("B", 2020, 1.0), ("B", 2021, 0.001234)]


def test_a_header_of_two_rows_is_joined_as_it_is_merged() -> None:
    assert joined_header([["", "Assets", "", "Sales"], ["Name", "2021", "2020", ""]]) == [
        "Name",
        "Assets 2021",
        "Assets 2020",
        "Sales",
    ]
    assert joined_header([["Name", "Id", "Assets", ""], ["", "", "2021", "2020"]]) == ["Name", "Id", "Assets 2021", "Assets 2020"]


def test_lines_of_one_company_become_its_years(tmp_path: Path) -> None:
    text = ";2021;2020\nTOTAL ACTIVO (A + B);1.000,50;900\nA) PATRIMONIO NETO;400;300\nDeudores;5;4\nDeudores;7;6\n"
    source = read(tmp_path, text, "Talleres Ruiz 2021.csv", preset="pgc", units=1.0)
    assert rows_of(source, "total_assets", "total_liabilities", "receivables") == [
        ("Talleres Ruiz", 2021, 1000.5, 600.5, 5),
        ("Talleres Ruiz", 2020, 900, 600, 4),
    ]


def test_a_folder_is_read_as_one_file_and_its_files_can_tell_the_year(tmp_path: Path) -> None:
    for year in (2020, 2021):
        (tmp_path / f"balances_{year}.csv").write_text(f"company_id,total_assets,total_liabilities\nA,{year},1\nB,5,2\n")
    (tmp_path / "notes.txt").write_text("no table")
    source = table.load(tmp_path, options())
    assert rows_of(source, "total_assets") == [("A", 2020, 2020), ("B", 2020, 5), ("A", 2021, 2021), ("B", 2021, 5)]
    assert any("the fiscal year is that of the file's name, 2020" in str(note) for note in source.warnings)
    before = source.info.sha256
    (tmp_path / "balances_2021.csv").write_text("company_id,total_assets,total_liabilities\nA,7,1\n")
    assert table.load(tmp_path, options()).info.sha256 != before
    (tmp_path / "bad.csv").write_text("company_id,total_assets\nA,7\n")
    with pytest.raises(SourceError, match=r"bad\.csv lacks columns"):
        table.load(tmp_path, options())
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match="is a folder without a table"):
        table.load(empty, options())


def test_the_fiscal_year_follows_from_the_closing_date(tmp_path: Path) -> None:
    source = read(tmp_path, "company_id,period_end,total_assets,total_liabilities\nA,2021-03-31,1,1\nB,2021-06-30,1,1\n")
    assert rows_of(source) == [("A", 2020), ("B", 2021)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("Concurso de acreedores", "bankruptcy"),
        ("Active (insolvency proceedings)", "bankruptcy"),
        ("Dissolved (bankruptcy)", "bankruptcy"),
        ("Chapter 7", "bankruptcy"),
        ("Quiebra", "bankruptcy"),
        ("Extinguida por fusión", "merger"),
        ("Dissolved (merger or take-over)", "merger"),
        ("En liquidación", "liquidation"),
        ("Dissolved (liquidation)", "liquidation"),
        ("Disuelta", "dissolution"),
        ("Inactiva", "dissolution"),
        ("Inactive (no precision)", "dissolution"),
        ("Cierre de hoja registral", "dissolution"),
        ("Activa", "active"),
        ("alive", "active"),
        ("failed", "bankruptcy"),
        ("02", None),
        ("1", None),
    ],
)
def test_a_status_means_a_kind_of_exit(status: str, kind: str | None) -> None:
    assert event_kind(status) == kind and event_kind(status.upper()) == kind


def test_no_word_of_a_kind_is_hidden_by_one_before_it() -> None:
    for kind, words in KIND_WORDS.items():
        assert [event_kind(word) for word in words] == [kind] * len(words)


STATUSES = (
    f"{HEAD},status,event_date\n"
    "A,2019,1,1,Activa,2001-05-05\nA,2020,1,1,Activa,2001-05-05\n"
    "B,2019,1,1,Concurso,2020-09-01\nC,2019,1,1,Extinguida por fusión,2020-02-02\nD,2019,1,1,En liquidación,\n"
    "E,2019,1,1,zzz,2020-06-01\nF,2019,1,1,,2020-10-10\n"
)


def test_exits_are_told_by_status_and_params_say_which_are_failures(tmp_path: Path) -> None:
    source = read(tmp_path, STATUSES)
    day = dt.date
    assert sorted(source.events.select("company_id", "event_date", "kind").rows()) == [
        ("B", day(2020, 9, 1), "bankruptcy"),
        ("C", day(2020, 2, 2), "merger"),
        ("D", day(2020, 12, 31), "liquidation"),
        ("F", day(2020, 10, 10), "bankruptcy"),
    ]
    said = " ".join(map(str, source.warnings))
    assert "values of status that are not known" in said and "zzz (1)" in said and "without a date: 1" in said
    panel = build_panel(source, event_kinds=["bankruptcy"])
    assert panel.events["company_id"].to_list() == ["B", "F"]
    assert any(
        "failures: liquidation (1), merger (1); labels.event_kinds has bankruptcy" in str(told)
        for told in quality_warnings(panel.quality)
    )
    both = build_panel(source, event_kinds=["bankruptcy", "liquidation"])
    assert both.events["company_id"].to_list() == ["B", "D", "F"]
    named = read(tmp_path, STATUSES, statuses={"zzz": "bankruptcy", "Concurso": "other"})
    assert build_panel(named, event_kinds=["bankruptcy"]).events["company_id"].to_list() == ["E", "F"]


def test_kinds_of_a_file_of_failures_count_by_what_they_mean(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(
        "company_id,date,kind\nA,2020-05-01,Chapter 11\nB,2020-05-01,merger\nB,2021-05-01,concurso\nC,2020-06-01,default\n"
    )
    (tmp_path / "t.csv").write_text(f"{HEAD}\nA,2019,1,1\nB,2019,1,1\nC,2019,1,1\nD,2019,1,1\n")
    source = table.load(tmp_path / "t.csv", options(), tmp_path / "f.csv")
    assert build_panel(source, event_kinds=["bankruptcy"]).events.select("company_id", "kind").rows() == [
        ("A", "bankruptcy"),
        ("B", "bankruptcy"),
    ]
    assert build_panel(source, event_kinds=["default"]).events["company_id"].to_list() == ["C"]


def test_a_company_has_one_basis_and_years_of_twelve_months(tmp_path: Path) -> None:
    text = (
        f"{HEAD},consolidation,months\nA,2019,10,1,C1,12\nA,2019,6,1,U1,12\nA,2020,11,1,C1,12\nA,2020,7,1,U1,12\n"
        "B,2019,6,1,U1,12\nB,2020,7,1,U1,12\nB,2020,9,1,C1,12\nC,2019,5,1,,6\nC,2020,5,1,,12\n"
    )
    panel = build_panel(read(tmp_path, text))
    assert panel.statements.select("company_id", "fiscal_year", "total_assets").rows() == [
        ("A", 2019, 10), ("A", 2020, 11), ("B", 2019, 6), ("B", 2020, 7), ("C", 2020, 5)
    ]  # fmt: skip
    assert panel.quality["quarantined_by_rule"] == {"not_a_year": 1, "other_basis": 3}


def test_expenses_with_a_minus_are_read_as_costs(tmp_path: Path) -> None:
    text = f"{HEAD},interest_expense,ebit\nA,2019,10,1,-2,-3\n"
    (row,) = read(tmp_path, text, negative_expenses=True).statements.select("interest_expense", "ebit").rows()
    assert row == (2, -3)


@given(st.dictionaries(st.sampled_from(NUMBER_COLUMNS), st.integers(-1000, 1000).map(float)))
def test_what_is_given_stays_and_what_is_worked_out_follows(given_amounts: dict[str, float]) -> None:
    row = {name: given_amounts.get(name) for name in NUMBER_COLUMNS}
    done, counts = derive_items(pl.DataFrame([row], schema=dict.fromkeys(NUMBER_COLUMNS, pl.Float64)))
    after = done.row(0, named=True)
    assert all(after[name] == value for name, value in given_amounts.items())
    for rule in counts:
        item, formula = rule.split(" = ")
        assert after[item] == eval(formula, {}, {name: after[name] for name in NUMBER_COLUMNS})  # noqa: S307
    assert after["total_assets"] == row["total_assets"]


def test_the_first_column_without_a_name_is_a_count_or_has_one_given(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f",{HEAD}\n1.,A,2019,1,1\n2.,B,2019,1,1\n")
    assert read_file(path).columns == HEAD.split(",")
    path.write_text(",x\nname,1\n")
    assert read_file(path).columns == ["(first column)", "x"]
    path.write_text("x,,y\n1,2,3\n")
    with pytest.raises(SourceError, match="column 2 has no name"):
        read_file(path)


def test_every_column_of_the_template_is_known() -> None:
    template = Path(__file__).parents[1] / "docs/statements-template.csv"
    head = template.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert set(head) == set(KNOWN_COLUMNS) - {"shares", "share_price", "non_current_liabilities", "equity"}
    source = table.load(template, options(currency="EUR"))
    assert source.statements.height == 3 and source.events.height == 1
