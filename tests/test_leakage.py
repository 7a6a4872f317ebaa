"""Leakage: what has seen the outcome is caught by name, and what has nothing to say predicts nothing."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from conftest import default_params, walk_on

from quiebra.errors import LeakageError
from quiebra.panel import Panel, label
from quiebra.params import check
from quiebra.validation.leakage import refuse_leaks
from quiebra.validation.metrics import figures


def test_a_planted_leaking_column_is_caught_by_name(features: pl.DataFrame, panel: Panel) -> None:
    labels = label(panel.statements, panel.events)
    assert refuse_leaks(features, labels)["auc_value"].max() < 0.97
    outcome = features.join(
        labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"], maintain_order="left"
    )
    rng = np.random.default_rng(0)
    noisy = outcome["failed"].cast(pl.Float64) + rng.normal(0, 0.2, outcome.height)
    with pytest.raises(LeakageError, match="court_flag"):
        refuse_leaks(features.with_columns(court_flag=noisy), labels)
    with pytest.raises(LeakageError, match="closing_note"):
        refuse_leaks(features.with_columns(closing_note=pl.when(outcome["failed"] == 0).then(1.0)), labels)


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
        check(default_params(train={"trees": 60, "later_trees": 30})),
        features.join(kept.select("company_id", "fiscal_year", "available_at"), on=["company_id", "fiscal_year", "available_at"]),
    )
    judged = chain.history.join(
        label(kept, events).select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"]
    )
    judged = judged.filter(pl.col("fiscal_year") < panel.info.outcomes_through)
    assert judged["failed"].sum() > 80
    assert figures(judged["failed"].to_numpy(), judged["pd_12m"].to_numpy())["auc"] == pytest.approx(0.5, abs=0.05)
