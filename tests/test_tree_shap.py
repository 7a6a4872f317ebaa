"""SHAP values of the trees: known answers, XGBoost's own, and the same for one row as among many, with and without numba."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from conftest import ROOT, command
from hypothesis import given, settings
from hypothesis import strategies as st

from quiebra.models import tree_shap as subject
from quiebra.models.tree_shap import leaf_paths, tree_shap


def trees(seed: int, **changes: Any) -> tuple[xgb.Booster, np.ndarray]:
    """Trees on random rows of six features with gaps, of which the first two decide, and the rows."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, 6)).round(1).astype(np.float32)
    rows[rng.random(rows.shape) < 0.15] = np.nan
    failed = rng.random(600) < 1 / (1 + np.exp(2 - np.nan_to_num(rows[:, 0]) * 2 - np.nan_to_num(rows[:, 1] * rows[:, 2])))
    given = {"objective": "binary:logistic", "max_depth": 4, "base_score": 0.2, "nthread": 1, "seed": seed, **changes}
    return xgb.train(given, xgb.DMatrix(rows, failed), num_boost_round=20), rows


def both_ways(booster: xgb.Booster, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values by NumPy and, where numba is there, by what it compiles."""
    paths = leaf_paths(booster)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "COMPILE_FROM_CONDITIONS", -1)
        return subject._by_numpy(paths, rows), tree_shap(paths, rows)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    depth=st.integers(1, 9),
    least=st.sampled_from((0.0, 1.0, 40.0)),
    signs=st.booleans(),
)
def test_they_are_those_of_xgboost(seed: int, depth: int, least: float, signs: bool) -> None:
    more = {"monotone_constraints": (1, 0, 0, 0, -1, 0)} if signs else {}
    booster, rows = trees(seed, max_depth=depth, min_child_weight=least, **more)
    wanted = booster.predict(xgb.DMatrix(rows), pred_contribs=True)
    for found in both_ways(booster, rows):
        np.testing.assert_allclose(found, wanted[:, :-1], atol=2e-5)
    base = leaf_paths(booster).base
    assert base == pytest.approx(wanted[0, -1], abs=2e-5)
    margins = booster.predict(xgb.DMatrix(rows), output_margin=True)
    np.testing.assert_allclose(tree_shap(leaf_paths(booster), rows).sum(axis=1) + base, margins, atol=5e-5)


def test_they_are_shapley_values_by_their_definition() -> None:
    """The mean, over all orders in which features become known, of what each adds to the expected log-odds."""
    booster, rows = trees(7, max_depth=3)
    table = booster.trees_to_dataframe()
    nodes = {row.ID: row for row in table.itertuples()}
    places = {name: at for at, name in enumerate(f"f{n}" for n in range(6))}

    def expected(node: Any, row: np.ndarray, known: tuple[int, ...]) -> float:
        if node.Feature == "Leaf":
            return float(node.Gain)
        yes, no, at = nodes[node.Yes], nodes[node.No], places[node.Feature]
        if at in known:
            value = row[at]
            way = node.Missing if np.isnan(value) else node.Yes if value < np.float32(node.Split) else node.No
            return expected(nodes[way], row, known)
        return (yes.Cover * expected(yes, row, known) + no.Cover * expected(no, row, known)) / (yes.Cover + no.Cover)

    roots = [node for node in nodes.values() if node.Node == 0]
    for row in rows[:3]:
        value = {
            known: sum(expected(root, row, known) for root in roots) for n in range(7) for known in combinations(range(6), n)
        }
        wanted = [
            sum(
                factorial(len(known)) * factorial(5 - len(known)) / factorial(6) * (value[tuple(sorted((*known, at)))] - gain)
                for known, gain in value.items()
                if at not in known
            )
            for at in range(6)
        ]
        np.testing.assert_allclose(tree_shap(leaf_paths(booster), row[None])[0], wanted, atol=1e-4)


def test_one_row_has_what_it_has_among_many_by_numpy_and_compiled() -> None:
    booster, rows = trees(3, max_depth=6)
    by_numpy, compiled = both_ways(booster, np.tile(rows, (3, 1)))
    np.testing.assert_allclose(by_numpy, compiled, atol=1e-13)
    alone = np.concatenate([tree_shap(leaf_paths(booster), rows[at : at + 1]) for at in range(50)])
    np.testing.assert_allclose(alone, compiled[:50], atol=1e-13)
    assert tree_shap(leaf_paths(booster), rows[:0]).shape == (0, 6)


def test_a_leaf_that_no_training_row_came_to_counts_in_full() -> None:
    booster, rows = trees(3, max_depth=1)
    record = json.loads(booster.save_raw("json"))
    tree = record["learner"]["gradient_booster"]["model"]["trees"][0]
    record["learner"]["gradient_booster"]["model"].update(
        trees=[tree], tree_info=[0], iteration_indptr=[0, 1], gbtree_model_param={"num_trees": "1", "num_parallel_tree": "1"}
    )
    tree["sum_hessian"] = [1.0, 0.0, 1.0]
    booster.load_model(bytearray(json.dumps(record).encode()))
    left, right = tree["split_conditions"][1:]
    for found in both_ways(booster, rows):
        assert {*found[:, tree["split_indices"][0]].round(6)} == {round(left - right, 6), 0.0}


def test_trees_without_a_split_explain_nothing() -> None:
    booster, rows = trees(3, min_child_weight=1e9)
    for found in both_ways(booster, rows):
        assert found.shape == rows.shape and not found.any()
    assert leaf_paths(booster).base == pytest.approx(booster.predict(xgb.DMatrix(rows[:1]), output_margin=True)[0], abs=1e-5)


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not there, so nothing is compiled")
def test_few_rows_never_import_numba_and_without_it_the_values_are_the_same() -> None:
    code = f"""
import json, sys
sys.path.insert(0, "{ROOT / "tests"}")
from test_tree_shap import leaf_paths, subject, tree_shap, trees
booster, rows = trees(5)
few = tree_shap(leaf_paths(booster), rows)
print("numba" in sys.modules)
sys.modules["numba"] = None  # importing it fails
subject.COMPILE_FROM_CONDITIONS = -1
print(json.dumps(tree_shap(leaf_paths(booster), rows).tolist()))
"""
    done = command(ROOT, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    booster, rows = trees(5)
    _, compiled = both_ways(booster, rows)
    imported, values = done.stdout.split("\n", 1)
    assert imported == "False"
    np.testing.assert_allclose(json.loads(values), compiled, atol=1e-13)
