"""`quiebra check`: what a file would be read as, and a section of params.yaml that reads it so."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command, merged
from statement_exports import EXPORTS

from quiebra.errors import SourceError
from quiebra.items import FIRM_YEAR_KEYS
from quiebra.panels import build_panel
from quiebra.params import Labels, Table
from quiebra.services.file_check import FileCheck, check_file
from quiebra.sources import table as own_table
from quiebra.sources.column_names import NAMES, in_thousands, match_columns

LABELS = Labels(window_months=24, alive_exits="survived")

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


@pytest.fixture(scope="module")
def rows(finished: Path) -> pl.DataFrame:
    """Firm-years to export: canonical columns, sector, and the day of failure."""
    panel = finished / "data/panel"
    statements = pl.read_parquet(panel / "statements.parquet").sort("available_at").unique(FIRM_YEAR_KEYS, keep="first")
    sectors = pl.read_parquet(panel / "companies.parquet").select("company_id", "sector")
    failed = pl.read_parquet(panel / "events.parquet").select("company_id", failed="event_date")
    return statements.join(sectors, on="company_id").join(failed, on="company_id", how="left").sort(FIRM_YEAR_KEYS)


def checked(path: Path, **changes: object) -> tuple[FileCheck, Table]:
    """Return what `quiebra check` says of a file, and the options that its section gives."""
    plain = {"path": "none", "columns": {}, "outcomes_through": None, **changes}
    found = check_file(path, str(path), Table(**plain), LABELS)
    return found, Table(**{**plain, **yaml.safe_load(found.section)["ingest"]["table"]})


@pytest.mark.parametrize("program", list(EXPORTS))
def test_an_export_is_read_as_it_comes_after_one_paste(rows: pl.DataFrame, tmp_path: Path, program: str) -> None:
    path = EXPORTS[program](rows, tmp_path)
    found, options = checked(path)
    assert found.fault is None and not [match for match in found.matches if match.how == "similar name"]
    assert options.preset == program
    read = own_table.load(path, options)
    kept = build_panel(read)
    both = read.statements.join(rows, on=FIRM_YEAR_KEYS, suffix="_made")
    assert both.height == rows.height
    tolerance = {"sabi": 2e-6}.get(program, 1e-8)
    for item in ("total_assets", "total_liabilities", "revenue", "ebit", "net_income", "current_assets"):
        gap = (both[item] - both[f"{item}_made"]).abs()
        assert (gap <= tolerance + 1e-9 * both[f"{item}_made"].abs()).all(), item
        assert both[item].null_count() == both[f"{item}_made"].null_count(), item
    failed = rows.filter(pl.col("failed").is_not_null()).select("company_id", "failed").unique()
    if program != "pgc":  # accounts of a company say nothing of what became of it
        dates = read.events.join(failed, on="company_id", how="full")
        assert dates.height == failed.height and set(read.events["kind"]) == {"bankruptcy"}
        assert program == "kaggle_american" or (dates["event_date"] == dates["failed"]).all()
    assert kept.statements.height > 0.95 * rows.height


def test_a_preset_alone_finds_the_columns(rows: pl.DataFrame, tmp_path: Path) -> None:
    for program in ("compustat", "orbis", "pgc"):
        path = EXPORTS[program](rows, tmp_path)
        _, options = checked(path)
        bare = Table(path="x", columns={}, outcomes_through=None, preset=program, sheet=options.sheet)
        assert own_table.load(path, bare).statements.equals(own_table.load(path, options).statements)
        assert "was made from documentation" in own_table.load(path, bare).info.notes


def test_no_name_is_similar_to_its_opposite() -> None:
    for name in (
        "Non current assets",
        "Activo no corriente",
        "Pasivo no corriente",
        "Current liabilities",
        "Deudas a corto plazo",
    ):
        for match in match_columns([f"{name} total"]):
            negated = {"non", "no", "corto"} & set(name.casefold().split())
            assert bool(negated) == bool({"non", "no", "corto"} & set(match.canonical.split("_"))), (name, match)


def test_columns_without_a_name_that_is_known_are_told_by_identities(rows: pl.DataFrame, tmp_path: Path) -> None:
    made = rows.drop_nulls(["revenue", "cost_of_goods_sold", "ebit", "depreciation_amortization"]).select(
        "company_id",
        "fiscal_year",
        "total_assets",
        "total_liabilities",
        "revenue",
        "ebit",
        "depreciation_amortization",
        c1=pl.col("revenue") - pl.col("cost_of_goods_sold"),
        c2="cost_of_goods_sold",
        c3=pl.col("ebit") + pl.col("depreciation_amortization"),
        c4=pl.col("total_assets") - pl.col("total_liabilities"),
        c5=pl.col("revenue") * 0.37 + pl.col("ebit"),
    )
    path = tmp_path / "c.csv"
    made.write_csv(path)
    found, _ = checked(path)
    told = {match.column: (match.canonical, match.how) for match in found.matches if match.how.startswith("identity")}
    assert told == {
        "c3": ("ebitda", "identity: ebit + depreciation_amortization"),
        "c4": ("equity", "identity: total_assets - total_liabilities"),
    }
    made.rename({"c1": "gross_profit"}).write_csv(path)
    assert {match.column: match.canonical for match in checked(path)[0].matches}["c2"] == "cost_of_goods_sold"
    assert "c5" in found.unread


def exported(finished: Path, folder: Path, names: dict[str, str], *, factor: float = 1.0, spanish: bool = False) -> Path:
    """Write the workspace's statements as a program exports them."""
    rows = pl.read_parquet(finished / "data/panel/statements.parquet").unique(["company_id", "fiscal_year"], keep="first")
    numbers = [name for name in names if rows.schema[name].is_float()]
    table = rows.sort("company_id", "fiscal_year").with_columns((pl.col(name) * factor).round(2) for name in numbers)
    path = folder / "export.csv"
    text = table.select(pl.col(name).alias(theirs) for name, theirs in names.items()).write_csv(separator=";" if spanish else ",")
    path.write_text(f"Exportado el 1/2/2026;;\n{text.replace('.', ',')}" if spanish else text, encoding="utf-8")
    return path


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


def test_settings_of_another_file_do_not_count_and_those_of_this_one_do(workspace: Path, rows: pl.DataFrame) -> None:
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    other = {
        "path": "data/raw/other.csv",
        "layout": "wide",
        "header_row": 2,
        "header_rows": 2,
        "columns": {"company_id": "NIF"},
        "currency": "EUR",
    }
    features = {"late": {"label": "Late", "sign": 1}}
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, {"ingest": {"table": other}}), sort_keys=False))
    rows.select(*FIRM_YEAR_KEYS, "total_assets", "total_liabilities", late=pl.lit(1.0)).write_csv(workspace / "data/raw/mine.csv")
    said = command(workspace, "quiebra", "check", "data/raw/mine.csv").stdout
    assert "layout" not in said.partition("# for params")[2] and "not read: late" in said
    mine = {
        "path": "data/raw/mine.csv",
        "features": features,
        "columns": {},
        "layout": None,
        "header_row": None,
        "header_rows": 1,
    }
    (workspace / "params.yaml").write_text(yaml.safe_dump(merged(content, {"ingest": {"table": mine}}), sort_keys=False))
    said = command(workspace, "quiebra", "check", "data/raw/mine.csv").stdout
    section = yaml.safe_load(said.partition("# for params.yaml")[2].partition("\n")[2])
    assert "not read" not in said and section["ingest"]["table"]["features"] == features
    assert Table(**section["ingest"]["table"]).features["late"].sign == 1, "the section stands by itself"


def test_columns_that_are_needed_and_not_there_are_named(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("NIF,Ventas\nA,5\n")
    done = command(finished, "quiebra", "check", str(path))
    assert "needed, and of no column: fiscal_year, total_assets, total_liabilities" in done.stderr
    with pytest.raises(SourceError, match="no file at"):
        checked(tmp_path / "none.csv")


def test_a_column_is_one_item_and_an_item_one_column() -> None:
    found = match_columns(["Total activo", "Activo", "activo corriente", "Ventas", "Ventas netas de mercaderías", "Revenue"])
    assert {match.column: match.canonical for match in found} == {
        "Total activo": "total_assets",
        "activo corriente": "current_assets",
        "Revenue": "revenue",
    }


def test_no_name_stands_for_two_items() -> None:
    every = [name for names in NAMES.values() for name in names]
    assert len(every) == len(set(every)) and all(name == name.lower() for name in every)


@pytest.mark.parametrize(
    ("name", "thousands"), [("Total activo (miles EUR)", True), ("Sales th EUR", True), ("Activo\nmil EUR 2020", True), ("Total activo EUR", False), ("health", False)]
)  # fmt: skip
def test_thousands_are_told_by_the_names(name: str, thousands: bool) -> None:
    assert in_thousands([name]) is thousands
