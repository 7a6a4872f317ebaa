"""The contract: nothing lost, broken rows named, labels on the right row and as known on a date."""

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiebra.canonical import EVENT_SCHEMA, STATEMENT_SCHEMA, conform_to_schema
from quiebra.errors import PanelError
from quiebra.items import ITEM_NAMES
from quiebra.panels import Panel, build_panel, label_outcomes, validate_panel
from quiebra.sources.demo import Simulation


def statement(company: str | None = "A", year: int = 2020, lag: int = 100, **items: float | None) -> dict:
    end = dt.date(min(max(year, 1), 9000), 12, 31)
    return {
        "company_id": company,
        "fiscal_year": year,
        "period_end": end,
        "available_at": end + dt.timedelta(days=lag),
        "currency": "EUR",
        "source": "test",
        "total_assets": 10.0,
        **items,
    }


def frame(*rows: dict) -> pl.DataFrame:
    return conform_to_schema(pl.DataFrame(list(rows), infer_schema_length=None), STATEMENT_SCHEMA)


def events(**dates: dt.date) -> pl.DataFrame:
    rows = [{"company_id": who, "event_date": when} for who, when in dates.items()]
    return conform_to_schema(pl.DataFrame(rows, schema={"company_id": pl.String, "event_date": pl.Date}), EVENT_SCHEMA)


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("no_company", statement(company=None)),
        ("bad_year", statement(year=120)),
        ("available_early", statement(lag=-5)),
        ("infinite", statement(ebit=float("inf"))),
        ("absurd", statement(revenue=1e12)),
        ("no_assets", statement(total_assets=None)),
        ("no_assets", statement(total_assets=-4.0)),
        ("no_assets", statement(total_assets=0.0)),
    ],
)
def test_broken_rows_are_quarantined_by_rule(simulation: Simulation, rule: str, row: dict) -> None:
    panel = build_panel(replace(simulation.source, statements=frame(statement("Z"), row), events=events()))
    assert panel.quarantined["rule"].to_list() == [rule]
    assert panel.quality["quarantined_by_rule"] == {rule: 1}
    assert panel.statements["company_id"].to_list() == ["Z"]


def test_duplicate_firm_years_are_counted_and_restatements_kept(simulation: Simulation) -> None:
    rows = frame(statement(), statement(total_assets=11.0), statement(lag=300, total_assets=12.0))
    panel = build_panel(replace(simulation.source, statements=rows, events=events()))
    assert panel.quality["duplicates"] == 1
    assert panel.quality["restatements"] == 1
    assert panel.statements["total_assets"].to_list() == [10.0, 12.0]


def test_statement_published_after_the_failure_is_set_aside(simulation: Simulation) -> None:
    failed = events(A=dt.date(2021, 2, 1))
    panel = build_panel(replace(simulation.source, statements=frame(statement(year=2019), statement(year=2020)), events=failed))
    assert panel.quarantined.select("rule", "fiscal_year").rows() == [("after_event", 2020)]


def test_impossible_negatives_become_missing_and_are_counted(simulation: Simulation) -> None:
    rows = frame(statement(cash=-1.0, net_income=-3.0))
    panel = build_panel(replace(simulation.source, statements=rows, events=events()))
    assert panel.statements.select("cash", "net_income").row(0) == (None, -3.0)
    assert panel.quality["negatives_set_missing"] == {"cash": 1}


def test_broken_identities_are_counted(simulation: Simulation) -> None:
    rows = frame(statement(ebitda=5.0, ebit=1.0, depreciation_amortization=1.0, current_assets=20.0))
    broken = build_panel(replace(simulation.source, statements=rows, events=events())).quality["identities_broken"]
    assert broken["ebitda = ebit + depreciation_amortization"] == 1
    assert broken["current_assets <= total_assets"] == 1
    assert sum(broken.values()) == 2
    assert build_panel(replace(simulation.source, statements=rows, events=events())).quality["statements_broken"] == 1


def test_nothing_left_says_why(simulation: Simulation) -> None:
    with pytest.raises(PanelError, match="1 rows: total_assets is missing, negative or less than one unit of currency"):
        build_panel(replace(simulation.source, statements=frame(statement(total_assets=0.0)), events=events()))
    with pytest.raises(PanelError, match="the table was empty"):
        build_panel(replace(simulation.source, statements=frame(statement()).clear(), events=events()))


def test_no_row_of_the_demo_is_lost(simulation: Simulation, panel: Panel) -> None:
    quality = panel.quality
    assert quality["rows_in"] == simulation.source.statements.height == panel.statements.height + panel.quarantined.height
    assert set(quality["quarantined_by_rule"]) >= {
        "no_company",
        "bad_year",
        "available_early",
        "infinite",
        "no_assets",
        "duplicate",
    }
    assert sum(quality["rows_by_year"].values()) == panel.statements.height
    assert set(quality["missing_by_item"]) == set(ITEM_NAMES)


def test_the_schema_names_column_and_example(panel: Panel) -> None:
    bad = panel.statements.with_columns(total_assets=pl.lit(-1.0))
    with pytest.raises(PanelError, match=r"total_assets.*-1"):
        validate_panel("statements", bad)
    with pytest.raises(PanelError, match="ebit"):
        validate_panel("statements", panel.statements.drop("ebit"))


def test_only_the_last_statement_before_failure_is_an_event() -> None:
    rows = frame(*(statement("F", y) for y in (2018, 2019, 2020)), *(statement("S", y) for y in (2018, 2019)))
    labels = label_outcomes(rows, events(F=dt.date(2021, 9, 1)))
    assert labels.select("company_id", "fiscal_year", "failed", "outcome").rows() == [
        ("F", 2018, 0, "survived"),
        ("F", 2019, 0, "survived"),
        ("F", 2020, 1, "failed"),
        ("S", 2018, 0, "survived"),
        ("S", 2019, 0, "exited"),
    ]


def test_an_event_long_after_the_last_statement_is_not_its() -> None:
    labels = label_outcomes(frame(statement("F", 2015)), events(F=dt.date(2021, 9, 1)), window_months=24)
    assert labels["failed"].to_list() == [0]
    assert labels["outcome"].to_list() == ["exited"]


def test_restated_years_count_once_as_first_published() -> None:
    labels = label_outcomes(frame(statement(lag=300), statement(lag=90)), events())
    assert labels.height == 1
    assert labels["available_at"].item() == dt.date(2021, 3, 31)


def test_labels_as_known_on_a_date_ignore_what_came_later() -> None:
    rows = frame(*(statement("F", y) for y in (2018, 2019, 2020)))
    known = label_outcomes(rows, events(F=dt.date(2021, 9, 1)), known_at=dt.date(2020, 12, 31))
    assert known.select("fiscal_year", "outcome").rows() == [(2018, "survived"), (2019, "open")]
    later = label_outcomes(rows.filter(pl.col("fiscal_year") < 2020), events(), known_at=dt.date(2021, 12, 31))
    assert later["outcome"].to_list() == ["survived", "exited"]


@given(
    years=st.lists(st.integers(2000, 2010), min_size=1, max_size=8, unique=True),
    event=st.one_of(st.none(), st.dates(dt.date(2000, 1, 1), dt.date(2014, 1, 1))),
    cut=st.dates(dt.date(2001, 1, 1), dt.date(2013, 1, 1)),
)
def test_labels_known_on_a_date_never_depend_on_later_rows(years: list[int], event: dt.date | None, cut: dt.date) -> None:
    rows = frame(*(statement("A", y) for y in years))
    happened = events(A=event) if event else events()
    whole = label_outcomes(rows, happened, known_at=cut)
    past_events = happened.filter(pl.col("event_date") <= cut)
    past = label_outcomes(rows.filter(pl.col("available_at") <= cut), past_events, known_at=cut)
    assert whole.equals(past)
    assert label_outcomes(rows, happened)["failed"].sum() <= 1
