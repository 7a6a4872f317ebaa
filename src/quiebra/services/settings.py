"""The settings page without its widgets: editable settings, and checking, showing and saving a change of params.yaml."""

from __future__ import annotations

import difflib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from quiebra import store
from quiebra.environment import database_url
from quiebra.errors import ParamsError, WorkspaceError
from quiebra.io.files import write_text
from quiebra.params import parse_params, read_params_text, validate_params
from quiebra.pipeline.stages import hold_run_lock, is_running
from quiebra.provenance import json_sha256
from quiebra.services.setting_values import parse_line
from quiebra.text.words import translatable
from quiebra.workspace import Workspace

ACTION = "settings"


@dataclass(frozen=True)
class SettingField:
    """A setting: its dotted name in params.yaml, its label, its choices if they are few, and the label of its part."""

    name: str
    label: str
    choices: tuple[str, ...] = ()
    part: str = ""


FIELDS_BY_SECTION: dict[str, tuple[SettingField, ...]] = {
    translatable("Rating scale and watch list"): (
        SettingField("score.grades", translatable("Highest PD of each grade")),
        SettingField("score.watch_from", translatable("Watch list from grade")),
        SettingField("score.reasons", translatable("Reasons listed")),
        SettingField("score.max_age_months", translatable("Oldest statement, months")),
    ),
    translatable("Model"): (
        SettingField("train.blend_weight", translatable("Weight of the model against Altman (empty: fitted)")),
        SettingField("train.interval", translatable("Confidence of intervals")),
    ),
    translatable("Portfolio"): (
        SettingField("portfolio.lgd", translatable("Loss given default")),
        SettingField("portfolio.correlation", translatable("Correlation")),
        SettingField("portfolio.confidence", translatable("Confidence of the loss")),
    ),
    translatable("Monitoring, watch and alarm"): tuple(
        SettingField(f"monitor.{measure}.{limit}", words, part=limit)
        for measure, words in (
            ("feature_csi", translatable("Feature stability")),
            ("features_alarmed", translatable("Features in alarm")),
            ("score_psi", translatable("PD stability")),
            ("auc_shortfall", translatable("AUC shortfall")),
            ("pd_over_observed", translatable("PD over observed")),
            ("importance_correlation", translatable("Importance correlation")),
        )
        for limit in (translatable("watch"), translatable("alarm"))
    ),
    translatable("Gates of a new model"): tuple(
        SettingField(f"validate.gates.{gate}.{limit}", words, part=limit)
        for gate, words in (
            ("auc", translatable("AUC")),
            ("pd_over_observed", translatable("PD over observed")),
            ("grades_inside", translatable("Grades calibrated")),
            ("interval_coverage", translatable("Interval coverage")),
            ("score_psi", translatable("PD stability")),
        )
        for limit in (translatable("pass"), translatable("watch"))
    ),
    translatable("Report and dashboards"): (
        SettingField("report.title", translatable("Title of the report")),
        SettingField("report.status", translatable("Status of the report"), ("DRAFT", "APPROVED")),
        SettingField("report.lang", translatable("Language of the report"), ("en", "es")),
        SettingField("report.watch_list", translatable("Companies listed in the report")),
        SettingField("dashboards.language", translatable("First language"), ("en", "es")),
        SettingField("dashboards.idle_minutes", translatable("Minutes an abandoned page is kept")),
    ),
    translatable("Alerts and messages"): (
        SettingField("alerts.rules", translatable("Alert rules")),
        SettingField("delivery.channels", translatable("Channels of alerts")),
        SettingField(
            "delivery.recipients", translatable("Recipients of the report, such as ana@example.com (es), bob@example.com")
        ),
        SettingField("delivery.owner", translatable("Address that is told when a cycle fails")),
        SettingField("delivery.dashboards", translatable("Address of the dashboards, for links")),
        SettingField("delivery.timezone", translatable("Time zone")),
        SettingField("schedule.cron", translatable("When cycles run")),
    ),
}
"""Section of the page → settings that can be edited. Other parameters are edited in params.yaml itself."""
MULTILINE_SETTINGS = ("delivery.recipients",)
"""Settings that need a text field of several lines."""
EDITABLE_NAMES = {name for fields in FIELDS_BY_SECTION.values() for name in (field.name for field in fields)}


def _path(workspace: Workspace) -> Path:
    return workspace.root / "params.yaml"


def read_settings(workspace: Workspace) -> tuple[str, str]:
    """Return the text of params.yaml and its version (a hash), which tells whether somebody has changed it since."""
    text = read_params_text(_path(workspace))
    return text, json_sha256(text)


@lru_cache(maxsize=4)
def _content(text: str) -> dict[str, Any]:
    """Return the parsed text of params.yaml, cached for all settings of the page; callers must not change it."""
    return parse_params(text)


def setting_value(text: str, name: str) -> Any:
    """Return a setting's value; for the rating scale grade → highest PD; None if it is missing."""
    found: Any = _content(text)
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None  # a missing setting can be given here
    return found


def format_setting(value: Any) -> str:
    """Return a value as users type it: the rating scale as ``AAA: 0.0003, AA: 0.0008``; empty for null."""
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
    """Return a recipient as users type it; an invalid value unchanged, so that the user can correct it."""
    if not isinstance(one, dict):
        return str(one)
    address = str(one.get("address", ""))
    return f"{address} ({one['lang']})" if one.get("lang") else address


def _line(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000).strip()


def edit_params(text: str, edits: dict[str, Any]) -> str:
    """Return params.yaml with settings changed, keeping comments and order. ParamsError if the result is invalid.

    It is laid out as DVC does, which writes the file anew for each experiment.
    """
    _content(text)  # refuses unsafe YAML before the round-trip parser builds objects from it
    yaml_ = YAML()
    yaml_.default_flow_style = False
    content = yaml_.load(text)
    for name, value in edits.items():
        place, last = _section_of(content, name)
        old = place.get(last)
        if value and isinstance(value, dict) and isinstance(old, dict):
            _become(old, value)
        elif old != value or type(old) is not type(value):
            place[last] = value if not (isinstance(old, float) and isinstance(value, int)) else float(value)
    buffer = io.StringIO()
    yaml_.dump(content, buffer)
    after = buffer.getvalue()
    written = _content(after)
    validate_params(written)
    if changed := [name for name, value in edits.items() if _value_of(written, name) != _value_of(content, name)]:
        raise ParamsError("{name} cannot be kept as it is typed: it has a sign that YAML does not keep", name=changed[0])
    return after


def _value_of(content: Any, name: str) -> Any:
    for part in name.split("."):
        content = content[part]
    return content


def _section_of(content: Any, name: str) -> tuple[dict[str, Any], str]:
    """Return the section of params.yaml with a setting, and the setting's key in it. ParamsError if there is none, or the page
    may not edit the setting."""
    if name not in EDITABLE_NAMES:
        raise ParamsError("{name} cannot be edited here", name=name)
    *path, last = name.split(".")
    place = content
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ParamsError("{name}: params.yaml has no section for it", name=name)
    return place, last


def _become(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Change the mapping ``old`` to the content and order of ``new``; unchanged keys keep their comments."""
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, bound in new.items():
        if old.get(key) != bound:
            old[key] = bound
    if list(old) != list(new):
        for key in list(old):
            del old[key]
        old.update(new)


def changed_lines(before: str, after: str) -> list[str]:
    """Return the changed lines: removed ones start with ``-``, added ones with ``+``."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def save_settings(workspace: Workspace, version: str, edits: dict[str, Any], *, who: str, reason: str) -> str:
    """Write changed settings to params.yaml and to the audit table, both or neither; return the new version.

    They take effect at the next run. ParamsError if a value is invalid, nothing changes, or the reason is missing. WorkspaceError
    if ``who`` is empty, a run is under way, or somebody has changed the settings since ``version``.
    """
    if not who:
        raise WorkspaceError("only editors may change settings: start the dashboards with --editor NAME")
    reason = parse_line("reason", reason)
    if len(reason) < 5:
        raise ParamsError("say why, in five characters or more: the reason is kept with the change")
    if is_running(workspace) or is_running(workspace, "stage"):
        raise WorkspaceError("a run is under way and reads the settings: save when it has finished")
    with hold_run_lock(workspace, "settings"):
        text, now = read_settings(workspace)
        if now != version:
            raise WorkspaceError(
                "somebody else changed the settings meanwhile: your changes were not saved; "
                "reload the page and look at theirs first"
            )
        after = edit_params(text, edits)
        changed = {name: (setting_value(text, name), setting_value(after, name)) for name in edits}
        entries = [
            store.AuditRecord(who, ACTION, name, old, new, reason, _run_id(workspace))
            for name, (old, new) in changed.items()
            if old != new
        ]
        if not entries:
            raise ParamsError("nothing was changed")
        engine = store.open_database(workspace)
        try:
            store.record_action(engine, entries, lambda: write_text(_path(workspace), after))
        except BaseException:
            write_text(_path(workspace), text)  # undone, since the audit entry was not written
            raise
    return json_sha256(after)


def _run_id(workspace: Workspace) -> str | None:
    return store.current_run(store.connect(database_url(workspace.root)))


def settings_log(workspace: Workspace, count: int = 50) -> list[dict[str, Any]]:
    """Return the latest changes of settings, newest first. StoreError if the database does not answer or is empty."""
    return store.audit_entries(store.connect(database_url(workspace.root)), count, ACTION)
