"""Leakage: what has seen the outcome is caught by name, and what has nothing to say predicts nothing."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params, merged, walk_on
from scipy.stats import norm

from quiebra.errors import LeakageError, ParamsError
from quiebra.panels import Panel, label_outcomes
from quiebra.params import validate_params
from quiebra.validation.leakage import auc_interval, check_feature_names, refuse_leaks
from quiebra.validation.metrics import score_figures


def test_a_planted_leaking_column_is_suspected_by_name_and_has_two_ways_out(features: pl.DataFrame, panel: Panel) -> None:
    labels = label_outcomes(panel.statements, panel.events)
    table, found = refuse_leaks(features, labels)
    assert table["auc"].max() < 0.97 and found == []
    outcome = features.join(
        labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"], maintain_order="left"
    )
    rng = np.random.default_rng(0)
    noisy = outcome["failed"].cast(pl.Float64) + rng.normal(0, 0.2, outcome.height)
    planted = features.with_columns(court_flag=noisy)
    with pytest.raises(
        LeakageError,
        match=r"suspicion.*court_flag: AUC \d\.\d+ \(\d\.\d+ to \d\.\d+\).*train\.drop_features.*validate\.accept_features",
    ):
        refuse_leaks(planted, labels)
    with pytest.raises(LeakageError, match="where closing_note is missing"):
        refuse_leaks(features.with_columns(closing_note=pl.when(outcome["failed"] == 0).then(1.0)), labels)
    table, found = refuse_leaks(planted, labels, accepted=["court_flag"])
    assert [(suspicion.feature, suspicion.missing) for suspicion in found] == [("court_flag", False)]
    assert 0.97 < found[0].low <= found[0].auc <= found[0].high
    assert refuse_leaks(planted, labels, names=["current_ratio"])[1] == [], "what no model learns from is not looked at"


def test_few_failures_raise_no_suspicion_by_luck() -> None:
    """Of honest figures with an AUC of 0.93, looked at 130 at a time with 20 failures, some have 0.97 and more by chance."""
    rng = np.random.default_rng(3)
    failed = np.r_[np.ones(20), np.zeros(10_000)]
    honest = rng.standard_normal((400, len(failed))) + 2.09 * failed
    found = [auc_interval(failed, values, 0.025 / 130) for values in honest]
    assert sum(auc > 0.97 for auc, _, _ in found) >= 3
    assert max(low for _, low, _ in found) < 0.97
    more = np.r_[np.ones(20), failed]
    perfect, low, _ = auc_interval(more, more + 0.0, 0.025 / 130)
    assert perfect == 1 and low > 0.97, "what tells all of 40 from all others is suspected all the same"


@pytest.mark.parametrize(("shift", "spread"), [(1.2, 1.0), (2.0, 1.5)])
def test_the_interval_of_an_auc_holds_the_true_one(shift: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    failed, true = np.r_[np.ones(30), np.zeros(600)], norm.cdf(shift / np.sqrt(1 + spread**2))
    draws = [np.where(failed == 1, shift + spread * z, z) for z in rng.standard_normal((400, len(failed)))]
    held = [low <= true <= high for _, low, high in (auc_interval(failed, values, 0.025) for values in draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_a_feature_that_is_dropped_is_not_learnt_and_a_misspelt_one_is_refused(small_panel: Panel) -> None:
    dropped = ["liabilities_to_assets", "rank_ohlson_o"]
    chain = walk_on(
        small_panel,
        validate_params(default_params(**merged(SMALL, {"train": {"drop_features": dropped, "trees": 5, "later_trees": 5}}))),
    )
    for scorer in chain.model.scorers.values():
        assert not set(dropped) & set(scorer.names)
    check_feature_names(dropped, "train.drop_features")
    with pytest.raises(ParamsError, match=r"train\.drop_features: 'ohlson' is not a feature \(did you mean 'ohlson_o'\?\)"):
        check_feature_names(["ohlson"], "train.drop_features")


@pytest.mark.slow
def test_shuffled_labels_predict_nothing(panel: Panel, features: pl.DataFrame) -> None:
    """Failures given to companies by lot, at a random statement: out of time the model ranks no better than chance."""
    rng = np.random.default_rng(5)
    years = (
        panel.statements.group_by("company_id")
        .agg(first=pl.col("fiscal_year").min(), last=pl.col("fiscal_year").max())
        .sort("company_id")
    )
    drawn = years.sample(fraction=0.25, seed=5).sort("company_id")
    when = drawn.with_columns(
        end=pl.col("first") + pl.Series(rng.integers(0, 15, drawn.height)) % (pl.col("last") - pl.col("first") + 1)
    )
    events = when.select("company_id", event_date=pl.date(pl.col("end") + 1, 9, 1), kind=pl.lit("lot"), source=pl.lit("lot"))
    kept = panel.statements.join(when.select("company_id", "end"), on="company_id", how="left")
    kept = kept.filter(pl.col("end").is_null() | (pl.col("fiscal_year") <= pl.col("end"))).drop("end")
    lot = replace(panel, statements=kept, events=events)
    chain = walk_on(
        lot,
        validate_params(default_params(train={"trees": 60, "later_trees": 30})),
        features.join(kept.select("company_id", "fiscal_year", "available_at"), on=["company_id", "fiscal_year", "available_at"]),
    )
    judged = chain.history.join(
        label_outcomes(kept, events).select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"]
    )
    judged = judged.filter(pl.col("fiscal_year") < panel.info.outcomes_through)
    assert judged["failed"].sum() > 80
    assert score_figures(judged["failed"].to_numpy(), judged["pd_12m"].to_numpy())["auc"] == pytest.approx(0.5, abs=0.05)
