"""The file that says which models there are, which is in charge and which was: models/register.json, by source of the data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from quiebra.errors import WorkspaceError
from quiebra.files import write_json
from quiebra.registry.kept import Kept, kept
from quiebra.workspace import Workspace

CHALLENGER, CHAMPION, RETIRED = "challenger", "champion", "retired"
KNOWN = ConfigDict(extra="forbid")
"""No names but those of the class."""
T = TypeVar("T")


@dataclass(frozen=True)
class TrainedModel:
    """The model that was decided on last, and the gates that it had failed."""

    model: str
    failed: list[str]
    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class Entry:
    """A registered model: its version, and how it did against the champion of its time (None: there was no other)."""

    version: int
    comparison: dict[str, Any] | None = None
    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class Register:
    """The models of one source. champion: who is in charge (None: nobody yet). former: who was, the latest last. trained: the
    model and the failed gates that were decided on last. models: entries by id."""

    champion: str | None = None
    former: tuple[str, ...] = ()
    trained: TrainedModel | None = None
    models: dict[str, Entry] = field(default_factory=dict)
    __pydantic_config__ = KNOWN

    @property
    def last(self) -> str | None:
        """The model that was trained last; None: none yet."""
        return self.trained.model if self.trained else None

    def status(self, model_id: str) -> str:
        """Return champion, retired (it was champion) or challenger."""
        if model_id == self.champion:
            return CHAMPION
        return RETIRED if model_id in self.former else CHALLENGER

    def entered(self, model_id: str, comparison: dict[str, Any] | None) -> Register:
        """Return the register with a model in it, and its comparison where there is a new one."""
        last = max((entry.version for entry in self.models.values()), default=0)
        known = self.models.get(model_id, Entry(last + 1))
        return replace(self, models={**self.models, model_id: Entry(known.version, comparison or known.comparison)})

    def succeeded(self, model_id: str) -> Register:
        """Return the register with another model in charge; the one that was is the latest former one."""
        former = [name for name in self.former if name != model_id]
        return replace(self, champion=model_id, former=(*former, *([self.champion] if self.champion else [])))


def register_path(workspace: Workspace) -> Path:
    return workspace.models / "register.json"


def read_registers(workspace: Workspace) -> dict[str, Register]:
    """Return the register of each source; none where nothing was ever registered. WorkspaceError where the file is damaged."""
    path = register_path(workspace)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))  # not `read_json`, whose remedy would forget every choice
        registers = validate_json(dict[str, Register], content)
        for source, register in registers.items():
            _refuse_gaps(content[source], register)
    except (ValueError, RecursionError) as error:
        raise WorkspaceError(
            "{path} is damaged ({why}): restore it, or delete it and run `quiebra run`, after which no former model is known",
            path=path,
            why=error,
        ) from error
    return registers


def validate_json(kind: type[T], content: Any) -> T:
    """Return JSON values as what they are to be. ValueError where a name is missing or unknown, or a value of another type."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _refuse_gaps(content: dict[str, Any], register: Register) -> None:
    """Raise ValueError where a name is missing, or one that is or was in charge is no model of the register."""
    if missing := [part.name for part in fields(Register) if part.name not in content]:
        raise ValueError(f"{', '.join(missing)}: missing")
    for model_id in (register.champion, *register.former):
        if model_id is not None and model_id not in register.models:
            raise ValueError(f"{model_id} is not among the models")


def write_registers(workspace: Workspace, registers: dict[str, Register]) -> None:
    write_json(register_path(workspace), {source: asdict(register) for source, register in registers.items()})


def entries(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every registered model, newest first: model_id, version, status, source, trained_on, rows, failures, auc, failed
    (gates, in words), gates (see `quiebra.validation.verdict`), comparison (with the champion of its time) and ``kept`` (its
    folder)."""
    found = []
    for source, register in read_registers(workspace).items():
        for model_id, entry in register.models.items():
            found.append(_described(kept(workspace, model_id), source, register, entry))
    return sorted(found, key=lambda model: (-model["version"], model["source"]))


def _described(folder: Kept, source: str, register: Register, entry: Entry) -> dict[str, Any]:
    card, metrics = folder.card, folder.metrics
    return {
        "model_id": folder.model_id, "version": entry.version, "status": register.status(folder.model_id), "source": source,
        "trained_on": card["trained_on"], "rows": card["rows"], "failures": card["failures"],
        "auc": metrics["walk_forward"]["auc"], "failed": folder.failed, "gates": metrics.get("verdict", []),
        "comparison": entry.comparison, "kept": folder,
    }  # fmt: skip


def previous(workspace: Workspace, source: str, model_id: str) -> dict[str, Any] | None:
    """Return the model that another is measured against: the champion of the source, or, where that is the model itself, the one
    that was champion before it; None where there is none. See `entries`."""
    register = read_registers(workspace).get(source, Register())
    others = [name for name in (register.champion, *reversed(register.former)) if name not in (None, model_id)]
    if not others:
        return None
    folder = kept(workspace, others[0])  # type: ignore[arg-type]
    return _described(folder, source, register, register.models[folder.model_id])


def challenger(workspace: Workspace, source: str) -> dict[str, Any] | None:
    """Return the model that was trained last where it is not the one in charge; see `entries`."""
    register = read_registers(workspace).get(source, Register())
    last = register.last
    if register.champion is None or last in (None, register.champion):
        return None
    return _described(kept(workspace, last), source, register, register.models[last])  # type: ignore[arg-type, index]
