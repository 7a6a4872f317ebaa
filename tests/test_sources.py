"""Sources: what a person's file may be, and what is said when it is not that."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from conftest import AMERICAN, default_params

from quiebra.errors import SourceError
from quiebra.panels import label_outcomes
from quiebra.params import Demo, validate_params
from quiebra.sources import american, table
from quiebra.sources.demo import Simulation, simulate

GOOD = "company_id,fiscal_year,total_assets,total_liabilities,ebit,event_date\nA,2020,100,60,5,\nA,2021,90,70,-3,2022-08-01\nB,2020,50,10,4,\n"


def options(**changes: object):
    return validate_params(default_params(ingest={"table": changes})).ingest.table


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_table_reads_units_dates_and_events(tmp_path: Path) -> None:
    source = table.load(write(tmp_path / "t.csv", GOOD), options(units=0.001, currency="EUR", filing_lag_days=90))
    row = source.statements.row(0, named=True)
    assert row["total_assets"] == pytest.approx(0.1)
    assert str(row["period_end"]) == "2020-12-31"
    assert str(row["available_at"]) == "2021-03-31"
    assert row["currency"] == "EUR"
    assert row["cash"] is None
    assert source.events.select("company_id", pl.col("event_date").cast(pl.String)).rows() == [("A", "2022-08-01")]


def test_failures_of_a_file_of_their_own_go_before_those_in_the_rows(tmp_path: Path) -> None:
    failures = write(tmp_path / "f.csv", "Company ID;Date;Kind\nA;2022-07-01;concurso\nA;2023-01-01;liquidation\nZ;2021-01-01;\n")
    source = table.load(write(tmp_path / "t.csv", GOOD), options(title="Mine"), failures)
    assert source.events.select("company_id", pl.col("event_date").cast(pl.String), "kind", "source").rows() == [
        ("A", "2022-07-01", "bankruptcy", "f.csv"),
        ("A", "2023-01-01", "liquidation", "f.csv"),
        ("Z", "2021-01-01", "bankruptcy", "f.csv"),
    ]
    assert source.info.title == "Mine"
    assert any("companies that have no statements: 1 of 2, such as Z" in str(note) for note in source.warnings)
    for content, words in (
        ("company_id,kind\nA,x\n", "date"),
        ("company_id,date\n,2022-01-01\n", "rows without company_id or date: 1"),
    ):
        with pytest.raises(SourceError, match=words):
            table.load(tmp_path / "t.csv", options(), write(failures, content))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "xlsx"])
def test_table_reads_all_kinds(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.{ending}"
    frame = pl.read_csv(GOOD.encode(), try_parse_dates=True)
    if ending == "csv.gz":
        write(path, gzip.compress(GOOD.encode()))
    elif ending == "parquet":
        frame.write_parquet(path)
    elif ending == "xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for line in [frame.columns, *frame.rows()]:
            book.active.append(list(line))
        book.save(path)
    else:
        write(path, GOOD)
    source = table.load(path, options())
    assert source.statements["ebit"].to_list() == [5, -3, 4]
    assert source.events.height == 1


def test_table_maps_columns_and_semicolons(tmp_path: Path) -> None:
    text = "Empresa;Ejercicio;Activo;Pasivo\nÑandú;2020;100;60\n"
    mapping = {"company_id": "Empresa", "fiscal_year": "Ejercicio", "total_assets": "Activo", "total_liabilities": "Pasivo"}
    source = table.load(write(tmp_path / "t.csv", text), options(columns=mapping))
    assert source.statements["company_id"].to_list() == ["Ñandú"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["0 bytes"]),
        ("company_id,fiscal_year,total_assets,total_liabilities\n", ["no rows"]),
        ("company_id,fiscal_year,total_asets,total_liabilities\nA,2020,1,1\n", ["'total_assets'", "did you mean 'total_asets'"]),
        (GOOD.replace("90,70", "ninety,70"), ["'total_assets'", "a number", "row 3", "'ninety'"]),
        (GOOD.replace("A,2021", "A,20x1"), ["'fiscal_year'", "whole number", "'20x1'"]),
        (GOOD.replace("2022-08-01", "01/08/2022"), ["'event_date'", "YYYY-MM-DD", "'01/08/2022'"]),
        (GOOD.replace("B,", "Ñ,").encode("latin-1"), ["not UTF-8", "0xd1", "line 4"]),
        (b"PK\x03\x04\x00\x00", ["no text but zip", ".xlsx"]),
        (b"a,b\n\x00,1\n", ["NUL bytes"]),
    ],
)
def test_bad_files_are_explained(tmp_path: Path, content: str | bytes, words: list[str]) -> None:
    with pytest.raises(SourceError) as caught:
        table.load(write(tmp_path / "t.csv", content), options())
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_missing_file_and_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file at"):
        table.load(tmp_path / "none.csv", options())
    with pytest.raises(SourceError, match=r"use \.csv"):
        table.load(write(tmp_path / "t.docx", b"x"), options())
    with pytest.raises(SourceError, match="cannot be read as xlsx"):
        table.load(write(tmp_path / "t.xlsx", b"not a workbook"), options())


def test_mapping_to_an_unknown_item_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'net_income'"):
        table.load(write(tmp_path / "t.csv", GOOD), options(columns={"net_incom": "ebit"}))


def test_american_absent_gives_the_command(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        american.load(tmp_path / "american_bankruptcy.csv")
    assert f"kaggle datasets download -d {american.KAGGLE_DATASET} -p {tmp_path}" in str(caught.value)


def test_american_layout_and_label(tmp_path: Path) -> None:
    names = ["company_name", "status_label", "year", *(f"X{i}" for i in range(1, 19))]
    amounts = ",".join(str(i) for i in range(1, 19))
    rows = [f"C_1,failed,2005,{amounts}", f"C_1,failed,2006,{amounts}", f"C_2,alive,2006,{amounts}"]
    source = american.load(write(tmp_path / "a.csv", "\n".join([",".join(names), *rows])))
    assert source.statements["market_value"].to_list() == [8, 8, 8]
    assert source.statements["total_assets"].to_list() == [10, 10, 10]
    labels = label_outcomes(source.statements, source.events)
    assert labels.select("fiscal_year", "failed").rows() == [(2005, 0), (2006, 1), (2006, 0)]


@pytest.mark.skipif(not AMERICAN.exists(), reason="the American panel is not on this machine")
@pytest.mark.slow
def test_american_counts() -> None:
    source = american.load(AMERICAN)
    labels = label_outcomes(source.statements, source.events)
    assert (source.statements.height, source.events.height) == (75_280, 573)
    assert labels["failed"].sum() == 573
    judged = labels.filter(pl.col("fiscal_year").is_between(2012, 2017))
    assert (judged.height, judged["failed"].sum()) == (19_934, 170)


def test_demo_is_deterministic_and_differs_by_seed() -> None:
    small = Demo(companies=60, first_year=2010, years=8, seed=1)
    one, two, other = simulate(small), simulate(small), simulate(small.model_copy(update={"seed": 2}))
    for name in ("companies", "statements", "events", "macro"):
        assert getattr(one.source, name).equals(getattr(two.source, name)), name
    assert not one.source.statements.equals(other.source.statements)


def test_demo_is_realistic_and_untidy(simulation: Simulation) -> None:
    source = simulation.source
    assert source.info.simulated
    assert "pd_true" not in source.statements.columns
    assert 14_000 < source.statements.height < 18_000
    assert source.companies["sector"].n_unique() == 7
    assert source.companies["region"].n_unique() == 8
    rates = label_outcomes(source.statements, source.events).filter(pl.col("fiscal_year").is_between(2010, 2023))
    by_year = rates.group_by("fiscal_year").agg(pl.col("failed").mean())["failed"]
    assert 0.003 < by_year.min() < by_year.max() < 0.08
    leverage = (source.statements["total_liabilities"] / source.statements["total_assets"]).drop_nulls()
    assert 0.4 < leverage.median() < 0.65
    keys = ["company_id", "fiscal_year"]
    versions = source.statements.filter(pl.col("available_at") >= pl.col("period_end")).unique([*keys, "available_at"])
    assert versions.height > versions.unique(keys).height, "no restatement"
    late = (source.statements["available_at"] - source.statements["period_end"]).dt.total_days()
    assert (late > 240).sum() > 100, "no late filer"
    assert source.statements["cash"].null_count() > 100


def test_demo_truth_agrees_with_its_failures(simulation: Simulation) -> None:
    truth = simulation.truth.filter(pl.col("fiscal_year") < 2024)
    happened = simulation.source.events.height
    assert truth["pd_true"].sum() == pytest.approx(happened, rel=0.2)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"event_date": [20120101, None, None]}, "'event_date' must hold a date"),
        ({"fiscal_year": [2020.5, 2021.0, 2020.0]}, "'fiscal_year' must hold a whole number"),
        ({"total_assets": [True, False, True]}, "'total_assets' must hold a number"),
    ],
)
def test_typed_columns_are_not_guessed_at(tmp_path: Path, columns: dict, words: str) -> None:
    frame = pl.read_csv(GOOD.encode(), try_parse_dates=True).with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match=words):
        table.load(tmp_path / "t.parquet", options())


def test_numeric_company_ids_read_as_in_a_csv(tmp_path: Path) -> None:
    frame = pl.read_csv(GOOD.encode(), try_parse_dates=True).with_columns(company_id=pl.Series([1.0, 1.0, float("nan")]))
    frame.write_parquet(tmp_path / "t.parquet")
    assert table.load(tmp_path / "t.parquet", options()).statements["company_id"].to_list() == ["1", "1", None]


def test_one_mistaken_year_does_not_move_the_clock(tmp_path: Path) -> None:
    rows = "".join(f"C{i},{year},100,60,5,\n" for i in range(150) for year in (2019, 2020))
    text = GOOD + rows + "X,2109,1,1,1,\nY,110,1,1,1,\n"
    info = table.load(write(tmp_path / "t.csv", text), options()).info
    assert (info.first_label_year, info.outcomes_through, info.as_of.year) == (2019, 2019, 2021)


def test_mapping_over_an_existing_column_and_twice_from_one(tmp_path: Path) -> None:
    text = GOOD.replace("company_id,", "company_id,nif,").replace("\nA,", "\nA,N1,").replace("\nB,", "\nB,N2,")
    mapping = {"company_id": "nif", "name": "nif"}
    source = table.load(write(tmp_path / "t.csv", text), options(columns=mapping))
    assert source.companies.select("company_id", "name").rows() == [("N1", "N1"), ("N2", "N2")]
    with pytest.raises(SourceError, match="'ebit' twice"):
        table.load(write(tmp_path / "u.csv", GOOD.replace("total_liabilities,ebit", "ebit, ebit")), options())
