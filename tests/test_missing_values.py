"""Whether missing market values alone tell which companies fail."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from quiebra.panels import Panel
from quiebra.panels.missing_values import missing_value_auc, missing_value_doubts


def with_missing(panel: Panel, missing: pl.Series) -> pl.DataFrame:
    return panel.statements.with_columns(market_value=pl.when(missing).then(None).otherwise(100.0))


def test_a_panel_that_drops_the_market_values_of_those_who_fail_is_told(panel: Panel) -> None:
    failed = panel.statements["company_id"].is_in(panel.events["company_id"].implode())
    leaking = missing_value_auc(with_missing(panel, failed), panel.events, 24)
    assert leaking["auc"] > 0.9 and leaking["low"] > 0.9
    (told,) = missing_value_doubts(leaking)
    assert "the source gives the outcome away" in str(told) and f"{leaking['auc']:.2f}" in str(told)


def test_a_panel_that_drops_them_by_chance_is_not(panel: Panel) -> None:
    missing = pl.Series(np.random.default_rng(3).random(panel.statements.height) < 0.4)
    sound = missing_value_auc(with_missing(panel, missing), panel.events, 24)
    assert sound["low"] < 0.5 < sound["high"] and missing_value_doubts(sound) == []


def test_the_auc_is_that_of_scikit_learn_within_a_year(panel: Panel) -> None:
    from sklearn.metrics import roc_auc_score

    from quiebra.panels import label_outcomes

    first = panel.statements.unique("company_id", keep="last", maintain_order=True).with_columns(
        fiscal_year=pl.lit(2015, pl.Int32)
    )
    missing = pl.Series(np.random.default_rng(4).random(first.height) < 0.3)
    rows = first.with_columns(market_value=pl.when(missing).then(None).otherwise(1.0))
    labels = label_outcomes(rows, panel.events).join(rows.select("company_id", "market_value"), on="company_id")
    expected = roc_auc_score(labels["failed"].to_numpy(), labels["market_value"].is_null().to_numpy())
    assert missing_value_auc(rows, panel.events, 24)["auc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [None, 1.0])
def test_without_any_or_without_a_missing_one_nothing_is_said(panel: Panel, value: float | None) -> None:
    rows = panel.statements.with_columns(market_value=pl.lit(value, pl.Float64))
    found = missing_value_auc(rows, panel.events, 24)
    assert found["auc"] is None and missing_value_doubts(found) == []
