"""Features: published formulas, missing stays missing, and nothing seen before it was published."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from test_panel import frame, statement

from quiebra.features import FEATURES, FEATURES_BY_NAME, altman_scores, feature_table, zone
from quiebra.features.dictionary import dictionary
from quiebra.panel import Panel

FIRM = {"current_assets": 50.0, "current_liabilities": 30.0, "total_assets": 100.0, "retained_earnings": 20.0, "ebit": 10.0,
        "market_value": 80.0, "total_liabilities": 60.0, "revenue": 120.0, "net_income": 4.0, "inventory": 15.0}  # fmt: skip


def test_altman_scores_by_hand() -> None:
    scores = altman_scores(frame(statement(**FIRM)))
    x1, x2, x3, x5 = 0.2, 0.2, 0.1, 1.2
    assert scores["altman_z"].item() == pytest.approx(1.2 * x1 + 1.4 * x2 + 3.3 * x3 + 0.6 * 80 / 60 + 0.999 * x5)
    assert scores["altman_z1983"].item() == pytest.approx(0.717 * x1 + 0.847 * x2 + 3.107 * x3 + 0.42 * 40 / 60 + 0.998 * x5)
    assert scores["altman_z1995"].item() == pytest.approx(6.56 * x1 + 3.26 * x2 + 6.72 * x3 + 1.05 * 40 / 60)


@pytest.mark.parametrize(
    ("score", "value", "named"),
    [
        ("altman_z", 1.80, "distress"), ("altman_z", 1.81, "grey"), ("altman_z", 2.99, "grey"), ("altman_z", 3.0, "safe"),
        ("altman_z1983", 1.22, "distress"), ("altman_z1983", 2.91, "safe"), ("altman_z1995", 1.09, "distress"),
        ("altman_z1995", 2.6, "grey"), ("altman_z1995", 2.61, "safe"), ("altman_z", None, None),
    ],
)  # fmt: skip
def test_altman_zones(score: str, value: float | None, named: str | None) -> None:
    assert pl.DataFrame({score: [value]}, schema={score: pl.Float64}).select(zone(score)).item() == named


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


@given(cut=st.dates(dt.date(2013, 1, 1), dt.date(2024, 1, 1)), factor=st.floats(0.1, 10))
def test_no_feature_depends_on_what_was_published_later(small_panel: Panel, cut: dt.date, factor: float) -> None:
    some = small_panel.statements.filter(pl.col("company_id") < "SIM-00040")
    later = pl.col("available_at") > cut
    changed = some.with_columns(pl.when(later).then(pl.col(n) * factor).otherwise(n).alias(n) for n in ("total_assets", "ebit"))
    was, now = (feature_table(t).filter(~later) for t in (some, changed))
    assert was.equals(now)


def test_the_order_of_rows_does_not_matter(small_panel: Panel) -> None:
    assert feature_table(small_panel.statements).equals(feature_table(small_panel.statements.sample(fraction=1, shuffle=True, seed=1)))


def test_names_are_unique_and_documented() -> None:
    assert len(FEATURES_BY_NAME) == len(FEATURES)
    assert all(f.label and f.formula and f.source and f.unit for f in FEATURES)
    assert len({f.label for f in FEATURES}) == len(FEATURES)


def test_the_dictionary_in_docs_is_the_codes() -> None:
    assert Path(ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == dictionary()
