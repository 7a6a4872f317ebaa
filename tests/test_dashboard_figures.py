"""What the executive, company, stress and model pages show, as plain functions: figures that add up and equal the run's."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import default_params
from polars.testing import assert_frame_equal

from quiebra import store
from quiebra.dashboards.pages.company_sheet import company_page_html
from quiebra.environment import database_url
from quiebra.errors import PanelError, WorkspaceError
from quiebra.feature_engineering import feature_table
from quiebra.items import VERSION_KEYS
from quiebra.models.term import PD_COLUMNS
from quiebra.params import validate_params
from quiebra.risk import scored_company
from quiebra.risk.economy import Economy, YearSpread
from quiebra.risk.shocks import Shock, ShockEngine
from quiebra.services import company, decisions, stress
from quiebra.services import model_health as model
from quiebra.services import overview as executive
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.stress import StressCase
from quiebra.text.words import LANGUAGES, Words
from quiebra.workspace import Workspace

EN, ES = Words("en"), Words("es")


def test_the_executive_figures_are_those_of_the_run(base: FinishedRunView) -> None:
    kpis = {kpi.title: kpi for kpi in executive.headline_figures(base, EN)}
    scores = pl.read_parquet(base.workspace.scores / "scores.parquet")
    assert kpis["Companies"].value == EN.number(scores.height)
    assert kpis["Mean PD, one year"].value == EN.percent(scores["pd_12m"].mean())
    assert kpis["Expected loss"].value == EN.number(base.losses["expected_loss"], 1)
    assert kpis["On the watch list"].note == EN("{n} companies", n=scores["watch"].sum())
    assert kpis["Change on the month"].value == "–"
    assert sum(executive.grade_counts(base, EN)["now"].values()) == scores.height
    assert executive.grade_migration(base).drop("from").sum_horizontal().sum() == base.before.height


def test_the_change_on_the_month_is_against_the_latest_run_of_an_earlier_month(workspace: Path) -> None:
    import sqlite3

    base = FinishedRunView(Workspace(workspace))
    assert executive.previous_month_pd(base) is None
    with sqlite3.connect(workspace / "data/quiebra.db") as database:
        run = database.execute("SELECT * FROM ejecuciones").fetchone()
        names = [row[1] for row in database.execute("PRAGMA table_info(ejecuciones)")]
        earlier = dict(zip(names, run, strict=True)) | {"run_id": "0" * 12, "as_of": "2022-01-15", "is_current": 0}
        database.execute(f"INSERT INTO ejecuciones VALUES ({','.join('?' * len(names))})", list(earlier.values()))
        database.execute(
            "INSERT INTO predicciones (run_id, company_id, score_date, kind, fiscal_year, score_month, pd_12m, rating, watch) "
            "SELECT ?, company_id, '2022-01-15', kind, fiscal_year, '2022-01', 0.25, rating, watch FROM predicciones "
            "WHERE run_id = ? AND kind = 'current'",
            ("0" * 12, base.run["run_id"]),
        )
    assert executive.previous_month_pd(base) == pytest.approx(0.25)


def test_reviews_that_are_overdue_are_named_on_the_executive_page(workspace: Path) -> None:
    import sqlite3

    some, name = FinishedRunView(Workspace(workspace)).scores.select("company_id", "name").row(0)
    engine = store.connect(database_url(workspace))
    decisions.add_to_watch_list(engine, some, "ana", "lost a client")
    assert executive.overdue_sentence(FinishedRunView(Workspace(workspace)), EN) == ""
    with sqlite3.connect(workspace / "data/quiebra.db") as database:  # three months later
        assert database.execute("UPDATE vigilancia SET review_on = '2020-03-01'").rowcount == 1
    assert executive.overdue_sentence(FinishedRunView(Workspace(workspace)), ES) == f"Revisiones vencidas: {name} (01/03/2020)."


# company


def test_what_is_said_of_a_company_adds_up(base: FinishedRunView) -> None:
    subject = company.load_company(base, company.riskiest_company(base))
    steps = scored_company.score_steps(subject, EN)
    assert subject.base_log_odds + sum(effect for _, effect in steps) == pytest.approx(subject.score["log_odds"], abs=2e-3)
    pds, lows, highs = scored_company.pd_term_structure(subject.score)
    assert pds == sorted(pds)
    assert all(low <= pd <= high for low, pd, high in zip(lows, pds, highs, strict=True))
    moves = company.lever_effects(subject, EN)
    assert all(now == pytest.approx(subject.score["pd_12m"]) for _, _, now, _ in moves)
    low, high = scored_company.grade_bounds(base.params.score.grades, subject.score["rating"])
    assert low < subject.score["pd_12m"] <= high
    blend = scored_company.blend_parts(base, subject)
    assert 0 <= blend["weight"] <= 1
    assert scored_company.pd_history(base, subject)["fiscal_year"].is_sorted()


def test_search_finds_by_name_and_id_and_puts_beginnings_first(base: FinishedRunView) -> None:
    name = base.scores["name"][5]
    assert company.find_companies(base, name)[0][0] == base.scores["company_id"][5]
    assert company.find_companies(base, base.scores["company_id"][5].lower())[0][0] == base.scores["company_id"][5]
    assert company.find_companies(base, "  ") == []
    with pytest.raises(PanelError, match="no company with the id"):
        company.load_company(base, "<script>")


def test_a_statement_typed_in_scores_as_the_same_statement_in_a_file(base: FinishedRunView, tmp_path: Path) -> None:
    from quiebra.services.scoring import score_file

    items = company.sector_medians(base, None)
    items["gross_profit"] = items["revenue"] - items["cost_of_goods_sold"]
    subject = company.score_statement(base, "Mine", None, items)
    row = {"company_id": "X", "fiscal_year": subject.score["fiscal_year"], "available_at": str(base.as_of), **items}
    pl.DataFrame([row]).write_csv(tmp_path / "x.csv")
    assert score_file(base.workspace, tmp_path / "x.csv").table["pd_12m"][0] == pytest.approx(subject.score["pd_12m"], abs=1e-6)
    assert subject.base_log_odds + sum(subject.parts.values()) == pytest.approx(subject.score["log_odds"])
    worse = company.score_statement(
        base,
        "Mine",
        None,
        items | {"net_income": -items["total_assets"], "ebit": -items["total_assets"], "ebitda": -items["total_assets"]},
    )
    assert worse.score["pd_12m"] > subject.score["pd_12m"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_assets": -5.0}, "total_assets"),
        ({"total_assets": 0.0}, "total_assets"),
        ({"revenue": -1.0}, "revenue"),
        ({"current_assets": 1e6}, "current_assets"),
        ({"revenue": float("inf")}, "revenue"),
        ({"cash": 1e12}, "cash"),
        ({"current_liabilities": 1e6}, "current_liabilities"),
    ],
)
def test_a_wrong_field_is_named_and_not_scored(base: FinishedRunView, changes: dict, field: str) -> None:
    items = company.sector_medians(base, None) | changes
    assert field in company.statement_faults(items)
    with pytest.raises(PanelError, match=field):
        company.score_statement(base, "", None, items)


def test_defaults_are_a_sound_company_of_each_sector(base: FinishedRunView) -> None:
    for sector in [None, *base.scores["sector"].unique()]:
        assert company.statement_faults(company.sector_medians(base, sector)) == {}


@pytest.mark.parametrize("words", [EN, ES], ids=LANGUAGES)
def test_the_tear_sheet_stands_alone_and_says_what_the_page_says(base: FinishedRunView, words: Words) -> None:
    subject = company.load_company(base, company.riskiest_company(base))
    sheet = company_page_html(base, subject, words)
    assert words.percent(subject.score["pd_12m"]) in sheet
    assert subject.name in sheet
    assert base.run["run_id"] in sheet
    assert words("These companies do not exist.") in sheet
    assert "http" not in sheet


# stress


def test_nothing_happening_changes_nothing(base: FinishedRunView) -> None:
    assert_frame_equal(stress.stressed_pds(base, StressCase()), stress.current_pds(base).sort("company_id"), check_exact=False)


def test_sliders_and_reverse_stress_stay_within_what_params_allow() -> None:
    for name, (_, low, high) in stress.LEVER_RANGES.items():
        assert validate_params(default_params(stress={"shocks": {"low": {name: low or 0.01}, "high": {name: high}}}))
    assert all(
        validate_params(default_params(stress={"shocks": {"worst": {name: size}}})) for name, size in stress.LEVER_LIMITS.items()
    )
    assert validate_params(
        default_params(stress={"scenarios": {"far": {"years": stress.ECONOMY_RANGE}, "back": {"years": -stress.ECONOMY_RANGE}}})
    )


def test_scenarios_and_shocks_of_params_give_what_the_stage_wrote(base: FinishedRunView) -> None:
    severe = StressCase(stress.scenario_moves(base, "severe"))
    found = stress.stressed_pds(base, severe)
    wrote = base.scenarios.filter(scenario="severe").sort("company_id")
    assert found["pd_12m"].to_list() == pytest.approx(wrote["pd_12m"].to_list(), rel=1e-9)
    of_run = next(row for row in base.losses["scenarios"] if row["scenario"] == "severe")
    assert stress.expected_loss_range(base, severe) == pytest.approx((of_run["loss_low"], of_run["loss_high"]))
    assert stress.expected_loss_range(base, StressCase(severe.moves, Shock(revenue=-0.1))) is None, (
        "of a shock's error nothing is known"
    )
    name = "a fifth less revenue"
    found = stress.stressed_pds(base, StressCase(shock=stress.shock_from_levers(stress.preset_sizes(base, name))))
    assert found["pd_12m"].to_list() == pytest.approx(
        base.shocks.filter(shock=name).sort("company_id")["pd_12m"].to_list(), abs=1e-9
    )


@pytest.mark.parametrize("with_series", [True, False])
def test_a_worse_economy_is_worse_for_everybody_and_one_company_is_as_among_all(finished: Path, with_series: bool) -> None:
    base = FinishedRunView(Workspace(finished))
    if not with_series:
        vars(base)["economy"] = Economy(None, YearSpread(0.4, 0.2, 0.8), None, {}, 0.9)
    (lever,), worse_way = base.economy.levers, -1.0 if with_series else 1.0  # less growth, or years that are worse
    assert lever == ("GDP_GROWTH" if with_series else "years")
    bad = StressCase({lever: 2.0 * worse_way}, Shock(revenue=-0.1))
    calm, worse = stress.stressed_pds(base, StressCase({lever: worse_way})), stress.stressed_pds(base, bad)
    assert (calm["pd_12m"] > stress.current_pds(base).sort("company_id")["pd_12m"]).all()
    one = base.scores["company_id"][7]
    shock = replace(bad, moves={})
    among = stress.stressed_pds(base, shock).filter(company_id=one).select(PD_COLUMNS)
    alone = base.shock_engine.company_scores(one, {"case": bad.shock}).select(PD_COLUMNS)
    assert alone.row(0) == pytest.approx(among.row(0), abs=1e-9)
    assert (worse["pd_12m"] > stress.stressed_pds(base, shock)["pd_12m"]).all()
    assert stress.portfolio_totals(base, calm)["loss"] > stress.portfolio_totals(base, stress.current_pds(base))["loss"]
    assert stress.shocked_grade_migration(base, calm).drop("from").sum_horizontal().sum() == base.scores.height


def test_fewer_peers_and_statements_give_the_same_figures(base: FinishedRunView) -> None:
    keys, shocks = base.scores.select(VERSION_KEYS), {"x": Shock(revenue=-0.3)}
    few, all_ = (
        ShockEngine(base.model, base.statements, base.companies, peers, keys, base.params.score).shocked_scores(shocks)
        for peers in (base.peers, base.features)
    )
    again = [base.shock_engine.shocked_scores(shocks) for _ in range(2)]  # what was sorted is kept the second time
    assert base.peers.height < base.features.height
    assert base.shock_engine.statements.height < base.statements.height
    for other in (all_, *again):
        assert_frame_equal(few, other, check_exact=True)


def test_rows_asked_for_alone_have_the_same_features(base: FinishedRunView) -> None:
    keys = base.scores.select(VERSION_KEYS)
    whole = feature_table(base.statements, base.companies, base.features).join(keys, on=VERSION_KEYS, how="semi")
    assert_frame_equal(feature_table(base.statements, base.companies, base.features, keys), whole)


# model


def test_the_model_page_reads_what_validation_and_the_register_wrote(base: FinishedRunView) -> None:
    years = model.auc_by_year(base, EN)
    assert [p[1] for p in years["model"]] == [base.metrics["by_year"][str(p[0])]["auc"] for p in years["model"]]
    assert [p[0] for p in years["Altman alone"]] == [p[0] for p in years["model"]]
    strongest = model.importance_rows(base, ES, 3)
    assert strongest[0][2] >= strongest[1][2] >= strongest[2][2] > 0
    assert model.drift_rows(base, EN)["status"][0] in ("alarm", "watch", "ok")
    lineage = dict(model.run_lineage(base, EN))
    assert lineage["Run"] == base.run["run_id"]
    assert lineage["Model, SHA-256"] == base.run["model_sha256"]
    assert len(model.registered_models(base)) == 1


def test_a_score_made_before_contributions_were_kept_asks_for_a_run(workspace: Path) -> None:
    (workspace / "data/scores/contributions.parquet").unlink()
    with pytest.raises(WorkspaceError, match="quiebra run"):
        FinishedRunView(Workspace(workspace)).check()
