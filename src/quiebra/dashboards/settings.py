"""The settings page without its widgets: what can be edited, checking, showing and saving a change of params.yaml."""

from __future__ import annotations

import difflib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from quiebra import store
from quiebra.dashboards.typed import BY_LINE, one_line
from quiebra.dashboards.typed import parsed as parsed
from quiebra.errors import ParamsError, WorkspaceError, YamlRefused
from quiebra.files import write_text
from quiebra.params import check, parse, read_params_text
from quiebra.plain_yaml import read_yaml
from quiebra.provenance import digest
from quiebra.settings import database_url
from quiebra.stages import one_at_a_time, under_way
from quiebra.words import mark
from quiebra.workspace import Workspace

ACTION = "settings"


@dataclass(frozen=True)
class Field:
    """A setting: its dotted name in params.yaml, words for it, those of its part, and, where it is one of a few, those."""

    name: str
    label: str
    choices: tuple[str, ...] = ()
    part: str = ""


FIELDS: dict[str, tuple[Field, ...]] = {
    mark("Rating scale and watch list"): (
        Field("score.grades", mark("Highest PD of each grade")),
        Field("score.watch_from", mark("Watch list from grade")),
        Field("score.reasons", mark("Reasons listed")),
        Field("score.max_age_months", mark("Oldest statement, months")),
    ),
    mark("Model"): (
        Field("train.blend_weight", mark("Weight of the model against Altman (empty: fitted)")),
        Field("train.interval", mark("Confidence of intervals")),
    ),
    mark("Portfolio"): (
        Field("portfolio.lgd", mark("Loss given default")),
        Field("portfolio.correlation", mark("Correlation")),
        Field("portfolio.confidence", mark("Confidence of the loss")),
    ),
    mark("Monitoring, watch and alarm"): tuple(
        Field(f"monitor.{measure}.{limit}", words, part=limit)
        for measure, words in (
            ("feature_csi", mark("Feature stability")), ("features_alarmed", mark("Features in alarm")), ("score_psi",
                mark("PD stability")),
            ("auc_shortfall", mark("AUC shortfall")), ("pd_over_observed", mark("PD over observed")), ("importance_correlation",
                mark("Importance correlation")),
        )
        for limit in (mark("watch"), mark("alarm"))
    ),
    mark("Gates of a new model"): tuple(
        Field(f"validate.gates.{gate}.{limit}", words, part=limit)
        for gate, words in (
            ("auc", mark("AUC")), ("pd_over_observed", mark("PD over observed")), ("grades_inside", mark("Grades calibrated")),
            ("interval_coverage", mark("Interval coverage")), ("score_psi", mark("PD stability")),
        )
        for limit in (mark("pass"), mark("watch"))
    ),
    mark("Report and dashboards"): (
        Field("report.title", mark("Title of the report")),
        Field("report.status", mark("Status of the report"), ("DRAFT", "APPROVED")),
        Field("report.lang", mark("Language of the report"), ("en", "es")),
        Field("report.watch_list", mark("Companies listed in the report")),
        Field("dashboards.language", mark("First language"), ("en", "es")),
        Field("dashboards.idle_minutes", mark("Minutes an abandoned page is kept")),
    ),
    mark("Alerts and messages"): (
        Field("alerts.rules", mark("Alert rules, one a line")),
        Field("delivery.channels", mark("Channels of alerts, one a line")),
        Field("delivery.recipients", mark("Recipients of the report, such as ana@example.com (es), bob@example.com")),
        Field("delivery.owner", mark("Address that is told when a cycle fails")),
        Field("delivery.dashboards", mark("Address of the dashboards, for links")),
        Field("delivery.timezone", mark("Time zone")),
        Field("schedule.cron", mark("When cycles run: minute, hour, day, month, day of the week")),
    ),
}  # fmt: skip
LONG = ("score.grades", "alerts.rules", "delivery.channels", "delivery.recipients")
"""What takes several lines to type."""
"""What can be edited, by section of the page. What makes the data and the model itself stays with whoever keeps the workspace."""
LIMIT_NAMES = {name for fields in FIELDS.values() for name in (field.name for field in fields)}


def _path(workspace: Workspace) -> Path:
    return workspace.root / "params.yaml"


def current(workspace: Workspace) -> tuple[str, str]:
    """Return the text of params.yaml and its version, which says whether somebody changed it since."""
    text = read_params_text(_path(workspace))
    return text, digest(text)


@lru_cache(maxsize=4)
def _content(text: str) -> dict[str, Any]:
    """Return what a text of parameters holds, read once for all settings of the page; nobody changes it."""
    return parse(text)


def value_of(text: str, name: str) -> Any:
    """Return a setting's value; for the rating scale grade → highest PD."""
    found: Any = _content(text)
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None  # one that is missing can be given here
    return found


def shown(value: Any) -> str:
    """Return a value as it is typed: the rating scale as ``AAA: 0.0003, AA: 0.0008``; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_address(one) for one in value)
    if isinstance(value, dict) and all(isinstance(v, dict) for v in value.values()):
        return "\n".join(f"{k}: {_line(v)}" for k, v in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return str(value)


def _address(one: Any) -> str:
    """Return a recipient as it is typed; whatever else the file holds in its place as it stands, to be mended."""
    if not isinstance(one, dict):
        return str(one)
    address = str(one.get("address", ""))
    return f"{address} ({one['lang']})" if one.get("lang") else address


def _line(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000).strip()


def edited(text: str, edits: dict[str, Any]) -> str:
    """Return params.yaml with settings changed, comments and order kept. ParamsError where the result could not be used."""
    _content(text)  # what is no plain YAML is refused before anything is built of it
    yaml_ = YAML()
    yaml_.preserve_quotes = True
    yaml_.width = 4096
    yaml_.indent(mapping=2, sequence=4, offset=2)
    yaml_.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    content = yaml_.load(text)
    for name, value in edits.items():
        if name not in LIMIT_NAMES:
            raise ParamsError("{name} cannot be edited here", name=name)
        *path, last = name.split(".")
        place = content
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise ParamsError("{name}: params.yaml has no section for it", name=name)
        old, value = place.get(last), _in_a_line(value) if name in (*BY_LINE, "delivery.recipients") else value
        if value and isinstance(value, dict) and isinstance(old, dict):
            for key in [key for key in old if key not in value]:
                del old[key]
            for key, bound in value.items():
                if old.get(key) != bound:
                    old[key] = bound
            if list(old) != list(value):
                for key in list(old):
                    del old[key]
                old.update(value)
        elif old != value or type(old) is not type(value):
            place[last] = value if not (isinstance(old, float) and isinstance(value, int)) else float(value)
    buffer = io.StringIO()
    yaml_.dump(content, buffer)
    after = buffer.getvalue()
    check(_content(after))
    return after


def _in_a_line(value: Any) -> Any:
    """Return dicts and lists inside a setting so that each is written in one line."""
    if isinstance(value, dict) and all(isinstance(part, dict) for part in value.values()):
        return {name: _flow(part) for name, part in value.items()} or _flow(value)
    return _flow(value)


def _flow(value: Any) -> Any:
    if isinstance(value, dict):
        made: Any = CommentedMap({name: _flow(part) for name, part in value.items()})
    elif isinstance(value, list):
        made = CommentedSeq(_flow(part) for part in value)
    else:
        return DoubleQuotedScalarString(value) if isinstance(value, str) and not _plain(value) else value
    made.fa.set_flow_style()
    return made


def _plain(text: str) -> bool:
    """Return whether every reader of YAML takes a text without quotes for that text; 20:00 is a number to some."""
    try:
        return bool(read_yaml(text) == text)
    except YamlRefused:
        return False


def diff(before: str, after: str) -> list[str]:
    """Return the changed lines: those taken out start with ``-``, those put in with ``+``."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def save(workspace: Workspace, version: str, edits: dict[str, Any], *, who: str, reason: str) -> str:
    """Write changed settings to params.yaml and to the audit table, both or neither; return the new version.

    They take effect at the next run. ParamsError: a value cannot be used, nothing changes, or no reason is given. WorkspaceError:
    somebody else changed the settings since ``version``, or they are not saved by anybody known.
    """
    if not who:
        raise WorkspaceError("only editors may change settings: start the dashboards with --editor NAME")
    reason = one_line("reason", reason)
    if len(reason) < 5:
        raise ParamsError("say why, in a few words: the reason is kept with the change")
    if under_way(workspace) or under_way(workspace, "stage"):
        raise WorkspaceError("a run is under way and reads the settings: save when it has finished")
    with one_at_a_time(workspace, "settings"):
        text, now = current(workspace)
        if now != version:
            raise WorkspaceError(
                "somebody else changed the settings meanwhile: your changes were not saved; "
                "reload the page and look at theirs first"
            )
        after = edited(text, edits)
        changed = {name: (value_of(text, name), value_of(after, name)) for name in edits}
        entries = [
            store.Entry(who, ACTION, name, old, new, reason, _run_id(workspace))
            for name, (old, new) in changed.items()
            if old != new
        ]
        if not entries:
            raise ParamsError("nothing was changed")
        engine = store.connect(database_url(workspace.root))
        store.upgrade(engine)
        try:
            store.record(engine, entries, lambda: write_text(_path(workspace), after))
        except BaseException:
            write_text(_path(workspace), text)  # the record was not kept, so neither is the change
            raise
    return digest(after)


def _run_id(workspace: Workspace) -> str | None:
    return store.current_run(store.connect(database_url(workspace.root)))


def log(workspace: Workspace, count: int = 50) -> list[dict[str, Any]]:
    """Return the latest changes of settings, newest first. StoreError where the database does not answer, or is still empty."""
    return store.entries(store.connect(database_url(workspace.root)), count, ACTION)
