"""Text output of alerts: one line per company, or one per alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from quiebra.alerts.cases import CASE_ORDER_NOTE, group_into_cases
from quiebra.alerts.descriptions import alert_in_figures
from quiebra.alerts.sentences import alert_sentence, company_facts
from quiebra.cli.context import review_status
from quiebra.errors import WorkspaceError
from quiebra.risk import FinishedRun
from quiebra.text.words import Words
from quiebra.workspace import Workspace

WORDS = Words()


def company_lines(rows: Iterable[Mapping[str, Any]], grades: Sequence[str], workspace: Workspace) -> Iterator[str]:
    """Yield a line for each company, the portfolio and each monitoring measure under alert, and a note on their order."""
    run = FinishedRun(workspace)
    try:
        known, run_id, names = company_facts(run), run.run["run_id"], dict(run.companies.select("company_id", "name").iter_rows())
    except WorkspaceError:  # the database outlives the run's files: then earlier figures are not known
        known, run_id, names = {}, None, {}
    found = group_into_cases(rows, known, run_id)
    for case in found:
        company, name = str(case.first["subject"]), case.named(WORDS, names)
        whom = name if case.kind != "company" or name == company else f"{company}  {name}"
        owner = f"  {', '.join(case.each('owner'))}" if case.each("owner") else ""
        said = f"{case.headline(WORDS, grades)} ({case.counted(WORDS)}). First: {case.step(WORDS)}."
        yield f"{case.severity:<6} {whom}: {said}{owner}"
    if found:
        yield f"{WORDS(CASE_ORDER_NOTE)} `quiebra alerts list COMPANY` shows each alert with its id."


def alert_lines(rows: Iterable[Mapping[str, Any]], grades: Sequence[str]) -> Iterator[str]:
    """Yield a line for each alert: its id, state, sentence, and rule with figure and threshold."""
    for row in rows:
        owner = f"  {row['owner']}" if row["owner"] else ""
        again = f"  {review_status(row['review_on'])}" if row["review_on"] else ""
        yield (
            f"{row['alert_id']}  {row['severity']:<6} {row['state']:<12} {row['raised_on']}  {row['subject']}  "
            f"{alert_sentence(row, WORDS, grades)}; {alert_in_figures(row, WORDS, grades)}{owner}{again}"
        )
