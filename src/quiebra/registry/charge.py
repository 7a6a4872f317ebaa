"""Who is in charge: decided after validation, changed by people, and read by whoever scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from quiebra.errors import WorkspaceError, single_match
from quiebra.files import read_json, write_json
from quiebra.panel import label, read_panel_table
from quiebra.params import Registry
from quiebra.registry.comparison import against, compare, ranks_worse
from quiebra.registry.kept import Kept, keep, kept
from quiebra.registry.retention import forget
from quiebra.registry.state import (
    CHAMPION,
    KNOWN,
    Register,
    TrainedModel,
    read_registers,
    register_path,
    validate_json,
    write_registers,
)
from quiebra.workspace import Workspace

NONE, PAST, EXPERIMENT = "none", "past", "experiment"
"""Standing of a model that scores although it is not in charge: there is no champion yet, the champion learnt from what was not
known on the date scored, or this is an experiment."""


@dataclass(frozen=True)
class InCharge:
    """The model that scores: its id, source and standing (champion, none, past or experiment), the date that it scores as of, and
    the gates that it failed, in words of `quiebra.validation.verdict`."""

    model_id: str
    model_sha256: str
    source: str
    standing: Literal["champion", "none", "past", "experiment"]
    as_of: str
    failed: list[str] = field(default_factory=list)
    __pydantic_config__ = KNOWN

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


def charge_path(workspace: Workspace) -> Path:
    return workspace.models / "champion.json"


def in_charge(workspace: Workspace) -> InCharge:
    """Return the model that scores, as it was last decided. WorkspaceError where nothing was decided, the file is damaged, or the
    register says otherwise."""
    charge = _written(workspace)
    if not _agrees(charge, read_registers(workspace).get(charge.source, Register())):
        raise WorkspaceError(
            "{path} says that model {model} scores ({standing}), and models/register.json does not: run `quiebra run`, which "
            "decides anew by the register; where the register is the older one, restore it first",
            path=charge_path(workspace),
            model=charge.model_id,
            standing=charge.standing,
        )
    return charge


def _written(workspace: Workspace) -> InCharge:
    """Return what the file says, whatever the register does."""
    path = charge_path(workspace)
    try:
        charge = validate_json(InCharge, read_json(path))
        dt.date.fromisoformat(charge.as_of)
        if charge.model_sha256[:12] != charge.model_id:
            raise ValueError("model_id is not the start of model_sha256")
    except ValueError as error:
        raise WorkspaceError(
            "{path} is damaged ({why}): run `quiebra run`, which writes it anew from models/register.json", path=path, why=error
        ) from error
    return charge


def _agrees(charge: InCharge, register: Register) -> bool:
    """Whether the register lets a model score so. An experiment's own model is in no register."""
    if charge.standing == CHAMPION:
        return charge.model_id == register.champion
    if charge.standing == NONE:
        return register.champion is None and charge.model_id == register.last
    if charge.standing == PAST:
        return charge.model_id in register.models and register.champion not in (None, charge.model_id)
    return charge.standing == EXPERIMENT


def decide(workspace: Workspace, options: Registry, *, experiment: bool = False) -> InCharge:
    """Keep the model that was trained last, hold it against the champion, and write which of them scores.

    It takes over where ``options.promote`` is ``when_gates_pass``, it failed no gate and did not rank worse than the champion,
    and this was not decided before: what people decided since stands. Where there is no champion the newest model scores. On a
    date before the champion was made the model trained for that date scores, and takes nothing over. In an experiment its own
    model scores and the register stays as it is.
    """
    trained = keep(workspace)
    source = trained.record["source"]
    registers = read_registers(workspace)
    register = registers.get(source, Register())
    if experiment:
        if not register_path(workspace).is_file():
            write_registers(workspace, registers)
        return _write(workspace, _standing(trained, source, EXPERIMENT, trained.card["as_of"]))
    found = None
    if register.champion not in (None, trained.model_id):
        champion = kept(workspace, register.champion)  # type: ignore[arg-type]
        if champion.card["as_of"] > trained.card["as_of"]:
            write_registers(workspace, {**registers, source: register.entered(trained.model_id, None)})
            return _write(workspace, _standing(trained, source, PAST, trained.card["as_of"]))
        found = compare(champion.folder, trained.folder, _outcomes(workspace, trained))
    register = register.entered(trained.model_id, found)
    news = TrainedModel(trained.model_id, trained.failed)
    passes = options.promote == "when_gates_pass" and not trained.failed and not ranks_worse(found)
    undecided = register.champion is None or register.trained != news
    if passes and undecided and register.champion != trained.model_id:
        register = register.succeeded(trained.model_id)
    register = forget(workspace, replace(register, trained=news), options.keep)
    write_registers(workspace, {**registers, source: register})
    return _write(workspace, _chosen(workspace, source, register, trained.card["as_of"]))


def _outcomes(workspace: Workspace, trained: Kept) -> pl.DataFrame:
    """Return company_id, fiscal_year and failed of the years that validation judged."""
    statements, events = (read_panel_table(workspace.panel, name) for name in ("statements", "events"))
    labels = label(statements, events, window_months=trained.card["params"]["labels"]["window_months"])
    first, last = map(int, trained.metrics["walk_forward"]["test_years"].split("-"))
    return labels.filter(pl.col("fiscal_year").is_between(first, last)).select("company_id", "fiscal_year", "failed")


def _chosen(workspace: Workspace, source: str, register: Register, as_of: str) -> InCharge:
    """Return the champion, or the model that was trained last where there is none."""
    folder = kept(workspace, register.champion or register.last)  # type: ignore[arg-type]
    return _standing(folder, source, CHAMPION if register.champion else NONE, as_of)


def _standing(folder: Kept, source: str, standing: str, as_of: str) -> InCharge:
    failed = [row["words"] for row in folder.metrics.get("verdict", []) if row["verdict"] == "fail"]
    return InCharge(folder.model_id, folder.record["model_sha256"], source, standing, as_of, failed)


def _write(workspace: Workspace, chosen: InCharge) -> InCharge:
    write_json(charge_path(workspace), chosen.as_record())
    return chosen


@dataclass(frozen=True)
class Succession:
    """A change of the model in charge: of which source, from whom (None: nobody) to whom."""

    source: str
    before: str | None
    after: str


def promote(workspace: Workspace, identifier: str, *, despite: bool = False) -> Succession:
    """Put a model in charge of its source. Whoever scores follows from the next run on.

    WorkspaceError where no model, or more than one, has an id that starts so, or where it failed a gate: the message says which;
    and, unless ``despite``, where it ranked worse than the champion on the same rows, with the whole interval of the difference.
    """
    registers = read_registers(workspace)
    every = {model_id: source for source, register in registers.items() for model_id in register.models}
    found = [model_id for model_id in every if model_id.startswith(identifier)]
    model_id = single_match(found, identifier, "model", WorkspaceError, f"there are: {', '.join(every) or 'none'}")
    source = every[model_id]
    register, folder = registers[source], kept(workspace, model_id)
    if folder.failed:
        raise WorkspaceError(f"model {model_id} is not promoted: {'; '.join(folder.failed)}")
    found_so = register.models[model_id].comparison
    if not despite and ranks_worse(found_so) and found_so["champion"] == register.champion:  # type: ignore[index]
        raise WorkspaceError(
            f"model {model_id} is not promoted: it ranks worse than the champion, {against(found_so)}; "  # type: ignore[arg-type]
            "to promote it all the same, add --despite"
        )
    if model_id == register.champion:
        return Succession(source, model_id, model_id)
    return _succeed(workspace, registers, source, model_id)


def roll_back(workspace: Workspace, source: str | None = None) -> Succession:
    """Put the champion before this one in charge again; asked again, the later one. ``source``: where several have a champion.

    WorkspaceError where there is no champion, or none before it.
    """
    registers = read_registers(workspace)
    led = {name: register for name, register in registers.items() if register.champion and source in (None, name)}
    if not led:
        raise WorkspaceError("no model is the champion: promote one first")
    if len(led) > 1:
        raise WorkspaceError(f"champions of several sources: {', '.join(led)}; say which (--source)")
    ((source, register),) = led.items()
    if not register.former:
        raise WorkspaceError(f"no model was champion before {register.champion}: there is nothing to go back to")
    return _succeed(workspace, registers, source, register.former[-1])


def _succeed(workspace: Workspace, registers: dict[str, Register], source: str, model_id: str) -> Succession:
    kept(workspace, model_id)  # it is there
    now = _written(workspace) if charge_path(workspace).is_file() else None
    register = registers[source].succeeded(model_id)
    write_registers(workspace, {**registers, source: register})
    if now is not None and now.source == source:
        _write(workspace, _chosen(workspace, source, register, now.as_of))
    return Succession(source, registers[source].champion, model_id)
