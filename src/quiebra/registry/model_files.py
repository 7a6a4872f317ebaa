"""Files of registered models: a folder in models/registry per model, named by its content hash, with all it needs to score."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from quiebra.errors import WorkspaceError
from quiebra.feature_engineering import use_own_features
from quiebra.io.files import read_json, write_atomically, write_json
from quiebra.models import PdModel, model_hash
from quiebra.panels import read_panel_table, read_source
from quiebra.provenance import file_sha256
from quiebra.registry import reference_set as reference
from quiebra.registry.comparison import write_row_values
from quiebra.validation.headline import read_figures
from quiebra.workspace import Workspace

RECORD_FILE = "record.json"
TRAINED_FILES = ("model.json", "history.parquet", "importance.parquet")
VALIDATION_FILES = ("figures.json", "metrics.json", "calibration.json", "pack.json", "tenths.csv", "by_year.csv", "model_card.md")
VALIDATION = "validation"


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model's folder.

    record: model_id, model_sha256, source, data_sha256, hashes of the code of its features, and of its files.
    """

    folder: Path

    @property
    def model_id(self) -> str:
        return self.folder.name

    @cached_property
    def record(self) -> dict[str, Any]:
        return read_json(self.folder / RECORD_FILE)

    @property
    def validation(self) -> Path:
        """The folder with its validation results: figures.json, calibration.json, pack.json and so on."""
        return self.folder / VALIDATION

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return read_figures(self.validation)

    @cached_property
    def card(self) -> dict[str, Any]:
        card: dict[str, Any] = read_json(self.folder / "model.json")["card"]
        return card

    @property
    def failed(self) -> list[str]:
        """A sentence for each gate that it failed when last validated."""
        failed: list[str] = self.metrics.get("failed_gates", [])
        return failed

    def load(self) -> PdModel:
        """Return the model.

        Raise WorkspaceError where its files are damaged, or where this code computes other features than it was trained on; the
        message names them.
        """
        self._refuse_damage()
        model = PdModel.load(self.folder)
        reference.refuse_other_features(self.model_id, self.folder / reference.REFERENCE_FOLDER, model, self.record["features"])
        return model

    def _refuse_damage(self) -> None:
        wrong = [name for name, hashed in self.record["files"].items() if not _is(self.folder / name, hashed)]
        if wrong or model_hash(self.folder) != self.record["model_sha256"]:
            raise WorkspaceError(
                "the kept model {model} is damaged ({files}): restore models/registry/{model}, or put another model in charge",
                model=self.model_id,
                files=", ".join(wrong) or "model.json, trees",
            )


def _is(path: Path, hashed: str) -> bool:
    return path.is_file() and file_sha256(path) == hashed


def registered_model(workspace: Workspace, model_id: str) -> RegisteredModel:
    """Return a registered model by its id or SHA-256, and make the own features of the workspace's panel those of this process.

    Raise WorkspaceError where it is not in models/registry, or its folder holds another model.
    """
    folder = workspace.registry / model_id[:12]
    if not (folder / RECORD_FILE).is_file():
        raise WorkspaceError(
            "model {model} is not kept in models/registry: run `quiebra run`, which keeps what is trained, or put another model "
            "in charge",
            model=model_id[:12],
        )
    hashed = _refuse_another(folder)
    if model_id not in (hashed[:12], hashed):
        raise WorkspaceError(
            "the model {model} in models/registry has the SHA-256 {held}, not {wanted}: run `quiebra run`, which decides anew "
            "who scores, and scores again",
            model=folder.name,
            held=hashed,
            wanted=model_id,
        )
    if (workspace.panel / "source.json").is_file():
        use_own_features(read_source(workspace.panel).own_columns)
    return RegisteredModel(folder)


def _refuse_another(folder: Path) -> str:
    """Return the SHA-256 of the model in a folder; raise WorkspaceError where the folder's name is not that model's id."""
    record = read_json(folder / RECORD_FILE)
    model_id, hashed = (str(record.get(name)) for name in ("model_id", "model_sha256"))
    if not model_id == hashed[:12] == folder.name:
        raise WorkspaceError(
            "the folder models/registry/{folder} holds another model, {held}: give each folder the name that its {record} "
            "says, or restore this one; where {held} has a folder of its own too, delete this one and run `quiebra run`, "
            "which keeps what was trained last",
            folder=folder.name,
            held=model_id if model_id != folder.name else hashed,
            record=RECORD_FILE,
        )
    return hashed


def register_model(workspace: Workspace) -> RegisteredModel:
    """Register the model that training wrote, with a reference set and its validation results, and return it.

    A former copy of the same model is replaced where anything differs; a process killed half-way leaves the old or the new copy
    complete.
    """
    hashed = model_hash(workspace.models)
    target = workspace.registry / hashed[:12]
    record = _record(workspace, hashed)
    if (target / RECORD_FILE).is_file():
        _refuse_another(target)  # raises where the folder holds another model, perhaps its only copy
    if not (target / RECORD_FILE).is_file() or read_json(target / RECORD_FILE) != record:
        _make(workspace, target, record)
    for name in VALIDATION_FILES:
        text = (workspace.validation / name).read_bytes()
        if not (target / VALIDATION / name).is_file() or (target / VALIDATION / name).read_bytes() != text:
            write_atomically(target / VALIDATION / name, partial(Path.write_bytes, data=text))
    return RegisteredModel(target)


def _record(workspace: Workspace, hashed: str) -> dict[str, Any]:
    return {
        "model_id": hashed[:12],
        "model_sha256": hashed,
        "source": read_json(workspace.panel / "source.json")["source"],
        "data_sha256": read_json(workspace.panel / "source.json")["sha256"],
        "features": reference.feature_code(),
        "files": {name: file_sha256(workspace.models / name) for name in TRAINED_FILES},
    }


def _make(workspace: Workspace, target: Path, record: dict[str, Any]) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(workspace.models / "trees", partial / "trees")
        for name in TRAINED_FILES:
            shutil.copyfile(workspace.models / name, partial / name)
        statements, companies = (read_panel_table(workspace.panel, name) for name in ("statements", "companies"))
        use_own_features(read_source(workspace.panel).own_columns)
        reference.write_reference(partial / reference.REFERENCE_FOLDER, PdModel.load(partial), statements, companies)
        write_row_values(partial, statements)
        write_json(partial / RECORD_FILE, record)
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except OSError as error:
        why = error.strerror or error
        raise WorkspaceError("cannot write {path}: {why}. Check the disk and its permissions.", path=target, why=why) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
