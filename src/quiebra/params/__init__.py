"""params.yaml as typed sections. An unknown or misspelt key is an error that names the nearest one."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from quiebra.errors import Lines, ParamsError, Refused, Said, YamlRefused, did_you_mean
from quiebra.items import ITEM_NAMES
from quiebra.params.faults import WORDS
from quiebra.params.file_format import FileFormat
from quiebra.params.operations import Alerts, Delivery, Retention, Schedule
from quiebra.params.section import Line, Section, Share, Year
from quiebra.params.stress import Stress
from quiebra.plain_yaml import LARGEST, read_yaml
from quiebra.workspace import Workspace

LONGEST_VALUE = 200
"""Signs of a wrong value that a message shows."""


def _quoted_date(value: Any) -> Any:
    if isinstance(value, dt.date):
        raise Refused('write the date in quotes, "{value}": DVC cannot track a bare one', value=value)
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise Refused("must be a date in quotes, YYYY-MM-DD") from None
    return value


class Run(Section):
    as_of: Annotated[dt.date | None, BeforeValidator(_quoted_date)]
    seed: int
    threads: Annotated[int, Field(ge=1)]


class Demo(Section):
    companies: Annotated[int, Field(ge=20)]
    first_year: Year
    years: Annotated[int, Field(ge=5, le=60)]
    seed: int


class American(Section):
    path: str


class Table(FileFormat):
    """columns: canonical name → the file's."""

    path: str
    columns: dict[str, str]
    units: Annotated[float, Field(gt=0)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    filing_lag_days: Annotated[int, Field(ge=0, le=1000)]
    outcomes_through: Year | None

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: dict[str, str]) -> dict[str, str]:
        amounts = {name: theirs for name, theirs in columns.items() if name in ITEM_NAMES}
        for name, theirs in amounts.items():
            if twice := next((other for other in amounts if other != name and amounts[other] == theirs), None):
                raise Refused("'{column}' is given for {name} and for {other}", column=theirs, name=name, other=twice)
        return columns


class MacroSeries(FileFormat):
    file: str
    lag_days: Annotated[int, Field(ge=0, le=1000)]


class Ingest(Section):
    source: Literal["demo", "american", "table"]
    macro: dict[str, MacroSeries]
    demo: Demo
    american: American
    table: Table


class Labels(Section):
    window_months: Annotated[int, Field(ge=12, le=60)]
    alive_exits: Literal["survived", "dropped"]


class Search(Section):
    trials: Annotated[int, Field(ge=0, le=10_000)]
    last_year: Year | None


class Train(Section):
    first_year: Year | None
    embargo_years: Annotated[int, Field(ge=0, le=5)]
    min_years: Annotated[int, Field(ge=1)]
    trees: Annotated[int, Field(ge=1, le=5000)]
    later_trees: Annotated[int, Field(ge=1, le=5000)]
    max_depth: Annotated[int, Field(ge=1, le=12)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    subsample: Annotated[float, Field(gt=0, le=1)]
    feature_share: Annotated[float, Field(gt=0, le=1)]
    min_child_weight: Annotated[float, Field(ge=0)]
    l2: Annotated[float, Field(ge=0)]
    max_bins: Annotated[int, Field(ge=8, le=1024)]
    monotone: bool
    near_share: Share
    near_decay: Share
    interval: Annotated[float, Field(gt=0.5, lt=1)]
    blend_weight: Share | None
    drop_features: list[str]
    search: Search


class Gate(Section):
    """Thresholds of a test: passed within the first, on watch within the second, failed beyond."""

    pass_: Annotated[float, Field(alias="pass", ge=0)]
    watch: Annotated[float, Field(ge=0)]


def _in_order(name: str, better: float, worse: float, at_least: bool) -> None:
    """Raise Refused where a threshold that is to be met first lies beyond the second."""
    if (better < worse) if at_least else (better > worse):
        order = "at or above" if at_least else "at or below"
        raise Refused("{name}: the first threshold must lie {order} the second, not {better} and {worse}", name=name,
                      order=Said(order), better=better, worse=worse)  # fmt: skip


class Gates(Section):
    auc: Gate
    pd_over_observed: Gate
    grades_inside: Gate
    interval_coverage: Gate
    score_psi: Gate

    @model_validator(mode="after")
    def _ordered(self) -> Gates:
        for name, gate in self:
            at_least = name not in ("pd_over_observed", "score_psi")
            _in_order(name, gate.pass_, gate.watch, at_least)
        return self


class Validate(Section):
    first_test_year: Year | None
    last_test_year: Year | None
    bootstrap: Annotated[int, Field(ge=20, le=100_000)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    accept_features: list[str]
    gates: Gates


class Limit(Section):
    """Thresholds of a measure that is monitored: beyond the first it is on watch, beyond the second it is an alarm."""

    watch: Annotated[float, Field(ge=0)]
    alarm: Annotated[float, Field(ge=0)]


class Monitor(Section):
    feature_csi: Limit
    features_alarmed: Limit
    score_psi: Limit
    auc_shortfall: Limit
    pd_over_observed: Limit
    importance_correlation: Limit

    @model_validator(mode="after")
    def _ordered(self) -> Monitor:
        for name, limit in self:
            _in_order(name, limit.watch, limit.alarm, name == "importance_correlation")
        return self


class Score(Section):
    max_age_months: Annotated[int, Field(ge=12)]
    reasons: Annotated[int, Field(ge=1, le=10)]
    watch_from: str
    grades: dict[str, Share]

    @field_validator("grades")
    @classmethod
    def _rising_to_one(cls, grades: dict[str, float]) -> dict[str, float]:
        for name in grades:
            if not re.fullmatch(r"[\w+-]{1,8}", name):
                raise Refused("a grade is named by up to eight letters, digits, + or -, not '{name}'", name=name)
        bounds = list(grades.values())
        if bounds != sorted(set(bounds)) or not bounds or bounds[-1] != 1.0:
            raise Refused("the highest PD of each grade must rise from the best grade to the worst and end at 1.0")
        return grades

    @model_validator(mode="after")
    def _known_grade(self) -> Score:
        if self.watch_from not in self.grades:
            near = did_you_mean(self.watch_from, self.grades)
            raise Refused("watch_from: '{grade}' is not a grade{near}", grade=self.watch_from, near=near)
        return self


def _in_raw(path: str | None) -> str | None:
    if path is not None and not path.startswith("data/raw/"):
        raise Refused("must be in data/raw, where a change of the file is seen")
    return path


class Portfolio(FileFormat):
    file: Annotated[str | None, AfterValidator(_in_raw)]
    lgd: Share
    correlation: Annotated[float, Field(ge=0, lt=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    draws: Annotated[int, Field(ge=1000, le=1_000_000)]


class Report(Section):
    title: Line | None
    status: Literal["DRAFT", "APPROVED"]
    lang: Literal["en", "es"]
    watch_list: Annotated[int, Field(ge=1, le=200)]


class Registry(Section):
    promote: Literal["when_gates_pass", "by_hand"]
    keep: Annotated[int, Field(ge=1, le=10_000)]


class Dashboards(Section):
    language: Literal["en", "es"]
    open_pages: Annotated[int, Field(ge=1, le=1000)]
    idle_minutes: Annotated[int, Field(ge=1, le=10_000)]


class Params(Section):
    """All sections of params.yaml. A stage is given only those that dvc.yaml declares for it."""

    run: Run
    ingest: Ingest
    labels: Labels
    train: Train
    validate_: Annotated[Validate, Field(alias="validate")]
    score: Score
    stress: Stress
    portfolio: Portfolio
    registry: Registry
    monitor: Monitor
    report: Report
    alerts: Alerts
    delivery: Delivery
    schedule: Schedule
    retention: Retention
    dashboards: Dashboards

    @model_validator(mode="after")
    def _rules_that_can_be_broken(self) -> Params:
        for name, rule in self.alerts.rules.items():
            rule.resolved(self.score.watch_from).check(f"alerts.rules.{name}", self.score.grades)
        return self


def read(path: Path) -> dict[str, Any]:
    """Return the raw content of params.yaml; ParamsError where it cannot be read or is not a YAML mapping."""
    return parse(read_params_text(path), path.name)


def read_params_text(path: Path) -> str:
    """Return the text of params.yaml, as it is kept. ParamsError where it cannot be read."""
    try:
        if path.stat().st_size > 4 * LARGEST:
            raise ParamsError("{path} has {size} bytes: that cannot be parameters", path=path.name, size=path.stat().st_size)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ParamsError("{path} is not readable YAML: {why}", path=path.name, why=Said("it is not in UTF-8")) from None
    except OSError as error:
        raise ParamsError("{path} cannot be read: {why}", path=path.name, why=error.strerror or str(error)) from None


def parse(text: str, name: str = "params.yaml") -> dict[str, Any]:
    """Return the content of a text of parameters; ParamsError where it is not a YAML mapping, or more than one (see
    `quiebra.plain_yaml`)."""
    try:
        content = read_yaml(text)
    except YamlRefused as error:
        raise ParamsError("{path} is not readable YAML: {why}", path=name, why=error.said) from None
    if not isinstance(content, dict):
        raise ParamsError("{path} must hold sections such as 'ingest:' and 'train:'", path=name)
    return content


def check(content: Mapping[str, Any]) -> Params:
    """Return typed parameters, or ParamsError listing every fault with its dotted name and the remedy."""
    try:
        return Params.model_validate(dict(content))
    except ValidationError as error:
        faults = Lines(_explain(fault) for fault in error.errors())
        raise ParamsError("params.yaml cannot be used:\n  {faults}", faults=faults) from None


def load(workspace: Workspace) -> Params:
    """Read and check the workspace's params.yaml."""
    return check(read(workspace.root / "params.yaml"))


def section(params: Params, name: str) -> Section:
    """Return one section by its name in params.yaml."""
    return getattr(params, "validate_" if name == "validate" else name)


def _explain(fault: Mapping[str, Any]) -> Said:
    path = [str(part) for part in fault["loc"]]
    dotted = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return Said("{name}: unknown{near}", {"name": dotted, "near": did_you_mean(path[-1], _keys_beside(path))})
    if fault["type"] == "missing":
        return Said("{name}: missing; see params.yaml in the repository for its default", {"name": dotted})
    context = fault.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Refused):
        said = cause.said
    else:
        said = Said(WORDS.get(fault["type"], "{other}"), {**context, "other": fault["msg"]})
    if isinstance(fault["input"], dict):
        return Said("{name}: {why}", {"name": dotted, "why": said}) if dotted else said
    return Said("{name}: {why}, not {value}", {"name": dotted, "why": said, "value": _short(fault["input"])})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _keys_beside(path: list[str]) -> list[str]:
    model: Any = Params
    for part in path[:-1]:
        if get_origin(model) is dict:  # the part is a name of the user's own
            model = get_args(model)[1]
            continue
        if get_origin(model) is list:  # the part is a place in it
            model = get_args(model)[0]
            continue
        fields = {(f.alias or n): f.annotation for n, f in model.model_fields.items()}
        model = fields.get(part)
    return [(f.alias or n) for n, f in model.model_fields.items()]


def declared(workspace: Workspace, stage: str) -> tuple[str, ...]:
    """Return the sections that dvc.yaml declares for a stage: all that it may read."""
    stages = read(workspace.root / "dvc.yaml").get("stages")
    if not isinstance(stages, dict):
        raise ParamsError("dvc.yaml holds no stages: take it from the repository again")
    if stage not in stages:
        near, every = did_you_mean(stage, stages), ", ".join(stages)
        raise ParamsError("no stage '{stage}' in dvc.yaml{near}; there are {all}", stage=stage, near=near, all=every)
    return tuple(stages[stage].get("params", ()))


class StageParams(dict[str, Any]):
    """The sections that a stage declared, as attributes: ``params.train.trees``."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        has = ", ".join(self)
        raise ParamsError("this stage does not declare the section '{name}' in dvc.yaml; it has {all}", name=name, all=has)


def for_stage(workspace: Workspace, stage: str, overrides: Mapping[str, Any] | None = None) -> StageParams:
    """Return a stage's declared sections, typed. ``overrides`` replaces keys in them: ``{"train": {"trees": 50}}``."""
    content = read(workspace.root / "params.yaml")
    for name, keys in (overrides or {}).items():
        content[name] = {**content.get(name, {}), **keys}
    params = check(content)
    return StageParams({name: section(params, name) for name in declared(workspace, stage)})


def plain(params: StageParams) -> dict[str, Any]:
    """Return typed sections as plain JSON values (dates as text), for a notebook or a record."""
    return {name: part.model_dump(mode="json", by_alias=True) for name, part in params.items()}
