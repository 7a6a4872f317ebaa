"""Errors that a person is meant to read.

QuiebraError
├── ParamsError       params.yaml: unknown key, wrong type, value out of range
├── SourceError       a source file: missing, unreadable, empty, wrong columns or values
├── PanelError        the canonical tables break the contract, or nothing is left of them
├── LeakageError      a feature has seen the outcome
├── TrainingError     a model cannot be fitted on what is there
├── StoreError        the database cannot be reached or is not at this version
├── AlertError        an alert, a watch list entry or an override cannot be changed so
├── DeliveryError     a message cannot be made or sent as asked
├── StageError        a stage's notebook failed
├── NameRefused       a name or comment holds what cannot be seen
├── YamlRefused       a text is no YAML, or more than names, values and lists
└── WorkspaceError    not inside a workspace, an output is missing or damaged, or the disk cannot be written

Each message names the thing and the remedy; the command line prints it without a stack trace.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """Words for a person with their values apart, so that they can be said in another language too; ``str`` says them in English.

    A value may itself be `Said`, or a list of them. many: the text where the value ``n`` is not one.
    """

    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    many: str = ""

    def __str__(self) -> str:
        text = self.many if self.many and self.values.get("n") != 1 else self.text
        return text.format(**{name: _plain(value) for name, value in self.values.items()}) if self.values else self.text


@dataclass(frozen=True)
class Figure:
    """A number among the values of `Said`, which each language writes in its way. signed: a positive one has its sign; nought has
    none."""

    value: float
    decimals: int = 0
    signed: bool = False

    def __str__(self) -> str:
        said = f"{self.value:{'+' if self.signed else ''},.{self.decimals}f}"
        return said if any(sign in said for sign in "123456789") else said.lstrip("+-")


class Lines(list[Said]):
    """A list of things said that stand one under the other; other lists stand in a line."""


def _plain(value: object) -> object:
    return SEPARATORS[type(value)].join(str(part) for part in value) if isinstance(value, list) else value


SEPARATORS = {list: "; ", Lines: "\n  "}


class Refused(ValueError):
    """A value of a parameter that cannot be used; ``said`` holds why, with its values apart."""

    def __init__(self, text: str, /, **values: object) -> None:
        self.said = Said(text, values)
        super().__init__(str(self.said))


class QuiebraError(Exception):
    """Base of all errors that carry a message for the user; ``said`` holds it with its values apart."""

    def __init__(self, text: str = "", /, **values: object) -> None:
        self.said = Said(text, values)
        super().__init__(str(self.said))


class ParamsError(QuiebraError):
    """params.yaml says something that cannot be run."""


class SourceError(QuiebraError):
    """A source file cannot be used as it is."""


class PanelError(QuiebraError):
    """The canonical tables break the contract."""


class LeakageError(QuiebraError):
    """A feature that has seen the outcome."""


class TrainingError(QuiebraError):
    """A model cannot be fitted on the rows there are."""


class StoreError(QuiebraError):
    """The database cannot be used."""


class AlertError(QuiebraError):
    """An alert, a watch list entry or an override cannot be changed so."""


class DeliveryError(QuiebraError):
    """A message cannot be made or sent as asked."""


class StageError(QuiebraError):
    """A stage's notebook failed."""


class WorkspaceError(QuiebraError):
    """The workspace lacks something or cannot be written."""


class NameRefused(QuiebraError):
    """A name or a comment that a person gave holds what cannot be seen."""


class YamlRefused(QuiebraError):
    """A text is no YAML, or holds more than names, values and lists."""


def matching(count: int, what: str) -> str:
    """Return how many things have an id starting so, where it ought to be one.

    >>> [matching(n, "alert") for n in (0, 1, 2)]
    ['no alert has an id starting', '1 alert has an id starting', '2 alerts have an id starting']
    """
    return f"{count or 'no'} {what if count < 2 else what + 's'} {'has' if count < 2 else 'have'} an id starting"


def single_match(found: Sequence[T], identifier: str, what: str, kind: type[QuiebraError], known: str) -> T:
    """Return the one thing found whose id starts so. ``kind`` of error where that is none or several, and for an id without a
    sign, which every id starts with. known: where the ids are to be seen."""
    if not identifier.strip():
        raise kind(f"say which {what} by its id, or the start of it: '{identifier}' could be any; {known}")
    if len(found) != 1:
        raise kind(f"{matching(len(found), what)} '{identifier}'; {known}")
    return found[0]


def did_you_mean(name: str, known: Iterable[str]) -> Said | str:
    """Return `nearest` as `Said`."""
    close = closest(name, known)
    return Said(" (did you mean '{near}'?)", {"near": close}) if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string.

    >>> nearest("totl_assets", ["total_assets", "cash"])
    " (did you mean 'total_assets'?)"
    """
    close = closest(name, known)
    return f" (did you mean '{close}'?)" if close else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like another, or None where none does."""
    lowered = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[found[0]] if found else None
