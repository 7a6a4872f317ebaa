"""What a person types into a setting, as a value: in words where it cannot be one."""

from __future__ import annotations

import math
import re
from typing import Any

from quiebra.errors import NameRefused, ParamsError, YamlRefused
from quiebra.names import comment, printable
from quiebra.plain_yaml import LONGEST_NUMBER, read_yaml

BY_LINE = ("alerts.rules", "delivery.channels")
TEXTS = ("report.status", "report.lang", "dashboards.language", "score.watch_from", "delivery.timezone", "schedule.cron")
OPTIONAL_TEXTS = ("report.title", "delivery.owner", "delivery.dashboards")
LONGEST_TYPED = 10_000
"""Signs that one setting may have; the longest, the alert rules, has about two thousand."""


def parsed(name: str, typed: str) -> Any:
    """Return what a person typed as a value. ParamsError where it cannot be one."""
    text = typed.strip()
    if len(text) > LONGEST_TYPED:
        raise ParamsError("{name}: it has {size} signs, and {most} is the most", name=name, size=len(text), most=LONGEST_TYPED)
    if name == "score.grades":
        return _grades(name, text)
    if name in (*TEXTS, *OPTIONAL_TEXTS):
        text = one_line(name, text)
    if name in TEXTS:
        return text
    if name in BY_LINE:
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
        if len(text) > LONGEST_NUMBER or (re.fullmatch(r"[+-]?\d{1,3}([,.]\d{3})+", text) and "," in text):
            raise ValueError  # 1,000 is a thousand to some and one to others
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


def one_line(name: str, text: str) -> str:
    """Return a text of one line without what cannot be seen. ParamsError, with the setting's name, where it is none."""
    try:
        return comment(text, name)
    except NameRefused as error:
        raise ParamsError(error.said.text, **error.said.values) from None


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _by_line(name: str, text: str) -> dict[str, Any]:
    try:
        found = read_yaml(text, LONGEST_TYPED) or {}
    except YamlRefused as error:
        raise ParamsError("{name}: {why}", name=name, why=error.said) from None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise ParamsError("{name}: write a line for each, 'name: {{key: value, …}}', as in params.yaml", name=name)
    return found


def _recipient(text: str) -> dict[str, str]:
    """Return an address with the language in brackets after it, if any; whether it is an address is checked with the params."""
    found = re.fullmatch(r"(\S*)\s*\((\w+)\)", text)
    return {"address": found[1], "lang": found[2]} if found else {"address": text}
