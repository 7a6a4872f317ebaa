"""What waits for somebody: alerts to look at, grades and models that a second person decides on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Engine

from quiebra.alerts.analyst_decisions import list_overrides
from quiebra.alerts.cases import AlertCase, group_into_cases
from quiebra.alerts.descriptions import STATE_LABELS
from quiebra.identity import Permission, list_users
from quiebra.identity.permissions import ROLES
from quiebra.services.champion import waiting_successions
from quiebra.services.finished_run import FinishedRunView
from quiebra.text.person_input import is_same_person
from quiebra.text.words import Words, translatable

CASE_SCHEMA = {
    "case_id": pl.String,
    "company_id": pl.String,
    "known": pl.Boolean,
    "name": pl.String,
    "severity": pl.String,
    "what": pl.String,
    "alerts": pl.String,
    "state": pl.String,
    "owner": pl.String,
    "raised_on": pl.Date,
    "review_on": pl.Date,
}
SHOWN = {
    "all": translatable("All"),
    "mine": translatable("Mine"),
    "unowned": translatable("Nobody's yet"),
    "due": translatable("To look at again"),
}
"""Choice of the alerts that are listed → its label."""


@dataclass(frozen=True)
class PendingDecision:
    """What somebody asked for and another person decides. kind: grade, promotion or rollback. identifier: number of the grade, or
    model id. own: the visitor asked for it, and cannot decide. despite: a promotion although the model ranks worse."""

    kind: str
    identifier: str
    title: str
    text: str
    author: str
    reason: str
    own: bool
    despite: bool = False


def pending_decisions(
    engine: Engine, view: FinishedRunView, person: str | None, words: Words, company_id: str | None = None
) -> list[PendingDecision]:
    """Return what waits for a second person, models before grades, the oldest first.

    person: the visitor; None: nobody known. company_id: only its grades; None: everything.
    """
    names = dict(view.scores.select("company_id", "name").iter_rows())

    def is_own(author: str) -> bool:
        return person is not None and is_same_person(author, person)

    grades = [
        PendingDecision(
            "grade",
            str(row["override_id"]),
            words("{company}: grade {grade}", company=names.get(row["company_id"]) or row["company_id"], grade=row["rating"]),
            words(
                "The model says {model}, at a PD of {pd}. The grade would count until {date}.",
                model=row["model_rating"],
                pd=words.percent(row["pd_12m"]),
                date=words.short(row["expires_on"]),
            ),
            row["author"],
            row["reason"],
            is_own(row["author"]),
        )
        for row in proposed_grades(engine, view.run["data"]["source"]).iter_rows(named=True)
        if company_id in (None, row["company_id"])
    ]
    if company_id is not None:
        return grades
    models = [
        PendingDecision(
            row["kind"],
            row["model_id"],
            *_succession_texts(row, words),
            row["proposed_by"],
            "",
            is_own(row["proposed_by"]),
            row["kind"] == "promotion" and row["despite"],
        )
        for row in waiting_successions(engine)
    ]
    return [*models, *grades]


def _succession_texts(row: Mapping[str, Any], words: Words) -> tuple[str, str]:
    """Return title and text of a promotion or a rollback that waits."""
    if row["kind"] == "rollback":
        title = words("Rollback to model {model}", model=row["model_id"])
        return title, words("It is in charge already; another person confirms that this was right.")
    worse = [words("It was proposed even if it ranks worse than the model in charge.")] if row["despite"] else []
    text = " ".join([*worse, words("It would score from the next run on.")])
    return words("Model {model} in charge", model=row["model_id"]), text


def proposed_grades(engine: Engine, source: str) -> pl.DataFrame:
    """Return the grades that are proposed and wait for approval, as rows of
    `quiebra.alerts.analyst_decisions.list_overrides`."""
    today = dt.datetime.now(dt.UTC).date()
    waits = pl.col("approver").is_null() & pl.col("ended_on").is_null() & (pl.col("expires_on") >= today)
    return list_overrides(engine, source, past=True).filter(waits)


def alert_cases(view: FinishedRunView) -> list[AlertCase]:
    """Return the alerts that stand, grouped by company and sorted by urgency."""
    return group_into_cases(view.decisions.alerts.to_dicts(), view.company_facts, view.run["run_id"])


def case_id(case: AlertCase) -> str:
    return f"{case.kind} {case.first['subject']}"


def case_rows(cases: Sequence[AlertCase], view: FinishedRunView, words: Words, show: str, person: str | None) -> pl.DataFrame:
    """Return a row for each case (`CASE_SCHEMA`). show: of `SHOWN`."""
    names, grades = dict(view.scores.select("company_id", "name").iter_rows()), list(view.params.score.grades)
    rows = [
        (
            case_id(case),
            case.first["subject"],
            case.first["subject"] in names,
            case.named(words, names),
            case.severity,
            case.headline(words, grades),
            case.counted(words),
            ", ".join(words(STATE_LABELS[state]) for state in case.each("state")),
            ", ".join(case.each("owner")) or None,
            case.since,
            min((alert["review_on"] for alert in case.alerts if alert["review_on"]), default=None),
        )
        for case in cases
        if any(_is_shown(alert, show, person) for alert in case.alerts)
    ]
    return pl.DataFrame(rows, schema=CASE_SCHEMA, orient="row")


def _is_shown(alert: Mapping[str, Any], show: str, person: str | None) -> bool:
    if show == "mine":
        return bool(person and alert["owner"] and is_same_person(alert["owner"], person))
    if show == "unowned":
        return not alert["owner"]
    if show == "due":
        return bool(alert["review_on"] and alert["review_on"] <= dt.datetime.now(dt.UTC).date())
    return True


def possible_owners(engine: Engine) -> list[str]:
    """Return the names of users who may look after alerts; empty as long as there are no users."""
    able = {role for role, allowed in ROLES.items() if Permission.DECIDE in allowed}
    return [row["name"] for row in list_users(engine) if not row["disabled"] and row["role"] in able]
