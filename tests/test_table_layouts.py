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
from quiebra.sources.column_names import match_columns
from quiebra.sources.derived_items import derive_items
from quiebra.sources.event_kinds import KIND_PATTERNS, event_kind
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
        ("no concursada", None),
        ("not alive", None),
        ("Non-active", None),
        ("Sin actividad", None),
        ("Desactivada", None),
        ("Cese de actividad", None),
        ("Failed to file accounts", None),
        ("Public administration", None),
        ("Trabajando", None),
        ("closed-end fund", None),
        ("Liquidity", None),
        ("Acquirer", None),
        ("1", None),
    ],
)
def test_a_status_means_a_kind_of_exit(status: str, kind: str | None) -> None:
    assert event_kind(status) == kind and event_kind(status.upper()) == kind


def test_no_word_of_a_kind_is_hidden_by_one_before_it() -> None:
    words = {
        "bankruptcy": "suspensión de pagos",
        "merger": "absorbida",
        "liquidation": "liquidada",
        "dissolution": "baja",
        "active": "vigente",
    }
    assert {kind: event_kind(word) for kind, word in words.items()} == {kind: kind for kind in KIND_PATTERNS}


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
        ("E", day(2020, 6, 1), "bankruptcy"),
        ("F", day(2020, 10, 10), "bankruptcy"),
    ]
    said = " ".join(map(str, source.warnings))
    assert "values of status that are not known" in said and "zzz (1)" in said and "without a date: 1" in said
    panel = build_panel(source, event_kinds=["bankruptcy"])
    assert panel.events["company_id"].to_list() == ["B", "E", "F"]
    assert any(
        "failures: liquidation (1), merger (1); labels.event_kinds has bankruptcy" in str(told)
        for told in quality_warnings(panel.quality)
    )
    both = build_panel(source, event_kinds=["bankruptcy", "liquidation"])
    assert both.events["company_id"].to_list() == ["B", "D", "E", "F"]
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
    done, filled = derive_items(pl.DataFrame([row], schema=dict.fromkeys(NUMBER_COLUMNS, pl.Float64)))
    after = done.row(0, named=True)
    assert all(after[name] == value for name, value in given_amounts.items())
    for each in filled:
        assert after[each.item] == done.select(each.value).item() and given_amounts.get(each.item) is None
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


def test_a_status_without_accents_case_or_hyphens_is_the_users_own_word(tmp_path: Path) -> None:
    text = f"{HEAD},status\nA,2019,1,1,Baja\nB,2019,1,1,Extraño-Caso\n"
    source = read(tmp_path, text, statuses={"baja": "bankruptcy", "extrano caso": "merger"})
    assert source.events.select("company_id", "kind").rows() == [("A", "bankruptcy"), ("B", "merger")]


def test_a_company_failed_if_any_of_its_rows_says_so(tmp_path: Path) -> None:
    text = (
        f"{HEAD},status,status_date\nA,2010,1,1,activa,2005-01-01\nA,2014,1,1,Concurso,2015-06-01\n"
        "B,2013,1,1,Concurso,2014-06-01\nB,2014,1,1,Sin actividad,\nC,2014,1,1,,2001-01-01\nD,2014,1,1,zzz,2002-01-01\n"
    )
    events = read(tmp_path, text).events.select("company_id", "event_date", "kind").rows()
    assert events == [("A", dt.date(2015, 6, 1), "bankruptcy"), ("B", dt.date(2014, 6, 1), "bankruptcy")]
    alone = read(tmp_path, "Company name,BvD ID number,Status date,Closing date,Total assets,equity\nX,1,2005-05-05,2020-12-31,5,1\n", preset="orbis", layout="long")  # fmt: skip
    assert alone.events.is_empty(), "the date of a status that the file has not is no failure"


@pytest.mark.parametrize(
    ("head", "row", "words"),
    [
        ("company_id,total_assets 2022,total_assets 30/06/2022,total_liabilities 2022", "A,100,33,5", "same item of one year"),
        ("company_id,fiscal_year,total_assets 2022,total_assets 2021,total_liabilities 2022", "A,2022,1,2,3", "'fiscal_year' beside"),
        ("company_id,total_assets,total_assets 2022,total_assets 2021,total_liabilities 2022", "A,9,1,2,3", "same item of one year"),
        ("company_id,total_assets Last avail. yr,total_assets Year - 1,total_liabilities Last avail. yr,Last avail. year", "A,1,2,3,42004", "must hold the last year"),
    ],
)  # fmt: skip
def test_columns_that_would_be_mixed_up_are_refused(tmp_path: Path, head: str, row: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read(tmp_path, f"{head}\n{row}\n", layout="wide")


def test_versions_of_classifications_are_no_years_and_empty_companies_are_told(tmp_path: Path) -> None:
    head = "company_id,CNAE 2009,CNAE 2025,total_assets 2022,total_assets 2021,total_liabilities 2022,total_liabilities 2021"
    source = read(tmp_path, f"{head}\nA,64,65,10,9,5,4\nQ,1,2,n.d.,n.d.,n.d.,n.d.\n", layout="wide")
    assert rows_of(source) == [("A", 2021), ("A", 2022)] and source.info.outcomes_through == 2021
    assert any(
        "without anything in any year, which are left out: 1, the first of them row 3" in str(said) for said in source.warnings
    )


@pytest.mark.parametrize(
    ("name", "company"),
    [("Acme S.A.csv", "Acme S.A"), ("Acme S.L.csv", "Acme S.L"), ("Talleres 1999.csv", "Talleres 1999"), ("Ruiz_2021.csv", "Ruiz"), ("x.xlsx.csv", "x.xlsx")],
)  # fmt: skip
def test_a_file_of_lines_names_its_company(tmp_path: Path, name: str, company: str) -> None:
    text = "Cuenta;Nota 2021;2021;2020\nTOTAL ACTIVO;7;100;90\nA) PATRIMONIO NETO;8;40;30\n"
    source = read(tmp_path, text, name, preset="pgc", units=1.0)
    assert rows_of(source, "total_assets") == [(company, 2021, 100), (company, 2020, 90)]


def test_a_fiscal_year_over_two_calendar_years_is_the_second() -> None:
    assert year_of_column("Total assets 2021/22") == YearOfColumn("Total assets", 2022, None)
    assert year_of_column("2020-2021") == YearOfColumn("", 2021, None)


def test_liabilities_that_are_the_sum_of_liabilities_and_equity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="do not add up to total_assets in 2 of 2 rows"):
        read(tmp_path, f"{HEAD},equity\nA,2019,100,100,40\nA,2020,100,100,40\n")
    rows = "".join(f"A{n},2019,100,{90 if n == 0 else 60},40\n" for n in range(20))
    assert any(
        "do not add up to total_assets: 1 of 20" in str(said) for said in read(tmp_path, f"{HEAD},equity\n{rows}").warnings
    )


def test_nothing_is_worked_out_from_amounts_of_the_wrong_sign(tmp_path: Path) -> None:
    source = read(tmp_path, f"{HEAD},revenue,cost_of_goods_sold\nA,2019,100,60,500,-300\nB,2019,100,60,500,300\n")
    assert source.statements["gross_profit"].to_list() == [None, 200]


@pytest.mark.parametrize(
    ("names", "options_", "said"),
    [
        (("Total activo EUR", "Total pasivo EUR"), {"units": 0.001, "currency": "EUR"}, "say single units, and ingest.table.units is 0.001"),
        (("Total activo mil EUR", "Total pasivo mil EUR"), {"units": 1.0, "currency": "EUR"}, "say thousands, and ingest.table.units is 1.0"),
        (("Total assets th EUR", "Total liabilities th EUR"), {"units": 0.001}, "names say EUR, and ingest.table.currency is USD"),
        (("Total assets mil USD", "Total liabilities mil USD"), {"units": 1.0}, ""),
        (("Total assets th USD", "Total liabilities th USD"), {"units": 0.001}, ""),
    ],
)  # fmt: skip
def test_names_that_say_another_unit_or_currency_are_told(tmp_path: Path, names: tuple, options_: dict, said: str) -> None:
    columns = {"total_assets": names[0], "total_liabilities": names[1]}
    source = read(tmp_path, f"company_id,fiscal_year,{names[0]},{names[1]}\nA,2019,300000,200\n", columns=columns, **options_)
    found = [str(each) for each in source.warnings if "columns' names say" in str(each)]
    assert (said in found[0] and len(found) == 1) if said else not found


def test_shares_are_no_amounts_and_short_names_are_not_similar() -> None:
    names = ["Margen bruto (%)", "Ventas (%)", "EBITA", "Net cash from investing activities", "Deudores a largo plazo", "Otros ingresos de explotación"]  # fmt: skip
    assert match_columns(names) == []


@pytest.mark.parametrize(("said", "kept"), [("Cuentas individuales", 6.0), ("Company only", 6.0), ("Unconsolidated", 6.0)])
def test_words_for_accounts_of_the_company_alone(tmp_path: Path, said: str, kept: float) -> None:
    text = f"{HEAD},consolidation\nA,2019,10,1,Grupo consolidado\nA,2019,6,1,{said}\nA,2020,{kept},1,{said}\n"
    panel = build_panel(read(tmp_path, text))
    assert panel.statements["total_assets"].to_list() == [6.0, 6.0] and panel.quality["quarantined_by_rule"] == {"other_basis": 1}


def test_a_year_that_cannot_be_is_set_aside(tmp_path: Path) -> None:
    panel = build_panel(read(tmp_path, f"{HEAD},status\nA,300000,1,1,Concurso\nB,2019,1,1,Activa\n"))
    assert panel.quality["quarantined_by_rule"] == {"bad_year": 1} and panel.statements.height == 1
