"""Grades, migration and today's companies."""

import datetime as dt

import polars as pl
import pytest
from conftest import default_params
from hypothesis import given
from hypothesis import strategies as st

from quiebra import risk
from quiebra.feature_engineering import feature_table
from quiebra.models import ModelChain
from quiebra.panels import Panel, label_outcomes
from quiebra.params import validate_params

SCORE = validate_params(default_params()).score


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_grades_worsen_with_pd_and_cover_all(pds: list[float]) -> None:
    rated = pl.DataFrame({"pd": sorted(pds)}).with_columns(rating=risk.grade_of_pd(pl.col("pd"), SCORE.grades))
    places = [list(SCORE.grades).index(grade) for grade in rated["rating"]]
    assert places == sorted(places)


def test_watch_list_starts_at_its_grade() -> None:
    table = pl.DataFrame({"rating": list(SCORE.grades)}).with_columns(w=risk.is_on_watch(pl.col("rating"), SCORE.grades, "CCC"))
    assert table.filter("w")["rating"].to_list() == ["CCC", "CC", "C"]


def test_migration_counts_each_company_once() -> None:
    before = pl.DataFrame({"company_id": ["a", "b", "c"], "rating": ["A", "A", "B"]})
    after = pl.DataFrame({"company_id": ["a", "b", "d"], "rating": ["A", "B", "B"]})
    moves = risk.migration(before, after, {"A": 0.1, "B": 1.0})
    assert moves.rows() == [("A", 1, 1, 0), ("B", 0, 0, 1)]


def test_today_leaves_out_failed_stale_and_unpublished(small_panel: Panel) -> None:
    as_of = dt.date(2019, 6, 30)
    table = feature_table(small_panel.statements)
    today = risk.current_statements(table, small_panel.events, as_of, 24)
    assert today["company_id"].is_unique().all()
    assert today["available_at"].max() <= as_of
    assert today["period_end"].min() >= dt.date(2017, 6, 30)
    failed = small_panel.events.filter(pl.col("event_date") <= as_of)["company_id"]
    assert len(failed) > 5
    assert not today["company_id"].is_in(failed.implode()).any()


def test_portfolio_by_year_shows_observed_only_where_known(small_panel: Panel, small_chain: ModelChain) -> None:
    table = feature_table(small_panel.statements)
    today = risk.current_statements(table, small_panel.events, small_panel.info.as_of, 24)
    scores = risk.score_statements(small_chain.model, today, SCORE)
    history = risk.add_grades(small_chain.history, SCORE)
    labels = label_outcomes(small_panel.statements, small_panel.events)
    years = risk.pds_by_year(history, scores, labels, outcomes_through=2020)
    assert years.filter(pl.col("fiscal_year") > 2020)["observed"].null_count() == 1
    assert years.filter(pl.col("fiscal_year") <= 2020)["observed"].null_count() == 0
    assert years["fiscal_year"].to_list() == sorted(years["fiscal_year"].to_list())
    top = risk.top_movers(history, scores, 5)
    assert top["change"].is_sorted(descending=True)
    assert (top["pd_12m"] > top["pd_before"]).all()
    groups = risk.pds_by_group(scores, small_panel.companies, "sector")
    assert groups["companies"].sum() == scores.height
    assert risk.watch_list(scores, 1000)["pd_12m"].min() > SCORE.grades["B"]


def test_scores_of_one_company_with_one_year(small_panel: Panel, small_chain: ModelChain) -> None:
    one = feature_table(small_panel.statements.head(1))
    scores = risk.score_statements(small_chain.model, one, SCORE)
    assert 0 < scores["pd_12m"].item() < 1
    assert scores["rating"].item() in SCORE.grades
    assert scores["pd_12m"].item() == pytest.approx(1 / (1 + 2.718281828459045 ** -scores["log_odds"].item()))
