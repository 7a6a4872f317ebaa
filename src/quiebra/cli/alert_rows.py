"""Rows of alerts for lists: one per company, or one per alert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from quiebra.alerts.cases import group_into_cases
from quiebra.alerts.descriptions import alert_in_figures
from quiebra.alerts.sentences import alert_sentence, company_facts
from quiebra.cli.context import review_status
from quiebra.cli.listing import Field
from quiebra.errors import WorkspaceError
from quiebra.risk import FinishedRun
from quiebra.text.words import Words
from quiebra.workspace import Workspace

WORDS = Words()
COMPANY_COLUMNS: dict[str, Field] = {
    "severity": "severity",
    "id": "subject",
    "name": "name",
    "owner": "owner",
    "what, and what to do first": "says",
}
ALERT_COLUMNS: dict[str, Field] = {
    "alert": "alert_id",
    "severity": "severity",
    "state": "state",
    "raised": "raised_on",
    "id": "subject",
    "owner": "owner",
    "look again": review_status,
    "what": "says",
}


def company_rows(rows: Iterable[Mapping[str, Any]], grades: Sequence[str], workspace: Workspace) -> list[dict[str, Any]]:
    """Return a row for each company, the portfolio and each monitoring measure under alert, the one to look at first on top."""
    run = FinishedRun(workspace)
    try:
        names = dict(run.companies.select("company_id", "name").iter_rows())
        experiment = run.run.get("standing") == "experiment"  # its figures are none of the alerts'
        known, run_id = ({}, None) if experiment else (company_facts(run), run.run["run_id"])
    except WorkspaceError:  # the database outlives the run's files: then earlier figures are not known
        known, run_id, names = {}, None, {}
    return [
        {
            "severity": case.severity,
            "subject": str(case.first["subject"]),
            "name": case.named(WORDS, names),
            "owner": ", ".join(case.each("owner")),
            "says": f"{case.headline(WORDS, grades)} ({case.counted(WORDS)}). First: {case.step(WORDS)}.",
            "alerts": [alert["alert_id"] for alert in case.alerts],
        }
        for case in group_into_cases(rows, known, run_id)
    ]


def alert_rows(rows: Iterable[Mapping[str, Any]], grades: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each alert: its id, state, sentence, and rule with figure and threshold."""
    return [
        {
            **row,
            "says": f"{alert_sentence(row, WORDS, grades)}; {alert_in_figures(row, WORDS, grades)}",
        }
        for row in rows
    ]
