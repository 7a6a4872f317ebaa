"""Portfolio losses: known answers, contributions that add up, and the limit of many small exposures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from quiebra.risk.losses import expected_loss, hhi, pd_indices, simulate_losses


def test_expected_loss_and_indices_by_hand() -> None:
    pd, exposure = np.array([0.01, 0.02, 0.1, 0.04]), np.array([100.0, 100.0, 200.0, 0.0])
    assert expected_loss(pd, np.full(4, 0.5), exposure).sum() == pytest.approx(0.5 + 1 + 10)
    assert pd_indices(pd, exposure, tail=0.5) == pytest.approx({"median": 0.03, "weighted": 23 / 400, "tail": 0.07})


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=20))
def test_concentration_lies_between_equal_shares_and_one(amounts: list[float]) -> None:
    assert 1 / len(amounts) - 1e-9 <= hhi(np.array(amounts)) <= 1 + 1e-9
    assert np.isnan(hhi(np.zeros(3)))


def test_many_small_loans_lose_as_vasiceks_formula_says() -> None:
    """Vasicek (2002): the loss quantile of an infinitely fine portfolio is Φ((Φ⁻¹(PD) + √ρ Φ⁻¹(q)) / √(1 − ρ))."""
    n, pd, rho = 4000, 0.02, 0.15
    found = simulate_losses(np.full(n, pd), np.ones(n), np.full(n, 1 / n), correlation=rho, confidence=0.99, draws=8000, seed=1)
    limit = norm.cdf((norm.ppf(pd) + np.sqrt(rho) * norm.ppf(0.99)) / np.sqrt(1 - rho))
    assert found.value_at_risk == pytest.approx(limit, rel=0.06)
    assert found.losses.mean() == pytest.approx(pd, rel=0.06)
    assert found.expected == pytest.approx(pd)


def test_contributions_add_up_and_follow_exposure() -> None:
    exposure = np.array([500.0] + [10.0] * 99)
    found = simulate_losses(np.full(100, 0.05), np.full(100, 0.4), exposure, correlation=0.2, confidence=0.95, draws=4000, seed=2)
    assert found.contributions.sum() == pytest.approx(found.shortfall)
    assert found.shortfall >= found.value_at_risk >= found.expected
    assert found.contributions.argmax() == 0


@pytest.mark.parametrize(("companies", "pd"), [(1, 0.005), (3, 0.02), (50, 0.03)])
def test_the_shortfall_is_the_mean_of_the_worst_years(companies: int, pd: float) -> None:
    """Few companies tie at the value at risk: still the worst hundredth of years counts and no more."""
    found = simulate_losses(
        np.full(companies, pd),
        np.full(companies, 0.45),
        np.linspace(80, 100, companies),
        correlation=0.15,
        confidence=0.99,
        draws=4000,
        seed=3,
    )
    assert found.shortfall == pytest.approx(found.losses[-40:].mean())
    assert found.contributions.sum() == pytest.approx(found.shortfall)


def test_the_same_seed_gives_the_same_losses() -> None:
    one, two = (
        simulate_losses(np.full(50, 0.03), np.ones(50), np.ones(50), correlation=0.1, confidence=0.9, draws=200, seed=7)
        for _ in range(2)
    )
    assert np.array_equal(one.losses, two.losses)
