"""Tables that people are given: a spreadsheet runs nothing that stood in somebody else's file, and numbers stay numbers."""

import csv
import io
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from conftest import ROOT, command

from quiebra.io.exports import to_csv, to_excel

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    '"=1+1"',
    "'=1+1",
    '" =1+1',
    "＝1+1",
    "＠SUM(A1)",
    "-2+3+cmd|' /C calc'!A0",
    "=cmd|'/C calc'!A0",
    "+A1",
    "\t",
    "-",
    "=",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_looks_like_a_formula_is_text_in_csv_and_excel(text: str) -> None:
    table = pl.DataFrame({"company_id": [text], text: ["x"]})
    head, row = csv.reader(io.StringIO(to_csv(table), newline=""))
    for written in (row[0], head[1]):
        assert written.startswith("'")
        assert written.replace("'", "") == text.replace("'", "")
    sheet = openpyxl.load_workbook(io.BytesIO(to_excel(table.rename({text: "other"})))).active
    assert sheet["A2"].data_type == "s"
    assert sheet["A2"].value.replace("_x000D_", "").strip() == text.strip()


@pytest.mark.parametrize("text", ["Acme; =1+1", "Acme\t@SUM(A1)", "Acme\n=1+1", 'Acme;"=1+1'])
def test_a_formula_after_another_locales_end_of_a_cell_is_text_too(text: str) -> None:
    back = pl.read_csv(to_csv(pl.DataFrame({"name": [text]})).encode(), infer_schema=False)["name"][0]
    for end in (";", "\t", "\n"):
        assert not any(part.lstrip(" \"'").startswith(("=", "@")) and "'" not in part for part in back.split(end))


@pytest.mark.parametrize("text", ["Acme", "A-1", "-5", "+5", "-0,25", "a@example.com", "Ñandú = bird", "1=1", ""])
def test_other_texts_and_numbers_are_left_as_they_are(text: str) -> None:
    table = pl.DataFrame(
        {"name": [text, None], "pd": [-0.5, None], "n": [-3, 4], "kind": pl.Series(["a", "b"], dtype=pl.Categorical)}
    )
    back = pl.read_csv(to_csv(table).encode(), schema_overrides={"name": pl.String})
    assert (back["name"][0] or "") == text
    assert back["pd"].to_list() == [-0.5, None]
    assert back["n"].to_list() == [-3, 4]


def test_nothing_else_writes_files_for_spreadsheets() -> None:
    """One place has the rule: whoever writes CSV or Excel elsewhere goes around it."""
    writers = ("write_csv(", "write_excel(", ".to_csv(", ".to_excel(", "csv.writer", "csv.DictWriter", "xlsxwriter")
    found = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if any(writer in path.read_text(encoding="utf-8") for writer in writers)
    }
    assert found == {"quiebra/io/exports.py"}


def test_score_gives_out_no_formula_of_the_file_that_it_read(workspace: Path, tmp_path: Path) -> None:
    statements = pl.read_parquet(workspace / "data/panel/statements.parquet")
    one = statements.filter(pl.col("company_id") == statements["company_id"][0], pl.col("fiscal_year") < 2020)
    rows = one.drop("currency", "source").with_columns(company_id=pl.lit('=HYPERLINK("http://example.com","look")'))
    rows.write_csv(tmp_path / "mine.csv")
    done = command(workspace, "quiebra", "score", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "out.csv"))
    assert done.returncode == 0, done.stderr
    shown = command(workspace, "quiebra", "score", str(tmp_path / "mine.csv"))
    for text in ((tmp_path / "out.csv").read_text(), shown.stdout):
        back = pl.read_csv(text.encode())
        assert back["company_id"].to_list() == ['\'=HYPERLINK("http://example.com","look")']
        assert back["pd_12m"].dtype == pl.Float64
