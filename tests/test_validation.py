"""Figures agree with scikit-learn; intervals hold what they say; what cannot be judged is refused."""

import numpy as np
import pytest
from conftest import SMALL, default_params
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from quiebra.errors import TrainingError
from quiebra.models import ModelChain
from quiebra.panels import Panel, label_outcomes
from quiebra.params import validate_params
from quiebra.validation.bootstrap import firm_bootstrap
from quiebra.validation.figures import validation_report, years_to_judge
from quiebra.validation.metrics import RankedOutcomes, score_figures

OPTIONS = validate_params(default_params(**SMALL)).validate_
rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10), st.integers(0, 3)), min_size=2, max_size=60)


@given(rows)
def test_figures_agree_with_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    failed, pd, weight = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    pd = pd / 10
    assume(0 < (failed * weight).sum() < weight.sum())
    found = RankedOutcomes.rank(failed, pd).figures(weight)
    assert found["auc"] == pytest.approx(roc_auc_score(failed, pd, sample_weight=weight))
    assert found["average_precision"] == pytest.approx(average_precision_score(failed, pd, sample_weight=weight))
    assert found["brier"] == pytest.approx(brier_score_loss(failed, pd, sample_weight=weight))
    assert 0 <= found["top_decile_capture"] <= 1


def test_whole_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    failed, pd, weight = rng.integers(0, 2, 200), rng.random(200), rng.integers(0, 3, 200)
    repeated = score_figures(np.repeat(failed, weight), np.repeat(pd, weight))
    assert RankedOutcomes.rank(failed, pd).figures(weight.astype(float)) == pytest.approx(repeated)


def test_riskiest_tenth_by_hand() -> None:
    failed = np.zeros(25)
    failed[[0, 2, 10]] = 1
    assert score_figures(failed, np.linspace(1, 0, 25))["top_decile_capture"] == pytest.approx(2 / 3)  # 3 of 25 rows


def test_one_class_has_no_ranking_figure() -> None:
    found = score_figures(np.zeros(5), np.full(5, 0.1))
    assert np.isnan(found["auc"])
    assert found["brier"] == pytest.approx(0.01)


def test_the_interval_of_a_mean_has_the_textbook_width() -> None:
    rng = np.random.default_rng(3)
    firm, value = np.arange(400), rng.normal(size=400)
    mean = lambda w: {"mean": float(np.average(value, weights=w))}  # noqa: E731
    low, high = firm_bootstrap(firm, mean, resamples=2000, confidence=0.95, seed=1)["mean"]
    assert high - low == pytest.approx(2 * 1.96 * value.std() / 20, rel=0.1)


def test_companies_are_drawn_whole() -> None:
    firm = np.repeat([1, 2, 3], 4)
    seen = []
    firm_bootstrap(firm, lambda w: seen.append(w.copy()) or {"x": 0.0}, resamples=20, confidence=0.9, seed=1)
    assert all(len(set(w[firm == f])) == 1 for w in seen for f in (1, 2, 3))
    assert all(w.sum() == 12 for w in seen)


def test_the_report_holds_what_readers_need(small_chain: ModelChain, small_panel: Panel) -> None:
    labels = label_outcomes(small_panel.statements, small_panel.events)
    years = years_to_judge(small_chain.history, small_panel.info.outcomes_through, OPTIONS)
    report = validation_report(small_chain.history, labels, years, OPTIONS, seed=1)
    pooled = report["walk_forward"]
    for name in ("auc", "average_precision", "top_decile_capture", "brier", "pd_over_observed"):
        low, high = pooled["interval"][name]
        assert low <= pooled[name] <= high
    assert pooled["rows"] == sum(year["rows"] for year in report["by_year"].values())
    assert report["without_alive_exits"]["rows"] < pooled["rows"]
    assert report["without_alive_exits"]["events"] == pooled["events"]
    assert validation_report(small_chain.history, labels, years, OPTIONS, seed=1) == report


def test_years_without_outcomes_are_refused(small_chain: ModelChain) -> None:
    options = OPTIONS.model_copy(update={"first_test_year": 2030})
    with pytest.raises(TrainingError, match=r"validate\.first_test_year"):
        years_to_judge(small_chain.history, 2020, options)


def test_no_failure_in_the_test_years_is_refused(small_chain: ModelChain, small_panel: Panel) -> None:
    none = label_outcomes(small_panel.statements, small_panel.events.clear())
    with pytest.raises(TrainingError, match="0 failures"):
        validation_report(small_chain.history, none, [2018], OPTIONS, seed=1)
