"""Few failures: intervals are wide where little was seen, narrow as it was before where much was, and a page says so."""

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params, merged, walk_on
from scipy.special import expit

from quiebra.models.interval import FEW_FAILURES, assumed_uncertainty, fit_uncertainty
from quiebra.panels import build_panel
from quiebra.params import Demo, validate_params
from quiebra.risk.scored_company import few_failures_sentence
from quiebra.services.finished_run import FinishedRunView
from quiebra.sources.demo import simulate
from quiebra.text.words import Words
from quiebra.validation.calibration import interval_coverage
from quiebra.validation.comparison import Bootstrap
from quiebra.validation.discrimination import figures_by_group


def fitted(rows: int, years: int, seed: int = 1):  # type: ignore[no-untyped-def]
    """The spread of years that do not differ, at a PD of one in a hundred."""
    rng = np.random.default_rng(seed)
    score = np.full(rows * years, -4.6) + rng.normal(0, 0.5, rows * years)
    failed = (rng.random(len(score)) < expit(score)).astype(float)
    return fit_uncertainty(score, score, failed, np.arange(len(score)), np.repeat(np.arange(years), rows)), int(failed.sum())


def test_the_fewer_failures_the_wider_the_spread() -> None:
    centre = np.array([-4.6])
    few, seen = fitted(700, 2)
    many, more = fitted(20_000, 2)
    assert seen < 25 and more > 300
    assert many.fitted_on == more
    assert float(few.standard_error(centre)[0]) > 1.5 * float(many.standard_error(centre)[0])
    assert many.year < 0.27, "with hundreds of failures the prior is a quarter"


def test_nothing_seen_is_as_far_off_as_unknown_years_and_the_base_rate_together() -> None:
    assert float(assumed_uncertainty(5).standard_error(np.zeros(1))[0]) == pytest.approx(np.sqrt(0.7**2 + 1 / 5.5))
    assert float(assumed_uncertainty(1e9).standard_error(np.zeros(1))[0]) == pytest.approx(0.7)


def test_intervals_hold_in_years_that_were_scored_by_models_of_few_failures() -> None:
    """Small panels whose first models learnt from a handful of failures: the intervals of 90 % hold in most cells, as they say."""
    judged = []
    for seed in range(4):
        own = build_panel(simulate(Demo(companies=90, first_year=2012, years=10, seed=seed)).source)
        chain = walk_on(own, validate_params(default_params(**merged(SMALL, {"train": {"trees": 20, "later_trees": 5}}))))
        early = [year for year, scorers in chain.scorers.items() if not scorers["accounting"].spread.fitted_on]
        events = own.events.with_columns(fiscal_year=pl.col("event_date").dt.year() - 1).select(
            "company_id", failed_in="fiscal_year"
        )
        rows = chain.history.filter(pl.col("fiscal_year").is_in(early)).join(events, on="company_id", how="left")
        judged.append(
            rows.with_columns(
                rating=pl.lit(f"panel {seed}"),
                failed=(pl.col("failed_in") == pl.col("fiscal_year")).fill_null(False).cast(pl.Int8),
            )
        )
        learnt = chain.scorers[early[0]]["accounting"].spread.covariance[0][0]
        assert 1 / learnt < FEW_FAILURES + 1
    table = interval_coverage(pl.concat(judged), 0.9)
    assert table["cells"][-1] >= 6
    assert table["covered"][-1] >= 0.8


def test_a_page_says_that_few_failures_were_learnt_from(base: FinishedRunView) -> None:
    enough = base.model_record["card"]["failures"] >= FEW_FAILURES
    assert (few_failures_sentence(base, Words("en")) == "") == enough
    card = {**base.model_record["card"], "failures": 7}
    few = FinishedRunView(base.workspace)
    vars(few)["model_record"] = {**base.model_record, "card": card}
    times = (base.scores["pd_12m_high"] / base.scores["pd_12m"]).median()
    said = few_failures_sentence(few, Words("en"))
    assert said.startswith("The model learnt from 7 failures only") and f"{times:.1f} times" in said
    assert few_failures_sentence(few, Words("es")).startswith("El modelo aprendió de solo 7 quiebras")


def test_a_group_with_hardly_a_failure_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "company_id": [str(i) for i in range(400)],
            "fiscal_year": 2015,
            "sector": ["Health"] * 200 + ["Trade"] * 200,
            "failed": [1] + [0] * 199 + [1] * 8 + [0] * 192,
            "pd_12m": rng.random(400) / 10,
        }
    )
    health, trade = figures_by_group(rows, "sector", Bootstrap(30, 0.95, 1))
    assert (health["events"], health["auc"], health["interval"]["auc"]) == (1, None, [None, None])
    assert trade["auc"] is not None and trade["interval"]["auc"][0] is not None
