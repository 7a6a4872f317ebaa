"""Files that were read wrong without a word: each is read right, said, or refused with the cell and the remedy."""

from __future__ import annotations

import datetime as dt
import gzip
import re
from dataclasses import replace
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from conftest import default_params

from quiebra.errors import ParamsError, SourceError
from quiebra.feature_engineering.altman import ALTMAN_SCORES, ALTMAN_ZONES, altman_zone
from quiebra.panels import Panel, build_panel
from quiebra.params import MacroSeries, Portfolio, Table, validate_params
from quiebra.risk.exposures import portfolio_exposures
from quiebra.sources import table
from quiebra.sources.demo import Simulation
from quiebra.sources.macro_files import read_macro
from quiebra.sources.reading import read_rows

HEAD = "company_id;fiscal_year;total_assets;total_liabilities"


def options(**changes: object) -> Table:
    return validate_params(default_params(ingest={"table": changes})).ingest.table


def write(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


def read(path: Path, **changes: object) -> tuple[pl.DataFrame, str]:
    rows, notes = table.read_statements(path, options(**changes))
    return rows, "\n".join(map(str, notes))


def panel(folder: Path, text: str, **changes: object) -> tuple[Panel, str]:
    made = build_panel(table.load(write(folder, text), options(**changes)))
    return made, "\n".join(str(said["text"]).format(**said["values"]) for said in made.quality["warnings"])


# --- names of columns


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Revenue", "revenue"),
        ("Market Value", "market_value"),
        ("LONG-TERM DEBT", "long_term_debt"),
        (" ebit ", "ebit"),
        ("Rétained_earnings", "retained_earnings"),
        ("e\u00adbit", "ebit"),
        ("re\u200bvenue", "revenue"),
    ],
)
def test_a_column_is_read_however_its_name_is_written(tmp_path: Path, column: str, name: str) -> None:
    rows, notes = read(write(tmp_path, f"{HEAD};{column}\nA;2020;100;60;7\n"))
    assert rows[name].to_list() == [7.0]
    assert (" as " in notes) == (re.sub("[\u00ad\u200b]", "", column).strip() != name)


def test_needed_and_mapped_columns_are_found_however_they_are_written(tmp_path: Path) -> None:
    text = "a title\n\nNif;EJERCICIO;Activo Total;pasivo_total\nA;2020;100;60\n"
    mapping = {
        "company_id": "NIF",
        "fiscal_year": "Ejercicio",
        "total_assets": "activo total",
        "total_liabilities": "Pasivo total",
    }
    rows, notes = read(write(tmp_path, text), columns=mapping)
    assert rows.select("company_id", "total_assets", "total_liabilities").row(0) == ("A", 100, 60)
    assert "the header is taken from row 3" in notes


def test_dates_currency_and_failures_count_whatever_the_case_of_their_columns(tmp_path: Path) -> None:
    head = f"{HEAD};Period_End;Available At;Event date;Currency"
    source = table.load(write(tmp_path, f"{head}\nA;2020;100;60;2020-06-30;2020-09-01;2021-05-01;JPY\n"), options(currency="JPY"))
    row = source.statements.select("period_end", "available_at", "currency").row(0)
    assert row == (dt.date(2020, 6, 30), dt.date(2020, 9, 1), "JPY")
    assert source.events["event_date"].to_list() == [dt.date(2021, 5, 1)]
    with pytest.raises(SourceError, match="its column 'currency' says JPY"):
        read(write(tmp_path, f"{HEAD};Currency\nA;2020;100;60;JPY\n"))


@pytest.mark.parametrize("twice", ["market_value;Market Value", "Market Value;MARKET-VALUE"])
def test_two_columns_for_one_name_are_refused(tmp_path: Path, twice: str) -> None:
    with pytest.raises(SourceError, match="twice"):
        read(write(tmp_path, f"{HEAD};{twice}\nA;2020;100;60;7;8\n"))


def test_one_column_for_two_amounts_is_refused_but_an_id_may_be_a_name() -> None:
    with pytest.raises(ParamsError, match="'X' is given for total_assets and for total_liabilities"):
        options(columns={"total_assets": "X", "total_liabilities": "X"})
    assert options(columns={"company_id": "NIF", "name": "NIF"})


def test_exposures_use_what_stands_under_lgd_and_currency_in_capitals(tmp_path: Path) -> None:
    scores = pl.DataFrame({"company_id": ["A", "B"]})
    chosen = Portfolio.model_validate({**default_params()["portfolio"], "file": "data/raw/p.csv"})
    (tmp_path / "data/raw").mkdir(parents=True)
    write(tmp_path / "data/raw", "Company_ID,Exposure,LGD\nA,5,0.9\nB,6,0.8\n", "p.csv")
    held, beside = portfolio_exposures(scores, chosen, tmp_path)
    assert held.select("exposure", "lgd").rows() == [(5.0, 0.9), (6.0, 0.8)]
    assert "'LGD' as lgd" in beside["portfolio_notes"][0] and beside["portfolio_notes"][0].startswith("p.csv: ")
    write(tmp_path / "data/raw", "company_id,exposure,Currency\nA,5,EUR\nB,6,USD\n", "p.csv")
    with pytest.raises(SourceError, match="several currencies"):
        portfolio_exposures(scores, chosen, tmp_path)


# --- numbers


@pytest.mark.parametrize(
    "rows",
    [
        "A;2020;950.125;600.250;0.45\nB;2020;750.500;300.250;0.31",
        "A;2020;950.125;600.250;4,5 %\nB;2020;750.500;300.250;3,1 %",
        "A;2020;950.125;600.250;n.d.\nB;2020;750.500;300.250;n.d.\nC;2020;750.500;300.250;0.31",
    ],
)
def test_decimal_marks_of_a_column_that_is_not_asked_for_are_looked_at(tmp_path: Path, rows: str) -> None:
    with pytest.raises(SourceError, match="decimal and thousands"):
        read(write(tmp_path, f"{HEAD};ratio\n{rows}\n"))


def test_points_beside_blanks_and_decimal_commas_are_refused(tmp_path: Path) -> None:
    for other in ("1 600,25", "1600,25"):
        with pytest.raises(SourceError, match=r"'1\.421'.*decimal and thousands"):
            read(write(tmp_path, f"{HEAD}\nA;2020;1.421;{other}\nB;2020;2.500;300,5\n"))


def test_thousands_that_only_the_semicolon_shows_are_said(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, f"{HEAD}\nA;2020;1.421;900\n"))
    assert (
        rows["total_assets"].to_list() == [1421] and "'1.421' (column 'total_assets') and its like are read as thousands" in notes
    )
    rows, notes = read(write(tmp_path, f"{HEAD}\nA;2020;1.421;2.345.678\n"))
    assert rows["total_assets"].to_list() == [1421] and not notes


@pytest.mark.parametrize("cell", ["(5)", "(−5)", "(-5)", "( 5 )", "(5 )", "5-", "- 5"])
def test_minuses_of_accountants(tmp_path: Path, cell: str) -> None:
    rows, _ = read(write(tmp_path, f"{HEAD};ebit\nA;2020;100;60;{cell}\n"))
    assert rows["ebit"].to_list() == [-5]


# --- workbooks


def book(folder: Path, rows: list[list[object]], *more: str) -> Path:
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    for name in more:
        made.create_sheet(name).append(["company_id"])
    made.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def test_a_formula_without_a_result_is_named(tmp_path: Path) -> None:
    head = [*HEAD.split(";"), "ebit"]
    with pytest.raises(SourceError, match="row 3 of column 'ebit' is a formula whose result is not in the file"):
        read(book(tmp_path, [head, ["A", 2020, 100, 60, 7], ["B", 2020, 100, 60, "=3+4"]]))
    rows, _ = read(book(tmp_path, [[*head, ""], ["A", 2020, 100, 60, 7, ""], ["", "", "", "", "", ""]]))
    assert rows["ebit"].to_list() == [7]


def test_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = book(tmp_path, [HEAD.split(";"), ["A", 2020, 100, 60]], "2021", "2022")
    assert "sheet 'Sheet' is read, and not '2021', '2022'" in read(path)[1]
    assert "is read, and not" not in read(path, sheet="Sheet")[1]


def test_a_workbook_that_counts_from_1904(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    made.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    for row in ([*HEAD.split(";"), "period_end"], ["A", 2020, 100, 60, 42734]):
        made.active.append(row)
    made.save(tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx")[0]["period_end"].to_list() == [dt.date(2020, 12, 31)]


def test_an_id_of_many_digits_or_a_day_reads_the_same_beside_text(tmp_path: Path) -> None:
    for other in (10000000000000000, "X"):
        rows, _ = read(book(tmp_path, [HEAD.split(";"), [10000000000000000, 2020, 100, 60], [other, 2021, 100, 60]]))
        assert rows["company_id"][0] == "10000000000000000"
    rows, _ = read(book(tmp_path, [HEAD.split(";"), [dt.date(2020, 1, 1), 2020, 100, 60]]))
    assert rows["company_id"].to_list() == ["2020-01-01"]


# --- text and files


@pytest.mark.parametrize("cell", ["A", "\u200bA", "\ufeffA", '="A"', "A\u00ad"])
def test_an_id_is_the_same_with_signs_that_cannot_be_seen(tmp_path: Path, cell: str) -> None:
    assert read(write(tmp_path, f"{HEAD}\n{cell};2020;100;60\n"))[0]["company_id"].to_list() == ["A"]


@pytest.mark.parametrize(
    ("text", "encoding"), [("Gálvez García", "cp850"), ("Peña", "mac_roman"), ("Muñoz", "cp850"), ("López", "cp850")]
)
def test_other_encodings_do_not_pass_as_windows(tmp_path: Path, text: str, encoding: str) -> None:
    content = f"{HEAD};name\nA;2020;100;60;{text}\n".encode(encoding)
    with pytest.raises(SourceError, match=r"is not UTF-8: byte .* on line 2"):
        read(write(tmp_path, content))
    assert read(write(tmp_path, content), encoding=encoding)[0]["name"].to_list() == [text]


def test_one_row_in_another_encoding_does_not_spoil_the_others(tmp_path: Path) -> None:
    content = f"{HEAD};name\nA;2020;100;60;Año\n".encode() + "B;2020;100;60;Peña\n".encode("cp1252")
    with pytest.raises(SourceError, match="is not UTF-8: byte 0xf1 on line 3"):
        read(write(tmp_path, content))
    content = f"{HEAD};name\nA;2020;100;60;Año Peña – Núñez\n".encode("cp1252")
    assert read(write(tmp_path, content))[0]["name"].to_list() == ["Año Peña – Núñez"]


@pytest.mark.parametrize("encoding", [None, "utf-8", "UTF-8", "utf_8", "utf-16-le"])
def test_marks_of_the_encoding_are_no_part_of_a_name(tmp_path: Path, encoding: str | None) -> None:
    content = f"\ufeff\ufeff{HEAD}\nA;2020;100;60\n".encode(encoding or "utf-8")
    assert read(write(tmp_path, content), encoding=encoding)[0]["company_id"].to_list() == ["A"]
    with pytest.raises(SourceError, match="begins with the mark of UTF-8"):
        read(write(tmp_path, f"\ufeff{HEAD}\n".encode()), encoding="cp1252")


@pytest.mark.parametrize("encoding", ["rot13", "zip", "base64", "hex"])
def test_an_encoding_that_gives_no_text_is_none(encoding: str) -> None:
    with pytest.raises(ParamsError, match="no encoding is called"):
        options(encoding=encoding)


def test_packed_files_and_folders_are_said(tmp_path: Path) -> None:
    text = f"{HEAD}\nA;2020;100;60\n".encode()
    with pytest.raises(SourceError, match="is no text but gzip"):
        read(write(tmp_path, gzip.compress(gzip.compress(text)), "t.csv.gz"))
    with pytest.raises(SourceError, match="is no text but gzip"):
        read(write(tmp_path, gzip.compress(text)))
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(SourceError, match="is a folder"):
        read_rows(tmp_path / "f.csv")


def test_a_stray_carriage_return_ends_no_row(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, f"{HEAD};name\r\nA;2020;100;60;One\rTwo\r\nB;2020;1;1;X\r\n"))
    assert rows["name"].to_list() == ["One Two", "X"]


def test_a_year_of_two_digits_is_none_where_the_format_has_four(tmp_path: Path) -> None:
    text = f"{HEAD};period_end\nA;2020;100;60;31/12/20\n"
    with pytest.raises(SourceError, match="row 2 has '31/12/20'"):
        read(write(tmp_path, text), date_format="%d/%m/%Y")
    assert read(write(tmp_path, text), date_format="%d/%m/%y")[0]["period_end"].to_list() == [dt.date(2020, 12, 31)]


@pytest.mark.parametrize("ids", [[["A"]], [b"\xff"], [{"a": 1}]])
def test_ids_that_are_no_text_are_refused(tmp_path: Path, ids: list[object]) -> None:
    frame = pl.DataFrame({"company_id": ids, "fiscal_year": [2020], "total_assets": [1.0], "total_liabilities": [1.0]})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column 'company_id' must hold text, but its type is"):
        read(tmp_path / "t.parquet")


# --- macro series


def macro(folder: Path, text: str) -> tuple[pl.DataFrame, list[object]]:
    write(folder, text, "m.csv")
    return read_macro({"M": MacroSeries(file="m.csv", lag_days=30, missing=[])}, folder)


def test_a_series_without_end_or_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="infinite, on 2020-02-01"):
        macro(tmp_path, "DATE,V\n2020-01-01,1\n2020-02-01,1e400\n")
    with pytest.raises(SourceError, match="begins with values"):
        macro(tmp_path, "2020-01-01,1.5\n2020-02-01,1.6\n")


def test_what_was_guessed_of_a_series_is_said(tmp_path: Path) -> None:
    table, notes = macro(tmp_path, "DATE;V\n2020-01-01;5.123\n2020-02-01;5.345\n")
    assert table["value"].to_list() == [5123, 5345] and "read as thousands" in str(notes[0])


# --- panels


YEARS = range(2013, 2019)


def rows(companies: int = 30, *, factor: float = 1.0, event: str = "") -> str:
    lines = [
        f"C{n:02};{year};{(100 + n) * (factor if year % 3 == 0 else 1)};{60 * (factor if year % 3 == 0 else 1)};{event if n < 10 else ''}"
        for n in range(companies)
        for year in YEARS
    ]
    return f"{HEAD};event_date\n" + "\n".join(lines) + "\n"


def test_failures_that_count_for_no_statement_are_said(tmp_path: Path) -> None:
    for date in ("2021-09-15", "2118-09-15"):
        made, said = panel(tmp_path, rows(event=date))
        assert made.quality["failures_too_late_to_count"] == 10
        assert "failed companies that count as survivors, since they failed more than 24 months" in said and "10 of 10" in said
    made, said = panel(tmp_path, rows(event="2019-09-15"))
    assert made.quality["failures_too_late_to_count"] == 0 and "survivors" not in said


@pytest.mark.parametrize("factor", [1000.0, 0.001, 1e6])
def test_years_in_another_unit_are_said(tmp_path: Path, factor: float) -> None:
    assert "are all their years in one unit?" in panel(tmp_path, rows(factor=factor))[1]
    assert "one unit" not in panel(tmp_path, rows(factor=8))[1]


def test_sums_and_spellings_are_said(tmp_path: Path) -> None:
    head = f"{HEAD};sector"
    lines = ["A;2020;100;60;Retail", "a;2020;100;60;RETAIL", "B;2020;100;60;Mining", "Total:;2020;300;180;", "TOTALSA;2020;9;1;"]
    _, said = panel(tmp_path, "\n".join([head, *lines]) + "\n")
    assert "rows that look like sums of others, by their company_id: Total:;" in said
    assert "company_id that differ in case or blanks alone count as different companies: A, a;" in said
    assert "sector that differ in case or blanks alone count as different sectors: RETAIL, Retail;" in said


def test_interim_accounts_that_stand_for_a_year_are_said(tmp_path: Path) -> None:
    text = (
        f"{HEAD};period_end\nA;2020;100;60;2020-12-31\nA;2021;100;60;2021-06-30\nB;2020;9;6;2020-06-30\nB;2021;9;6;2021-06-30\n"
    )
    assert "less than 300 days after those before: 1, such as A on 2021-06-30" in panel(tmp_path, text)[1]


def test_assets_below_one_unit_of_currency_are_none(tmp_path: Path) -> None:
    made, _ = panel(tmp_path, f"{HEAD}\nA;2020;5e-324;1\nB;2020;0.000001;1\n")
    assert made.statements["company_id"].to_list() == ["B"] and made.quality["quarantined_by_rule"] == {"no_assets": 1}


def test_a_score_that_is_no_number_is_in_no_zone() -> None:
    for name in ALTMAN_SCORES:
        low, high = ALTMAN_ZONES[name]
        frame = pl.DataFrame({name: [float("nan"), None, low - 1, (low + high) / 2, high + 1]})
        assert frame.select(altman_zone(name)).to_series().to_list() == [None, None, "distress", "grey", "safe"]


def test_sound_panels_are_doubted_in_nothing(simulation: Simulation) -> None:
    assert build_panel(replace(simulation.source)).quality["warnings"] == []


def test_a_title_row_without_mapping_and_an_empty_first_sheet_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none of its first ten rows has the columns company_id, .*ingest\.table\.columns"):
        read(write(tmp_path, "Cuentas de la cartera;;\nNIF;Ejercicio;Activo\nA;2020;1\n"))
    made = openpyxl.Workbook()
    made.active.title = "Portada"
    made.active.append(["Cartera"])
    made.create_sheet("Datos").append(HEAD.split(";"))
    made.save(tmp_path / "t.xlsx")
    with pytest.raises(SourceError, match="sheet 'Portada' is read, and not 'Datos'"):
        read(tmp_path / "t.xlsx")


def test_a_file_to_be_scored_needs_no_column_of_failures(tmp_path: Path) -> None:
    chosen = options(columns={"event_date": "Fecha concurso", "ebit": "Resultado"})
    path = write(tmp_path, f"{HEAD};Resultado\nA;2020;100;60;7\n")
    rows, notes = table.read_statements(path, chosen, "USD")
    assert rows["ebit"].to_list() == [7] and "are not there and count as missing: Fecha concurso" in str(notes[0])
    with pytest.raises(SourceError, match="lacks columns: 'Fecha concurso'"):
        table.load(path, chosen)
