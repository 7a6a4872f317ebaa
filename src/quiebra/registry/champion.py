"""Choose the scoring model: decided after each validation, changed by users, and read by everything that scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import polars as pl

from quiebra.errors import WorkspaceError, single_match
from quiebra.io.files import read_json, write_json
from quiebra.panels import are_other_companies, label_outcomes, read_panel_table
from quiebra.params import Registry
from quiebra.registry.comparison import compare_with_champion, comparison_in_words, judged_companies, ranks_worse
from quiebra.registry.model_files import RegisteredModel, register_model, registered_model
from quiebra.registry.register import (
    CHAMPION,
    STRICT_CONFIG,
    Register,
    TrainedModel,
    read_registers,
    register_path,
    registers_lock,
    validate_json,
    write_registers,
)
from quiebra.registry.retention import delete_old_models
from quiebra.workspace import Workspace

Standing = Literal["champion", "none", "past", "experiment"]
NO_CHAMPION: Final = "none"
PAST_DATE_MODEL: Final = "past"
EXPERIMENT_MODEL: Final = "experiment"
"""Standings of a scoring model other than the champion.

There is no champion yet; the date scored is before the champion was made; or this is an experiment.
"""


@dataclass(frozen=True)
class ScoringModel:
    """The model that scores.

    source: of the data. standing: champion, none, past or experiment. as_of: the date that it scores as of.
    failed: the gates that it failed, as described in `quiebra.validation.verdict`.
    """

    model_id: str
    model_sha256: str
    source: str
    standing: Standing
    as_of: str
    failed: list[str] = field(default_factory=list)
    __pydantic_config__ = STRICT_CONFIG

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


def champion_path(workspace: Workspace) -> Path:
    return workspace.models / "champion.json"


def read_scoring_model(workspace: Workspace) -> ScoringModel:
    """Return the scoring model as last decided.

    Raise WorkspaceError where none was decided, the file is damaged, or the register contradicts it.
    """
    charge = _written(workspace)
    if not _agrees(charge, read_registers(workspace).get(charge.source, Register())):
        raise WorkspaceError(
            "{path} says that model {model} scores ({standing}), and models/register.json does not: run `quiebra run`, which "
            "decides anew by the register; where the register is the older one, restore it first",
            path=champion_path(workspace),
            model=charge.model_id,
            standing=charge.standing,
        )
    return charge


def _written(workspace: Workspace) -> ScoringModel:
    """Return the content of the file, without checking it against the register."""
    path = champion_path(workspace)
    try:
        charge = validate_json(ScoringModel, read_json(path))
        dt.date.fromisoformat(charge.as_of)
        if charge.model_sha256[:12] != charge.model_id:
            raise ValueError("model_id is not the start of model_sha256")
    except ValueError as error:
        raise WorkspaceError(
            "{path} is damaged ({why}): run `quiebra run`, which writes it anew from models/register.json", path=path, why=error
        ) from error
    return charge


def _agrees(charge: ScoringModel, register: Register) -> bool:
    """Return whether the register allows the model's standing. An experiment's model is in no register."""
    if charge.standing == CHAMPION:
        return charge.model_id == register.champion
    if charge.standing == NO_CHAMPION:
        return register.champion is None and charge.model_id == register.last
    if charge.standing == PAST_DATE_MODEL:
        return charge.model_id in register.models and register.champion not in (None, charge.model_id)
    return charge.standing == EXPERIMENT_MODEL


def decide_scoring_model(workspace: Workspace, options: Registry, *, experiment: bool = False) -> ScoringModel:
    """Register the model trained last, compare it with the champion, and write which of them scores.

    The trained model becomes champion where ``options.promote`` is ``when_gates_pass``, it failed no gate, it does not rank worse
    than the champion, and this was not decided before, so that a user's later decision is kept. Without a champion the newest
    model scores. For a date before the champion was made, the model trained for that date scores, without becoming champion. A
    champion of another data set (`are_other_companies`) gives way to the latest one of these data, or to none. In an experiment
    its own model scores, and the register stays unchanged.
    """
    with registers_lock(workspace):
        return _decide(workspace, options, experiment)


def _decide(workspace: Workspace, options: Registry, experiment: bool) -> ScoringModel:
    trained = register_model(workspace)
    source = trained.record["source"]
    registers = read_registers(workspace)
    register = registers.get(source, Register())
    if experiment:
        if not register_path(workspace).is_file():
            write_registers(workspace, registers)
        return _write(workspace, _standing(trained, source, EXPERIMENT_MODEL, trained.card["as_of"]))
    found, register = None, register.succeeded(_latest_of_same_data(workspace, register, trained))
    if register.champion not in (None, trained.model_id):
        champion = registered_model(workspace, register.champion)
        if champion.card["as_of"] > trained.card["as_of"]:
            write_registers(workspace, {**registers, source: register.entered(trained.model_id, None)})
            return _write(workspace, _standing(trained, source, PAST_DATE_MODEL, trained.card["as_of"]))
        found = compare_with_champion(champion.folder, trained.folder, _outcomes(workspace, trained))
    register = register.entered(trained.model_id, found)
    news = TrainedModel(trained.model_id, trained.failed)
    passes = options.promote == "when_gates_pass" and not trained.failed and not ranks_worse(found)
    undecided = register.champion is None or register.trained != news
    if passes and undecided and register.champion != trained.model_id:
        register = register.succeeded(trained.model_id)
    register = delete_old_models(workspace, replace(register, trained=news), options.keep)
    write_registers(workspace, {**registers, source: register})
    return _write(workspace, _chosen(workspace, source, register, trained.card["as_of"]))


def _latest_of_same_data(workspace: Workspace, register: Register, trained: RegisteredModel) -> str | None:
    """Return the champion, or the latest former one, that was judged on companies of the trained model's data set."""
    now = judged_companies(trained.folder)
    for model_id in (register.champion, *reversed(register.former)):
        if model_id and not are_other_companies(judged_companies(registered_model(workspace, model_id).folder), now):
            return model_id
    return None


def _outcomes(workspace: Workspace, trained: RegisteredModel) -> pl.DataFrame:
    """Return company_id, fiscal_year and failed of the years that validation judged."""
    statements, events = (read_panel_table(workspace.panel, name) for name in ("statements", "events"))
    labels = label_outcomes(statements, events, window_months=trained.card["params"]["labels"]["window_months"])
    first, last = map(int, trained.metrics["walk_forward"]["test_years"].split("-"))
    return labels.filter(pl.col("fiscal_year").is_between(first, last)).select("company_id", "fiscal_year", "failed")


def _chosen(workspace: Workspace, source: str, register: Register, as_of: str) -> ScoringModel:
    """Return the champion, or where there is none the model trained last."""
    folder = registered_model(workspace, cast("str", register.champion or register.last))
    return _standing(folder, source, CHAMPION if register.champion else NO_CHAMPION, as_of)


def _standing(folder: RegisteredModel, source: str, standing: Standing, as_of: str) -> ScoringModel:
    failed = [row["words"] for row in folder.metrics.get("verdict", []) if row["verdict"] == "fail"]
    return ScoringModel(folder.model_id, folder.record["model_sha256"], source, standing, as_of, failed)


def _write(workspace: Workspace, chosen: ScoringModel) -> ScoringModel:
    write_json(champion_path(workspace), chosen.as_record())
    return chosen


@dataclass(frozen=True)
class Succession:
    """A change of champion of a source, from model ``before`` (None: there was none) to model ``after``."""

    source: str
    before: str | None
    after: str


def promote(workspace: Workspace, identifier: str, *, despite: bool = False) -> Succession:
    """Make a model the champion of its source; it scores from the next run on. Raise WorkspaceError as `check_promotion` does."""
    with registers_lock(workspace):
        model_id, source, registers = _promotable(workspace, identifier, despite)
        if model_id == registers[source].champion:
            return Succession(source, model_id, model_id)
        return _succeed(workspace, registers, source, model_id)


def check_promotion(workspace: Workspace, identifier: str, *, despite: bool = False) -> str:
    """Return the id of a model that may be made the champion of its source; nothing is changed.

    identifier: the id or its start. despite: although it ranks worse.
    Raise WorkspaceError where no model or several match, or the model failed a gate (the message says which); and, without
    ``despite``, where it ranks worse than the champion on the same rows, with the whole interval of the difference.
    """
    return _promotable(workspace, identifier, despite)[0]


def _promotable(workspace: Workspace, identifier: str, despite: bool) -> tuple[str, str, dict[str, Register]]:
    """Return the model's id, its source and all registers; see `check_promotion`."""
    registers = read_registers(workspace)
    every = {model_id: source for source, register in registers.items() for model_id in register.models}
    found = [model_id for model_id in every if model_id.startswith(identifier)]
    model_id = single_match(found, identifier, "model", WorkspaceError, f"there are: {', '.join(every) or 'none'}")
    source = every[model_id]
    register, folder = registers[source], registered_model(workspace, model_id)
    if folder.failed:
        raise WorkspaceError(f"model {model_id} is not promoted: {'; '.join(folder.failed)}")
    found_so = register.models[model_id].comparison
    if not despite and found_so is not None and ranks_worse(found_so) and found_so["champion"] == register.champion:
        raise WorkspaceError(
            f"model {model_id} is not promoted: it ranks worse than the champion, {comparison_in_words(found_so)}; "
            "to promote it all the same, add --despite"
        )
    return model_id, source, registers


def roll_back(workspace: Workspace, source: str | None = None) -> Succession:
    """Make the previous champion the champion again; a second call reverses this. source: needed where several have a champion.

    Raise WorkspaceError as `check_rollback` does.
    """
    with registers_lock(workspace):
        planned = check_rollback(workspace, source)
        return _succeed(workspace, read_registers(workspace), planned.source, planned.after)


def check_rollback(workspace: Workspace, source: str | None = None) -> Succession:
    """Return what `roll_back` would do. Raise WorkspaceError where there is no champion, or no previous one."""
    registers = read_registers(workspace)
    led = {name: register for name, register in registers.items() if register.champion and source in (None, name)}
    if not led:
        raise WorkspaceError("no model is the champion: promote one first")
    if len(led) > 1:
        raise WorkspaceError(f"champions of several sources: {', '.join(led)}; say which (--source)")
    ((source, register),) = led.items()
    if not register.former:
        raise WorkspaceError(f"no model was champion before {register.champion}: there is nothing to go back to")
    registered_model(workspace, register.former[-1])  # raises WorkspaceError where it is missing
    return Succession(source, register.champion, register.former[-1])


def _succeed(workspace: Workspace, registers: dict[str, Register], source: str, model_id: str) -> Succession:
    registered_model(workspace, model_id)  # raises WorkspaceError where it is missing
    now = _written(workspace) if champion_path(workspace).is_file() else None
    register = registers[source].succeeded(model_id)
    write_registers(workspace, {**registers, source: register})
    if now is not None and now.source == source:
        _write(workspace, _chosen(workspace, source, register, now.as_of))
    return Succession(source, registers[source].champion, model_id)
