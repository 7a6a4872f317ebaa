"""Settings with parts, as their forms show them: the rating scale in percent, alert rules in sentences, the schedule in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from quiebra.alerts.descriptions import MEASURE_LABELS, MULTIPLE_MEASURES, SEVERITY_LABELS, format_measure
from quiebra.errors import ParamsError
from quiebra.params.operations import MEASURE_KINDS, STATUSES
from quiebra.services.setting_values import OPTIONAL_TEXTS, SETTINGS_BY_LINE, TEXTS, parse_setting
from quiebra.text.words import Words, translatable

PERCENT_MEASURES = tuple(
    name
    for name in MEASURE_KINDS
    if name not in (*MULTIPLE_MEASURES, "grade", "drift", "notches", "zone", "statement_months", "sector_hhi")
)
"""Measures whose thresholds are typed in percent."""
WEEKDAYS = {
    "1": translatable("Monday"),
    "2": translatable("Tuesday"),
    "3": translatable("Wednesday"),
    "4": translatable("Thursday"),
    "5": translatable("Friday"),
    "6": translatable("Saturday"),
    "0": translatable("Sunday"),
}
FREQUENCIES = {
    "month": translatable("Once a month"),
    "week": translatable("Once a week"),
    "workday": translatable("Each working day"),
    "other": translatable("Other, as a cron expression"),
}
SCOPES = {
    "all": translatable("all companies"),
    "portfolio": translatable("companies of the portfolio"),
    "watch_list": translatable("companies of the watch list"),
}
CHANNEL_KINDS = {"mail": translatable("Mail"), "slack": "Slack", "teams": "Teams", "webhook": "Webhook"}


def typed_number(name: str, text: str, words: Words) -> float | None:
    """Return a number as typed in the reader's language; None for empty text. ParamsError if it is none."""
    try:
        return words.parsed(text.replace("%", "").strip())
    except ValueError:
        raise ParamsError("{name}: '{text}' is not a number", name=name, text=text[:100]) from None


def parse_typed(name: str, text: str, words: Words) -> Any:
    """Return the value of a setting typed in the reader's language; see `quiebra.services.setting_values.parse_setting`."""
    if name in (*TEXTS, *OPTIONAL_TEXTS, *SETTINGS_BY_LINE, "score.grades", "delivery.recipients") or not text.strip():
        return parse_setting(name, text)
    number = typed_number(name, text, words)
    whole = number is not None and number.is_integer() and text.strip().lstrip("+-").isdigit()
    return parse_setting(name, str(int(number)) if number is not None and whole else repr(number))


def from_percent(name: str, text: str, words: Words) -> float:
    """Return the share of a percentage as typed, without the rounding of binary fractions: ``0.03`` gives 0.0003."""
    number = typed_number(name, text, words)
    if number is None:
        raise ParamsError("{name}: '{text}' is not a number", name=name, text=text[:100])
    return float(Decimal(repr(number)) / 100)


def to_percent(value: float | None, words: Words) -> str:
    """Return a share as its percentage is typed.

    >>> to_percent(0.0003, Words("es"))
    '0,03'
    """
    return "" if value is None else words.typed(float(Decimal(repr(float(value))) * 100))


def read_grades(rows: Sequence[tuple[str, str]], words: Words) -> dict[str, float]:
    """Return grade → highest PD of typed rows of name and percentage; rows without a name are left out. ParamsError if a bound is
    no number, or a name is there twice."""
    found: dict[str, float] = {}
    for grade, bound in rows:
        if not (grade := grade.strip()):
            continue
        if grade in found:
            raise ParamsError("{name}: a grade is there twice", name="score.grades")
        found[grade] = from_percent(grade, bound, words)
    return found


def format_threshold(measure: str, value: Any, words: Words) -> str:
    """Return a rule's threshold as it is typed: in percent, in times, as a grade or state."""
    if not isinstance(value, int | float):
        return str(value or "")
    return to_percent(value, words) if measure in PERCENT_MEASURES else words.typed(value)


def read_threshold(measure: str, text: str, words: Words) -> float | str:
    """Return a typed threshold. ParamsError if it is no number where there must be one."""
    if measure in ("grade", "drift"):
        return text.strip()
    if measure in PERCENT_MEASURES:
        return from_percent(words(MEASURE_LABELS[measure]), text, words)
    number = typed_number(words(MEASURE_LABELS[measure]), text, words)
    if number is None:
        raise ParamsError("{name}: '{text}' is not a number", name=words(MEASURE_LABELS[measure]), text=text)
    return number


def threshold_unit(measure: str, words: Words) -> str:
    """Return what a threshold is typed in: %, times, months, a grade, or a state; empty for a plain number."""
    if measure in PERCENT_MEASURES:
        return "%"
    if measure in MULTIPLE_MEASURES:
        return words("times")
    named = {"statement_months": words("months"), "grade": words("a grade"), "drift": words("watch or alarm")}
    return named.get(measure, "")


def usual_thresholds(measure: str) -> dict[str, float | str]:
    """Return thresholds that a new rule on a measure may start with."""
    if measure in PERCENT_MEASURES:
        return {"raise": 0.2, "clear": 0.15}
    named: dict[str, tuple[float | str, float | str]] = {
        "grade": ("watch_from", "watch_from"),
        "drift": ("alarm", "watch"),
        "statement_months": (18.0, 15.0),
        "sector_hhi": (0.4, 0.35),
        "zone": (1.0, 1.0),
    }
    high, low = named.get(measure, (3.0, 2.0))
    return {"raise": high, "clear": low}


def describe_rule(rule: Mapping[str, Any], words: Words, grades: Sequence[str]) -> str:
    """Return what a rule does, in a sentence."""
    measure = str(rule.get("measure", ""))
    if measure not in MEASURE_LABELS:
        return words("It cannot be read.")

    def said(value: Any) -> str:
        if isinstance(value, str):
            return words("the watch list's grade") if value == "watch_from" else words(value) if value in STATUSES else value
        try:
            return format_measure(measure, float(value), words, grades)
        except (TypeError, ValueError, IndexError):
            return str(value)

    text = words(
        "Alert ({severity}) from {measure} {high} on; it closes below {low}.",
        severity=words(SEVERITY_LABELS.get(str(rule.get("severity", "medium")), "medium")),
        measure=words(MEASURE_LABELS[measure]),
        high=said(rule.get("raise")),
        low=said(rule.get("clear")),
    )
    more = []
    if MEASURE_KINDS[measure] == "company":
        more.append(words("For {companies}.", companies=words(SCOPES.get(str(rule.get("companies", "all")), "all"))))
    if rule.get("pd_from"):
        more.append(words("Only where the PD is {pd} or more.", pd=words.percent(float(rule["pd_from"]), 1)))
    if rule.get("cool_down_days"):
        more.append(words("After it closed, not again for {n} days.", n=words.number(float(rule["cool_down_days"]))))
    return " ".join([text, *more])


@dataclass(frozen=True)
class ScheduleChoice:
    """When cycles run. frequency: of `FREQUENCIES`; day: of the month; weekday: of `WEEKDAYS`; cron: for ``other``."""

    frequency: str
    day: int = 5
    weekday: str = "1"
    hour: int = 6
    minute: int = 0
    cron: str = ""


def read_schedule(cron: str) -> ScheduleChoice:
    """Return the choice that a cron expression is; ``other`` where the form has no fields for it.

    >>> read_schedule("0 6 5 * *").day
    5
    """
    found = re.fullmatch(r"(\d{1,2}) (\d{1,2}) (\*|\d{1,2}) \* (\*|1-5|[0-6])", cron.strip())
    if found is None:
        return ScheduleChoice("other", cron=cron)
    minute, hour, day, weekday = found.groups()
    at = ScheduleChoice("workday", hour=int(hour), minute=int(minute), cron=cron)
    if day != "*" and weekday == "*":
        return replace(at, frequency="month", day=int(day))
    if day == "*" and weekday == "1-5":
        return at
    if day == "*" and weekday != "*":
        return replace(at, frequency="week", weekday=weekday)
    return ScheduleChoice("other", cron=cron)


def write_schedule(choice: ScheduleChoice) -> str:
    """Return the cron expression of a choice."""
    time = f"{choice.minute} {choice.hour}"
    texts = {
        "month": f"{time} {choice.day} * *",
        "week": f"{time} * * {choice.weekday}",
        "workday": f"{time} * * 1-5",
        "other": choice.cron,
    }
    return texts[choice.frequency]


def describe_schedule(choice: ScheduleChoice, zone: str, words: Words) -> str:
    """Return when cycles run, in a sentence."""
    at = f"{choice.hour:02d}:{choice.minute:02d}"
    if choice.frequency == "month":
        return words("Cycles run on day {day} of each month at {at} ({zone}).", day=choice.day, at=at, zone=zone)
    if choice.frequency == "week":
        return words("Cycles run each {day} at {at} ({zone}).", day=words(WEEKDAYS[choice.weekday]), at=at, zone=zone)
    if choice.frequency == "workday":
        return words("Cycles run from Monday to Friday at {at} ({zone}).", at=at, zone=zone)
    return words("Cycles run by the cron expression {cron} ({zone}).", cron=choice.cron, zone=zone)
