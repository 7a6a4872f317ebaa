"""Parse the text that a user types for a setting, with readable errors."""

from __future__ import annotations

import math
import re
from typing import Any

from quiebra.errors import InvalidNameError, InvalidYamlError, ParamsError
from quiebra.io.safe_yaml import MAX_NUMBER_LENGTH, read_yaml
from quiebra.text.person_input import clean_comment, escape_invisible

SETTINGS_BY_LINE = ("alerts.rules", "delivery.channels")
TEXTS = ("report.status", "report.lang", "dashboards.language", "score.watch_from", "delivery.timezone", "schedule.cron")
OPTIONAL_TEXTS = ("report.title", "delivery.owner", "delivery.dashboards")
LONGEST_TYPED = 10_000
"""Maximum number of characters of a setting; the longest one, the alert rules, has about two thousand."""


def parse_setting(name: str, typed: str) -> Any:
    """Return the value of a typed text. ParamsError if it is invalid."""
    text = typed.strip()
    if len(text) > LONGEST_TYPED:
        raise ParamsError("{name}: it has {size} signs, and {most} is the most", name=name, size=len(text), most=LONGEST_TYPED)
    if name == "score.grades":
        return _grades(name, text)
    if name in (*TEXTS, *OPTIONAL_TEXTS):
        text = parse_line(name, text)
    if name in TEXTS:
        return text
    if name in SETTINGS_BY_LINE:
        return _by_line(name, text)
    if name == "delivery.recipients":
        return [_recipient(part.strip()) for part in re.split(r"[,\n]", text) if part.strip()]
    if text == "":
        return None
    if name in OPTIONAL_TEXTS:
        return text
    return _number(name, text)


def _number(name: str, text: str) -> int | float:
    try:
        if len(text) > MAX_NUMBER_LENGTH or (re.fullmatch(r"[+-]?\d{1,3}([,.]\d{3})+", text) and "," in text):
            raise ValueError  # ambiguous: 1,000 is a thousand in some countries and one in others
        number = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else float(text.replace(",", "."))
        if not math.isfinite(number):
            raise ValueError
        return number
    except ValueError:
        raise ParamsError("{name}: '{text}' is not a number", name=name, text=_short(text)) from None


def _grades(name: str, text: str) -> dict[str, float]:
    pairs = [part.split(":") for part in text.replace("\n", ",").split(",") if part.strip()]
    try:
        found = [(grade.strip(), float(_number(name, bound.strip()))) for grade, bound in pairs]
        if not found:
            raise ValueError
    except (ValueError, ParamsError):
        raise ParamsError("{name}: write grades and bounds as 'AAA: 0.0003, AA: 0.0008, … C: 1.0'", name=name) from None
    grades = dict(found)
    if len(grades) < len(found):
        raise ParamsError("{name}: a grade is there twice", name=name)
    return grades


def parse_line(name: str, text: str) -> str:
    """Return one line of text without invisible characters. ParamsError, with the setting's name, if it is not one line."""
    try:
        return clean_comment(text, name)
    except InvalidNameError as error:
        raise ParamsError(error.said.text, **error.said.values) from None


def _short(text: str) -> str:
    shown = escape_invisible(text)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _by_line(name: str, text: str) -> dict[str, Any]:
    try:
        found = read_yaml(text, LONGEST_TYPED) or {}
    except InvalidYamlError as error:
        raise ParamsError("{name}: {why}", name=name, why=error.said) from None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise ParamsError("{name}: write a line for each, 'name: {{key: value, …}}', as in params.yaml", name=name)
    return found


def _recipient(text: str) -> dict[str, str]:
    """Return an address with the optional language in brackets after it; params validation checks the address."""
    found = re.fullmatch(r"(\S*)\s*\((\w+)\)", text)
    return {"address": found[1], "lang": found[2]} if found else {"address": text}
