"""What the executive, company, stress and model pages show, as plain functions: figures that add up and equal the run's."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from conftest import default_params
from polars.testing import assert_frame_equal

from quiebra import store
from quiebra.alerts import analysts
from quiebra.dashboards import company, executive, model, stress
from quiebra.dashboards.base import Base
from quiebra.dashboards.stress import Case
from quiebra.dashboards.tearsheet import tear_sheet
from quiebra.errors import PanelError, WorkspaceError
from quiebra.features import feature_table
from quiebra.models.term import COLUMNS
from quiebra.params import check
from quiebra.risk import subject as subject_of
from quiebra.risk.economy import Economy, YearSpread
from quiebra.risk.shocks import KEYS, Desk, Shock
from quiebra.settings import database_url
from quiebra.words import LANGUAGES, Words
from quiebra.workspace import Workspace

EN, ES = Words("en"), Words("es")


def test_the_executive_figures_are_those_of_the_run(base: Base) -> None:
    kpis = {kpi.title: kpi for kpi in executive.kpis(base, EN)}
    scores = pl.read_parquet(base.workspace.scores / "scores.parquet")
    assert kpis["Companies"].value == EN.number(scores.height)
    assert kpis["Mean PD, one year"].value == EN.percent(scores["pd_12m"].mean())
    assert kpis["Expected loss"].value == EN.number(base.losses["expected_loss"], 1)
    assert kpis["On the watch list"].note == EN("{n} companies", n=scores["watch"].sum())
    assert kpis["Change on the month"].value == "–"
    assert sum(executive.grade_counts(base, EN)["now"].values()) == scores.height
    assert executive.migration(base).drop("from").sum_horizontal().sum() == base.before.height


def test_the_change_on_the_month_is_against_the_latest_run_of_an_earlier_month(workspace: Path) -> None:
    import sqlite3

    base = Base(Workspace(workspace))
    assert executive.month_before(base) is None
    with sqlite3.connect(workspace / "data/quiebra.db") as database:
        run = database.execute("SELECT * FROM ejecuciones").fetchone()
        names = [row[1] for row in database.execute("PRAGMA table_info(ejecuciones)")]
        earlier = dict(zip(names, run, strict=True)) | {"run_id": "0" * 12, "as_of": "2022-01-15", "is_current": 0}
        database.execute(f"INSERT INTO ejecuciones VALUES ({','.join('?' * len(names))})", list(earlier.values()))
        database.execute(
            "INSERT INTO predicciones (run_id, company_id, score_date, kind, fiscal_year, score_month, pd_12m, rating, watch) "
            "SELECT ?, company_id, '2022-01-15', kind, fiscal_year, '2022-01', 0.25, rating, watch FROM predicciones "
            "WHERE run_id = ? AND kind = 'current'", ("0" * 12, base.run["run_id"]),
        )  # fmt: skip
    assert executive.month_before(base) == pytest.approx(0.25)


def test_reviews_that_are_overdue_are_named_on_the_executive_page(workspace: Path) -> None:
    import sqlite3

    some, name = Base(Workspace(workspace)).scores.select("company_id", "name").row(0)
    engine = store.connect(database_url(workspace))
    analysts.watch(engine, some, "ana", "lost a client")
    assert executive.late(Base(Workspace(workspace)), EN) == ""
    with sqlite3.connect(workspace / "data/quiebra.db") as database:  # three months later
        assert database.execute("UPDATE vigilancia SET review_on = '2020-03-01'").rowcount == 1
    assert executive.late(Base(Workspace(workspace)), ES) == f"Revisiones vencidas: {name} (01/03/2020)."


# company


def test_what_is_said_of_a_company_adds_up(base: Base) -> None:
    subject = company.known(base, company.riskiest(base))
    steps = subject_of.steps(subject, EN)
    assert subject.base + sum(effect for _, effect in steps) == pytest.approx(subject.score["log_odds"], abs=2e-3)
    pds, lows, highs = subject_of.terms(subject.score)
    assert pds == sorted(pds)
    assert all(low <= pd <= high for low, pd, high in zip(lows, pds, highs, strict=True))
    moves = company.what_moves(subject, EN)
    assert all(now == pytest.approx(subject.score["pd_12m"]) for _, _, now, _ in moves)
    low, high = subject_of.grade_bounds(base.params.score.grades, subject.score["rating"])
    assert low < subject.score["pd_12m"] <= high
    blend = subject_of.blend(base, subject)
    assert 0 <= blend["weight"] <= 1
    assert subject_of.history(base, subject)["fiscal_year"].is_sorted()


def test_search_finds_by_name_and_id_and_puts_beginnings_first(base: Base) -> None:
    name = base.scores["name"][5]
    assert company.find(base, name)[0][0] == base.scores["company_id"][5]
    assert company.find(base, base.scores["company_id"][5].lower())[0][0] == base.scores["company_id"][5]
    assert company.find(base, "  ") == []
    with pytest.raises(PanelError, match="no company with the id"):
        company.known(base, "<script>")


def test_a_statement_typed_in_scores_as_the_same_statement_in_a_file(base: Base, tmp_path: Path) -> None:
    from quiebra.scoring import score_file

    items = company.defaults(base, None)
    items["gross_profit"] = items["revenue"] - items["cost_of_goods_sold"]
    subject = company.typed(base, "Mine", None, items)
    row = {"company_id": "X", "fiscal_year": subject.score["fiscal_year"], "available_at": str(base.as_of), **items}
    pl.DataFrame([row]).write_csv(tmp_path / "x.csv")
    assert score_file(base.workspace, tmp_path / "x.csv").table["pd_12m"][0] == pytest.approx(subject.score["pd_12m"], abs=1e-6)
    assert subject.base + sum(subject.parts.values()) == pytest.approx(subject.score["log_odds"])
    worse = company.typed(base, "Mine", None, items | {"net_income": -items["total_assets"], "ebit": -items["total_assets"],
        "ebitda": -items["total_assets"]})
    assert worse.score["pd_12m"] > subject.score["pd_12m"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_assets": -5.0}, "total_assets"), ({"total_assets": 0.0}, "total_assets"), ({"revenue": -1.0}, "revenue"),
        ({"current_assets": 1e6}, "current_assets"), ({"revenue": float("inf")}, "revenue"), ({"cash": 1e12}, "cash"),
        ({"current_liabilities": 1e6}, "current_liabilities"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_not_scored(base: Base, changes: dict, field: str) -> None:
    items = company.defaults(base, None) | changes
    assert field in company.faults(items)
    with pytest.raises(PanelError, match=field):
        company.typed(base, "", None, items)


def test_defaults_are_a_sound_company_of_each_sector(base: Base) -> None:
    for sector in [None, *base.scores["sector"].unique()]:
        assert company.faults(company.defaults(base, sector)) == {}


@pytest.mark.parametrize("words", [EN, ES], ids=LANGUAGES)
def test_the_tear_sheet_stands_alone_and_says_what_the_page_says(base: Base, words: Words) -> None:
    subject = company.known(base, company.riskiest(base))
    sheet = tear_sheet(base, subject, words)
    assert words.percent(subject.score["pd_12m"]) in sheet
    assert subject.name in sheet
    assert base.run["run_id"] in sheet
    assert words("SIMULATED: these companies do not exist.") in sheet
    assert "http" not in sheet


# stress


def test_nothing_happening_changes_nothing(base: Base) -> None:
    assert_frame_equal(stress.under(base, Case()), stress.now(base).sort("company_id"), check_exact=False)


def test_sliders_and_reverse_stress_stay_within_what_params_allow() -> None:
    for name, (_, low, high) in stress.LEVERS.items():
        assert check(default_params(stress={"shocks": {"low": {name: low or 0.01}, "high": {name: high}}}))
    assert all(check(default_params(stress={"shocks": {"worst": {name: size}}})) for name, size in stress.WORST.items())
    assert check(default_params(stress={"scenarios": {"far": {"years": stress.ECONOMY}, "back": {"years": -stress.ECONOMY}}}))


def test_scenarios_and_shocks_of_params_give_what_the_stage_wrote(base: Base) -> None:
    severe = Case(stress.in_scenario(base, "severe"))
    found = stress.under(base, severe)
    wrote = base.scenarios.filter(scenario="severe").sort("company_id")
    assert found["pd_12m"].to_list() == pytest.approx(wrote["pd_12m"].to_list(), rel=1e-9)
    of_run = next(row for row in base.losses["scenarios"] if row["scenario"] == "severe")
    assert stress.loss_range(base, severe) == pytest.approx((of_run["loss_low"], of_run["loss_high"]))
    assert stress.loss_range(base, Case(severe.moves, Shock(revenue=-0.1))) is None, "of a shock's error nothing is known"
    name = "a fifth less revenue"
    found = stress.under(base, Case(shock=stress.shock_of(stress.preset(base, name))))
    assert found["pd_12m"].to_list() == pytest.approx(base.shocks.filter(shock=name).sort("company_id")["pd_12m"].to_list(),
        abs=1e-9)


@pytest.mark.parametrize("with_series", [True, False])
def test_a_worse_economy_is_worse_for_everybody_and_one_company_is_as_among_all(finished: Path, with_series: bool) -> None:
    base = Base(Workspace(finished))
    if not with_series:
        vars(base)["economy"] = Economy(None, YearSpread(0.4, 0.2, 0.8), None, {}, 0.9)
    (lever,), worse_way = base.economy.levers, -1.0 if with_series else 1.0  # less growth, or years that are worse
    assert lever == ("GDP_GROWTH" if with_series else "years")
    bad = Case({lever: 2.0 * worse_way}, Shock(revenue=-0.1))
    calm, worse = stress.under(base, Case({lever: worse_way})), stress.under(base, bad)
    assert (calm["pd_12m"] > stress.now(base).sort("company_id")["pd_12m"]).all()
    one = base.scores["company_id"][7]
    shock = replace(bad, moves={})
    among = stress.under(base, shock).filter(company_id=one).select(COLUMNS)
    alone = base.desk.of(one, {"case": bad.shock}).select(COLUMNS)
    assert alone.row(0) == pytest.approx(among.row(0), abs=1e-9)
    assert (worse["pd_12m"] > stress.under(base, shock)["pd_12m"]).all()
    assert stress.totals(base, calm)["loss"] > stress.totals(base, stress.now(base))["loss"]
    assert stress.moves(base, calm).drop("from").sum_horizontal().sum() == base.scores.height


def test_fewer_peers_and_statements_give_the_same_figures(base: Base) -> None:
    keys, shocks = base.scores.select(KEYS), {"x": Shock(revenue=-0.3)}
    few, all_ = (
        Desk(base.model, base.statements, base.companies, peers, keys, base.params.score).under(shocks)
        for peers in (base.peers, base.features)
    )
    again = [base.desk.under(shocks) for _ in range(2)]  # what was sorted is kept the second time
    assert base.peers.height < base.features.height
    assert base.desk.statements.height < base.statements.height
    for other in (all_, *again):
        assert_frame_equal(few, other, check_exact=True)


def test_rows_asked_for_alone_have_the_same_features(base: Base) -> None:
    keys = base.scores.select(KEYS)
    whole = feature_table(base.statements, base.companies, base.features).join(keys, on=KEYS, how="semi")
    assert_frame_equal(feature_table(base.statements, base.companies, base.features, keys), whole)


# model


def test_the_model_page_reads_what_validation_and_the_register_wrote(base: Base) -> None:
    years = model.auc_by_year(base, EN)
    assert [p[1] for p in years["model"]] == [base.metrics["by_year"][str(p[0])]["auc"] for p in years["model"]]
    assert [p[0] for p in years["Altman alone"]] == [p[0] for p in years["model"]]
    strongest = model.importance(base, ES, 3)
    assert strongest[0][2] >= strongest[1][2] >= strongest[2][2] > 0
    assert model.drift(base, EN)["status"][0] in ("alarm", "watch", "ok")
    lineage = dict(model.lineage(base, EN))
    assert lineage["Run"] == base.run["run_id"]
    assert lineage["Model, SHA-256"] == base.run["model_sha256"]
    assert len(model.register(base)) == 1


def test_a_score_made_before_contributions_were_kept_asks_for_a_run(workspace: Path) -> None:
    (workspace / "data/scores/contributions.parquet").unlink()
    with pytest.raises(WorkspaceError, match="quiebra run"):
        Base(Workspace(workspace)).check()
