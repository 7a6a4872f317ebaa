"""Monitoring of young panels: what moves by itself raises no alarm, what moved does, and every light agrees with every sentence."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import default_params

from quiebra.alerts.measures import model_measures
from quiebra.dashboards.pages.executive import ExecutivePage
from quiebra.feature_engineering import FEATURES_BY_NAME, feature_lookback, feature_table
from quiebra.panels import Panel
from quiebra.params import validate_params
from quiebra.params.operations import STATUSES
from quiebra.pipeline.reproduce import result_summary
from quiebra.reports.risk_report import RiskReport
from quiebra.services import model_health as model
from quiebra.services import overview as executive
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.words import Words
from quiebra.validation.monitoring import (
    FINDING_SCHEMA,
    feature_drift,
    monitoring_findings,
    monitoring_lights,
    uncompared_features,
)
from quiebra.validation.stability import MIN_ROWS_PER_SIDE, feature_stability, psi
from quiebra.workspace import Workspace

OPTIONS = validate_params(default_params()).monitor
EN = Words("en")
KNOWN = pl.DataFrame(
    schema={
        "fiscal_year": pl.Int32,
        **dict.fromkeys(("mean_pd", "observed", "low", "high", "auc", "auc_low", "auc_high"), pl.Float64),
    }
)


@pytest.mark.parametrize("constant", [0.0, 1.0, -7.5])
@pytest.mark.parametrize("moved", [-0.01, 0.01, 3.0])
def test_a_constant_that_moved_is_not_stable(constant: float, moved: float) -> None:
    before = np.full(500, constant)
    assert psi(before, np.full(500, constant + moved)) > 1
    assert psi(before, before) == 0
    half = np.where(np.arange(500) % 2 == 0, constant, constant + moved)
    assert psi(before, half) > 0.25
    mostly = np.where(np.arange(500) < 400, constant, constant + 5.0)
    assert psi(mostly, mostly - 1.0) > 1 and psi(mostly, mostly) == 0, "as are zeros with a few other values among them"


def test_every_feature_that_looks_back_is_known_to() -> None:
    back = feature_lookback()
    assert set(back) == set(FEATURES_BY_NAME)
    assert back["liabilities_to_assets"] == back["rank_liabilities_to_assets"] == 0
    assert back["log_assets_change1"] == back["rank_log_assets_change1"] == 1
    assert (back["loss_years"], back["market_value_off_peak"], back["net_income_volatility"]) == (2, 3, 4)
    assert back["distance_to_default"] == back["rank_distance_to_default"] == back["market_value_volatility"] == 3


def test_a_panel_that_grows_older_raises_no_alarm_by_itself(panel: Panel) -> None:
    """The first four years of a panel against the next: nothing happened but that companies have more years of statements."""
    table = (
        feature_table(panel.statements, panel.companies).sort("available_at").unique(["company_id", "fiscal_year"], keep="first")
    )
    first = int(table["fiscal_year"].min())
    before, now = table.filter(pl.col("fiscal_year") < first + 4), table.filter(pl.col("fiscal_year") == first + 4)
    plain = {name: psi(*(side[name].fill_null(np.nan).to_numpy() for side in (before, now))) for name in feature_lookback()}
    aged = {name for name, years in feature_lookback().items() if years > 0}
    assert sum(plain[name] > 0.25 for name in aged) > 20 and plain["years_published"] > 0.25, "compared as they are, they would"
    found = feature_drift(before, now, list(FEATURES_BY_NAME), OPTIONS)
    states = dict(found.select("subject", "status").iter_rows())
    assert states["years_published"] == "unknown" and "years_published" in uncompared_features(found)
    assert not [name for name in aged if states[name] == "alarm" and plain[name] < 0.25]
    assert sum(states[name] == "alarm" for name in aged) <= 2
    assert {name for name in aged if states[name] == "unknown"} <= {name for name in aged if feature_lookback()[name] == 4} | {
        "years_published"
    }


def test_too_few_companies_with_years_behind_them_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    before = pl.DataFrame(
        {"years_published": [0.0] * 500 + [2.0] * (MIN_ROWS_PER_SIDE - 1), "loss_years": rng.random(500 + MIN_ROWS_PER_SIDE - 1)}
    )
    assert feature_stability(before, before, ["loss_years"])["csi"].to_list() == [None]
    more = pl.concat([before, before])
    assert feature_stability(more, more, ["loss_years"])["csi"].to_list() == [0.0]


def found_on(years: list[dict[str, float]], csi: dict[str, tuple[float | None, str]]) -> pl.DataFrame:
    known = pl.concat([KNOWN, pl.DataFrame(years, schema=KNOWN.schema)]) if years else KNOWN
    features = pl.DataFrame(
        [("feature_csi", name, 2020, value, None, None, 0.1, 0.25, status) for name, (value, status) in csi.items()],
        schema=FINDING_SCHEMA,
        orient="row",
    )
    scores = pl.DataFrame({"fiscal_year": pl.Series([2020] * 50, dtype=pl.Int32), "pd_12m": np.linspace(0.01, 0.1, 50)})
    empty = pl.DataFrame(schema={"fiscal_year": pl.Int32, "auc": pl.Float64})
    importance = pl.DataFrame({"fiscal_year": [2019, 2019, 2020, 2020], "feature": ["a", "b"] * 2, "mean_abs": [0.0] * 4})
    return monitoring_findings(
        scores.with_columns(pl.col("fiscal_year") - 1), scores, known, empty, importance, features, OPTIONS
    )


def test_nothing_is_in_alarm_without_a_value() -> None:
    none_failed = {
        "fiscal_year": 2019,
        "mean_pd": 0.08,
        "observed": 0.0,
        "low": 0.0,
        "high": 0.01,
        "auc": None,
        "auc_low": None,
        "auc_high": None,
    }
    found = found_on([none_failed], {"x": (None, "unknown"), "y": (0.3, "alarm")})
    assert found.filter(pl.col("status").is_in(["watch", "alarm"]))["value"].null_count() == 0
    assert not found["value"].is_nan().any()
    row = found.filter(pl.col("measure") == "pd_over_observed").row(0, named=True)
    assert (row["value"], row["low"], row["status"]) == (pytest.approx(8.0), pytest.approx(8.0), "alarm")
    assert found.filter(pl.col("measure") == "importance_correlation")["status"].to_list() == ["unknown"], "no rank among zeros"
    share = found.filter(pl.col("measure") == "features_alarmed").row(0, named=True)
    assert share["value"] == 1.0, "of those that could be compared"


@pytest.mark.parametrize("alarmed", [0, 2, 43])
def test_every_place_says_the_same_of_monitoring(finished: Path, alarmed: int) -> None:
    """Executive page, model page, report, mail, alerts and the command line, on findings with so many features in alarm."""
    base = FinishedRunView(Workspace(finished))
    names = list(FEATURES_BY_NAME)
    csi = {name: (0.3, "alarm") if place < alarmed else (0.01, "ok") for place, name in enumerate(names)}
    made = found_on([], csi)
    vars(base)["findings"] = made
    shown = {light.measure: light for light in monitoring_lights(made)}
    light = shown["features_alarmed"]
    status = (
        "alarm" if alarmed / len(names) > OPTIONS.features_alarmed.alarm else "ok" if alarmed / len(names) <= 0.05 else "watch"
    )
    assert (light.status, light.off, light.subjects) == (status, alarmed, len(names))
    in_alarm = sum(one.status == "alarm" for one in shown.values())

    page = ExecutivePage()
    vars(page)["view"] = base
    page_lights = page._lights()
    assert EN("{n} of {all}", n=alarmed, all=len(names)) in page_lights
    assert "Stability of features" not in page_lights, "one light for features, not two that can contradict each other"
    assert (
        EN.count("{n} model alarm", "{n} model alarms", n=in_alarm)
        in {kpi.title: kpi for kpi in executive.headline_figures(base, EN)}["Alerts open"].note
    )

    table = model.drift_rows(base, EN)
    own = table.filter(pl.col("measure") == "Share of features in alarm")
    assert own["status"].to_list() == [status] and table["value"].null_count() == 0

    report = RiskReport(base.workspace, None)  # type: ignore[arg-type]
    vars(report)["findings"], vars(report)["words"] = made, EN
    rows = [line for line in report.monitored().splitlines() if "Share of features in alarm" in line]
    assert len(rows) == 1 and f"| {status}" in re.sub(r"\s+", " ", rows[0]) and f"{alarmed} of {len(names)}" in rows[0]
    assert f"{in_alarm} of {len(shown)}" in report._health()

    alert = dict(model_measures(made).select("subject", "drift").iter_rows())
    assert {name: STATUSES.index(one.status) if one.status in STATUSES else None for name, one in shown.items()} == alert


def test_the_command_line_counts_the_same_lights(finished: Path) -> None:
    workspace = Workspace(finished)
    shown = monitoring_lights(FinishedRunView(workspace).findings)
    line = next(line for line in result_summary(workspace) if line.startswith("monitoring"))
    assert f"{sum(light.status == 'alarm' for light in shown)} of {len(shown)} measures in alarm" in line
