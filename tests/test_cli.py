"""The command line as a person meets it."""

import datetime as dt
import re
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from conftest import command


def export(workspace: Path, path: Path, companies: int = 30) -> pl.DataFrame:
    statements = pl.read_parquet(workspace / "data/panel/statements.parquet")
    some = statements["company_id"].unique().sort().head(companies)
    known = statements.filter(pl.col("available_at") <= dt.date(2023, 6, 30))  # what the run of the small demo knew
    rows = known.filter(pl.col("company_id").is_in(some.implode())).drop("currency", "source")
    rows.write_csv(path)
    return rows


def test_doctor_says_what_is_there_and_what_is_missing(workspace: Path) -> None:
    done = command(workspace, "quiebra", "doctor")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ok +packages", done.stdout, flags=re.M)
    assert "current run" in done.stdout
    assert "kaggle datasets download" in done.stdout


def test_doctor_fails_where_the_database_cannot_be_reached(workspace: Path) -> None:
    done = command(workspace, "quiebra", "doctor", QUIEBRA_DATABASE_URL="postgresql://a:pw0rd@127.0.0.1:1/x")
    assert done.returncode == 1
    assert "FAIL" in done.stdout
    assert "pw0rd" not in done.stdout + done.stderr


def test_score_gives_the_pipelines_scores(workspace: Path, tmp_path: Path) -> None:
    export(workspace, tmp_path / "mine.csv")
    done = command(workspace, "quiebra", "score", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "out.csv"))
    assert done.returncode == 0, done.stderr
    mine = pl.read_csv(tmp_path / "out.csv")
    assert mine["pd_12m"].is_sorted(descending=True)
    assert mine["reasons"].null_count() < mine.height / 2
    first = mine.drop_nulls("reasons").row(0, named=True)
    codes = first["reason_codes"].split("; ")
    assert {len(first[name].removesuffix(".").split(". ")) for name in ("reasons", "reasons_es")} == {len(codes)}
    assert all(code.endswith("_UP") for code in codes)
    assert " than in " in first["reasons"] and " que en " in first["reasons_es"]
    theirs = pl.read_parquet(workspace / "data/scores/reasons.parquet").filter(pl.col("kind") == "raises")
    said = {row["company_id"]: row["text"] for row in theirs.filter(pl.col("rank") == 1).to_dicts()}
    assert first["reasons"].startswith(f"{said[first['company_id']]}."), "the same company, the same words"
    theirs = pl.read_parquet(workspace / "data/scores/scores.parquet")
    both = mine.join(theirs, on=["company_id", "fiscal_year"], suffix="_run")
    assert both.height > 10
    assert (both["pd_12m"] - both["pd_12m_run"]).abs().max() < 1e-5
    assert both["rating"].equals(both["rating_run"], check_names=False)


def test_scores_are_written_as_the_files_ending_says(workspace: Path, tmp_path: Path) -> None:
    export(workspace, tmp_path / "mine.csv", companies=3)
    for name in ("out.csv", "out.XLSX", "out.parquet"):
        done = command(workspace, "quiebra", "score", str(tmp_path / "mine.csv"), "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
    plain = pl.read_csv(tmp_path / "out.csv")
    whole = pl.read_parquet(tmp_path / "out.parquet")
    assert plain.columns == whole.columns and plain["pd_12m"].equals(whole["pd_12m"])
    book = openpyxl.load_workbook(tmp_path / "out.XLSX")
    assert book.sheetnames == ["scores"]
    head, *rows = book.active.iter_rows(values_only=True)
    assert list(head) == plain.columns and [row[head.index("pd_12m")] for row in rows] == plain["pd_12m"].to_list()
    for name in ("out.txt", "out", "out.xls"):
        done = command(workspace, "quiebra", "score", str(tmp_path / "no such file"), "--out", str(tmp_path / name))
        assert done.returncode == 1
        assert done.stderr == f"error: {tmp_path / name}: name a file that ends in .csv, .xlsx, .parquet\n"
        assert not (tmp_path / name).exists()


def test_score_tells_of_rows_left_out_and_scores_the_rest(workspace: Path, tmp_path: Path) -> None:
    rows = export(workspace, tmp_path / "mine.csv", companies=3)
    bad = rows.head(1).with_columns(company_id=pl.lit("BAD"), total_assets=pl.lit(-5.0))
    one = rows.head(1).with_columns(company_id=pl.lit("ONE-YEAR"), cash=pl.lit(-1.0))
    pl.concat([rows, bad, one]).write_csv(tmp_path / "mine.csv")
    done = command(workspace, "quiebra", "score", str(tmp_path / "mine.csv"))
    assert done.returncode == 0
    assert "1 row left out: total_assets is missing, negative or less than one unit of currency" in done.stderr
    assert "1 negative value of Cash and equivalents taken as missing" in done.stderr
    scored = pl.read_csv(done.stdout.encode())
    assert "BAD" not in scored["company_id"].to_list()
    assert "ONE-YEAR" in scored["company_id"].to_list()


def test_score_warns_of_companies_that_it_knows_too_little_of(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "thin.csv"
    path.write_text("company_id,fiscal_year,total_assets,total_liabilities\nTHIN,2021,90,99\n")
    done = command(workspace, "quiebra", "score", str(path))
    assert done.returncode == 0
    assert "companies that lack over 40 % of what the model learnt from: 1 of 1" in done.stderr
    export(workspace, tmp_path / "full.csv", companies=3)
    assert "do not trust" not in command(workspace, "quiebra", "score", str(tmp_path / "full.csv")).stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no file at"),
        ("", "0 bytes"),
        ("company_id,fiscal_year,total_assets\nA,2020,1\n", "'total_liabilities'"),
        ("company_id,fiscal_year,total_assets,total_liabilities\nA,2020,many,1\n", "a number"),
        ("company_id,fiscal_year,total_assets,total_liabilities\nA,2020,inf,1\n", "no row can be scored"),
    ],
)
def test_score_explains_bad_files(workspace: Path, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_text(content)
    done = command(workspace, "quiebra", "score", str(path))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_score_and_publish_before_a_run_say_what_to_do(workspace: Path, tmp_path: Path) -> None:
    export(workspace, tmp_path / "mine.csv", companies=2)
    (workspace / "models/champion.json").unlink()
    (workspace / "data/scores/run.json").unlink()
    for words in (["score", str(tmp_path / "mine.csv")], ["publish"]):
        done = command(workspace, "quiebra", *words)
        assert done.returncode == 1
        assert "make run" in done.stderr
        assert "Traceback" not in done.stderr


def test_trace_follows_the_id_on_the_report(workspace: Path) -> None:
    page = (workspace / "reports/build/risk_report.html").read_text()
    run = re.search(r"run ([0-9a-f]{12})", page).group(1)
    done = command(workspace, "quiebra", "trace", run)
    assert done.returncode == 0, done.stderr
    assert '"data_sha256"' in done.stdout
    assert '"code_revision"' in done.stdout
    wrong = command(workspace, "quiebra", "trace", "zzz")
    assert wrong.returncode == 1
    assert run in wrong.stderr
