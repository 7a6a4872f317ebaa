"""Horizons: who is at risk in which year, hazards that add up to cumulative PDs, and intervals that hold what they say."""

import datetime as dt
import itertools
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, default_params, walk_on
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from test_panel import frame, statement

from quiebra.feature_engineering import feature_table, market_features
from quiebra.models import ModelChain
from quiebra.models.fit import later_years_target
from quiebra.models.interval import fit_uncertainty, pd_interval
from quiebra.models.term import PD_COLUMNS, cumulative_pds, fit_term_structure
from quiebra.panels import Panel, label_outcomes, outcome_horizons
from quiebra.params import validate_params


def labelled(years: list[int], event: int | None = None, known_at: dt.date | None = None) -> pl.DataFrame:
    events = pl.DataFrame(
        {"company_id": ["a"] if event else [], "event_date": [dt.date(event, 9, 1)] if event else []},
        schema={"company_id": pl.String, "event_date": pl.Date},
    )
    return label_outcomes(frame(*(statement("a", y) for y in years)), events, known_at=known_at)


def seen(labels: pl.DataFrame, last_year: int, exits_survive: bool = True) -> list[tuple[int | None, int]]:
    table = outcome_horizons(labels, last_year, exits_survive=exits_survive).sort("fiscal_year")
    return list(zip(table["years_to_failure"], table["years_known"], strict=True))


def test_years_to_failure_count_from_the_event() -> None:
    labels = labelled([2010, 2011, 2012], event=2013)
    assert seen(labels, 2012) == [(3, 3), (2, 2), (1, 1)]
    assert seen(labels, 2011) == [(None, 2), (None, 1)], "a failure that comes later is not known yet"


def test_an_exit_survives_or_ends_what_is_known() -> None:
    labels = labelled([2010, 2011])
    assert seen(labels, 2014) == [(None, 5), (None, 4)]
    assert seen(labels, 2014, exits_survive=False) == [(None, 1), (None, 0)]


def test_an_open_outcome_is_not_known() -> None:
    assert seen(labelled([2010, 2011], known_at=dt.date(2012, 12, 31)), 2012) == [(None, 1), (None, 0)]


@given(st.lists(st.tuples(st.integers(2, 8), st.integers(2, 8)), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_pooled_periods_have_the_likelihood_of_a_row_a_period(rows: list[tuple[int, int]], hazard: float) -> None:
    """(years to failure, 7 or 8: none; years known), all having survived the first year."""
    table = pl.DataFrame(
        {"years_to_failure": [f if f <= min(k, 6) else None for f, k in rows], "years_known": [k for _, k in rows]},
        schema={"years_to_failure": pl.Int32, "years_known": pl.Int32},
    )
    target = later_years_target(table)
    pooled = np.sum(target.periods * (target.share * np.log(hazard) + (1 - target.share) * np.log1p(-hazard)))
    whole = 0.0
    for to_failure, known in table.iter_rows():
        for year in range(2, min(known, 5) + 1):
            if to_failure is not None and year > to_failure:
                break
            whole += np.log(hazard) if year == to_failure else np.log1p(-hazard)
    assert pooled == pytest.approx(whole)


hazards = st.lists(st.floats(-8, 4), min_size=5, max_size=5)


@given(hazards)
def test_cumulative_pds_are_probabilities_and_never_fall(log_odds: list[float]) -> None:
    pds = cumulative_pds(np.array(log_odds[:1]), np.array([log_odds[1:]]))[0]
    assert pds[0] == pytest.approx(expit(log_odds[0]))
    assert ((pds >= 0) & (pds <= 1)).all() and (np.diff(pds) >= 0).all()
    assert 1 - pds[-1] == pytest.approx(np.prod(1 - expit(np.array(log_odds))))


def test_the_model_gives_a_term_structure_and_intervals(small_chain: ModelChain) -> None:
    history = small_chain.history
    for early, late in itertools.pairwise(PD_COLUMNS):
        assert (history[early] <= history[late]).all()
    for name in PD_COLUMNS:
        assert history.select((pl.col(f"{name}_low") < pl.col(name)).all() & (pl.col(name) < pl.col(f"{name}_high")).all()).item()


def test_five_year_pds_are_near_what_followed(chain: ModelChain, panel: Panel) -> None:
    """Among companies whose five years are known the share that failed is within a half of the mean five-year PD."""
    known = outcome_horizons(label_outcomes(panel.statements, panel.events), panel.info.outcomes_through, exits_survive=True)
    rows = chain.history.join(known, on=["company_id", "fiscal_year"]).filter(pl.col("years_known") >= 5)
    observed = (rows["years_to_failure"] <= 5).fill_null(False)
    assert observed.sum() > 50
    assert rows["pd_60m"].mean() == pytest.approx(observed.mean(), rel=0.5)
    thirds = rows.with_columns(observed=observed, third=(pl.col("pd_60m").rank("ordinal") * 3 / pl.len()).ceil())
    rates = thirds.group_by("third").agg(pl.col("observed").mean()).sort("third")["observed"].to_list()
    assert rates[0] < rates[1] < rates[2]


def test_companies_without_market_value_have_a_scorer_that_needs_none(chain: ModelChain, panel: Panel) -> None:
    assert set(chain.model.scorers) == {"market", "accounting"}
    assert not market_features() & set(chain.model.scorers["accounting"].near.feature_names)
    year = pl.col("fiscal_year") == pl.col("fiscal_year").max()
    private = feature_table(panel.statements.with_columns(market_value=pl.lit(None, pl.Float64)), panel.companies).filter(year)
    scores = chain.model.predict(private)
    assert set(scores["scorer"]) == {"accounting"}
    both = chain.model.predict(feature_table(panel.statements, panel.companies).filter(year))
    assert set(both["scorer"]) == {"accounting", "market"}
    unlisted = both["scorer"] == "accounting"
    assert both.filter(unlisted)["pd_12m"].to_list() == pytest.approx(scores.filter(unlisted)["pd_12m"].to_list())


def test_a_panel_without_any_market_value_is_learnt(small_panel: Panel) -> None:
    private = replace(small_panel, statements=small_panel.statements.with_columns(market_value=pl.lit(None, pl.Float64)))
    chain = walk_on(private, validate_params(default_params(**SMALL)))
    assert set(chain.model.scorers) == {"accounting"}
    assert set(chain.history["scorer"]) == {"accounting"}


def test_intervals_cover_the_years_to_come() -> None:
    """Years differ at random by 0.3 in log-odds: nine in ten intervals of a next year hold its true log-odds."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(60):
        score = rng.normal(-4, 1.2, (12, 800))
        shift = rng.normal(0, 0.3, 12)[:, None]
        failed = (rng.random(score.shape) < expit(score + shift)).astype(float)
        past, year = slice(0, 11), np.repeat(np.arange(11), 800)
        flat = score[past].ravel()
        spread = fit_uncertainty(flat, flat, failed[past].ravel(), np.arange(flat.size), year)
        low, high = pd_interval(score[11], spread.standard_error(score[11]), 0.9)
        truth = expit(score[11] + shift[11])
        covered.append(np.mean((low <= truth) & (truth <= high)))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.07)


def test_the_spread_of_years_is_found_and_shrinks_without_it() -> None:
    rng = np.random.default_rng(2)
    score, year = rng.normal(-3.5, 1, 40_000), np.repeat(np.arange(20), 2_000)

    def spread(size: float) -> float:
        shift = rng.normal(0, size, 20)[year] if size else 0.0
        failed = (rng.random(40_000) < expit(score + shift)).astype(float)
        return fit_uncertainty(score, score, failed, np.arange(40_000), year).year

    assert spread(0.5) == pytest.approx(0.5, rel=0.4)
    assert spread(0.0) < 0.15


def test_later_hazards_are_recalibrated() -> None:
    rng = np.random.default_rng(3)
    mixed = rng.normal(-3, 1, 20_000)
    term = fit_term_structure(mixed, (rng.random(20_000) < expit(0.5 + 0.8 * mixed)).astype(float))
    assert (term.intercept, term.slope) == (pytest.approx(0.5, abs=0.3), pytest.approx(0.8, abs=0.12))
    assert fit_term_structure(mixed[:5], np.zeros(5)).fitted_on == 0
    assert logit(expit(fit_term_structure(mixed[:5], np.zeros(5)).log_odds(np.array([-2.0])))) == pytest.approx([-2.0])
