"""Stress: shocked statements still add up, shocks move PDs the way they must, scenarios move every horizon."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from test_panel import frame, statement

from quiebra.errors import TrainingError
from quiebra.feature_engineering import FEATURES, feature_table
from quiebra.models import ModelChain
from quiebra.models.term import PD_COLUMNS
from quiebra.panels import Panel
from quiebra.params import validate_params
from quiebra.risk import current_statements
from quiebra.risk.macro import Satellite, fit_satellite, macro_state, shift_pds
from quiebra.risk.shocks import Shock, ShockEngine, apply_shock, lever_tornado, reverse_stress, smallest_changes

SCORE = validate_params(default_params(**SMALL)).score
FIRM = {
    "current_assets": 60.0,
    "cash": 10.0,
    "receivables": 30.0,
    "inventory": 20.0,
    "total_assets": 100.0,
    "current_liabilities": 30.0,
    "long_term_debt": 25.0,
    "total_liabilities": 60.0,
    "retained_earnings": 20.0,
    "revenue": 120.0,
    "cost_of_goods_sold": 80.0,
    "gross_profit": 40.0,
    "operating_expenses": 105.0,
    "depreciation_amortization": 5.0,
    "ebitda": 15.0,
    "ebit": 10.0,
    "interest_expense": 2.0,
    "net_income": 6.0,
    "operating_cash_flow": 11.0,
    "market_value": 50.0,
}
sizes = st.floats(-0.5, 0.5)


@pytest.fixture(scope="module")
def engine(small_chain: ModelChain, small_panel: Panel) -> ShockEngine:
    peers = feature_table(small_panel.statements, small_panel.companies)
    current = current_statements(peers, small_panel.events, small_panel.info.as_of, 24)
    return ShockEngine(small_chain.model, small_panel.statements, small_panel.companies, peers, current, SCORE)


@given(sizes, st.floats(0, 0.1), st.floats(-0.2, 0.2), st.floats(-0.1, 0.3))
def test_shocked_statements_add_up(revenue: float, rates: float, margin: float, leverage: float) -> None:
    row = apply_shock(frame(statement(**FIRM)), Shock(revenue, rates, margin, leverage)).row(0, named=True)
    assert row["gross_profit"] == pytest.approx(row["revenue"] - row["cost_of_goods_sold"])
    assert row["ebitda"] == pytest.approx(row["revenue"] - row["operating_expenses"])
    assert row["ebit"] == pytest.approx(row["ebitda"] - row["depreciation_amortization"])
    assert row["current_assets"] == pytest.approx(row["cash"] + row["receivables"] + row["inventory"])
    assert row["cash"] >= -1e-9
    if row["total_assets"] > 1.01:
        paid_out = row["long_term_debt"] - FIRM["long_term_debt"]
        earned = row["net_income"] - FIRM["net_income"]
        assert row["total_assets"] - row["total_liabilities"] == pytest.approx(40 + earned - paid_out)


def test_a_fifth_less_revenue_by_hand() -> None:
    row = apply_shock(frame(statement(**FIRM)), Shock(revenue=-0.2)).row(0, named=True)
    assert (row["revenue"], row["cost_of_goods_sold"], row["ebitda"]) == (96, 64, 7)
    assert row["net_income"] == pytest.approx(6 - 8 * 0.75)
    assert row["cash"] == pytest.approx(10 - 6 + 10), "the loss comes out of cash, working capital of 10 goes into it"


def test_two_hundred_basis_points_by_hand() -> None:
    row = apply_shock(frame(statement(**FIRM)), Shock(rates=0.02)).row(0, named=True)
    assert row["interest_expense"] == pytest.approx(2.5)
    assert row["net_income"] == pytest.approx(6 - 0.5 * 0.75)


def test_missing_items_stay_missing_and_no_shock_changes_nothing() -> None:
    rows = frame(statement(**{**FIRM, "interest_expense": None, "cost_of_goods_sold": None}), statement("B"))
    after = apply_shock(rows, Shock(revenue=-0.1, rates=0.02, margin=-0.02, leverage=0.1, market_value=-0.4))
    assert [after[c].null_count() for c in rows.columns] == [rows[c].null_count() for c in rows.columns]
    assert apply_shock(rows, Shock()).equals(rows)


def test_no_shock_gives_the_scores_as_they_are(engine: ShockEngine) -> None:
    table = engine.shocked_scores({"none": Shock()})
    plain = pl.concat([engine.current.select("company_id"), engine.model.predict(engine.current)], how="horizontal")
    both = table.join(plain, on="company_id", suffix="_plain")
    assert both.height == engine.current.height
    for name in PD_COLUMNS:
        assert both[name].to_list() == pytest.approx(both[f"{name}_plain"].to_list())


def test_bad_years_raise_the_portfolios_risk(engine: ShockEngine) -> None:
    shocks = {
        "none": Shock(),
        "revenue": Shock(revenue=-0.2),
        "margin": Shock(margin=-0.05),
        "all": Shock(-0.2, 0.02, -0.05, 0.1, -0.4),
    }
    table = engine.shocked_scores(shocks)
    mean = dict(table.group_by("shock").agg(pl.col("pd_12m").mean()).iter_rows())
    assert mean["none"] < mean["revenue"] < mean["all"]
    assert mean["none"] < mean["margin"] < mean["all"]
    assert (table["pd_12m"] <= table["pd_60m"]).all()


def test_one_company_many_shocks_as_in_the_portfolio(engine: ShockEngine) -> None:
    who, shocks = engine.current["company_id"][5], {"now": Shock(), "worse": Shock(revenue=-0.3)}
    alone = engine.company_scores(who, shocks)
    whole = engine.shocked_scores(shocks).filter(pl.col("company_id") == who)
    assert alone["shock"].to_list() == ["now", "worse"]
    assert alone["pd_12m"].to_list() == pytest.approx(whole["pd_12m"].to_list())


def test_tornado_is_widest_first_and_moves_one_lever(engine: ShockEngine) -> None:
    who = engine.current["company_id"][5]
    table = lever_tornado(engine, who, {"revenue": 0.2, "margin": 0.03, "leverage": 0.1})
    assert table["swing"].is_sorted(descending=True)
    assert table["pd_now"].n_unique() == 1
    assert table["pd_now"][0] == pytest.approx(
        engine.model.predict(engine.current.filter(pl.col("company_id") == who))["pd_12m"].item()
    )


def test_shocks_in_one_pass_are_as_each_alone(engine: ShockEngine) -> None:
    who = engine.current["company_id"][3]
    shocks = {
        "fall": Shock(revenue=-0.3),
        "none": Shock(),
        "debt": Shock(leverage=0.2, rates=0.03),
        "market": Shock(market_value=-0.5, margin=0.02),
    }
    together = engine.company_scores(who, shocks)
    alone = pl.concat([engine.company_scores(who, {name: shock}) for name, shock in shocks.items()])
    assert_frame_equal(together, alone, rel_tol=1e-12)
    features = [feature.name for feature in FEATURES]
    assert_frame_equal(together.select(features), alone.select(features), check_exact=True)


def test_reverse_stress_finds_the_least_that_is_enough(engine: ShockEngine) -> None:
    rated = engine.company_scores(engine.current["company_id"][5], {"now": Shock()})["rating"].item()
    who = engine.current["company_id"][5]
    names = list(SCORE.grades)
    assert reverse_stress(engine, who, {"margin": -0.5, "revenue": -0.5}, rated) == {"margin": 0, "revenue": 0}
    size = reverse_stress(engine, who, {"revenue": -0.9, "margin": -0.5}, names[names.index(rated) + 1])["margin"]
    if size is not None:
        found = engine.company_scores(who, {"before": Shock(margin=size + 0.5 / 40), "at": Shock(margin=size)})[
            "rating"
        ].to_list()
        assert names.index(found[0]) <= names.index(rated) < names.index(found[1])
    assert reverse_stress(engine, who, {"margin": -1e-9}, "C")["margin"] is None or rated == "C"


def test_hints_halve_the_pd(engine: ShockEngine) -> None:
    risky = pl.concat([engine.current.select("company_id"), engine.model.predict(engine.current)], how="horizontal").sort(
        "pd_12m", descending=True
    )
    found = [smallest_changes(engine, who) for who in risky["company_id"].head(8)]
    assert sum(table.height for table in found) >= 3
    for who, table in zip(risky["company_id"], found, strict=False):
        now = risky.filter(pl.col("company_id") == who)["pd_12m"].item()
        assert (table["pd_12m"] <= now / 2).all()
        assert (table.filter(pl.col("lever") == "leverage").select(pl.col("then") < pl.col("now")).to_series()).all()


def test_macro_series_are_taken_as_they_were_known() -> None:
    macro = pl.DataFrame(
        {
            "series": ["gdp"] * 3,
            "date": [dt.date(2020, 3, 31), dt.date(2020, 3, 31), dt.date(2020, 6, 30)],
            "value": [1.0, 2.0, 3.0],
            "available_at": [dt.date(2020, 5, 1), dt.date(2020, 8, 1), dt.date(2020, 7, 30)],
        }
    )
    state = macro_state(macro, [dt.date(2020, 4, 1), dt.date(2020, 6, 1), dt.date(2020, 9, 1)])
    assert state["gdp"].to_list() == [None, 1.0, 3.0]


def test_the_satellite_finds_a_relation_and_knows_its_error() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        gdp = rng.normal(2, 1.5, 14)
        expected = rng.uniform(15, 40, 14)
        observed = rng.poisson(expected * np.exp(-0.4 * (gdp - gdp.mean()) / gdp.std() + rng.normal(0, 0.15, 14)))
        model = fit_satellite(pl.DataFrame({"observed": observed, "expected": expected, "gdp": gdp}), ("gdp",))
        shift, error = model.shift({"gdp": float(gdp.mean() - 2 * gdp.std())})
        hits += abs(shift - 0.8) <= 1.645 * error
    assert hits / 200 == pytest.approx(0.9, abs=0.09)
    assert model.shift({"gdp": float(gdp.mean())})[0] == pytest.approx(0)


def test_a_satellite_needs_years() -> None:
    with pytest.raises(TrainingError, match="a relation needs 5"):
        fit_satellite(pl.DataFrame({"observed": [1, 2], "expected": [1.0, 2.0], "gdp": [0.0, 1.0]}), ("gdp",))


def test_a_scenario_moves_every_horizon(small_chain: ModelChain) -> None:
    scores = small_chain.history.head(50)
    same, worse = shift_pds(scores, [0.0] * 5), shift_pds(scores, [0.8, 0.4, 0.0, 0.0, 0.0])
    for name in PD_COLUMNS:
        assert same[name].to_list() == pytest.approx(scores[name].to_list())
        assert (worse[name] > scores[name]).all()
    odds = lambda pd: pd / (1 - pd)  # noqa: E731
    assert (odds(worse["pd_12m"]) / odds(scores["pd_12m"])).to_list() == pytest.approx([np.exp(0.8)] * 50)
    assert Satellite(("a",), np.zeros(1), np.ones(1), np.array([0.0, 1.0]), np.eye(2)).shift({"a": 2.0}) == (2.0, 2.0)
