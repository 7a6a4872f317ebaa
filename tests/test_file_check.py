"""`quiebra check`: what a file would be read as, and a section of params.yaml that reads it so."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command, merged

from quiebra.errors import SourceError
from quiebra.params import load_params
from quiebra.services.file_check import check_file
from quiebra.sources import table as own_table
from quiebra.sources.column_names import NAMES, in_thousands, match_columns
from quiebra.workspace import Workspace

PGC = {
    "company_id": "NIF",
    "fiscal_year": "Ejercicio",
    "total_assets": "TOTAL ACTIVO (miles EUR)",
    "total_liabilities": "Pasivo exigible",
    "current_assets": "A) Activo corriente",
    "revenue": "Importe neto de la cifra de negocios",
    "ebit": "Resultado de explotación",
    "interest_expense": "Gastos financieros",
    "net_income": "Resultado del ejercicio",
}
COMPUSTAT = {
    "company_id": "gvkey",
    "fiscal_year": "fyear",
    "period_end": "datadate",
    "total_assets": "at",
    "total_liabilities": "lt",
    "current_assets": "act",
    "revenue": "sale",
    "ebit": "oiadp",
    "interest_expense": "xint",
    "net_income": "ni",
}
KAGGLE = {"company_id": "company_name", "fiscal_year": "year", "total_assets": "X10", "total_liabilities": "X17", "current_assets": "X1", "revenue": "X9", "net_income": "X6"}  # fmt: skip


def exported(finished: Path, folder: Path, names: dict[str, str], *, factor: float = 1.0, spanish: bool = False) -> Path:
    """Write the workspace's statements as a program exports them."""
    rows = pl.read_parquet(finished / "data/panel/statements.parquet").unique(["company_id", "fiscal_year"], keep="first")
    numbers = [name for name in names if rows.schema[name].is_float()]
    table = rows.sort("company_id", "fiscal_year").with_columns((pl.col(name) * factor).round(2) for name in numbers)
    path = folder / "export.csv"
    text = table.select(pl.col(name).alias(theirs) for name, theirs in names.items()).write_csv(separator=";" if spanish else ",")
    path.write_text(f"Exportado el 1/2/2026;;\n{text.replace('.', ',')}" if spanish else text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("names", "factor", "spanish"), [(PGC, 1000.0, True), (COMPUSTAT, 1.0, False)], ids=["accounting program", "Compustat"]
)
def test_an_export_is_read_as_it_comes_after_one_paste(
    finished: Path, tmp_path: Path, names: dict[str, str], factor: float, spanish: bool
) -> None:
    path = exported(finished, tmp_path, names, factor=factor, spanish=spanish)
    found = check_file(path, str(path), load_params(Workspace(finished)).ingest.table)
    assert {match.canonical: match.column for match in found.matches} == names
    assert found.fault is None and any(line.startswith("statements") for line in found.lines)
    section = yaml.safe_load(found.section)["ingest"]
    options = load_params(Workspace(finished)).ingest.table.model_copy(update=section["table"])
    read = own_table.load(path, options).statements
    made = pl.read_parquet(finished / "data/panel/statements.parquet")
    both = read.join(made, on=["company_id", "fiscal_year"], suffix="_made").drop_nulls(["total_assets", "total_assets_made"])
    assert ((both["total_assets"] - both["total_assets_made"]).abs() < 0.011).sum() > 0.95 * both.height > 1000


def test_the_command_prints_what_a_run_then_reads(workspace: Path) -> None:
    path = exported(workspace, workspace / "data/raw", PGC, factor=1000.0, spanish=True)
    done = command(workspace, "quiebra", "check", "data/raw/export.csv")
    assert done.returncode == 0, done.stderr
    section = yaml.safe_load(done.stdout.partition("# for params.yaml")[2].partition("\n")[2])
    assert section["ingest"]["table"]["path"] == "data/raw/export.csv" and section["ingest"]["table"]["units"] == 0.001
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, section), sort_keys=False, allow_unicode=True))
    run = command(workspace, "quiebra", "run", "ingest")
    assert run.returncode == 0, run.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("statements"))
    assert line in run.stdout
    told = json.loads(command(workspace, "quiebra", "check", str(path), "--json").stdout)
    assert {match["canonical"] for match in told["matches"]} == set(PGC)


def test_columns_that_are_needed_and_not_there_are_named(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("NIF,Ventas\nA,5\n")
    done = command(finished, "quiebra", "check", str(path))
    assert "needed, and of no column: fiscal_year, total_assets, total_liabilities" in done.stderr
    with pytest.raises(SourceError, match="no file at"):
        check_file(tmp_path / "none.csv", "none.csv", load_params(Workspace(finished)).ingest.table)


def test_a_column_is_one_item_and_an_item_one_column() -> None:
    found = match_columns(["Total activo", "Activo", "activo corriente", "Ventas", "Ventas netas de mercaderías", "Revenue"])
    assert {match.column: match.canonical for match in found} == {
        "Total activo": "total_assets",
        "activo corriente": "current_assets",
        "Revenue": "revenue",
    }
    assert [match.canonical for match in match_columns(list(KAGGLE.values()))] == list(KAGGLE)


def test_no_name_stands_for_two_items() -> None:
    every = [name for names in NAMES.values() for name in names]
    assert len(every) == len(set(every)) and all(name == name.lower() for name in every)


@pytest.mark.parametrize(
    ("name", "thousands"), [("Total activo (miles EUR)", True), ("Sales th EUR", True), ("Activo\nmil EUR 2020", True), ("Total activo EUR", False), ("health", False)]
)  # fmt: skip
def test_thousands_are_told_by_the_names(name: str, thousands: bool) -> None:
    assert in_thousands([name]) is thousands
