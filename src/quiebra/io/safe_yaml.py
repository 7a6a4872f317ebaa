"""Parse YAML written by users: mappings, scalars and lists only, and nothing that expands when it is read.

Aliases and anchors (a few lines of which can expand to gigabytes), tags, merge keys, duplicate keys and deep nesting are refused
with a message that gives the line; so are texts that are too large, and numbers that are too long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

from quiebra.errors import InvalidYamlError

MAX_YAML_LENGTH = 60_000
"""In characters; a params.yaml has some ten thousand. Parsing time grows with the length, to some seconds at this limit."""
MAX_YAML_DEPTH = 20
MAX_NUMBER_LENGTH = 40
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str, largest: int = MAX_YAML_LENGTH) -> Any:
    """Return the content of a text; raise InvalidYamlError, with the line, where it is not YAML or has a refused construct.

    largest: the most characters allowed.
    """
    if len(text) > largest:
        raise InvalidYamlError("it has {size} signs, and {most} is the most", size=len(text), most=largest)
    try:
        _look_over(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        raise InvalidYamlError(
            "line {line}: {why}", line=where.line + 1 if where else 1, why=error.problem or "no YAML"
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # characters that YAML does not allow, or an impossible date
        raise InvalidYamlError("{why}", why=str(error).splitlines()[0][:200] if str(error) else "no YAML") from None


def _look_over(text: str) -> None:
    """Raise InvalidYamlError on refused constructs in the parser's events, before any object is built."""
    depth = 0
    for event in yaml.parse(text, Loader=_Fast):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse(event, "anchors and aliases (& and *) are not read here: write the value out, or put it in quotes")
        if getattr(event, "tag", None) is not None:
            _refuse(event, "tags (!) are not read here: write the value alone, or put it in quotes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_YAML_DEPTH:
                _refuse(event, "it is nested deeper than {most} levels", most=MAX_YAML_DEPTH)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse(part: Any, text: str, **values: object) -> None:
    raise InvalidYamlError("line {line}: {why}", line=part.start_mark.line + 1, why=InvalidYamlError(text, **values).said)


class _Loader(_Fast):  # type: ignore[misc]  # the base class is chosen at run time
    """The safe loader, which also refuses duplicate keys, merge keys, and numbers that are too long or not finite."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                _refuse(key, "merge keys (<<) are not read here: write the values out")
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable):
                if name in seen:
                    _refuse(key, "'{name}' is there twice", name=str(name)[:100])
                seen.add(name)
        read: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return read

    def number(self, node: Any) -> Any:
        if len(node.value) > MAX_NUMBER_LENGTH:
            _refuse(node, "a number of {count} signs is too long", count=len(node.value))
        made = _integer(node.value) if node.tag.endswith(":int") else self.construct_yaml_float(node)
        if not math.isfinite(made):
            _refuse(node, "'{value}' is no finite number", value=node.value)
        return made


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    return int(digits, 0) if digits.lstrip("+-")[:2] in ("0x", "0o", "0b") else int(digits)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)

# DVC reads and rewrites params.yaml by YAML 1.2, and takes away quotes that are not needed there: 20:00, yes and on are text, and
# 012 is twelve. By YAML 1.1, PyYAML's, they would be 1200, true and ten.
_KINDS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"^(?:[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)$", "-+0123456789"),
    "float": (
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _KINDS]
    for first, resolvers in _Fast.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _KINDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), list(_first))
