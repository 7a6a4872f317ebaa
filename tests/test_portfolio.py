"""The portfolio: a person's exposures are read or refused by row, figures by hand, scenarios that follow the economy."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import SMALL, command, default_params

from quiebra.errors import ParamsError, SourceError
from quiebra.io.files import read_json
from quiebra.models import ModelChain
from quiebra.models.term import PD_COLUMNS
from quiebra.params import Portfolio, validate_params
from quiebra.pipeline.reproduce import result_summary
from quiebra.reports.risk_report import risk_report
from quiebra.risk.economy import Economy, Scenario, YearSpread
from quiebra.risk.exposures import portfolio_exposures
from quiebra.risk.losses import loss_report, unscored_companies_sentence
from quiebra.risk.macro import Satellite, outcome_years, yearly_means
from quiebra.risk.scenarios import scenario_scores
from quiebra.text.words import Words
from quiebra.workspace import Workspace

PARAMS = validate_params(default_params(**SMALL))
SCORES = pl.DataFrame({"company_id": ["A", "B", "C"], "pd_12m": [0.01, 0.02, 0.10]})


def held(tmp_path: Path, text: str) -> tuple[pl.DataFrame, list[str]]:
    (tmp_path / "mine.csv").write_text(text)
    return portfolio_exposures(SCORES, PARAMS.portfolio.model_copy(update={"file": "mine.csv"}), tmp_path)


def test_exposures_are_read_and_strangers_listed(tmp_path: Path) -> None:
    table, unknown = held(tmp_path, "company_id,exposure,lgd\nC,200,0.6\nA,100,\nZ,5,0.1\n")
    assert unknown["without_score"] == ["Z"]
    assert table.sort("company_id").select("company_id", "exposure", "lgd").rows() == [("A", 100.0, 0.45), ("C", 200.0, 0.6)]
    assert portfolio_exposures(SCORES, PARAMS.portfolio, tmp_path)[0]["exposure"].to_list() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("company_id,exposure\nA,-5\n", "exposure must be a number of zero or more, but row 2"),
        ("company_id,exposure\nA,5\nA,6\n", "a company must be there once, but row 2"),
        ("company_id,exposure,lgd\nA,5,1.2\n", "lgd must be a share from 0 to 1, but row 2"),
        ("company_id,exposure\nA,5\n,6\n", "company_id must be given, but row 3"),
        ("company_id,amount\nA,5\n", r"lacks columns: 'exposure'"),
        ("company_id,exposure\nA,lots\n", "column 'exposure' must hold a number, but row 2 has 'lots'"),
        ("company_id,exposure\nA,inf\n", "exposure must be a number of zero or more, but row 2"),
        ("company_id,exposure\nA,0\nB,0\n", "all exposures are zero"),
        ("company_id,exposure\nX,5\n", "none of its 1 companies has a score"),
    ],
)
def test_bad_exposures_are_refused_by_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        held(tmp_path, text)


def test_the_loss_report_by_hand() -> None:
    companies = pl.DataFrame(
        {"company_id": ["A", "B", "C"], "sector": ["x", "x", "y"], "region": pl.Series([None] * 3, dtype=pl.String)}
    )
    options = Portfolio(file=None, lgd=0.5, correlation=0.1, confidence=0.95, draws=2000)
    table = SCORES.with_columns(exposure=pl.Series([100.0, 100.0, 200.0]), lgd=pl.lit(0.5))
    report, shares = loss_report(table, companies, options, seed=1)
    assert report["expected_loss"] == pytest.approx(0.5 + 1 + 10)
    assert report["hhi"] == pytest.approx({"name": 0.375, "sector": 0.5, "region": None})
    assert report["pd"]["weighted"] == pytest.approx((1 + 2 + 20) / 400)
    assert shares["contribution"].sum() == pytest.approx(report["expected_shortfall"])
    assert shares["company_id"][0] == "C"
    assert list(report["quantiles"].values()) == sorted(report["quantiles"].values())


def test_macro_of_the_year_that_outcomes_fall_in() -> None:
    judged = pl.DataFrame(
        {"company_id": ["A", "B", "A"], "fiscal_year": [2019, 2019, 2020], "pd_12m": [0.1, 0.2, 0.3], "failed": [0, 1, 0]}
    )
    halves = [dt.date(year, month, 28) for year in (2019, 2020, 2021) for month in (3, 9)]
    macro = pl.DataFrame(
        {
            "series": ["gdp"] * 7,
            "date": [*halves, halves[-1]],
            "value": [0.0, 2.0, 2.0, 4.0, 7.0, 7.0, 9.0],
            "available_at": [*(day.replace(month=12) for day in halves), dt.date(2022, 9, 1)],
        }
    )
    table = outcome_years(judged, macro, {"gdp": "level"})
    assert table.rows() == [(2019, 1, pytest.approx(0.3), 3.0), (2020, 0, pytest.approx(0.3), 8.0)], "revised values count"
    assert outcome_years(judged, macro, {"gdp": "change"})["gdp"].to_list() == [2.0, 5.0]
    assert outcome_years(judged, macro, {"rate": "level"})["rate"].to_list() == [None, None]


def test_part_of_a_year_is_no_year_of_a_series() -> None:
    """A monthly series: nine months are taken for the year, eight or two are not; the year after has no change either."""

    def months(year: int, count: int, value: float) -> pl.DataFrame:
        days = [dt.date(year, month, 1) for month in range(1, count + 1)]
        return pl.DataFrame({"series": "rate", "date": days, "value": value, "available_at": days})

    macro = pl.concat([months(2018, 8, 9.0), months(2019, 12, 3.0), months(2020, 9, 4.0), months(2021, 2, 9.0)])
    assert yearly_means(macro).rows() == [("rate", 2019, 3.0), ("rate", 2020, 4.0)]
    judged = pl.DataFrame({"company_id": ["A"] * 4, "fiscal_year": [2017, 2018, 2019, 2020], "pd_12m": 0.1, "failed": 0})
    assert outcome_years(judged, macro, {"rate": "level"})["rate"].to_list() == [None, 3.0, 4.0, None]
    assert outcome_years(judged, macro, {"rate": "change"})["rate"].to_list() == [None, None, 1.0, None]
    yearly = macro.filter(pl.col("date").dt.month() == 1)
    assert yearly_means(yearly)["year"].to_list() == [2018, 2019, 2020, 2021], "a yearly series has one observation a year"


SATELLITE = Satellite(("GDP_GROWTH",), np.array([2.0]), np.array([1.5]), np.array([0.0, -0.4]), np.diag([0.0, 0.04]))


ECONOMIES = {
    "macro": Economy(SATELLITE, None, None, {}, 0.9),
    "years": Economy(None, YearSpread(0.3, 0.1, 0.6), None, {}, 0.9),
}


def test_scenarios_move_in_standard_deviations() -> None:
    options = PARAMS.stress.scenarios
    severe = ECONOMIES["macro"].scenario(options["severe"])
    assert severe.shift == pytest.approx(0.8)
    assert severe.ends == pytest.approx((0.8 - 1.6449 * 0.4, 0.8 + 1.6449 * 0.4), abs=1e-4)
    assert ECONOMIES["macro"].scenario(options["baseline"]) == Scenario(0.0), "nothing is moved, so that nothing has an interval"
    assert ECONOMIES["years"].scenario(options["severe"]) == Scenario(0.6, 0.2, 1.2)
    assert ECONOMIES["years"].scenario({"years": -1.0}) == Scenario(-0.3, -0.6, -0.1)


def test_a_satellite_is_read_back_as_it_was_written() -> None:
    again = Satellite.of(json.loads(json.dumps(SATELLITE.plain())))
    assert again.state({"GDP_GROWTH": -2.0}) == {"GDP_GROWTH": -1.0}
    assert again.shift(again.state({"GDP_GROWTH": -2.0})) == pytest.approx((0.8, 0.4))


@pytest.mark.parametrize("economy", ECONOMIES.values(), ids=ECONOMIES)
def test_worse_scenarios_give_higher_pds_at_every_horizon(small_chain: ModelChain, economy: Economy) -> None:
    last = small_chain.history.filter(pl.col("fiscal_year") == pl.col("fiscal_year").max())
    moved = scenario_scores(last, PARAMS.stress, economy, PARAMS.score)
    assert moved.height == 3 * last.height
    mean = moved.group_by("scenario", maintain_order=True).agg(pl.col(PD_COLUMNS).mean())
    assert mean["scenario"].to_list() == ["baseline", "adverse", "severe"]
    for name in PD_COLUMNS:
        assert mean[name].is_sorted() and mean[name].n_unique() == 3
    base = moved.filter(pl.col("scenario") == "baseline").join(last.select("company_id", now="pd_12m"), on="company_id")
    assert base["pd_12m"].to_list() == pytest.approx(base["now"].to_list())
    assert base["pd_12m_low"].null_count() == base.height
    moved = moved.filter(pl.col("scenario") != "baseline")
    assert moved["pd_12m_low"].null_count() == 0
    assert moved.select(
        (pl.col("pd_12m_low") <= pl.col("pd_12m") + 1e-12).all() & (pl.col("pd_12m") <= pl.col("pd_12m_high") + 1e-12).all()
    ).item()


def test_a_scenario_of_an_unknown_series_is_refused() -> None:
    with pytest.raises(
        ParamsError, match=r"scenarios\.own: 'GDP_GROWHT' is not in stress\.macro \(did you mean 'GDP_GROWTH'\?\)"
    ):
        validate_params(default_params(stress={"scenarios": {"own": {"GDP_GROWHT": -1.0}}}))
    with pytest.raises(ParamsError, match=r"portfolio\.file: must be in data/raw"):
        validate_params(default_params(portfolio={"file": "mine.csv"}))
    with pytest.raises(ParamsError, match=r"stress\.shocks"):
        validate_params(default_params(stress={"shocks": {"own": {"sales": -1.0}}}))


def test_companies_without_a_score_are_told_with_their_exposure(tmp_path: Path) -> None:
    _, lost = held(tmp_path, "company_id,exposure,lgd\nC,200,0.6\nZ,50.5,0.1\nA,100,\nY,1000,\n")
    assert lost == {"without_score": ["Z", "Y"], "exposure_without_score": 1050.5, "portfolio_notes": []}
    report = {"companies": 2, "exposure": 300.0, **lost}
    words = "Companies of the portfolio without a score: 2 of 4 (Z, Y); exposure of 1,050.50 of 1,350.50 is in no figure."
    assert unscored_companies_sentence(report, Words()) == words
    assert unscored_companies_sentence(report, Words("es")).endswith(
        "una exposición de 1.050,50 de 1.350,50 no está en ninguna cifra."
    )
    assert unscored_companies_sentence({**report, "without_score": []}, Words()) == ""
    many = {"companies": 2, "exposure": 300.0, "without_score": [f"C{n}" for n in range(12)]}  # of an earlier version
    assert unscored_companies_sentence(many, Words()).endswith(
        "which no figure counts: 12 of 14 (C0, C1, C2, C3, C4, C5, C6, C7, C8, C9 and 2 more)."
    )
    assert portfolio_exposures(SCORES, PARAMS.portfolio, tmp_path)[1]["exposure_without_score"] == 0.0


def test_the_stage_with_a_portfolio_of_ones_own(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = pl.read_parquet(workspace / "data/scores/scores.parquet").head(30)
    scores.select("company_id", exposure=pl.lit(10.0)).vstack(
        pl.DataFrame({"company_id": ["STRANGER"], "exposure": [1.0]})
    ).write_csv(workspace / "data/raw/mine.csv")
    text = (workspace / "params.yaml").read_text().replace("portfolio:\n  file: null", "portfolio:\n  file: data/raw/mine.csv")
    (workspace / "params.yaml").write_text(text)
    done = command(workspace, "quiebra", "run", "stress")
    assert done.returncode == 0, done.stderr
    found = read_json(workspace / "data/stress/portfolio.json")
    assert found["companies"] == 30 and found["exposure"] == 300 and found["without_score"] == ["STRANGER"]
    assert found["expected_loss"] == pytest.approx(10 * 0.45 * scores["pd_12m"].sum())
    losses = [case["loss_expected"] for case in found["scenarios"]]
    assert losses == sorted(losses) and losses[0] == pytest.approx(found["expected_loss"])
    said = "Companies of the portfolio without a score: 1 of 31 (STRANGER); exposure of 1.00 of 301.00 is in no figure."
    assert f"portfolio   {said}" in result_summary(Workspace(workspace))
    monkeypatch.chdir(workspace)
    assert risk_report().losses_in_words().endswith(said)
    assert (
        "Empresas de la cartera sin puntuación: 1 de 31 (STRANGER);" in risk_report({"report": {"lang": "es"}}).losses_in_words()
    )
