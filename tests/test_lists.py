"""What the command line lists: with headings and names, a word where there is nothing, and JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from conftest import command
from rich.cells import cell_len
from sqlalchemy import text
from typer.main import get_command

from quiebra.cli.app import app
from quiebra.cli.listing import print_list
from quiebra.store import connect

LISTS = (["alerts", "list"], ["watch", "list"], ["override", "list"], ["outbox", "list"], ["audit", "list"], ["models"])
REASON = ("--reason", "parent guarantees its debt")


def said(workspace: Path, *words: str) -> str:
    done = command(workspace, "quiebra", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_columns_are_as_wide_as_their_cells(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "A", "n": 1.0, "at": dt.datetime(2026, 1, 2, 3, 4)}, {"id": "long one", "n": None, "at": None}]
    print_list(rows, {"company": "id", "figure": "n", "when": "at"}, empty="none")
    assert capsys.readouterr().out.splitlines() == [
        "company   figure  when",
        "A         1.000   2026-01-02 03:04",
        "long one",
    ]
    print_list([{"id": "日本", "n": 1}, {"id": "e\u0301x", "n": 2}], {"company": "id", "n": "n"}, empty="none")
    assert [cell_len(line.rpartition("  ")[0]) for line in capsys.readouterr().out.splitlines()] == [7, 7, 7]
    print_list([], {"company": "id"}, empty="nothing here")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "nothing here\n")
    print_list([], {"company": "id"}, empty="nothing here", as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_proposed_grades_come_first_and_companies_have_names(workspace: Path) -> None:
    first, second = pl.read_parquet(workspace / "data/scores/scores.parquet").sort("pd_12m")["company_id"].tail(2)
    said(workspace, "override", "propose", first, "B", *REASON, "--who", "ana")
    said(workspace, "override", "approve", "1", "--who", "luis")
    said(workspace, "override", "propose", second, "B", *REASON, "--who", "ana")
    head, waiting, in_force = said(workspace, "override", "list").splitlines()
    assert head.split()[:3] == ["no.", "company", "name"]
    assert waiting.startswith("2 ") and "PROPOSED" in waiting and f"Simulated company {int(second[4:])}" in waiting
    assert in_force.startswith("1 ") and "approved by luis" in in_force
    said(workspace, "watch", "add", second, *REASON, "--who", "ana")
    listed = json.loads(said(workspace, "watch", "list", "--json"))
    assert listed[0]["name"] == f"Simulated company {int(second[4:])}" and listed[0]["company_id"] == second


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_is_json_when_asked(finished: Path, words: list[str]) -> None:
    assert isinstance(json.loads(said(finished, *words, "--json")), list)


@pytest.mark.parametrize(
    ("words", "empty"),
    [
        (["watch", "list"], "no company is on the watch list"),
        (["override", "list"], "no analyst's grade"),
        (["outbox", "list"], "no message"),
    ],
)
def test_an_empty_list_says_so(finished: Path, words: list[str], empty: str) -> None:
    done = command(finished, "quiebra", *words)
    assert done.returncode == 0 and done.stdout == "" and empty in done.stderr


def test_a_terminal_without_a_letter_shows_its_number(finished: Path) -> None:
    done = command(finished, "quiebra", "alerts", "list", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "Traceback" not in done.stderr and "\\x" in done.stdout + done.stderr


def test_no_line_of_help_is_cut() -> None:
    groups = [get_command(app)]
    for group in groups:
        groups += [inner for inner in group.commands.values() if hasattr(inner, "commands")]
        shown = group.get_help(group.make_context("quiebra", ["--help"], resilient_parsing=True))
        assert "..." not in shown.replace("[ARGS]...", "")


def test_a_wrong_path_and_a_wrong_grade_are_blamed_with_what_there_is(workspace: Path) -> None:
    (workspace / "mine.csv").write_text("company_id,fiscal_year,total_assets,total_liabilities\nSIM-00001,2022,10,5\n")
    done = command(workspace, "quiebra", "score", "mime.csv")
    assert done.stderr == "error: no file at 'mime.csv', as you typed it; there is 'mine.csv'\n"
    assert "SIM-00001,Simulated company 1," in said(workspace, "score", "mine.csv")
    done = command(workspace, "quiebra", "override", "propose", "SIM-00001", "ZZ", *REASON)
    assert done.stderr.startswith("error: 'ZZ' is not a grade: there are AAA, AA, A, ")


def test_a_failed_stage_is_one_error(workspace: Path) -> None:
    (workspace / "data/features/features.parquet").unlink()
    path = workspace / "notebooks/02_features.ipynb"
    path.write_text(path.read_text().replace("feature_table(", "feature_tabel("))
    done = command(workspace, "quiebra", "run")
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1 and "stage 'features' failed" in done.stderr
    assert done.stderr.endswith("The run stopped there. Mend it and run again: finished stages are kept.\n")
    assert "dvc push" not in done.stdout + done.stderr and "git add" not in done.stdout + done.stderr


def test_a_cycle_that_tells_nobody_says_so(workspace: Path) -> None:
    done = command(workspace, "quiebra", "schedule")
    assert "nobody is told: delivery.recipients, channels and owner are empty" in done.stderr
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["delivery"]["recipients"] = [{"address": "ana@example.com"}]
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with connect(f"sqlite:///{workspace / 'data/quiebra.db'}").begin() as connection:
        connection.execute(text("DELETE FROM bandeja_salida"))
    done = command(workspace, "quiebra", "schedule")
    assert "mails were written to data/outbox and not sent" in done.stderr
