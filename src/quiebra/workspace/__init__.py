"""Paths of a workspace: the folder with params.yaml and the folders that stages write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from quiebra.environment import RESULTS_FOLDER
from quiebra.errors import WorkspaceError
from quiebra.provenance import json_sha256

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package that is running."""


@dataclass(frozen=True)
class Workspace:
    """A checkout: its root and the folders under it. All paths are absolute."""

    root: Path

    @classmethod
    def find(cls, start: str | Path | None = None) -> Workspace:
        """Return the workspace of ``start`` (default: the current folder): the nearest folder upwards with params.yaml.
        WorkspaceError if there is none."""
        here = Path(start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "params.yaml").is_file():
                return cls(folder)
        raise WorkspaceError(f"no params.yaml in {here} or above it: change into the workspace, then run this again")

    @property
    def id(self) -> str:
        """A short hash of the root's path, for names of what belongs to this workspace outside it."""
        return json_sha256(str(self.root))[:12]

    @property
    def scratch(self) -> Path:
        """Folder outside the pipeline: results of notebooks run by hand, and what an experiment does not publish."""
        return self.root / "data" / "scratch"

    @property
    def results(self) -> Workspace:
        """Workspace that a notebook writes to: QUIEBRA_RESULTS if set (stages set it to the pipeline's folders), otherwise
        `scratch`, as in a notebook run by hand.

        WorkspaceError if the running code is not this workspace's: the results would be another checkout's.
        """
        refuse_other_code(self.root)
        named = os.environ.get(RESULTS_FOLDER, "").strip()
        return Workspace((self.root / named).resolve() if named else self.scratch)

    @property
    def panel(self) -> Path:
        return self.root / "data" / "panel"

    @property
    def features(self) -> Path:
        return self.root / "data" / "features"

    @property
    def validation(self) -> Path:
        return self.root / "data" / "validation"

    @property
    def scores(self) -> Path:
        return self.root / "data" / "scores"

    @property
    def monitoring(self) -> Path:
        return self.root / "data" / "monitoring"

    @property
    def stress(self) -> Path:
        return self.root / "data" / "stress"

    @property
    def published(self) -> Path:
        return self.root / "data" / "published"

    @property
    def alerts(self) -> Path:
        return self.root / "data" / "alerts"

    @property
    def research(self) -> Path:
        """The log of verdicts on researchers' ideas; not an output of any stage."""
        return self.root / "data" / "research"

    @property
    def jobs(self) -> Path:
        """One folder per job of the API, with its input and results; not an output of any stage."""
        return self.root / "data" / "jobs"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def registry(self) -> Path:
        """One folder per trained model, named by its id; not an output of any stage, so that no run deletes it."""
        return self.root / "models" / "registry"

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def build(self) -> Path:
        return self.root / "reports" / "build"


def own_source(root: Path) -> Path | None:
    """Return the workspace's own source folder, if the running code is not from it; None if it is, or if there is none."""
    source = root / "src"
    if not (source / "quiebra").is_dir() or (source / "quiebra").resolve() == PACKAGE:
        return None
    return source


def refuse_other_code(root: Path) -> None:
    """Raise WorkspaceError if the running code is from another checkout than the workspace's own."""
    if (source := own_source(root)) is not None:
        raise WorkspaceError(
            "this runs the code of {code}, not that of the workspace {root}: start Jupyter, papermill or Python with "
            "PYTHONPATH={source} (`quiebra` does so by itself)",
            code=PACKAGE,
            root=root,
            source=source,
        )
