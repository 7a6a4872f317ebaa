"""Exact SHAP values of boosted trees, leaf by leaf, compiled by numba.

A leaf adds its value to a row that meets the conditions on its path. As a game between the features of that path, the leaf's
value splits into Shapley values that are an integral of a product over these features; Gauss-Legendre points give it exactly.
Source: S. M. Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees, Nature
Machine Intelligence 2, 56-67, on which features are known by the trees' own cover; A. B. Owen (1972), Multilinear extensions of
games, Management Science 18, 64-79, on the integral.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xgboost as xgb

LeafPass = Callable[..., None]
ROWS_AT_A_TIME, ROWS_BY_NUMPY = 512, 32
"""Rows whose values of one leaf, or of all, stay in the processor's cache."""
COMPILE_FROM_CONDITIONS = 20_000_000
"""Rows times conditions that NumPy takes as long for as to import numba and compile the pass."""
LEAST_SHARE = 1e-30
"""Stands for a share of training rows of zero, which would be divided by."""


class _Condition(NamedTuple):
    """What a path asks of one feature: at least ``low`` and below ``high``, or missing where ``missing``. share: of the training
    rows that came to the splits on the feature, those that went on along the path."""

    low: float = -np.inf
    high: float = np.inf
    missing: bool = True
    share: float = 1.0


class LeafPaths(NamedTuple):
    """The leaves of all trees with their paths. starts: where each leaf's conditions begin among all, and where the last ends.

    The other arrays have one entry a condition: the feature's place among the inputs, `_Condition`; its factor in the product at
    each point where it is not met (conditions × points), what is added to that where it is (by point), and the inverse of the
    factor where it is not met and where it is. values: of each leaf, weighted by point. base: mean log-odds of the training rows.
    """

    starts: np.ndarray
    features: np.ndarray
    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    share: np.ndarray
    factors: np.ndarray
    added: np.ndarray
    inverses: np.ndarray
    met_inverses: np.ndarray
    values: np.ndarray
    base: float


def leaf_paths(booster: xgb.Booster) -> LeafPaths:
    """Read the trees of a booster whose objective is the log-odds of a binary target."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    every = [leaf for tree in learner["gradient_booster"]["model"]["trees"] for leaf in _leaves(tree)]
    leaves = [(value, path) for value, path in every if path]
    conditions = [each for _, path in leaves for each in path.values()]
    low, high, missing, share = np.array(conditions, dtype=float).reshape(-1, 4).T
    share = np.maximum(share, LEAST_SHARE)
    most = max((len(path) for _, path in leaves), default=1)
    points, weights = np.polynomial.legendre.leggauss((most + 1) // 2)  # exact for a product of most - 1 factors
    points, weights = (points + 1) / 2, weights / 2
    factors = share[:, None] * (1 - points)
    values = np.array([value for value, _ in leaves], dtype=float)
    expected = sum(value * math.prod(each.share for each in path.values()) for value, path in every)
    return LeafPaths(
        np.cumsum([0, *(len(path) for _, path in leaves)]),
        np.array([feature for _, path in leaves for feature in path], dtype=np.int64),
        low.astype(np.float32),
        high.astype(np.float32),
        missing > 0,
        share,
        factors,
        points,
        1 / factors,
        1 / (factors + points),
        values[:, None] * weights,
        expected + _start(learner["learner_model_param"]["base_score"]),
    )


def _start(written: str) -> float:
    """Return the log-odds that trees are added to."""
    share = float(written.strip("[]"))
    return float(np.log(share) - np.log1p(-share))


def _leaves(tree: dict[str, Any]) -> Iterator[tuple[float, dict[int, _Condition]]]:
    """Yield each leaf's value and the conditions of its path, by feature."""
    left, right, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    waiting: list[tuple[int, dict[int, _Condition]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        split = tree["split_conditions"][node]
        if left[node] < 0:
            yield split, path
            continue
        feature = tree["split_indices"][node]
        now = path.get(feature, _Condition())
        for child, low, high in ((left[node], now.low, min(now.high, split)), (right[node], max(now.low, split), now.high)):
            missing = now.missing and (child == left[node]) == bool(tree["default_left"][node])
            share = now.share * cover[child] / (cover[node] or 1.0)  # where no training row came by, both are zero
            waiting.append((child, {**path, feature: _Condition(low, high, missing, share)}))


@cache
def compiled_pass() -> LeafPass | None:
    """Return the pass over all leaves, compiled once a process; None where numba cannot be imported."""
    try:
        from numba import njit
    except (ImportError, OSError):  # the latter where llvmlite is there without its library
        return None
    compiled: LeafPass = njit(_add_leaves, nogil=True)
    return compiled


def tree_shap(paths: LeafPaths, inputs: np.ndarray) -> np.ndarray:
    """Return the SHAP values of rows (rows × features), which add up with ``paths.base`` to the log-odds.

    inputs: rows × features, float32; a missing value is NaN. Few rows are worked out by NumPy; many, and all after these, by what
    numba compiles, with the same values but for the last digits of a double.
    """
    compiled = compiled_pass.cache_info().currsize > 0
    run = compiled_pass() if compiled or len(inputs) * len(paths.features) > COMPILE_FROM_CONDITIONS else None
    if run is None:
        parts = [_by_numpy(paths, inputs[at : at + ROWS_BY_NUMPY]) for at in range(0, len(inputs), ROWS_BY_NUMPY)]
        return np.concatenate(parts) if parts else np.zeros(inputs.shape)
    total = np.zeros(inputs.shape[::-1])
    longest, points = int(np.diff(paths.starts).max(initial=1)), paths.values.shape[1]
    met, product = np.empty((longest, ROWS_AT_A_TIME)), np.empty((points, ROWS_AT_A_TIME))
    run(np.ascontiguousarray(inputs.T, dtype=np.float32), paths, met, product, total)
    return total.T


def _by_numpy(paths: LeafPaths, inputs: np.ndarray) -> np.ndarray:
    total = np.zeros(inputs.shape)
    if not len(paths.features):
        return total
    asked = inputs[:, paths.features]
    met = (((asked >= paths.low) & (asked < paths.high)) | (np.isnan(asked) & paths.missing)).astype(float)
    effect = np.zeros(met.shape)
    counts = np.diff(paths.starts)
    for q, added in enumerate(paths.added):
        product = np.multiply.reduceat(paths.factors[:, q] + met * added, paths.starts[:-1], axis=1) * paths.values[:, q]
        effect += np.repeat(product, counts, axis=1) * np.where(met, paths.met_inverses[:, q], paths.inverses[:, q])
    effect *= met - paths.share
    order = np.argsort(paths.features, kind="stable")
    used, firsts = np.unique(paths.features[order], return_index=True)
    total[:, used] = np.add.reduceat(effect[:, order], firsts, axis=1)
    return total


def _add_leaves(  # noqa: C901  one nest of loops, compiled as a whole
    columns: np.ndarray, paths: LeafPaths, met: np.ndarray, product: np.ndarray, total: np.ndarray
) -> None:
    """Add the SHAP values of all leaves to ``total`` (features × rows). met, product: room for what is computed between."""
    starts, features, low, high, missing, share, factors, added, inverses, met_inverses, values, _ = paths
    points = values.shape[1]
    for first in range(0, columns.shape[1], met.shape[1]):
        rows = min(met.shape[1], columns.shape[1] - first)
        for leaf in range(len(values)):
            begin, end = starts[leaf], starts[leaf + 1]
            for q in range(points):
                product[q, :rows] = values[leaf, q]  # all points at once take numba four seconds more to compile
            for at in range(begin, end):
                column, least, below, gap, met_here = columns[features[at]], low[at], high[at], missing[at], met[at - begin]
                for row in range(rows):
                    value = column[first + row]
                    met_here[row] = ((value >= least) & (value < below)) | (gap & np.isnan(value))
                for q in range(points):
                    product_here, factor, more = product[q], factors[at, q], added[q]
                    for row in range(rows):
                        product_here[row] *= factor + met_here[row] * more
            for at in range(begin, end):
                met_here, own, before = met[at - begin], total[features[at]], share[at]
                for q in range(points):
                    product_here, inverse, met_inverse = product[q], inverses[at, q], met_inverses[at, q]
                    for row in range(rows):
                        own[first + row] += (
                            (met_here[row] - before) * product_here[row] * (met_inverse if met_here[row] else inverse)
                        )
