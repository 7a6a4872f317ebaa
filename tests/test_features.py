"""Features: published formulas, missing stays missing, and nothing seen before it was published."""

import datetime as dt
import math
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_panel import frame, statement

from quiebra.feature_engineering import FEATURES, FEATURES_BY_NAME, altman_scores, altman_zone, feature_table, market_features
from quiebra.feature_engineering.altman import altman_score_used
from quiebra.feature_engineering.dictionary import data_dictionary
from quiebra.feature_engineering.labels_es import CONCEPT_LABELS, spanish_label
from quiebra.panels import Panel

FIRM = {
    "current_assets": 50.0,
    "current_liabilities": 30.0,
    "total_assets": 100.0,
    "retained_earnings": 20.0,
    "ebit": 10.0,
    "market_value": 80.0,
    "total_liabilities": 60.0,
    "revenue": 120.0,
    "net_income": 4.0,
    "inventory": 15.0,
}


def test_altman_scores_by_hand() -> None:
    scores = altman_scores(frame(statement(**FIRM)))
    x1, x2, x3, x5 = 0.2, 0.2, 0.1, 1.2
    assert scores["altman_z"].item() == pytest.approx(1.2 * x1 + 1.4 * x2 + 3.3 * x3 + 0.6 * 80 / 60 + 0.999 * x5)
    assert scores["altman_z1983"].item() == pytest.approx(0.717 * x1 + 0.847 * x2 + 3.107 * x3 + 0.42 * 40 / 60 + 0.998 * x5)
    assert scores["altman_z1995"].item() == pytest.approx(6.56 * x1 + 3.26 * x2 + 6.72 * x3 + 1.05 * 40 / 60)


@pytest.mark.parametrize(
    ("score", "value", "named"),
    [
        ("altman_z", 1.80, "distress"),
        ("altman_z", 1.81, "grey"),
        ("altman_z", 2.99, "grey"),
        ("altman_z", 3.0, "safe"),
        ("altman_z1983", 1.22, "distress"),
        ("altman_z1983", 2.91, "safe"),
        ("altman_z1995", 1.09, "distress"),
        ("altman_z1995", 2.6, "grey"),
        ("altman_z1995", 2.61, "safe"),
        ("altman_z", None, None),
    ],
)
def test_altman_zones(score: str, value: float | None, named: str | None) -> None:
    assert pl.DataFrame({score: [value]}, schema={score: pl.Float64}).select(altman_zone(score)).item() == named


def test_missing_inputs_give_missing_features() -> None:
    row = feature_table(frame(statement(total_assets=10.0, current_assets=4.0))).row(0, named=True)
    assert row["current_assets_to_assets"] == pytest.approx(0.4)
    for name in ("current_ratio", "altman_z", "altman_z1995_zone", "loss_years", "liabilities_to_assets", "log_assets_change1"):
        assert row[name] is None, name


def test_ratios_by_hand() -> None:
    row = feature_table(frame(statement(**FIRM))).row(0, named=True)
    assert row["quick_ratio"] == pytest.approx(35 / 30)
    assert row["market_leverage"] == pytest.approx(60 / 140)
    assert row["market_to_book"] == pytest.approx(2.0)
    assert row["loss_years"] == 0


def test_changes_need_the_very_year_before() -> None:
    rows = frame(*(statement("A", y, **{**FIRM, "total_liabilities": t}) for y, t in ((2018, 40.0), (2019, 50.0), (2021, 70.0))))
    table = feature_table(rows)
    assert table["liabilities_to_assets_change1"].to_list() == [None, pytest.approx(0.1), None]
    assert table["liabilities_to_assets_change2"].to_list() == [None, None, pytest.approx(0.2)]


def test_a_restatement_is_seen_only_once_it_is_out() -> None:
    first = statement("A", 2018, lag=90, **{**FIRM, "total_liabilities": 40.0})
    restated = statement("A", 2018, lag=600, **{**FIRM, "total_liabilities": 45.0})
    following = statement("A", 2019, lag=90, **{**FIRM, "total_liabilities": 50.0})
    later = statement("A", 2019, lag=500, **{**FIRM, "total_liabilities": 50.0})
    table = feature_table(frame(first, restated, following, later)).filter(pl.col("fiscal_year") == 2019)
    assert table["liabilities_to_assets_change1"].to_list() == [pytest.approx(0.10), pytest.approx(0.05)]


def test_a_late_filing_is_not_seen_before_it_is_out() -> None:
    late, following = statement("A", 2018, lag=700, **FIRM), statement("A", 2019, lag=90, **FIRM)
    table = feature_table(frame(late, following)).filter(pl.col("fiscal_year") == 2019)
    assert table["liabilities_to_assets_change1"].item() is None


def test_one_year_of_one_company_is_enough() -> None:
    assert feature_table(frame(statement(**FIRM))).height == 1


@settings(deadline=None, max_examples=30)
@given(cut=st.dates(dt.date(2013, 1, 1), dt.date(2024, 1, 1)), factor=st.floats(0.1, 10))
def test_no_feature_depends_on_what_was_published_later(small_panel: Panel, cut: dt.date, factor: float) -> None:
    some = small_panel.statements.filter(pl.col("company_id") < "SIM-00040")
    later = pl.col("available_at") > cut
    changed = some.with_columns(pl.when(later).then(pl.col(n) * factor).otherwise(n).alias(n) for n in ("total_assets", "ebit"))
    was, now = (feature_table(t).filter(~later) for t in (some, changed))
    assert was.equals(now)


def test_the_order_of_rows_does_not_matter(small_panel: Panel) -> None:
    assert feature_table(small_panel.statements).equals(
        feature_table(small_panel.statements.sample(fraction=1, shuffle=True, seed=1))
    )


def test_every_feature_and_concept_has_words_in_spanish() -> None:
    words = [spanish_label(name) for name in (*FEATURES_BY_NAME, "altman_z", "altman_z1983", "altman_z1995")]
    assert len(set(words)) == len(words)
    assert {feature.concept for feature in FEATURES} | {"altman"} == set(CONCEPT_LABELS)
    assert spanish_label("liabilities_to_assets_change2") == "Pasivo / activo, variación en dos años"


def test_names_are_unique_and_documented() -> None:
    assert len(FEATURES_BY_NAME) == len(FEATURES)
    assert all(f.label and f.formula and f.source and f.unit for f in FEATURES)
    assert len({f.label for f in FEATURES}) == len(FEATURES)


def test_the_dictionary_in_docs_is_the_codes() -> None:
    assert Path(ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()


def test_older_distress_scores_by_hand() -> None:
    row = feature_table(frame(statement(**FIRM))).row(0, named=True)
    f = FIRM
    losses, debt = f["net_income"] / f["total_assets"], f["total_liabilities"] / f["total_assets"]
    zmijewski = -4.336 - 4.513 * losses + 5.679 * debt + 0.004 * f["current_assets"] / f["current_liabilities"]
    assert row["zmijewski"] == pytest.approx(zmijewski)
    assert row["ohlson_o"] is None or math.isfinite(row["ohlson_o"])


def test_distance_to_default_by_hand() -> None:
    """Market value 100 → 50 → 100: volatility ln 2, E/V = 0.5 at the end, liabilities 100."""
    rows = [statement("A", y, market_value=v, total_liabilities=100.0) for y, v in ((2018, 100.0), (2019, 50.0), (2020, 100.0))]
    row = feature_table(frame(*rows)).sort("fiscal_year").row(-1, named=True)
    equity = math.log(2)
    sigma = 0.5 * equity + 0.5 * (0.05 + 0.25 * equity)
    assert row["market_value_volatility"] == pytest.approx(equity)
    assert row["distance_to_default"] == pytest.approx((math.log(2) + math.log(2) - sigma**2 / 2) / sigma)
    assert row["market_value_off_peak"] == 0


def test_ranks_are_among_those_published_in_the_year_up_to_the_statement() -> None:
    early = [statement(f"e{k}", 2018, total_assets=float(k + 1)) for k in range(40)]
    late = [statement(f"l{k}", 2019, total_assets=1000.0 + k) for k in range(40)]
    before, both = (feature_table(frame(*rows)) for rows in (early, [*early, *late]))
    first = both.filter(pl.col("fiscal_year") == 2018)
    assert first["rank_log_assets"].to_list() == before["rank_log_assets"].to_list()
    ranks = both.filter(pl.col("fiscal_year") == 2019).sort("company_id")["rank_log_assets"]
    assert ranks.min() == pytest.approx(0.5 / 40) and ranks.max() == pytest.approx(39.5 / 40)
    few = feature_table(frame(*early[:10]))
    assert few["rank_log_assets"].null_count() == 10


def test_a_stranger_is_ranked_among_the_panels_companies() -> None:
    panel = feature_table(frame(*(statement(f"e{k}", total_assets=float(k + 1)) for k in range(40))))
    stranger = feature_table(frame(statement("me", 2030, total_assets=20.5)), None, panel)
    assert stranger["rank_log_assets"].item() == pytest.approx(20 / 40)


def test_sectors_are_ranked_apart() -> None:
    rows = [statement(f"c{k:02}", total_assets=float(k + 1)) for k in range(60)]
    companies = pl.DataFrame({"company_id": [f"c{k:02}" for k in range(60)], "sector": ["C"] * 30 + ["G"] * 30})
    table = feature_table(frame(*rows), companies).sort("company_id")
    assert table["sector_rank_log_assets"][29] == pytest.approx(29.5 / 30)
    assert table["sector_rank_log_assets"][30] == pytest.approx(0.5 / 30)


@pytest.mark.parametrize(
    ("sector", "listed", "score"),
    [
        ("C Manufacturing", True, "altman_z"),
        ("3571", True, "altman_z"),
        ("C", False, "altman_z1983"),
        ("G Trade", True, "altman_z1995"),
        ("Commerce", False, "altman_z1995"),
        (None, True, "altman_z"),
        (None, False, "altman_z1995"),
    ],
)
def test_the_altman_score_fits_the_companys_type(sector: str | None, listed: bool, score: str) -> None:
    row = pl.DataFrame(
        {"sector": [sector], "altman_z": [1.0 if listed else None], "altman_z1983": [1.0], "altman_z1995": [1.0]},
        schema_overrides={"sector": pl.String, "altman_z": pl.Float64},
    )
    assert row.select(altman_score_used(market=True)).item() == score


def test_features_without_market_value_are_known_by_their_formulas() -> None:
    needs = market_features()
    assert {"distance_to_default", "rank_log_market_value", "market_leverage_change2", "log_market_value_change1"} <= needs
    assert not {"rank_log_assets", "ohlson_o", "equity_raised", "loss_years", "sector_rank_log_assets"} & needs
    row = statement(**{**FIRM, "market_value": None})
    table = feature_table(frame(row))
    assert all(table[name].null_count() == 1 for name in needs)
