"""The sections on what happens by itself: alert rules, who is told, when, and how long things are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from quiebra.errors import Refused, Said, did_you_mean
from quiebra.params.section import Line, Section, Share

SEVERITIES = ("low", "medium", "high")
STATUSES = ("ok", "watch", "alarm")
FLOORS: dict[str, dict[str, float]] = {
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
"""What a rule can look at, by kind of subject, and the value that its thresholds must be above; see `quiebra.alerts.measures`."""
KINDS = {measure: kind for kind, measures in FLOORS.items() for measure in measures}
SHARES = ("pd_12m", "pd_60m", "pd_rise", "riskiest", "blind", "expected_loss", "shortfall", "largest_share", "sector_hhi")
"""Measures that cannot be above 1."""


class Rule(Section):
    """An alert is raised where the measure is ``raise`` or more, and closes by itself once it is below ``clear``.

    Larger is always worse. Of ``grade`` and ``drift`` thresholds are a grade (or ``watch_from``) and a status of
    monitoring.
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
        if measure not in KINDS:
            raise Refused("unknown{near}; there are {all}", near=did_you_mean(measure, KINDS), all=", ".join(KINDS))
        return measure

    @property
    def kind(self) -> str:
        """``company``, ``portfolio`` or ``model``: what the measure is of."""
        return KINDS[self.measure]

    def resolved(self, watch_from: str) -> Rule:
        """Return the rule with the grade that ``watch_from`` stands for in ``score``."""
        if self.measure != "grade":
            return self
        named = {
            name: watch_from if value == "watch_from" else value
            for name, value in (("raise_", self.raise_), ("clear", self.clear))
        }
        return self.model_copy(update=named)

    def thresholds(self, grades: Mapping[str, float]) -> tuple[float, float]:
        """Return the thresholds as numbers; a grade is its place in the scale, the best being 0."""
        levels = {"grade": list(grades), "drift": list(STATUSES)}.get(self.measure)
        found = []
        for value in (self.raise_, self.clear):
            if levels is None:
                if isinstance(value, str):
                    raise Refused("'{value}' is not a number", value=value)
                found.append(float(value))
            elif value not in levels:
                near = did_you_mean(str(value), levels)
                raise Refused("'{value}' is none of {all}{near}", value=value, all=", ".join(levels), near=near)
            else:
                found.append(float(levels.index(str(value))))
        return found[0], found[1]

    def check(self, name: str, grades: Mapping[str, float]) -> None:
        """Raise Refused, naming the rule, where it could never be broken, or always is."""
        try:
            high, low = self.thresholds(grades)
        except Refused as error:
            raise Refused("{name}: {why}", name=name, why=error.said) from None
        floor = FLOORS[self.kind][self.measure]
        if high <= floor:
            raise Refused("{name}: raise must be above {floor}, since larger is worse, not {value}", name=name,
                          floor=f"{floor:g}", value=self.raise_)  # fmt: skip
        if not floor < low <= high:
            raise Refused("{name}: clear must lie above {floor} and at or below raise ({high}), not {value}", name=name,
                          floor=f"{floor:g}", high=self.raise_, value=self.clear)  # fmt: skip
        most = {"riskiest": 0.9999, "zone": 2.0, "notches": len(grades) - 1.0}.get(
            self.measure, 1.0 if self.measure in SHARES else None
        )
        if most is not None and high > most:
            raise Refused("{name}: raise can be {most} at most, or no company could ever reach it, not {value}", name=name,
                          most=f"{most:g}", value=self.raise_)  # fmt: skip
        scoped = (self.companies != "all", self.sectors is not None, self.pd_from > 0)
        if self.kind != "company" and any(scoped):
            raise Refused(
                "{name}: companies, sectors and pd_from are for rules on companies; '{measure}' is of the {kind}",
                name=name, measure=self.measure, kind=Said(self.kind),
            )  # fmt: skip


class BackTest(Section):
    """How alerts are judged on failures that happened."""

    horizon_years: Annotated[int, Field(ge=1, le=5)]
    budgets: list[Annotated[float, Field(gt=0, lt=1)]]
    miss_cost: Annotated[float, Field(gt=0)]


class Alerts(Section):
    rules: dict[Annotated[Line, Field(min_length=1, max_length=64)], Rule]
    back_test: BackTest


ADDRESS = re.compile(r"[^@\s<>,;\"\\\x00-\x1f\x7f-\U0010ffff]+@[^@\s<>,;\"\\\x00-\x1f\x7f-\U0010ffff]+")
"""ASCII alone: other addresses need servers that speak SMTPUTF8; a domain has an ASCII form, xn--…."""


def _address(value: str) -> str:
    if not ADDRESS.fullmatch(value) or len(value) > 254:
        raise Refused("must be one address such as ana@example.com, without line breaks")
    return value


Address = Annotated[str, AfterValidator(_address)]
Time = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Language = Literal["en", "es"]


class Recipient(Section):
    address: Address
    lang: Language | None = None


class Channel(Section):
    """Where alerts go. Its address, a secret, is in the environment: QUIEBRA_CHANNEL_NAME; mail has recipients instead."""

    kind: Literal["mail", "slack", "teams", "webhook"]
    severity: Literal["low", "medium", "high"] = "low"
    lang: Language | None = None
    quiet: Annotated[list[Time], Field(min_length=2, max_length=2)] | None = None
    digest_above: Annotated[int, Field(ge=1)] = 5
    recipients: list[Address] = Field(default_factory=list)

    @model_validator(mode="after")
    def _reachable(self) -> Channel:
        if (self.kind == "mail") != bool(self.recipients):
            raise Refused("a mail channel needs recipients; the others have their address in the environment, and none")
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
        return known_zone(name)

    @field_validator("channels")
    @classmethod
    def _not_reserved(cls, channels: dict[str, Any]) -> dict[str, Any]:
        for name in ("report", "notice"):
            if name in channels:
                raise Refused("'{name}' is a mail that is always there: call the channel something else", name=name)
        return channels


def known_zone(name: str) -> str:
    """Return the name of a time zone; ValueError where there is none."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused("must be a time zone such as Europe/Madrid") from None
    return name


DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_fields(cron: str) -> dict[str, str]:
    """Return the fields of a time as cron writes it: minute, hour, day, month and day_of_week, whose days have names (cron counts
    them from Sunday, others from Monday).

    >>> cron_fields("0 6 * * 1-5")["day_of_week"]
    'mon-fri'
    """
    minute, hour, day, month, weekday = cron.split()
    if day != "*" and weekday != "*":
        raise Refused("give a day of the month or days of the week, not both: cron would take either, and so would surprise")
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
            CronTrigger(**cron_fields(cron))
        except Refused:
            raise
        except (ValueError, KeyError):
            raise Refused("this is no time as cron writes it, such as '0 6 5 * *'") from None
        return cron


class Retention(Section):
    audit_days: Annotated[int, Field(ge=30)]
    messages_days: Annotated[int, Field(ge=30)]
    cycles_days: Annotated[int, Field(ge=30)]
