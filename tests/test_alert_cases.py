"""Alerts by company: one line each, the one to look at first on top, in plain words, with what to do first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import command

from quiebra.alerts.cases import count_subjects, group_into_cases
from quiebra.alerts.lifecycle import list_alerts as standing
from quiebra.alerts.sentences import (
    FIRST_STEPS,
    MEASURES_BY_INFORMATION,
    CompanyFacts,
    alert_sentence,
    company_facts,
    format_share,
)
from quiebra.params.operations import MEASURE_FLOORS, MEASURE_KINDS
from quiebra.services import overview as executive
from quiebra.services.finished_run import FinishedRunView
from quiebra.store import connect
from quiebra.text.words import Words

EN, ES = Words("en"), Words("es")
GRADES = ["AAA", "BB", "B", "CCC"]


def alert(
    subject: str, measure: str = "pd_12m", severity: str = "high", value: float | None = 0.2, **more: Any
) -> dict[str, Any]:
    return {
        "subject": subject,
        "kind": MEASURE_KINDS[measure],
        "measure": measure,
        "rule": measure,
        "severity": severity,
        "value": value,
        "threshold": 0.1,
        "state": "open",
        "owner": None,
        "raised_on": "2024-01-31",
        "raised_run": "old",
        "review_on": None,
        **more,
    }


THEN = CompanyFacts(0.13, "CCC", 0.04, "BB", 1, ("distress", "grey"))


@pytest.mark.parametrize(
    ("measure", "value", "fact", "en", "es"),
    [
        (
            "pd_times",
            3.25,
            THEN,
            "PD has tripled in a year, from 4.0 % to 13 %",
            "la PD se ha triplicado en un año, del 4,0 % al 13 %",
        ),
        (
            "pd_times",
            3.25,
            None,
            "PD is 3.2 times that of the accounts before",
            "la PD es 3,2 veces la de las cuentas anteriores",
        ),
        (
            "pd_times",
            20.0,
            CompanyFacts(0.2, "CCC", 0.01, "BB", 2),
            "PD is 20 times what it was two years ago: 1.0 % then, 20 % now",
            "la PD es 20 veces la de hace dos años: entonces 1,0 %, ahora 20 %",
        ),
        (
            "pd_rise",
            0.09,
            CompanyFacts(0.19, "CCC", 0.1, "BB", 1),
            "PD has doubled in a year, from 10 % to 19 %",
            "la PD se ha duplicado en un año, del 10 % al 19 %",
        ),
        (
            "pd_rise",
            0.05,
            CompanyFacts(0.15, "CCC", 0.1, "BB", 1),
            "PD has risen in a year, from 10 % to 15 %",
            "la PD ha subido en un año, del 10 % al 15 %",
        ),
        ("pd_12m", 0.1234, None, "PD is 12 % within a year", "la PD es del 12 % a un año"),
        ("notches", 2.0, THEN, "2 grades lost in a year, from BB to CCC", "2 escalones perdidos en un año, de BB a CCC"),
        ("notches", 1.0, None, "1 grade lost since the accounts before", "1 escalón perdido desde las cuentas anteriores"),
        ("grade", 3.0, None, "graded CCC", "calificada CCC"),
        (
            "zone",
            1.0,
            THEN,
            "Altman's zone is worse than a year ago: grey then, distress now",
            "la zona de Altman es peor que hace un año: entonces gris, ahora insolvencia",
        ),
        ("riskiest", 0.97, None, "riskier than 97 % of companies", "con más riesgo que el 97 % de las empresas"),
        ("riskiest", 1007 / 1008, None, "riskier than 99.9 % of companies", "con más riesgo que el 99,9 % de las empresas"),
        ("statement_months", 1.0, None, "its latest accounts are 1 month old", "sus últimas cuentas tienen 1 mes"),
        ("drift", 2.0, None, "monitoring says: alarm", "el seguimiento dice: alarma"),
        ("drift", None, None, "it cannot be worked out now: drift", "no puede calcularse ahora: drift"),
    ],
)
def test_an_alert_in_plain_words(measure: str, value: float | None, fact: CompanyFacts | None, en: str, es: str) -> None:
    row = alert("a", measure, value=value)
    assert [alert_sentence(row, words, GRADES, fact).replace("\xa0", " ") for words in (EN, ES)] == [en, es]


def test_every_measure_has_plain_words_and_a_first_step() -> None:
    assert set(FIRST_STEPS) == set(MEASURE_KINDS) and set(MEASURES_BY_INFORMATION) == set(MEASURE_FLOORS["company"])
    for measure in MEASURE_KINDS:
        for fact in (None, THEN, CompanyFacts(0.13, "CCC")):
            english, spanish = (alert_sentence(alert("a", measure, value=1.0), words, GRADES, fact) for words in (EN, ES))
            assert english != spanish and "{" not in english + spanish
        assert EN(FIRST_STEPS[measure]) != ES(FIRST_STEPS[measure])


def test_shares_have_the_decimals_that_say_something() -> None:
    assert [format_share(v, EN).replace("\xa0", " ") for v in (0.13, 0.0999, 0.04, 0.0025, 0.1)] == [
        "13 %",
        "10 %",
        "4.0 %",
        "0.25 %",
        "10 %",
    ]


def test_the_order_is_severity_then_pd_times_exposure_then_new_before_old() -> None:
    known = {
        "rich": CompanyFacts(0.10, "CCC", exposure=100.0),
        "poor": CompanyFacts(0.90, "CCC", exposure=1.0),
        "none": CompanyFacts(0.95, "CCC"),
        "lower": CompanyFacts(0.20, "CCC"),
        "low": CompanyFacts(0.99, "CCC", exposure=1000.0),
        "old": CompanyFacts(0.5, "CCC", exposure=0.002),
        "new": CompanyFacts(0.5, "CCC", exposure=0.002),
    }
    rows = [
        alert("low", severity="low"),
        alert("lower"),
        alert("none"),
        alert("poor"),
        alert("rich"),
        alert("old"),
        alert("new", raised_run="this", raised_on="2024-06-30"),
        alert("portfolio", "expected_loss"),
        alert("rich", "grade", "low", 3.0),
    ]
    found = group_into_cases(rows, known, "this")
    assert [case.first["subject"] for case in found] == ["portfolio", "rich", "poor", "new", "old", "none", "lower", "low"]
    assert [case.first["subject"] for case in group_into_cases(rows[::-1], known, "this")] == [
        case.first["subject"] for case in found
    ]
    rich = found[1]
    assert (len(rich.alerts), rich.first["measure"], rich.counted(EN)) == (2, "pd_12m", "2 alerts")
    assert (found[3].counted(EN), found[3].counted(ES)) == ("1 alert, new", "1 alerta, nueva")
    assert count_subjects(found, EN) == "7 companies, and on the portfolio or the model"
    assert count_subjects(found[1:2], EN) == "1 company"


def test_what_was_before_is_that_of_the_run(base: FinishedRunView) -> None:
    known = company_facts(base)
    assert set(known) == set(base.scores["company_id"])
    moved = base.scores.join(
        base.history.select("company_id", pl.col("fiscal_year") + 1, ago="pd_12m"), on=["company_id", "fiscal_year"]
    )
    assert moved.height > 50
    for company, ago, now in moved.select("company_id", "ago", "pd_12m").iter_rows():
        assert (known[company].pd_before, known[company].pd, known[company].years) == (ago, now, 1)


def test_the_executive_page_has_a_row_a_company(base: FinishedRunView) -> None:
    table = executive.open_alerts(base, EN)
    assert table["company_id"].n_unique() == table.height
    raised = base.decisions.alerts
    assert table.height == raised.select("kind", "subject").n_unique() < raised.height
    assert table["severity"].replace_strict({"high": 0, "medium": 1, "low": 2}).is_sorted()
    assert table["step"].str.len_chars().min() > 10  # type: ignore[operator]


def test_the_command_line_lists_companies_and_each_alert_when_asked(finished: Path) -> None:
    raised = standing(connect(f"sqlite:///{finished / 'data' / 'quiebra.db'}"), "demo")
    companies = raised.filter(pl.col("kind") == "company")
    listed = command(finished, "quiebra", "alerts", "list")
    lines = listed.stdout.splitlines()[1:]  # below the headings
    assert len(lines) == raised.select("kind", "subject").n_unique()
    assert all("First: " in line for line in lines)
    assert "by severity, then by PD times exposure" in listed.stderr
    assert not any("on)" in line for line in lines), "no rule's arithmetic"
    single = command(finished, "quiebra", "alerts", "list", "--all")
    assert len(single.stdout.splitlines()) == raised.height + 1
    assert single.stderr.strip() == f"{raised.height} alerts"
    one = companies["subject"].value_counts(sort=True).row(0)
    own = command(finished, "quiebra", "alerts", "list", one[0]).stdout.splitlines()
    assert len(own) == one[1] + 1
    assert all(alert_id in "\n".join(own) for alert_id in companies.filter(pl.col("subject") == one[0])["alert_id"])
