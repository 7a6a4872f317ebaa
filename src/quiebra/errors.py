"""Errors with a message for the user.

QuiebraError
├── ParamsError         params.yaml: unknown key, wrong type, value out of range
├── SourceError         a source file: missing, unreadable, empty, wrong columns or values
│   └── FetchError      a data service cannot be reached, refuses, or answers something else
│       ├── RefusedError       it says that a request is wrong
│       └── FetchStoppedError  it refuses until a time that is known
├── PanelError          the canonical tables break the contract, or no rows are left
├── LeakageError        a feature is suspected of containing the outcome
├── TrainingError       a model cannot be fitted on the given rows
├── StoreError          the database cannot be reached, or its schema has another version
├── AlertError          a change of an alert, a watch list entry or an override is not allowed
├── DeliveryError       a message cannot be built or sent
├── ResearchError       an estimator, feature or table of a researcher cannot be used
├── StageError          the notebook of a stage failed
│   └── RunStoppedError a run stopped at a stage that has said why
├── InvalidNameError    a name or comment contains invisible characters
├── InvalidYamlError    a text is not YAML, or contains more than mappings, scalars and lists
└── WorkspaceError      not inside a workspace, an output is missing or damaged, or the disk cannot be written

Each message names the thing and the remedy; the command line prints it without a stack trace.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

SHORTEST_START = 4
"""Characters of an id that are enough to name an item, as for a commit of git."""


@dataclass(frozen=True)
class LocalisedMessage:
    """A message template and its values, kept apart so that it can be translated; ``str`` gives the English text.

    values: may themselves be `LocalisedMessage` or `LocalisedFigure`, or lists of them.
    many: the plural template, used where the value ``n`` is not 1.
    """

    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    many: str = ""

    def __str__(self) -> str:
        text = self.many if self.many and self.values.get("n") != 1 else self.text
        return text.format(**{name: _plain(value) for name, value in self.values.items()}) if self.values else self.text


@dataclass(frozen=True)
class LocalisedFigure:
    """A number among the values of a `LocalisedMessage`, formatted by each language's rules.

    signed: a positive number gets a plus sign; zero never has a sign.
    """

    value: float
    decimals: int = 0
    signed: bool = False

    def __str__(self) -> str:
        said = f"{self.value:{'+' if self.signed else ''},.{self.decimals}f}"
        return said if any(sign in said for sign in "123456789") else said.lstrip("+-")


class MessageLines(list[LocalisedMessage]):
    """A list of messages shown one per line; messages in a plain list are joined by semicolons."""


def _plain(value: object) -> object:
    return SEPARATORS[type(value)].join(str(part) for part in value) if isinstance(value, list) else value


SEPARATORS = {list: "; ", MessageLines: "\n  "}


def either(names: Sequence[str]) -> LocalisedMessage:
    """Return names as alternatives.

    >>> str(either(["analyst", "approver", "admin"]))
    'analyst, approver or admin'
    """
    if len(names) < 2:
        return LocalisedMessage("{name}", {"name": "".join(names)})
    return LocalisedMessage("{names} or {last}", {"names": ", ".join(names[:-1]), "last": names[-1]})


class InvalidValue(ValueError):
    """A parameter value that cannot be used; ``said`` holds the reason as a `LocalisedMessage`."""

    def __init__(self, text: str, /, **values: object) -> None:
        self.said = LocalisedMessage(text, values)
        super().__init__(str(self.said))


class QuiebraError(Exception):
    """Base of all errors with a message for the user; ``said`` holds it as a `LocalisedMessage`."""

    def __init__(self, text: str = "", /, **values: object) -> None:
        self.said = LocalisedMessage(text, values)
        super().__init__(str(self.said))


class ParamsError(QuiebraError):
    """The parameters in params.yaml cannot be used."""


class SourceError(QuiebraError):
    """A source file cannot be used."""


class FetchError(SourceError):
    """A data service cannot be reached, refuses, or answers something that is no answer."""


class RefusedError(FetchError):
    """A data service says that a request is wrong."""


class FetchStoppedError(FetchError):
    """A data service takes no more requests until a time that is known; what was fetched is kept."""


class PanelError(QuiebraError):
    """The canonical tables break the contract."""


class LeakageError(QuiebraError):
    """A feature is suspected of containing the outcome."""


class TrainingError(QuiebraError):
    """A model cannot be fitted on the given rows."""


class StoreError(QuiebraError):
    """The database cannot be used."""


class NothingPublishedError(StoreError):
    """No run was published into the database yet."""


class AlertError(QuiebraError):
    """A change of an alert, a watch list entry or an override is not allowed."""


class InvalidDecisionError(AlertError):
    """A decision cannot be taken as it is given, such as without a reason."""


class RecordNotFoundError(AlertError):
    """There is no such alert, company, watch list entry or override."""


class IdentityError(QuiebraError):
    """A sign-in, a change of users or keys, or an action is refused."""


class DeliveryError(QuiebraError):
    """A message cannot be built or sent."""


class ResearchError(QuiebraError):
    """What a researcher gave cannot be used."""


class StageError(QuiebraError):
    """The notebook of a stage failed."""


class WorkspaceError(QuiebraError):
    """A file of the workspace is missing or damaged, or cannot be written."""


class RunStoppedError(StageError):
    """A run stopped at a stage that has said why: this says only how to go on."""


class InvalidNameError(QuiebraError):
    """A name or comment typed by a user contains invisible characters, or is empty or too long."""


class InvalidYamlError(QuiebraError):
    """A text is not YAML, or contains more than mappings, scalars and lists."""


def single_match(found: Sequence[T], identifier: str, what: str, kind: type[QuiebraError], known: str) -> T:
    """Return the only item of ``found``, the items whose id starts with ``identifier``.

    Raise ``kind`` where there is none or more than one, and for an identifier of fewer than four characters: a slip of the
    keyboard starts the id of some item too often. what: the kind of item, for the message. known: the end of the message, on
    where ids are listed.
    """
    if len(identifier.strip()) < SHORTEST_START:
        text = "say which {what} by its id, or at least its first {n} characters: '{identifier}' could be any; {known}"
        raise kind(text, n=SHORTEST_START, what=LocalisedMessage(what), identifier=identifier, known=LocalisedMessage(known))
    if len(found) != 1:
        text = "no {what} has an id starting '{identifier}'; {known}"
        if found:
            text = "'{identifier}' is the start of {n} ids: write more of the {what}'s; {known}"
        raise kind(text, n=len(found), what=LocalisedMessage(what), identifier=identifier, known=LocalisedMessage(known))
    return found[0]


def suggestion_message(name: str, known: Iterable[str]) -> LocalisedMessage | str:
    """Return `suggestion` as a `LocalisedMessage`, or an empty string."""
    close = closest_name(name, known)
    return LocalisedMessage(" (did you mean '{near}'?)", {"near": close}) if close else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string.

    >>> suggestion("totl_assets", ["total_assets", "cash"])
    " (did you mean 'total_assets'?)"
    """
    close = closest_name(name, known)
    return f" (did you mean '{close}'?)" if close else ""


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to ``name``, or None where none is similar."""
    lowered = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[found[0]] if found else None
