"""Real companies: the floors on the American panel to 2017, of the model and of alerts, with the shipped params."""

from pathlib import Path

import pytest
from conftest import AMERICAN, made_once, walk_on

from quiebra.alerts.backtest import ReplayData, back_test_rules
from quiebra.feature_engineering import feature_table
from quiebra.items import VERSION_KEYS
from quiebra.models import ModelChain
from quiebra.panels import Panel, build_panel, label_outcomes
from quiebra.params import Params
from quiebra.risk import add_grades
from quiebra.sources import american
from quiebra.validation.comparison import Bootstrap
from quiebra.validation.figures import risk_tenths, validation_report, years_to_judge

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not AMERICAN.exists(), reason="the American panel is not on this machine")]


@pytest.fixture(scope="module")
def american_panel(shared: Path) -> Panel:
    return made_once(shared, "american_panel", lambda: build_panel(american.load(AMERICAN)))


@pytest.fixture(scope="module")
def american_chain(american_panel: Panel, params: Params, shared: Path) -> ModelChain:
    return made_once(shared, "american_chain", lambda: walk_on(american_panel, params))


def test_the_model_ranks_and_is_calibrated(american_panel: Panel, american_chain: ModelChain, params: Params) -> None:
    """The floors of the first level on fiscal years 2012-2017, trained from 2003 with a one-year embargo."""
    labels = label_outcomes(american_panel.statements, american_panel.events)
    history = american_chain.history
    years = years_to_judge(history, american_panel.info.outcomes_through, params.validate_)
    assert years == list(range(2012, 2018))
    figures = validation_report(history, labels, years, params.validate_.model_copy(update={"bootstrap": 20}), 1)["walk_forward"]
    assert (figures["rows"], figures["events"]) == (19_934, 170)
    assert figures["auc"] >= 0.92
    assert figures["average_precision"] >= 0.20
    assert figures["top_decile_capture"] >= 0.75
    assert 0.8 <= figures["pd_over_observed"] <= 1.25
    assert risk_tenths(history, labels, years)["failures"].sum() == 170


def test_alerts_see_failures_coming(american_panel: Panel, american_chain: ModelChain, params: Params) -> None:
    """As the stages score, validation and alerts put it together."""
    statements = american_panel.statements
    altman = feature_table(statements, american_panel.companies).select(*VERSION_KEYS, "^altman.*$")
    ends = statements.select(*VERSION_KEYS, "period_end")
    scores = add_grades(american_chain.history.join(altman, on=VERSION_KEYS), params.score).join(ends, on=VERSION_KEYS)
    past = ReplayData(scores, american_panel.events, american_panel.companies, params.score.grades, params.score.max_age_months)
    rules = {name: rule.resolved(params.score.watch_from) for name, rule in params.alerts.rules.items()}
    found = back_test_rules(past, rules, 2012, 2017, params.alerts.back_test, Bootstrap(100, 0.95, 1))
    five, ten = found["budgets"]
    assert (five["budget"], ten["budget"]) == (0.05, 0.1)
    assert five["failures"] == 170
    assert five["recall"] >= 0.65
    assert ten["recall"] >= 0.80
    assert five["interval"]["recall"][0] > 0.55
    assert ten["lead_years"] > 1
