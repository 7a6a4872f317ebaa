"""Calibration: known answers, parts that add up, and coverage that tells good intervals from bad."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from quiebra.validation.calibration import (
    brier_parts,
    calibration_by_grade,
    hosmer_lemeshow,
    interval_coverage,
    jeffreys_interval,
    spiegelhalter,
)

outcomes = st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=12, max_size=80)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.6, 0.99))
def test_jeffreys_interval_holds_its_share_of_the_posterior(rows: int, failures: int, confidence: float) -> None:
    """The density is p^(x − ½) (1 − p)^(n − x − ½); with p = sin² t it has no poles to integrate over."""
    failures = min(failures, rows)
    low, high = (float(end[0]) for end in jeffreys_interval(np.array([failures]), np.array([rows]), confidence))

    def mass(start: float, end: float) -> float:
        density = lambda t: np.sin(t) ** (2 * failures) * np.cos(t) ** (2 * (rows - failures))  # noqa: E731
        return quad(density, np.arcsin(np.sqrt(start)), np.arcsin(np.sqrt(end)), epsabs=0)[0]

    tail = (1 - confidence) / 2
    outside = tail * ((failures > 0) + (failures < rows))
    assert mass(low, high) / mass(0, 1) == pytest.approx(1 - outside, abs=1e-5)


def test_by_grade_counts_and_says_what_is_inside() -> None:
    judged = pl.DataFrame(
        {
            "rating": ["B"] * 100 + ["A"] * 100,
            "pd_12m": [0.05] * 100 + [0.2] * 100,
            "failed": [1] * 5 + [0] * 95 + [1] * 2 + [0] * 98,
        }
    )
    table = calibration_by_grade(judged, ["A", "B"], 0.95)
    assert table["rating"].to_list() == ["A", "B"]
    assert table["failures"].to_list() == [2, 5]
    assert table["inside"].to_list() == [False, True]


def test_spiegelhalter_by_hand() -> None:
    failed, pd = np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.2, 0.1])
    above = 0.5 * 0 + (-0.2) * 0.6 + (-0.1) * 0.8
    below = 0 + 0.36 * 0.16 + 0.64 * 0.09
    z, p = spiegelhalter(failed, pd)
    assert z == pytest.approx(above / np.sqrt(below))
    assert p == pytest.approx(2 * norm.sf(abs(z)))


def test_hosmer_lemeshow_by_hand() -> None:
    failed, pd = np.array([0.0, 1.0, 1.0, 1.0]), np.array([0.25, 0.25, 0.5, 0.5])
    statistic, p = hosmer_lemeshow(failed, pd, groups=2)
    assert statistic == pytest.approx(0.5**2 / (2 * 0.25 * 0.75) + 1**2 / (2 * 0.5 * 0.5))
    assert 0 < p < 1


@given(outcomes)
def test_the_parts_of_the_brier_score_add_up(rows: list[tuple[int, float]]) -> None:
    failed, pd = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    parts = brier_parts(failed, pd)
    assert parts["brier"] == pytest.approx(parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within"])
    assert parts["reliability"] >= 0 and parts["resolution"] >= 0


def test_tests_of_calibration_hold_their_size() -> None:
    rng = np.random.default_rng(0)
    rejected = np.zeros(2)
    for _ in range(300):
        pd = expit(rng.normal(-3, 1, 2000))
        failed = (rng.random(2000) < pd).astype(float)
        rejected += [spiegelhalter(failed, pd)[1] < 0.05, hosmer_lemeshow(failed, pd)[1] < 0.05]
    assert rejected / 300 == pytest.approx([0.05, 0.05], abs=0.04)


@pytest.mark.parametrize(("width", "low", "high"), [(0.3, 0.86, 0.94), (0.05, 0.0, 0.8), (0.9, 0.96, 1.0)])
def test_coverage_tells_good_intervals_from_bad(width: float, low: float, high: float) -> None:
    """Years differ by 0.3 in log-odds. Intervals that say so hold in nine cells of ten; narrower in fewer, wider in more."""
    rng = np.random.default_rng(4)
    frames = []
    for year in range(400):
        score = rng.normal(-2.5, 0.3, 400)
        failed = (rng.random(400) < expit(score + rng.normal(0, 0.3))).astype(int)
        reach = norm.ppf(0.95) * width
        frames.append(
            pl.DataFrame(
                {
                    "company_id": [str(i) for i in range(400)],
                    "fiscal_year": year,
                    "rating": "B",
                    "failed": failed,
                    "pd_12m": expit(score),
                    "pd_12m_low": expit(score - reach),
                    "pd_12m_high": expit(score + reach),
                }
            )
        )
    table = interval_coverage(pl.concat(frames), 0.9)
    assert table["rating"].to_list() == ["B", "all"]
    assert low <= table["covered"][0] <= high
