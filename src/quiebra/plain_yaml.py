"""YAML that people type or edit: names, values and lists, and nothing that grows when it is read.

Aliases and anchors (a few lines of which can stand for gigabytes), tags, merge keys, names that are there twice and deep nesting
are refused in words, each with its line; so are texts that are too large, and numbers that are too long.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import yaml

from quiebra.errors import YamlRefused

LARGEST = 60_000
"""Signs; a params.yaml has some ten thousand. The time to read a text grows with it, to some seconds at most."""
DEEPEST = 20
LONGEST_NUMBER = 40
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str, largest: int = LARGEST) -> Any:
    """Return what a text holds. YamlRefused, with the line and the remedy, where it is no YAML or more than names, values and
    lists."""
    if len(text) > largest:
        raise YamlRefused("it has {size} signs, and {most} is the most", size=len(text), most=largest)
    try:
        _look_over(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        raise YamlRefused("line {line}: {why}", line=where.line + 1 if where else 1, why=error.problem or "no YAML") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # signs that YAML does not allow; a date that is none
        raise YamlRefused("{why}", why=str(error).splitlines()[0][:200] if str(error) else "no YAML") from None


def _look_over(text: str) -> None:
    """Refuse what must not be built at all, while it is only a row of events."""
    depth = 0
    for event in yaml.parse(text, Loader=_Fast):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse(event, "anchors and aliases (& and *) are not read here: write the value out, or put it in quotes")
        if getattr(event, "tag", None) is not None:
            _refuse(event, "tags (!) are not read here: write the value alone, or put it in quotes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                _refuse(event, "it is nested deeper than {most} levels", most=DEEPEST)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse(part: Any, text: str, **values: object) -> None:
    raise YamlRefused("line {line}: {why}", line=part.start_mark.line + 1, why=YamlRefused(text, **values).said)


class _Loader(_Fast):  # type: ignore[misc]
    """The safe loader, but for names that are there twice, merge keys, and numbers that no computer holds."""

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
        return super().construct_mapping(node, deep)

    def number(self, node: Any) -> Any:
        if len(node.value) > LONGEST_NUMBER:
            _refuse(node, "a number of {count} signs is too long", count=len(node.value))
        made = self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)
        if not math.isfinite(made):
            _refuse(node, "'{value}' is no finite number", value=node.value)
        return made


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)
