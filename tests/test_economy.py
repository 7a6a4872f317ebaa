"""What scenarios rest on: macro series, years that differ, a stated bad year with its source; or nothing, and then no scenario."""

import json

import numpy as np
import polars as pl
import pytest
from conftest import default_params

from quiebra.errors import ParamsError
from quiebra.params import validate_params
from quiebra.risk.economy import Economy, YearSpread, fit_economy, fit_year_spread
from quiebra.risk.scenarios import scenario_scores, scenario_totals
from quiebra.text.words import LANGUAGES, Words

PARAMS = validate_params(default_params())
STATED = validate_params(default_params(stress={"bad_year": {"rate": 0.05, "source": "INE, concursal statistics 2009"}}))
NO_MACRO = pl.DataFrame(schema={"series": pl.String, "date": pl.Date, "value": pl.Float64, "available_at": pl.Date})
EN = Words("en")


def judged(failures: list[int], rows: int = 1000, pd: float = 0.02) -> pl.DataFrame:
    """Years in which so many of a thousand companies failed, each with a PD of 2 %."""
    return pl.concat(
        pl.DataFrame(
            {
                "company_id": [f"C{i:04d}" for i in range(rows)],
                "fiscal_year": 2010 + year,
                "pd_12m": pd,
                "failed": [1] * count + [0] * (rows - count),
            }
        )
        for year, count in enumerate(failures)
    )


def learnt(failures: list[int], params=PARAMS) -> Economy:  # type: ignore[no-untyped-def]
    return fit_economy(judged(failures), NO_MACRO, params.stress, np.full(1000, 0.02), 0.9)[0]


def scores() -> pl.DataFrame:
    return pl.DataFrame({"company_id": ["a", "b"], **{f"pd_{12 * k}m": [0.01 * k, 0.02 * k] for k in range(1, 6)}})


@pytest.mark.parametrize(
    ("failures", "why"),
    [
        ([20, 40, 10], "outcomes of 3 fiscal years are known, and 5 are needed"),
        ([3, 2, 4, 3, 2, 3], "17 companies failed in the years that were scored before, and 20 are needed"),
        ([20, 21, 19, 20, 22, 18], "failure rates of the 6 fiscal years known have not differed by more than chance"),
    ],
)
def test_where_nothing_can_be_estimated_no_scenario_is_shown_and_the_reason_is(failures: list[int], why: str) -> None:
    economy = learnt(failures)
    assert economy.levers == [] and economy.about(EN).count(why) == 1 and "stress.bad_year" in economy.about(EN)
    moved = scenario_scores(scores(), PARAMS.stress, economy, PARAMS.score)
    assert (
        moved.is_empty() and scenario_totals(moved, pl.DataFrame({"company_id": ["a"], "exposure": [1.0], "lgd": [0.45]})) == []
    )
    assert economy.about(Words("es")) != economy.about(EN)


def test_years_that_differ_move_scenarios_with_an_interval() -> None:
    economy = learnt([20, 40, 10, 35, 12, 28, 50, 15])
    assert economy.levers == ["years"] and 0.2 < economy.spread.low < economy.spread.value < economy.spread.high < 1.5
    moved = scenario_scores(scores(), PARAMS.stress, economy, PARAMS.score)
    totals = {
        row["scenario"]: row
        for row in scenario_totals(moved, pl.DataFrame({"company_id": ["a", "b"], "exposure": [1.0, 1.0], "lgd": [0.5, 0.5]}))
    }
    assert totals["baseline"]["loss_low"] is None, "what is not moved has no interval"
    assert (
        totals["baseline"]["loss_expected"]
        < totals["adverse"]["loss_low"]
        < totals["adverse"]["loss_expected"]
        < totals["adverse"]["loss_high"]
    )


def test_the_spread_of_years_and_its_interval_are_right() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        rate = 0.02 * np.exp(rng.normal(0, 0.4, 10))
        observed = rng.binomial(3000, np.minimum(rate, 0.5))
        found.append(fit_year_spread(pl.DataFrame({"observed": observed, "expected": [60.0] * 10}), 0.9))
    assert np.mean([spread.value for spread in found]) == pytest.approx(0.4, abs=0.05)
    assert np.mean([spread.low <= 0.4 <= spread.high for spread in found]) == pytest.approx(0.9, abs=0.06)


@pytest.mark.parametrize("words", [Words(language) for language in LANGUAGES], ids=LANGUAGES)
def test_a_stated_bad_year_stands_in_and_its_source_is_named(words: Words) -> None:
    economy = learnt([3, 2, 4, 3, 2, 3], STATED)
    assert economy.levers == ["years"] and "INE, concursal statistics 2009" in economy.about(words)
    assert words.percent(0.05) in economy.about(words)
    flat = pl.DataFrame({"company_id": ["a"], **{f"pd_{12 * k}m": [0.02 * k] for k in range(1, 6)}})
    moved = scenario_scores(flat, STATED.stress, economy, STATED.score)
    adverse = moved.filter(pl.col("scenario") == "adverse")
    assert adverse["pd_12m"].item() == pytest.approx(0.05), "one standard deviation worse is the stated year"
    assert adverse["pd_12m_low"].item() is None
    again = Economy.of(json.loads(json.dumps(economy.plain())))
    assert again == economy


def test_a_bad_year_is_worse_than_today_and_has_a_source() -> None:
    calm = validate_params(default_params(stress={"bad_year": {"rate": 0.01, "source": "a guess"}}))
    with pytest.raises(ParamsError, match=r"stress\.bad_year\.rate is 0\.01, and today's mean PD is 0\.02"):
        learnt([3, 2, 4], calm)
    with pytest.raises(ParamsError, match=r"stress\.bad_year\.source: missing"):
        validate_params(default_params(stress={"bad_year": {"rate": 0.05}}))
    assert YearSpread(0.3).source is None
