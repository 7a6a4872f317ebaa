"""Sections on unattended operation: alert rules, delivery, schedule and retention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from quiebra.errors import InvalidValue, LocalisedMessage, suggestion_message
from quiebra.params.section import Line, Section, Share

SEVERITIES = ("low", "medium", "high")
STATUSES = ("ok", "watch", "alarm")
MEASURE_FLOORS: dict[str, dict[str, float]] = {
    "company": {
        "pd_12m": 0.0,
        "pd_60m": 0.0,
        "pd_rise": 0.0,
        "pd_times": 1.0,
        "notches": 0.0,
        "grade": 0.0,
        "peers": 1.0,
        "riskiest": 0.0,
        "inversion": 1.0,
        "zone": 0.0,
        "statement_months": 0.0,
        "blind": 0.0,
    },
    "portfolio": {"expected_loss": 0.0, "shortfall": 0.0, "largest_share": 0.0, "sector_hhi": 0.0},
    "model": {"drift": 0.0},
}
"""Kind of subject → its measures → the value that a rule's thresholds must exceed; see `quiebra.alerts.measures`."""
MEASURE_KINDS = {measure: kind for kind, measures in MEASURE_FLOORS.items() for measure in measures}
SHARE_MEASURES = ("pd_12m", "pd_60m", "pd_rise", "riskiest", "blind", "expected_loss", "shortfall", "largest_share", "sector_hhi")
"""Measures that cannot exceed 1."""


class Rule(Section):
    """An alert rule: an alert is raised where the measure is at least ``raise``, and closes once it is below ``clear``.

    Larger is always worse. Thresholds of ``grade`` are grades (or ``watch_from``); those of ``drift`` are monitoring statuses.
    """

    measure: str
    raise_: Annotated[float | str, Field(alias="raise")]
    clear: float | str
    severity: Literal["low", "medium", "high"] = "medium"
    companies: Literal["all", "portfolio", "watch_list"] = "all"
    sectors: Annotated[list[str], Field(min_length=1)] | None = None
    pd_from: Share = 0.0
    cool_down_days: Annotated[int, Field(ge=0, le=3650)] = 0

    @field_validator("measure")
    @classmethod
    def _known(cls, measure: str) -> str:
        if measure not in MEASURE_KINDS:
            raise InvalidValue(
                "unknown{near}; there are {all}", near=suggestion_message(measure, MEASURE_KINDS), all=", ".join(MEASURE_KINDS)
            )
        return measure

    @property
    def kind(self) -> str:
        """The kind of subject measured: ``company``, ``portfolio`` or ``model``."""
        return MEASURE_KINDS[self.measure]

    def resolved(self, watch_from: str) -> Rule:
        """Return the rule with ``watch_from`` replaced by the grade that it stands for in ``score``."""
        if self.measure != "grade":
            return self
        named = {
            name: watch_from if value == "watch_from" else value
            for name, value in (("raise_", self.raise_), ("clear", self.clear))
        }
        return self.model_copy(update=named)

    def thresholds(self, grades: Mapping[str, float]) -> tuple[float, float]:
        """Return both thresholds as numbers; a grade is its position in the scale, 0 for the best."""
        levels = {"grade": list(grades), "drift": list(STATUSES)}.get(self.measure)
        found = []
        for value in (self.raise_, self.clear):
            if levels is None:
                if isinstance(value, str):
                    raise InvalidValue("'{value}' is not a number", value=value)
                found.append(float(value))
            elif value not in levels:
                near = suggestion_message(str(value), levels)
                raise InvalidValue("'{value}' is none of {all}{near}", value=value, all=", ".join(levels), near=near)
            else:
                found.append(float(levels.index(str(value))))
        return found[0], found[1]

    def check(self, name: str, grades: Mapping[str, float]) -> None:
        """Raise InvalidValue, naming the rule, where it could never raise an alert, or always would."""
        try:
            high, low = self.thresholds(grades)
        except InvalidValue as error:
            raise InvalidValue("{name}: {why}", name=name, why=error.said) from None
        floor = MEASURE_FLOORS[self.kind][self.measure]
        if high <= floor:
            raise InvalidValue(
                "{name}: raise must be above {floor}, since larger is worse, not {value}",
                name=name,
                floor=f"{floor:g}",
                value=self.raise_,
            )
        if not floor < low <= high:
            raise InvalidValue(
                "{name}: clear must lie above {floor} and at or below raise ({high}), not {value}",
                name=name,
                floor=f"{floor:g}",
                high=self.raise_,
                value=self.clear,
            )
        most = {"riskiest": 0.9999, "zone": 2.0, "notches": len(grades) - 1.0}.get(
            self.measure, 1.0 if self.measure in SHARE_MEASURES else None
        )
        if most is not None and high > most:
            raise InvalidValue(
                "{name}: raise can be {most} at most, or no company could ever reach it, not {value}",
                name=name,
                most=f"{most:g}",
                value=self.raise_,
            )
        scoped = (self.companies != "all", self.sectors is not None, self.pd_from > 0)
        if self.kind != "company" and any(scoped):
            raise InvalidValue(
                "{name}: companies, sectors and pd_from are for rules on companies; '{measure}' is of the {kind}",
                name=name,
                measure=self.measure,
                kind=LocalisedMessage(self.kind),
            )


class BackTest(Section):
    """How alerts are evaluated against failures that happened."""

    horizon_years: Annotated[int, Field(ge=1, le=5)]
    budgets: list[Annotated[float, Field(gt=0, lt=1)]]
    miss_cost: Annotated[float, Field(gt=0)]


class Alerts(Section):
    rules: dict[Annotated[Line, Field(min_length=1, max_length=64)], Rule]
    back_test: BackTest


ADDRESS = re.compile(r"[^@\s<>,;\"\\\x00-\x1f\x7f-\U0010ffff]+@[^@\s<>,;\"\\\x00-\x1f\x7f-\U0010ffff]+")
"""ASCII only: other addresses need servers with SMTPUTF8. A non-ASCII domain has an ASCII form, xn--…."""


def _address(value: str) -> str:
    if not ADDRESS.fullmatch(value) or len(value) > 254:
        raise InvalidValue("must be one address such as ana@example.com, without line breaks")
    return value


Address = Annotated[str, AfterValidator(_address)]
Time = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Language = Literal["en", "es"]


class Recipient(Section):
    address: Address
    lang: Language | None = None


class Channel(Section):
    """Where alerts are sent. The URL, a secret, is in the environment as QUIEBRA_CHANNEL_NAME; mail has recipients instead."""

    kind: Literal["mail", "slack", "teams", "webhook"]
    severity: Literal["low", "medium", "high"] = "low"
    lang: Language | None = None
    quiet: Annotated[list[Time], Field(min_length=2, max_length=2)] | None = None
    digest_above: Annotated[int, Field(ge=1)] = 5
    recipients: list[Address] = Field(default_factory=list)

    @model_validator(mode="after")
    def _reachable(self) -> Channel:
        if (self.kind == "mail") != bool(self.recipients):
            raise InvalidValue("a mail channel needs recipients; the others have their address in the environment, and none")
        return self


class Delivery(Section):
    sender: Annotated[Address, Field(alias="from")]
    owner: Address | None
    subject: Line | None
    recipients: list[Recipient]
    dashboards: Annotated[str, Field(pattern=r"^https?://[^\s\"<>]+$")] | None
    timezone: str
    attempts: Annotated[int, Field(ge=1, le=50)]
    channels: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")], Channel]

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return check_time_zone(name)

    @field_validator("channels")
    @classmethod
    def _not_reserved(cls, channels: dict[str, Any]) -> dict[str, Any]:
        for name in ("report", "notice"):
            if name in channels:
                raise InvalidValue("'{name}' is a mail that is always there: call the channel something else", name=name)
        return channels


def check_time_zone(name: str) -> str:
    """Return the name of a time zone; raise ValueError where it is unknown."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidValue("must be a time zone such as Europe/Madrid") from None
    return name


DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_cron(cron: str) -> dict[str, str]:
    """Return the fields of a cron expression (minute, hour, day, month and day_of_week), with names for days of the week.

    Names are needed since cron counts days from Sunday, APScheduler from Monday.

    >>> parse_cron("0 6 * * 1-5")["day_of_week"]
    'mon-fri'
    """
    minute, hour, day, month, weekday = cron.split()
    if day != "*" and weekday != "*":
        raise InvalidValue("give a day of the month or days of the week, not both: cron would take either, and so would surprise")
    named = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda found: DAYS[int(found[0])], weekday)
    return {"minute": minute, "hour": hour, "day": day, "month": month, "day_of_week": named}


class Schedule(Section):
    cron: str
    stale_days: Annotated[int, Field(ge=1)] | None

    @field_validator("cron")
    @classmethod
    def _a_time(cls, cron: str) -> str:
        from apscheduler.triggers.cron import CronTrigger

        try:
            CronTrigger(**parse_cron(cron))
        except InvalidValue:
            raise
        except (ValueError, KeyError):
            raise InvalidValue("this is no time as cron writes it, such as '0 6 5 * *'") from None
        return cron


class Retention(Section):
    audit_days: Annotated[int, Field(ge=30)]
    messages_days: Annotated[int, Field(ge=30)]
    cycles_days: Annotated[int, Field(ge=30)]
    jobs_days: Annotated[int, Field(ge=1)] = 30
    predictions_days: Annotated[int, Field(ge=30)] = 800
    sessions_days: Annotated[int, Field(ge=1)] = 90
