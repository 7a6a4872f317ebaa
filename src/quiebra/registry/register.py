"""The register, models/register.json: by source of the data, all models, the champion and the former champions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from filelock import FileLock, Timeout
from pydantic import ConfigDict, TypeAdapter, ValidationError

from quiebra.errors import WorkspaceError
from quiebra.io.files import write_json
from quiebra.registry.model_files import RegisteredModel, registered_model
from quiebra.workspace import Workspace

CHALLENGER, RETIRED = "challenger", "retired"
CHAMPION: Final = "champion"
STRICT_CONFIG = ConfigDict(extra="forbid")
"""Refuses unknown keys."""
LOCK_WAIT_SECONDS = 60
T = TypeVar("T")


@dataclass(frozen=True)
class TrainedModel:
    """The model that was last decided on, and the gates that it had failed."""

    model: str
    failed: list[str]
    __pydantic_config__ = STRICT_CONFIG


@dataclass(frozen=True)
class RegisterEntry:
    """A registered model: its version, and its comparison with the champion of its time (None: there was no other model)."""

    version: int
    comparison: dict[str, Any] | None = None
    __pydantic_config__ = STRICT_CONFIG


@dataclass(frozen=True)
class Register:
    """The models of one source.

    champion: None: none yet. former: former champions, the latest last. trained: the model and failed gates last decided on.
    models: entries by model id.
    """

    champion: str | None = None
    former: tuple[str, ...] = ()
    trained: TrainedModel | None = None
    models: dict[str, RegisterEntry] = field(default_factory=dict)
    __pydantic_config__ = STRICT_CONFIG

    @property
    def last(self) -> str | None:
        """The model trained last; None: none yet."""
        return self.trained.model if self.trained else None

    def status(self, model_id: str) -> str:
        """Return champion, retired (a former champion) or challenger."""
        if model_id == self.champion:
            return CHAMPION
        return RETIRED if model_id in self.former else CHALLENGER

    def entered(self, model_id: str, comparison: dict[str, Any] | None) -> Register:
        """Return the register with a model added, and its comparison updated where there is a new one."""
        last = max((entry.version for entry in self.models.values()), default=0)
        known = self.models.get(model_id, RegisterEntry(last + 1))
        return replace(self, models={**self.models, model_id: RegisterEntry(known.version, comparison or known.comparison)})

    def succeeded(self, model_id: str | None) -> Register:
        """Return the register with a champion (None: without one); another that was it becomes the latest former champion."""
        if model_id == self.champion:
            return self
        former = tuple(name for name in (*self.former, self.champion) if name not in (None, model_id))
        return replace(self, champion=model_id, former=former)


def register_path(workspace: Workspace) -> Path:
    return workspace.models / "register.json"


def read_registers(workspace: Workspace) -> dict[str, Register]:
    """Return the register of each source, empty where no model was registered; raise WorkspaceError where the file is damaged."""
    path = register_path(workspace)
    if not path.is_file():
        return {}
    try:
        content = json.loads(
            path.read_text(encoding="utf-8")
        )  # not `read_json`: its remedy, deleting the file, would lose every decision
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
    """Return JSON values as an object of type ``kind``; raise ValueError for a missing or unknown key, or a wrong type."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _refuse_gaps(content: dict[str, Any], register: Register) -> None:
    """Raise ValueError where a key is missing, or a current or former champion is not among the models."""
    if missing := [part.name for part in fields(Register) if part.name not in content]:
        raise ValueError(f"{', '.join(missing)}: missing")
    for model_id in (register.champion, *register.former):
        if model_id is not None and model_id not in register.models:
            raise ValueError(f"{model_id} is not among the models")


@contextlib.contextmanager
def registers_lock(workspace: Workspace) -> Iterator[None]:
    """Keep other processes from changing the registers between reading and writing them; raise WorkspaceError after a minute."""
    path = workspace.root / "data" / ".register.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=LOCK_WAIT_SECONDS):
            yield
    except Timeout:
        raise WorkspaceError(
            "another process has been changing {path} for too long: stop it", path=register_path(workspace)
        ) from None


def write_registers(workspace: Workspace, registers: dict[str, Register]) -> None:
    write_json(register_path(workspace), {source: asdict(register) for source, register in registers.items()})


def list_models(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every registered model, newest first.

    Keys: model_id, version, status, source, trained_on, rows, failures, auc, failed (gates, in words), gates (see
        `quiebra.validation.verdict`), comparison (with the champion of its time) and kept (the `RegisteredModel`).
    """
    found = []
    for source, register in read_registers(workspace).items():
        for model_id, entry in register.models.items():
            found.append(_described(registered_model(workspace, model_id), source, register, entry))
    return sorted(found, key=lambda model: (-model["version"], model["source"]))


def _described(folder: RegisteredModel, source: str, register: Register, entry: RegisterEntry) -> dict[str, Any]:
    card, metrics = folder.card, folder.metrics
    return {
        "model_id": folder.model_id,
        "version": entry.version,
        "status": register.status(folder.model_id),
        "source": source,
        "trained_on": card["trained_on"],
        "rows": card["rows"],
        "failures": card["failures"],
        "auc": metrics["walk_forward"]["auc"],
        "failed": folder.failed,
        "gates": metrics.get("verdict", []),
        "comparison": entry.comparison,
        "kept": folder,
    }


def previous_champion(workspace: Workspace, source: str, model_id: str) -> dict[str, Any] | None:
    """Return the model to compare another with, as in `list_models`; None where there is none.

    It is the champion of the source, or where that is the model itself, the champion before it.
    """
    register = read_registers(workspace).get(source, Register())
    others = [name for name in (register.champion, *reversed(register.former)) if name not in (None, model_id)]
    if not others:
        return None
    folder = registered_model(workspace, others[0])
    return _described(folder, source, register, register.models[folder.model_id])


def waiting_challenger(workspace: Workspace, source: str) -> dict[str, Any] | None:
    """Return the model trained last, as in `list_models`; None where it is the champion, or there is no champion."""
    register = read_registers(workspace).get(source, Register())
    last = register.last
    if register.champion is None or last in (None, register.champion):
        return None
    return _described(registered_model(workspace, last), source, register, register.models[last])
