"""Alerts by company: one case each, the one to look at first on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quiebra.alerts.plain import FIRST_STEPS, TELLING, Fact, sentence
from quiebra.alerts.wording import subject
from quiebra.params.operations import SEVERITIES
from quiebra.words import Words, mark

ORDER = mark(
    "In the order to look at them: by severity, then by PD times exposure, new before old; each with its most telling alert."
)
"""How `cases` sorts, for a reader."""


@dataclass(frozen=True)
class Case:
    """All alerts on one company, on the portfolio or on one measure of monitoring, the most telling first.

    new: how many of them the latest run raised. fact: of the company, where it was scored.
    """

    alerts: tuple[Mapping[str, Any], ...]
    new: int
    fact: Fact | None

    @property
    def first(self) -> Mapping[str, Any]:
        return self.alerts[0]

    @property
    def kind(self) -> str:
        return str(self.first["kind"])

    @property
    def severity(self) -> str:
        return str(self.first["severity"])

    @property
    def since(self) -> Any:
        return min(alert["raised_on"] for alert in self.alerts)

    def each(self, name: str) -> list[str]:
        """Return the different values of a column of the alerts, such as ``state`` or ``owner``."""
        return list(dict.fromkeys(str(alert[name]) for alert in self.alerts if alert[name]))

    def named(self, words: Words, names: Mapping[str, str]) -> str:
        return subject(self.first, words, names)

    def headline(self, words: Words, grades: Sequence[str]) -> str:
        """Return what the most telling alert says."""
        return sentence(self.first, words, grades, self.fact)

    def counted(self, words: Words) -> str:
        """Return how many alerts there are, and how many of them are new."""
        if self.new == len(self.alerts):
            return words.count("{n} alert, new", "{n} alerts, all new", n=self.new)
        said = words.count("{n} alert", "{n} alerts", n=len(self.alerts))
        return words("{alerts}, {new} new", alerts=said, new=self.new) if self.new else said

    def step(self, words: Words) -> str:
        """Return what to do first."""
        return words(FIRST_STEPS[self.first["measure"]])


def subjects(found: Sequence[Case], words: Words) -> str:
    """Return how many companies cases are of, and whether some are of the portfolio or the model."""
    companies = sum(case.kind == "company" for case in found)
    said = words.count("{n} company", "{n} companies", n=companies)
    if companies == len(found):
        return said
    return (
        words("{companies}, and on the portfolio or the model", companies=said)
        if companies
        else words("the portfolio or the model")
    )


def cases(alerts: Iterable[Mapping[str, Any]], facts: Mapping[str, Fact], run_id: str | None = None) -> list[Case]:
    """Return alerts by what they are of, in the order to look at them: by severity; within it the portfolio and the model, then
    companies by PD times exposure, those without an exposure by PD; where that is equal, new before old.

    alerts: rows of `quiebra.alerts.states.alerts`; dates may be ISO text. run_id: the run whose alerts are new.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for alert in alerts:
        groups.setdefault((alert["kind"], alert["subject"]), []).append(alert)
    found = [
        Case(
            tuple(sorted(rows, key=_telling)), sum(row["raised_run"] == run_id for row in rows),
            facts.get(of) if kind == "company" else None,
        )
        for (kind, of), rows in groups.items()
    ]  # fmt: skip
    # stable sorts, the last the strongest
    found.sort(key=lambda case: str(case.first["subject"]))
    found.sort(key=lambda case: str(case.since), reverse=True)
    found.sort(key=lambda case: -case.new)
    return sorted(found, key=_urgency)


def _telling(alert: Mapping[str, Any]) -> tuple[int, int, str]:
    place = TELLING.index(alert["measure"]) if alert["measure"] in TELLING else len(TELLING)
    return -SEVERITIES.index(alert["severity"]), place, alert["rule"]


def _urgency(case: Case) -> tuple[int, bool, float, float]:
    fact = case.fact
    at_risk, pd = (fact.at_risk, fact.pd) if fact is not None else (0.0, 0.0)
    return -SEVERITIES.index(case.severity), case.kind == "company", -at_risk, -pd
