"""Lists of alerts on the command line: a line a company, or a line an alert."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from quiebra.alerts.cases import ORDER, cases
from quiebra.alerts.plain import facts, sentence
from quiebra.alerts.wording import in_figures
from quiebra.errors import WorkspaceError
from quiebra.risk import FinishedRun
from quiebra.words import Words
from quiebra.workspace import Workspace

WORDS = Words()


def by_company(rows: Iterable[Mapping[str, Any]], grades: Sequence[str], workspace: Workspace) -> Iterator[str]:
    """Yield a line for each company, the portfolio and each measure of the model under alert, and how they are sorted."""
    run = FinishedRun(workspace)
    try:
        known, run_id, names = facts(run), run.run["run_id"], dict(run.companies.select("company_id", "name").iter_rows())
    except WorkspaceError:  # the database outlives the run's files: then nothing is known of before
        known, run_id, names = {}, None, {}
    found = cases(rows, known, run_id)
    for case in found:
        company, name = str(case.first["subject"]), case.named(WORDS, names)
        whom = name if case.kind != "company" or name == company else f"{company}  {name}"
        owner = f"  {', '.join(case.each('owner'))}" if case.each("owner") else ""
        said = f"{case.headline(WORDS, grades)} ({case.counted(WORDS)}). First: {case.step(WORDS)}."
        yield f"{case.severity:<6} {whom}: {said}{owner}"
    if found:
        yield f"{WORDS(ORDER)} `quiebra alerts list COMPANY` shows each alert with its id."


def one_by_one(rows: Iterable[Mapping[str, Any]], grades: Sequence[str]) -> Iterator[str]:
    """Yield a line for each alert: its id, how it stands, and its rule with figure and threshold."""
    for row in rows:
        owner = f"  {row['owner']}" if row["owner"] else ""
        again = f"  {look_again(row['review_on'])}" if row["review_on"] else ""
        yield (
            f"{row['alert_id']}  {row['severity']:<6} {row['state']:<12} {row['raised_on']}  {row['subject']}  "
            f"{sentence(row, WORDS, grades)}; {in_figures(row, WORDS, grades)}{owner}{again}"
        )


def look_again(review_on: dt.date) -> str:
    """Return a review's day, and whether it has passed."""
    return f"look again {review_on}{'  OVERDUE' if review_on < dt.date.today() else ''}"
