"""Real companies: the floors on the American panel to 2017, of the model and of alerts, with the shipped params."""

import pytest
from conftest import AMERICAN, walk_on

from quiebra.alerts.backtest import Past, back_test
from quiebra.features import feature_table
from quiebra.models import Chain
from quiebra.panel import Panel, build, label
from quiebra.params import Params
from quiebra.risk import with_grades
from quiebra.risk.runs import KEYS
from quiebra.sources import american
from quiebra.validation.judging import Resampling
from quiebra.validation.report import risk_tenths, validation_report, years_to_judge

pytestmark = pytest.mark.skipif(not AMERICAN.exists(), reason="the American panel is not on this machine")


@pytest.fixture(scope="module")
def american_panel() -> Panel:
    return build(american.load(AMERICAN))


@pytest.fixture(scope="module")
def american_chain(american_panel: Panel, params: Params) -> Chain:
    return walk_on(american_panel, params)


def test_the_model_ranks_and_is_calibrated(american_panel: Panel, american_chain: Chain, params: Params) -> None:
    """The floors of the first level on fiscal years 2012-2017, trained from 2003 with a one-year embargo."""
    labels = label(american_panel.statements, american_panel.events)
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


def test_alerts_see_failures_coming(american_panel: Panel, american_chain: Chain, params: Params) -> None:
    """As the stages score, validation and alerts put it together."""
    statements = american_panel.statements
    altman = feature_table(statements, american_panel.companies).select(*KEYS, "^altman.*$")
    ends = statements.select(*KEYS, "period_end")
    scores = with_grades(american_chain.history.join(altman, on=KEYS), params.score).join(ends, on=KEYS)
    past = Past(scores, american_panel.events, american_panel.companies, params.score.grades, params.score.max_age_months)
    rules = {name: rule.resolved(params.score.watch_from) for name, rule in params.alerts.rules.items()}
    found = back_test(past, rules, 2012, 2017, params.alerts.back_test, Resampling(100, 0.95, 1))
    five, ten = found["budgets"]
    assert (five["budget"], ten["budget"]) == (0.05, 0.1)
    assert five["failures"] == 170
    assert five["recall"] >= 0.65
    assert ten["recall"] >= 0.80
    assert five["interval"]["recall"][0] > 0.55
    assert ten["lead_years"] > 1
