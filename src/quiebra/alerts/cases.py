"""Group alerts into one case per company, sorted by urgency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quiebra.alerts.descriptions import alert_subject
from quiebra.alerts.sentences import FIRST_STEPS, MEASURES_BY_INFORMATION, CompanyFacts, alert_sentence
from quiebra.params.operations import SEVERITIES
from quiebra.text.words import Words, translatable

CASE_ORDER_NOTE = translatable(
    "In the order to look at them: by severity, then by PD times exposure, new before old; each with its most telling alert."
)
"""Order of `group_into_cases`, as shown to readers."""


@dataclass(frozen=True)
class AlertCase:
    """All alerts on one company, on the portfolio or on one monitoring measure, the most informative first.

    new: how many of them the latest run raised. fact: the company's figures, if it was scored.
    """

    alerts: tuple[Mapping[str, Any], ...]
    new: int
    fact: CompanyFacts | None

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
        """Return the distinct values of an alert column, such as ``state`` or ``owner``."""
        return list(dict.fromkeys(str(alert[name]) for alert in self.alerts if alert[name]))

    def named(self, words: Words, names: Mapping[str, str]) -> str:
        return alert_subject(self.first, words, names)

    def headline(self, words: Words, grades: Sequence[str]) -> str:
        """Return the sentence of the most informative alert."""
        return alert_sentence(self.first, words, grades, self.fact)

    def counted(self, words: Words) -> str:
        """Return the number of alerts, and of new ones among them, in words."""
        if self.new == len(self.alerts):
            return words.count("{n} alert, new", "{n} alerts, all new", n=self.new)
        said = words.count("{n} alert", "{n} alerts", n=len(self.alerts))
        return words("{alerts}, {new} new", alerts=said, new=self.new) if self.new else said

    def step(self, words: Words) -> str:
        """Return the recommended first step."""
        return words(FIRST_STEPS[self.first["measure"]])


def count_subjects(found: Sequence[AlertCase], words: Words) -> str:
    """Return the number of companies in words, and whether cases on the portfolio or the model are among them."""
    companies = sum(case.kind == "company" for case in found)
    said = words.count("{n} company", "{n} companies", n=companies)
    if companies == len(found):
        return said
    return (
        words("{companies}, and on the portfolio or the model", companies=said)
        if companies
        else words("the portfolio or the model")
    )


def group_into_cases(
    alerts: Iterable[Mapping[str, Any]], facts: Mapping[str, CompanyFacts], run_id: str | None = None
) -> list[AlertCase]:
    """Return alerts grouped by subject and sorted by urgency.

    Order: severity; then the portfolio and the model before companies; companies by PD times exposure, then by PD; ties by new
    before old.

    alerts: rows of `quiebra.alerts.lifecycle.list_alerts`; dates may be ISO text. run_id: the run whose alerts count as new.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for alert in alerts:
        groups.setdefault((alert["kind"], alert["subject"]), []).append(alert)
    found = [
        AlertCase(
            tuple(sorted(rows, key=_telling)),
            sum(row["raised_run"] == run_id for row in rows),
            facts.get(of) if kind == "company" else None,
        )
        for (kind, of), rows in groups.items()
    ]
    # sorts are stable: the last key has priority
    found.sort(key=lambda case: str(case.first["subject"]))
    found.sort(key=lambda case: str(case.since), reverse=True)
    found.sort(key=lambda case: -case.new)
    return sorted(found, key=_urgency)


def _telling(alert: Mapping[str, Any]) -> tuple[int, int, str]:
    place = (
        MEASURES_BY_INFORMATION.index(alert["measure"])
        if alert["measure"] in MEASURES_BY_INFORMATION
        else len(MEASURES_BY_INFORMATION)
    )
    return -SEVERITIES.index(alert["severity"]), place, alert["rule"]


def _urgency(case: AlertCase) -> tuple[int, bool, float, float]:
    fact = case.fact
    at_risk, pd = (fact.at_risk, fact.pd) if fact is not None else (0.0, 0.0)
    return -SEVERITIES.index(case.severity), case.kind == "company", -at_risk, -pd
