"""Stability and verdict: hand-worked index, thresholds that bite, sentences that say what was asked."""

import math

import numpy as np
import polars as pl
import pytest
from conftest import default_params
from hypothesis import given
from hypothesis import strategies as st

from quiebra.errors import ParamsError
from quiebra.params import validate_params
from quiebra.validation.stability import feature_stability, psi
from quiebra.validation.verdict import failed_gates, judge_gates

GATES = validate_params(default_params()).validate_.gates
GOOD = {"auc": 0.9, "pd_over_observed": 1.0, "grades_inside": 1.0, "interval_coverage": 0.9, "score_psi": 0.01}


def test_psi_by_hand() -> None:
    """Half and half becomes three quarters and a quarter: ¼ ln 1.5 − ¼ ln 0.5."""
    before, now = np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0, 1.0, 1.0, 2.0])
    assert psi(before, now, bins=2) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5), rel=1e-6)


@given(st.lists(st.floats(-10, 10), min_size=20, max_size=60), st.lists(st.floats(-10, 10), min_size=20, max_size=60))
def test_psi_is_never_below_zero_and_zero_for_the_same(one: list[float], two: list[float]) -> None:
    assert psi(np.array(one), np.array(two)) >= -1e-12
    assert psi(np.array(one), np.array(one)) == pytest.approx(0)


def test_what_goes_missing_counts_and_comes_first() -> None:
    before = pl.DataFrame({"steady": np.arange(100.0), "fading": np.arange(100.0)})
    now = before.with_columns(fading=pl.when(pl.col("fading") < 60).then("fading"))
    table = feature_stability(before, now, ["steady", "fading"])
    assert table["feature"].to_list() == ["fading", "steady"]
    assert table["csi"][0] > 0.25 and table["csi"][1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("test", "value", "expected"),
    [
        ("auc", 0.80, "pass"),
        ("auc", 0.76, "watch"),
        ("auc", 0.74, "fail"),
        ("pd_over_observed", 0.81, "pass"),
        ("pd_over_observed", 0.7, "watch"),
        ("pd_over_observed", 1.7, "fail"),
        ("pd_over_observed", 0.0, "fail"),
        ("score_psi", 0.2, "watch"),
        ("score_psi", 0.3, "fail"),
        ("grades_inside", None, "watch"),
    ],
)
def test_thresholds(test: str, value: float | None, expected: str) -> None:
    rows = {row["test"]: row for row in judge_gates({**GOOD, test: value}, GATES)}
    assert rows.pop(test)["verdict"] == expected
    assert {row["verdict"] for row in rows.values()} == {"pass"}


def test_a_failed_gate_is_told_with_its_key() -> None:
    (sentence,) = failed_gates(judge_gates({**GOOD, "auc": 0.6}, GATES))
    assert "0.600" in sentence and "at least 0.75" in sentence and "validate.gates.auc" in sentence
    assert failed_gates(judge_gates(GOOD, GATES)) == []


def test_a_misspelt_gate_is_an_error() -> None:
    with pytest.raises(ParamsError, match=r"validate\.gates\.auk"):
        validate_params(default_params(validate={"gates": {"auk": {"pass": 1.0, "watch": 1.0}}}))
