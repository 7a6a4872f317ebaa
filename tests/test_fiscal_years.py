"""One period a fiscal year: comparatives, short periods, 52/53-week years, restatements, and where the failure is told."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT, default_params

from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.params import validate_params
from quiebra.services import portfolio
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.scoring import score_file
from quiebra.sources import table

CASES = ROOT.parent / "shared" / "cases"
HEAD = "company_id,fiscal_year,total_assets,total_liabilities,period_end"
Row = tuple[int, str]


def options(**changes: object):
    return validate_params(default_params(ingest={"table": changes})).ingest.table


def read(path: Path, text: str, **changes: object) -> Panel:
    path.write_text(text)
    return build_panel(table.load(path, options(**changes)))


def years(panel: Panel) -> list[Row]:
    return panel.statements.select("fiscal_year", pl.col("period_end").cast(pl.String)).rows()


def aside(panel: Panel) -> list[tuple[str, int, str]]:
    rows = panel.quarantined.select("rule", "fiscal_year", pl.col("period_end").cast(pl.String))
    return sorted(rows.rows())


KINDS: dict[str, tuple[list[Row], list[tuple[str, int, str]]]] = {
    "the year before beside its own": (
        [(2022, "2022-09-24"), (2023, "2022-09-24"), (2023, "2023-09-30")],
        [("other_period", 2023, "2022-09-24")],
    ),
    "each report with its comparative": (
        [
            (2021, "2020-09-26"),
            (2021, "2021-09-25"),
            (2022, "2021-09-25"),
            (2022, "2022-09-24"),
            (2023, "2022-09-24"),
            (2023, "2023-09-30"),
        ],
        [("other_period", 2021, "2020-09-26"), ("other_period", 2022, "2021-09-25"), ("other_period", 2023, "2022-09-24")],
    ),
    "one report alone": ([(2023, "2022-12-31"), (2023, "2023-12-31")], [("other_period", 2023, "2022-12-31")]),
    "years named after their beginning": (
        [(2022, "2023-03-31"), (2023, "2023-03-31"), (2023, "2024-03-31")],
        [("other_period", 2023, "2023-03-31")],
    ),
    "half a year after a changed year end": (
        [(2021, "2021-06-30"), (2022, "2022-06-30"), (2022, "2022-12-31"), (2023, "2023-12-31")],
        [("other_period", 2022, "2022-12-31")],
    ),
    "three months after a changed year end": (
        [(2021, "2021-12-31"), (2022, "2022-12-31"), (2023, "2023-03-31"), (2024, "2024-03-31")],
        [],
    ),
    "the next year's accounts under this year": (
        [(2022, "2022-09-24"), (2023, "2023-09-30"), (2023, "2024-09-28"), (2024, "2024-09-28")],
        [("other_period", 2023, "2024-09-28")],
    ),
    "quarters": (
        [(y, f"{y}-{day}") for y in (2022, 2023) for day in ("03-31", "06-30", "09-30", "12-31")],
        [("other_period", y, f"{y}-{day}") for y in (2022, 2023) for day in ("03-31", "06-30", "09-30")],
    ),
    "ends in early January": ([(2021, "2022-01-01"), (2022, "2022-12-31"), (2023, "2024-01-02"), (2024, "2024-12-31")], []),
    "52 and 53 weeks": ([(2021, "2021-09-25"), (2022, "2022-09-24"), (2023, "2023-09-30"), (2024, "2024-09-28")], []),
    "two weeks' years under one calendar year": (
        [(2022, "2022-01-02"), (2023, "2023-01-01"), (2023, "2023-12-31"), (2024, "2024-12-29")],
        [("other_period", 2023, "2023-01-01")],
    ),
    "a comparative alone under the next year": (
        [(2021, "2021-09-25"), (2022, "2022-09-24"), (2023, "2022-09-24")],
        [("other_year", 2023, "2022-09-24")],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_period_a_fiscal_year_whatever_the_order_of_rows(tmp_path: Path, kind: str) -> None:
    rows, wanted = KINDS[kind]
    gone = {(year, end) for _, year, end in wanted}
    for order in (rows, rows[::-1]):
        lines = [f"A,{year},{100 + place},50,{end}" for place, (year, end) in enumerate(order)]
        panel = read(tmp_path / "t.csv", "\n".join([HEAD, *lines]))
        assert years(panel) == sorted(row for row in rows if row not in gone)
        assert aside(panel) == sorted(wanted)
        assert panel.quality["restatements"] == 0
        assert panel.quality["rows_in"] == len(rows) == panel.quality["rows_kept"] + panel.quality["rows_quarantined"]


def test_a_later_version_of_the_same_period_stays_a_restatement(tmp_path: Path) -> None:
    rows = [
        "A,2022,100,50,2022-09-24,2022-11-01",
        "A,2023,90,50,2023-09-30,2023-11-01",
        "A,2022,99,51,2022-09-24,2023-11-01",
        "A,2023,88,50,2023-10-01,2024-11-01",
        "A,2023,1,1,2022-09-24,2023-11-01",
    ]
    for order in (rows, rows[::-1], rows[2:] + rows[:2]):
        panel = read(tmp_path / "t.csv", "\n".join([f"{HEAD},available_at", *order]))
        assert panel.statements["total_assets"].to_list() == [100, 99, 90, 88]
        assert panel.quality["restatements"] == 2
        assert aside(panel) == [("other_period", 2023, "2022-09-24")]


def test_the_failure_is_told_by_the_right_row(tmp_path: Path) -> None:
    text = f"{HEAD},available_at,event_date\n" + "\n".join(
        [
            "A,2022,100,50,2022-09-24,2022-11-01,2024-03-01",
            "A,2023,100,50,2022-09-24,2023-11-01,2024-03-01",
            "A,2023,60,90,2023-09-30,2023-11-01,2024-03-01",
            "B,2022,1,1,2022-06-30,2022-09-01,2023-09-01",
            "B,2022,1,1,2022-12-31,2023-03-01,2023-09-01",
            "B,2021,1,1,2021-06-30,2021-09-01,2023-09-01",
        ]
    )
    panel = read(tmp_path / "t.csv", text)
    labels = label_outcomes(panel.statements, panel.events)
    shown = labels.select("company_id", "fiscal_year", "period_end", "failed").rows()
    assert shown == [
        ("A", 2022, dt.date(2022, 9, 24), 0),
        ("A", 2023, dt.date(2023, 9, 30), 1),
        ("B", 2021, dt.date(2021, 6, 30), 0),
        ("B", 2022, dt.date(2022, 6, 30), 1),
    ]


def test_scores_and_uploads_use_the_fiscal_year_that_ends_last(base: FinishedRunView, tmp_path: Path) -> None:
    path = tmp_path / "comparatives.csv"
    path.write_text(f"{HEAD}\nA,2022,352,302,2022-09-24\nA,2023,352,302,2022-09-24\nA,2023,200,290,2023-09-30\n")
    alone = tmp_path / "alone.csv"
    alone.write_text(f"{HEAD}\nA,2022,352,302,2022-09-24\nA,2023,200,290,2023-09-30\n")
    scored, same = score_file(base.workspace, path), score_file(base.workspace, alone)
    assert [str(said) for said in scored.left_out] == [
        "1 row left out: a second period end under one fiscal year of the company (a comparative, or a short period)"
    ]
    assert scored.table.equals(same.table)
    held = portfolio.uploaded_portfolio(base, path.name, path.read_bytes())
    assert held.table["pd_12m"].to_list() == same.table["pd_12m"].to_list()
    assert held.faults["row"].to_list() == [3]


@pytest.mark.skipif(not CASES.exists(), reason="the cases are not on this machine")
def test_comparatives_of_a_real_file() -> None:
    panel = build_panel(table.load(CASES / "07_comparatives_same_year.csv", options()))
    assert years(panel) == [(2022, "2022-09-24"), (2023, "2023-09-30")]
    assert aside(panel) == [("other_period", 2023, "2022-09-24")]
