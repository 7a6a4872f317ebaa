"""The model: additive explanations, honest splits, near the truth where the truth is known."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params, walk_on
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from quiebra.errors import TrainingError, WorkspaceError
from quiebra.feature_engineering import PeerRanks, feature_table
from quiebra.models import ModelChain, PdModel, feature_importance, model_hash, reasons
from quiebra.models.blend import fit_blend, fit_logistic
from quiebra.panels import Panel, label_outcomes
from quiebra.params import Params, validate_params
from quiebra.sources.demo import Simulation
from quiebra.validation.figures import years_to_judge

SMALL_PARAMS = validate_params(default_params(**SMALL))


def judged(chain: ModelChain, panel: Panel, params: Params) -> pl.DataFrame:
    years = years_to_judge(chain.history, panel.info.outcomes_through, params.validate_)
    labels = label_outcomes(panel.statements, panel.events)
    return chain.history.filter(pl.col("fiscal_year").is_in(years)).join(
        labels.select("company_id", "fiscal_year", "failed"), on=["company_id", "fiscal_year"]
    )


def test_ranks_nearly_as_well_as_the_truth(chain: ModelChain, simulation: Simulation, panel: Panel, params: Params) -> None:
    rows = judged(chain, panel, params).join(simulation.truth, on=["company_id", "fiscal_year"])
    truth = roc_auc_score(rows["failed"], rows["pd_true"])
    assert roc_auc_score(rows["failed"], rows["pd_12m"]) > truth - 0.03


def test_is_calibrated_against_the_true_pd_by_tenth(
    chain: ModelChain, simulation: Simulation, panel: Panel, params: Params
) -> None:
    rows = judged(chain, panel, params).join(simulation.truth, on=["company_id", "fiscal_year"])
    tenths = (
        rows.with_columns(tenth=(pl.col("pd_12m").rank("ordinal") * 10 / pl.len()).ceil())
        .group_by("tenth")
        .agg(pl.col("pd_12m", "pd_true").mean())
        .sort("tenth")
    )
    gap = (tenths["pd_12m"] - tenths["pd_true"]).abs()
    # within half of the truth where risk is material, and half a point of probability everywhere else
    assert ((gap < 0.5 * tenths["pd_true"]) | (gap < 0.005)).all(), tenths
    assert rows["pd_12m"].mean() == pytest.approx(rows["pd_true"].mean(), rel=0.35)
    assert tenths["pd_true"].is_sorted()


def test_contributions_add_up_to_the_score(chain: ModelChain, features: pl.DataFrame) -> None:
    rows = features.filter(pl.col("fiscal_year") == 2023)
    parts, base = chain.model.explain(rows)
    assert np.allclose(parts.sum_horizontal() + base, chain.model.predict(rows)["log_odds"], atol=1e-4)
    assert parts["altman"].abs().max() > 0
    without = rows.filter(pl.col("altman_z1995").is_null())
    assert without.height > 5
    assert chain.model.explain(without)[0]["altman"].to_list() == [0.0] * without.height


def test_reasons_are_ranked_and_worded(chain: ModelChain, features: pl.DataFrame, panel: Panel) -> None:
    rows = features.filter(pl.col("fiscal_year") == 2023).head(50)
    why = reasons(chain.model, rows, 3, PeerRanks(rows), panel.statements)
    for (_, kind), part in why.group_by("company_id", "kind"):
        assert part.height <= (1 if kind == "gap" else 3)
        assert part.sort("rank")["effect"].is_sorted(descending=kind == "raises")
    signs = {"raises": 1, "lowers": -1}
    for kind, sign in signs.items():
        some = why.filter(pl.col("kind") == kind)
        assert (some["effect"] * sign > 0).all() and some["code"].str.ends_with("_UP" if sign > 0 else "_DOWN").all()
    assert why["code"].str.contains(r"^[A-Z]+_(UP|DOWN)$").all()
    assert not why["text_es"].str.contains(r"\d\.\d{1,2}(\D|$)").any(), "Spanish writes a comma"
    assert feature_importance(chain.model, rows)["mean_abs"].is_sorted(descending=True)


def test_a_saved_model_scores_the_same(small_chain: ModelChain, small_panel: Panel, tmp_path: Path) -> None:
    rows = feature_table(small_panel.statements)
    small_chain.model.save(tmp_path)
    loaded = PdModel.load(tmp_path)
    assert loaded.predict(rows).equals(small_chain.model.predict(rows))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "trees"]
    first = model_hash(tmp_path)
    small_chain.model.save(tmp_path)
    assert model_hash(tmp_path) == first


def test_a_model_of_other_features_is_refused(small_chain: ModelChain, tmp_path: Path) -> None:
    small_chain.model.save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["scorers"]["accounting"]["features"][0] = "other_ratio"
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(WorkspaceError, match="dvc repro"):
        PdModel.load(tmp_path)


def test_no_look_ahead(small_panel: Panel) -> None:
    """Everything after a date is changed: amounts, which rows exist, who fails. Scores as of the date stay the same."""
    cut = dt.date(2019, 12, 31)
    rng = np.random.default_rng(0)
    later = small_panel.statements.filter(pl.col("available_at") > cut)
    shuffled = later.with_columns(pl.col("total_assets", "ebit", "total_liabilities", "market_value").shuffle(seed=1) * 3)
    shuffled = shuffled.filter(pl.Series(rng.random(later.height) < 0.7))
    past = small_panel.statements.filter(pl.col("available_at") <= cut)
    events = small_panel.events.filter(pl.col("event_date") <= cut)
    victims = past["company_id"].unique().sort().filter(pl.Series(rng.random(past["company_id"].n_unique()) < 0.3))
    invented = pl.DataFrame({"company_id": victims, "event_date": dt.date(2020, 9, 1), "kind": "x", "source": "x"})
    changed = replace(
        small_panel,
        statements=pl.concat([past, shuffled]).sort("company_id", "fiscal_year", "available_at"),
        events=pl.concat([events, invented.filter(~pl.col("company_id").is_in(events["company_id"].implode()))]).sort(
            "company_id"
        ),
        info=replace(small_panel.info, as_of=cut),
    )
    was = walk_on(replace(small_panel, info=replace(small_panel.info, as_of=cut)), SMALL_PARAMS)
    now = walk_on(changed, SMALL_PARAMS)
    assert was.history.equals(now.history)
    assert was.history["fiscal_year"].max() == 2018
    today = feature_table(past)
    assert was.model.predict(today).equals(now.model.predict(today))


def test_the_chain_scores_a_year_the_same_whether_or_not_later_years_exist(small_panel: Panel, small_chain: ModelChain) -> None:
    cut = dt.date(2019, 12, 31)
    early = walk_on(replace(small_panel, info=replace(small_panel.info, as_of=cut)), SMALL_PARAMS).history
    keys = ["company_id", "fiscal_year", "available_at"]
    both = early.join(small_chain.history, on=keys, suffix="_whole").filter(pl.col("fiscal_year") <= 2018)
    assert both.height > 500
    assert both["pd_12m"].equals(both["pd_12m_whole"], check_names=False)


def test_training_is_deterministic(small_panel: Panel, small_chain: ModelChain) -> None:
    assert walk_on(small_panel, SMALL_PARAMS).history.equals(small_chain.history)


def test_one_class_says_what_to_do(small_panel: Panel) -> None:
    with pytest.raises(TrainingError, match=r"failures: 0, rows: 2316\): give event dates"):
        walk_on(replace(small_panel, events=small_panel.events.clear()), SMALL_PARAMS)


def test_too_few_years_says_which_would_do(small_panel: Panel) -> None:
    short = replace(small_panel, statements=small_panel.statements.filter(pl.col("fiscal_year") >= 2020))
    info = replace(small_panel.info, first_label_year=2020)
    with pytest.raises(TrainingError, match="fiscal years from 2020 to 2021 are too few"):
        walk_on(replace(short, info=info), SMALL_PARAMS)


def test_a_fixed_blend_weight_is_kept(small_panel: Panel) -> None:
    fixed = SMALL_PARAMS.train.model_copy(update={"blend_weight": 0.7})
    chain = walk_on(small_panel, SMALL_PARAMS.model_copy(update={"train": fixed}))
    assert {s.blend.weight for scorers in chain.scorers.values() for s in scorers.values()} == {0.7}


def test_the_blend_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(1)
    model, altman = rng.normal(-3, 1.5, 60_000), rng.normal(-3, 1, 60_000)
    failed = (rng.random(60_000) < expit(0.3 + 1.2 * (0.75 * model + 0.25 * altman))).astype(float)
    blend = fit_blend(model, altman, failed, None)
    assert blend.weight == pytest.approx(0.75, abs=0.05)
    assert blend.slope == pytest.approx(1.2, abs=0.08)
    assert blend.intercept == pytest.approx(0.3, abs=0.2)


def test_the_logistic_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(5000, 2))
    failed = (rng.random(5000) < expit(-1 + inputs @ [0.8, 0.3])).astype(float)
    reference = LogisticRegression(C=np.inf, tol=1e-8).fit(inputs, failed)
    assert fit_logistic(inputs, failed) == pytest.approx([*reference.intercept_, *reference.coef_[0]], abs=1e-3)


def test_without_altman_the_model_stands_in() -> None:
    blend = fit_blend(np.zeros(0), np.zeros(0), np.zeros(0), None)
    assert blend.fitted_on == 0
    assert blend.log_odds(np.array([-2.0]), np.array([np.nan]))[0] == -2.0


def test_no_look_ahead_where_the_fiscal_year_ends_in_june(small_panel: Panel) -> None:
    """A score of fiscal year T must not know what happened after the first statement of T came out."""
    shift = [pl.col(name).dt.offset_by("-6mo") for name in ("period_end", "available_at")]
    events = small_panel.events.with_columns(pl.col("event_date").dt.offset_by("-6mo"))
    june = replace(small_panel, statements=small_panel.statements.with_columns(shift), events=events)
    firsts = june.statements.filter(pl.col("fiscal_year") == 2018)["available_at"].min()
    assert firsts < dt.date(2018, 12, 31)
    was = walk_on(june, SMALL_PARAMS).history.filter(pl.col("fiscal_year") == 2018)
    past = events.filter(pl.col("event_date") <= firsts)
    now = walk_on(replace(june, events=past), SMALL_PARAMS).history.filter(pl.col("fiscal_year") == 2018)
    assert was.height > 100
    assert was.equals(now)


def test_a_year_without_statements_is_passed_over(small_panel: Panel) -> None:
    gap = replace(small_panel, statements=small_panel.statements.filter(pl.col("fiscal_year") != 2018))
    years = set(walk_on(gap, SMALL_PARAMS).history["fiscal_year"])
    assert 2018 not in years
    assert {2017, 2019, 2021} <= years
