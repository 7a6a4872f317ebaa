"""Typed sections of params.yaml; an unknown key is an error that names the closest known one."""

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

from quiebra.errors import InvalidValue, InvalidYamlError, LocalisedMessage, MessageLines, ParamsError, suggestion_message
from quiebra.io.safe_yaml import MAX_YAML_LENGTH, read_yaml
from quiebra.items import ITEM_NAMES
from quiebra.params.api import Api
from quiebra.params.faults import FAULT_MESSAGES
from quiebra.params.file_format import FileFormat
from quiebra.params.operations import Alerts, Delivery, Retention, Schedule
from quiebra.params.presets import with_preset
from quiebra.params.section import Line, Section, Share, Year
from quiebra.params.stress import Stress
from quiebra.workspace import Workspace

LONGEST_VALUE = 200
"""Most characters of a wrong value that a message shows."""


def _quoted_date(value: Any) -> Any:
    if isinstance(value, dt.date):
        raise InvalidValue('write the date in quotes, "{value}": DVC cannot track a bare one', value=value)
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise InvalidValue("must be a date in quotes, YYYY-MM-DD") from None
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


class Edgar(Section):
    """Which annual reports of the SEC's EDGAR are read. leave_out_sic: ranges of SIC codes. failures: file of corrections.
    prices: file of closes."""

    folder: str
    first_year: Year
    last_year: Year | None
    forms: list[Literal["10-K", "10-KT"]]
    min_assets: Annotated[float, Field(ge=0)]
    leave_out_sic: list[str]
    failures: str | None
    prices: str | None = None

    @field_validator("forms")
    @classmethod
    def _some(cls, forms: list[str]) -> list[str]:
        if not forms:
            raise InvalidValue("name at least one form")
        return forms

    @field_validator("leave_out_sic")
    @classmethod
    def _ranges(cls, ranges: list[str]) -> list[str]:
        for each in ranges:
            if not re.fullmatch(r"\d{3,4}(-\d{3,4})?", each):
                raise InvalidValue("write industry codes as 6021, or a range as 6000-6799, not '{value}'", value=each)
        return ranges

    def covers(self, year: int) -> bool:
        """Return whether a year's data sets are read."""
        return self.first_year <= year and (self.last_year is None or year <= self.last_year)

    def sic_ranges(self) -> list[tuple[int, int]]:
        """Return first and last code of each range that is left out."""
        return [(int(each.partition("-")[0]), int(each.rpartition("-")[2])) for each in self.leave_out_sic]


class MarketService(Section):
    """Companies of a service that has accounts by ticker.

    currency: of the panel. filing_lag_days: after the end of a fiscal year its accounts are taken as public. failures: file of
    failures.
    """

    folder: str
    symbols: list[str] = Field(default_factory=list)
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    filing_lag_days: Annotated[int, Field(ge=0, le=1000)] = 90
    failures: str | None = None

    @field_validator("symbols")
    @classmethod
    def _tickers(cls, symbols: list[str]) -> list[str]:
        for each in symbols:
            if not re.fullmatch(r"[A-Z0-9][A-Z0-9.-]{0,19}", each):
                raise InvalidValue("a ticker has capital letters, digits, dots and hyphens alone, not '{value}'", value=each)
            if symbols.count(each) > 1:
                raise InvalidValue("{value} is named twice", value=each)
        return symbols


class Yahoo(MarketService):
    """accept_terms: the user's word that the use is personal, which is what Yahoo allows."""

    accept_terms: bool = False


class OwnFeature(Section):
    """A column of a user's file that is a feature as it is.

    sign: +1 where a higher value is never safer, -1 never riskier, 0 not certain. values: numbers that texts stand for.
    """

    label: Line
    label_es: Line | None = None
    sign: Literal[-1, 0, 1] = 0
    values: dict[str, float] = Field(default_factory=dict)

    @field_validator("values")
    @classmethod
    def _each_text_once(cls, values: dict[str, float]) -> dict[str, float]:
        plain = [text.strip().casefold() for text in values]
        if twice := next((text for text in plain if plain.count(text) > 1), None):
            raise InvalidValue("'{value}' is given twice", value=twice)
        return values


class Table(FileFormat):
    """Format of a user's own firm-years; what is empty is the preset's.

    path: of a file, or of a folder of files that are read as one. layout: one row a company and year (long), one a company with
    columns for each year (wide), or one company with a line for each item and a column for each year (lines). columns: canonical
    name → name in the file. negative_expenses: costs have a minus. statuses: what the texts of column ``status`` mean
    (`quiebra.sources.event_kinds`). features: further columns that the model may learn from. failures: file of failures. title:
    of pages.
    """

    path: str
    preset: Literal["sabi", "orbis", "compustat", "pgc", "kaggle_american"] | None = None
    layout: Literal["long", "wide", "lines"] = "long"
    columns: dict[str, str] = Field(default_factory=dict)
    negative_expenses: bool = False
    statuses: dict[str, str] = Field(default_factory=dict)
    features: dict[str, OwnFeature] = Field(default_factory=dict)
    units: Annotated[float, Field(gt=0)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    filing_lag_days: Annotated[int, Field(ge=0, le=1000)]
    outcomes_through: Year | None = None
    failures: str | None = None
    title: Line | None = None

    @field_validator("features")
    @classmethod
    def _plain_names(cls, features: dict[str, OwnFeature]) -> dict[str, OwnFeature]:
        for name in features:
            computed = re.search(r"^(sector_)?rank_|_(change\d|growth|lag\d)$", name)
            if computed or not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
                raise InvalidValue(
                    "a feature is named by small letters, digits and _, and not as a rank or a change: '{name}'", name=name
                )
        return features

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, section: Any) -> Any:
        return with_preset(section) if isinstance(section, dict) else section

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: dict[str, str]) -> dict[str, str]:
        amounts = {name: theirs for name, theirs in columns.items() if name in ITEM_NAMES}
        for name, theirs in amounts.items():
            if twice := next((other for other in amounts if other != name and amounts[other] == theirs), None):
                raise InvalidValue("'{column}' is given for {name} and for {other}", column=theirs, name=name, other=twice)
        return columns


class MacroSeries(FileFormat):
    """A macro series: of a file, of FRED, or of Nasdaq Data Link.

    lag_days: how long after its date a value is known; None, with FRED: from the day on which each value was published. table:
    the set of Nasdaq is a table, not a time series. column: of the values there.
    """

    file: str | None = None
    fred: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_]{1,50}$")] = None
    nasdaq: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_]{1,50}/[A-Za-z0-9_]{1,80}$")] = None
    table: bool = False
    column: str | None = None
    lag_days: Annotated[int | None, Field(ge=0, le=1000)] = None

    @model_validator(mode="after")
    def _of_one_source(self) -> MacroSeries:
        if sum(source is not None for source in (self.file, self.fred, self.nasdaq)) != 1:
            raise InvalidValue("name one of file, fred and nasdaq")
        if self.fred is None and self.lag_days is None:
            raise InvalidValue("lag_days: say how many days after its date a value is known")
        return self


SourceName = Literal["demo", "american", "edgar", "alpha_vantage", "yahoo", "table"]
DEFAULT_SOURCES = ["demo"]


class Ingest(Section):
    """What is read. sources: in order of precedence; ``source``, with one name, is the same and will go."""

    sources: Annotated[list[SourceName], Field(min_length=1)]
    macro: dict[str, MacroSeries]
    demo: Demo
    american: American
    edgar: Edgar
    alpha_vantage: MarketService = Field(default_factory=lambda: MarketService(folder="data/raw/alpha_vantage"))
    yahoo: Yahoo = Field(default_factory=lambda: Yahoo(folder="data/raw/yahoo"))
    table: Table

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, section: Any) -> Any:
        if not isinstance(section, dict) or "source" not in section:
            return section
        named, others = [section["source"]], {name: value for name, value in section.items() if name != "source"}
        if others.get("sources", named) not in (named, DEFAULT_SOURCES):
            raise InvalidValue("source and sources name different ones: leave source out")
        return {**others, "sources": named}

    @field_validator("sources")
    @classmethod
    def _each_source_once(cls, sources: list[str]) -> list[str]:
        if len(set(sources)) < len(sources):
            raise InvalidValue("each source once")
        return sources


class Labels(Section):
    """Which outcomes count. event_kinds: exits that are failures; see `quiebra.sources.event_kinds`."""

    window_months: Annotated[int, Field(ge=12, le=60)]
    event_kinds: list[str] = Field(default_factory=lambda: ["bankruptcy"])
    alive_exits: Literal["survived", "dropped"]


class Search(Section):
    trials: Annotated[int, Field(ge=0, le=10_000)]
    last_year: Year | None


class Train(Section):
    """How models are trained. calibrate_on: sources whose companies alone blend and calibration are fitted on, where they have
    failures enough; none: all."""

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
    calibrate_on: list[SourceName] = Field(default_factory=list)
    drop_features: list[str]
    search: Search


class Gate(Section):
    """Thresholds of a validation test: pass within the first, watch within the second, fail beyond."""

    pass_: Annotated[float, Field(alias="pass", ge=0)]
    watch: Annotated[float, Field(ge=0)]


def _in_order(name: str, better: float, worse: float, at_least: bool) -> None:
    """Raise InvalidValue where the first threshold is less strict than the second."""
    if (better < worse) if at_least else (better > worse):
        order = "at or above" if at_least else "at or below"
        raise InvalidValue(
            "{name}: the first threshold must lie {order} the second, not {better} and {worse}",
            name=name,
            order=LocalisedMessage(order),
            better=better,
            worse=worse,
        )


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
    """Thresholds of a monitored measure: watch beyond the first, alarm beyond the second."""

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
    """How today's companies are scored. sources: of which companies are scored, none: all that teach the model."""

    sources: list[SourceName] = Field(default_factory=list)
    max_age_months: Annotated[int, Field(ge=12)]
    reasons: Annotated[int, Field(ge=1, le=10)]
    watch_from: str
    grades: dict[str, Share]

    @field_validator("grades")
    @classmethod
    def _rising_to_one(cls, grades: dict[str, float]) -> dict[str, float]:
        for name in grades:
            if not re.fullmatch(r"[\w+-]{1,8}", name):
                raise InvalidValue("a grade is named by up to eight letters, digits, + or -, not '{name}'", name=name)
        bounds = list(grades.values())
        if bounds != sorted(set(bounds)) or not bounds or bounds[-1] != 1.0:
            raise InvalidValue("the highest PD of each grade must rise from the best grade to the worst and end at 1.0")
        return grades

    @model_validator(mode="after")
    def _known_grade(self) -> Score:
        if self.watch_from not in self.grades:
            near = suggestion_message(self.watch_from, self.grades)
            raise InvalidValue("watch_from: '{grade}' is not a grade{near}", grade=self.watch_from, near=near)
        return self


def _in_raw(path: str | None) -> str | None:
    if path is not None and not path.startswith("data/raw/"):
        raise InvalidValue("must be in data/raw, where a change of the file is seen")
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
    """All sections of params.yaml. A stage gets only those that dvc.yaml declares for it."""

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
    api: Api = Field(default_factory=Api)

    @model_validator(mode="after")
    def _sources_that_are_read(self) -> Params:
        for name, named in {"train.calibrate_on": self.train.calibrate_on, "score.sources": self.score.sources}.items():
            if unread := [source for source in named if source not in self.ingest.sources]:
                text = "{name}: {unread} is not read: ingest.sources has {sources}"
                values = {"unread": ", ".join(unread), "sources": ", ".join(self.ingest.sources)}
                raise InvalidValue(text, name=name, **values)
        return self

    @model_validator(mode="after")
    def _rules_that_can_be_broken(self) -> Params:
        for name, rule in self.alerts.rules.items():
            rule.resolved(self.score.watch_from).check(f"alerts.rules.{name}", self.score.grades)
        return self


def read_params(path: Path) -> dict[str, Any]:
    """Return the raw content of params.yaml; raise ParamsError where it cannot be read or is not a YAML mapping."""
    return parse_params(read_params_text(path), path.name)


def read_params_text(path: Path) -> str:
    """Return the text of params.yaml unchanged; raise ParamsError where it cannot be read."""
    try:
        if path.stat().st_size > 4 * MAX_YAML_LENGTH:
            raise ParamsError("{path} has {size} bytes: that cannot be parameters", path=path.name, size=path.stat().st_size)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ParamsError(
            "{path} is not readable YAML: {why}", path=path.name, why=LocalisedMessage("it is not in UTF-8")
        ) from None
    except OSError as error:
        raise ParamsError("{path} cannot be read: {why}", path=path.name, why=error.strerror or str(error)) from None


def parse_params(text: str, name: str = "params.yaml") -> dict[str, Any]:
    """Return the content of a text of parameters; raise ParamsError where it is not a mapping in the YAML allowed.

    See `quiebra.io.safe_yaml`. name: of the file, for the message.
    """
    try:
        content = read_yaml(text)
    except InvalidYamlError as error:
        raise ParamsError("{path} is not readable YAML: {why}", path=name, why=error.said) from None
    if not isinstance(content, dict):
        raise ParamsError("{path} must hold sections such as 'ingest:' and 'train:'", path=name)
    return content


def validate_params(content: Mapping[str, Any]) -> Params:
    """Return typed parameters, or raise ParamsError listing every fault with its dotted name and the remedy."""
    try:
        return Params.model_validate(dict(content))
    except ValidationError as error:
        faults = MessageLines(_explain(fault) for fault in error.errors())
        raise ParamsError("params.yaml cannot be used:\n  {faults}", faults=faults) from None


def load_params(workspace: Workspace) -> Params:
    """Read and check the workspace's params.yaml."""
    return validate_params(read_params(workspace.root / "params.yaml"))


def section(params: Params, name: str) -> Section:
    """Return one section by its name in params.yaml."""
    found: Section = getattr(params, "validate_" if name == "validate" else name)
    return found


def _explain(fault: Mapping[str, Any]) -> LocalisedMessage:
    path = [str(part) for part in fault["loc"]]
    dotted = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return LocalisedMessage(
            "{name}: unknown{near}", {"name": dotted, "near": suggestion_message(path[-1], _keys_beside(path))}
        )
    if fault["type"] == "missing":
        return LocalisedMessage("{name}: missing; see params.yaml in the repository for its default", {"name": dotted})
    context = fault.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, InvalidValue):
        said = cause.said
    else:
        said = LocalisedMessage(FAULT_MESSAGES.get(fault["type"], "{other}"), {**context, "other": fault["msg"]})
    if isinstance(fault["input"], dict):
        return LocalisedMessage("{name}: {why}", {"name": dotted, "why": said}) if dotted else said
    return LocalisedMessage("{name}: {why}, not {value}", {"name": dotted, "why": said, "value": _short(fault["input"])})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _keys_beside(path: list[str]) -> list[str]:
    model: Any = Params
    for part in path[:-1]:
        if get_origin(model) is dict:  # the key is chosen by the user
            model = get_args(model)[1]
            continue
        if get_origin(model) is list:  # the key is an index
            model = get_args(model)[0]
            continue
        fields = {(f.alias or n): f.annotation for n, f in model.model_fields.items()}
        model = fields.get(part)
    return [(f.alias or n) for n, f in model.model_fields.items()]


def declared_sections(workspace: Workspace, stage: str) -> tuple[str, ...]:
    """Return the sections that dvc.yaml declares for a stage, the only ones it may read."""
    stages = read_params(workspace.root / "dvc.yaml").get("stages")
    if not isinstance(stages, dict):
        raise ParamsError("dvc.yaml holds no stages: take it from the repository again")
    if stage not in stages:
        near, every = suggestion_message(stage, stages), ", ".join(stages)
        raise ParamsError("no stage '{stage}' in dvc.yaml{near}; there are {all}", stage=stage, near=near, all=every)
    return tuple(stages[stage].get("params", ()))


class StageParams(dict[str, Any]):
    """The sections that a stage declares, as attributes: ``params.train.trees``."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        has = ", ".join(self)
        raise ParamsError("this stage does not declare the section '{name}' in dvc.yaml; it has {all}", name=name, all=has)


def stage_params(workspace: Workspace, stage: str, overrides: Mapping[str, Any] | None = None) -> StageParams:
    """Return a stage's declared sections, typed. ``overrides`` replaces keys in them: ``{"train": {"trees": 50}}``."""
    content = read_params(workspace.root / "params.yaml")
    for name, keys in (overrides or {}).items():
        content[name] = {**content.get(name, {}), **keys}
    params = validate_params(content)
    return StageParams({name: section(params, name) for name in declared_sections(workspace, stage)})


def to_plain(params: StageParams) -> dict[str, Any]:
    """Return typed sections as plain JSON values (dates as text), for a notebook or a record."""
    return {name: part.model_dump(mode="json", by_alias=True) for name, part in params.items()}
