"""Where things are: the folder that holds params.yaml, and the folders that stages write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from quiebra.errors import WorkspaceError
from quiebra.settings import RESULTS


@dataclass(frozen=True)
class Workspace:
    """A checkout: its root and the folders under it. All paths are absolute."""

    root: Path

    @classmethod
    def find(cls, start: str | Path | None = None) -> Workspace:
        """Return the workspace that holds ``start`` (the current folder): the nearest folder up with params.yaml."""
        here = Path(start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "params.yaml").is_file():
                return cls(folder)
        raise WorkspaceError(f"no params.yaml in {here} or above it: change into the workspace, then run this again")

    @property
    def scratch(self) -> Path:
        """What is not the pipeline's: results of notebooks run by hand, and what an experiment does not publish."""
        return self.root / "data" / "scratch"

    @property
    def results(self) -> Workspace:
        """Where a notebook writes: into the folders of the pipeline where a stage runs it, into those of a scratch place where a
        person does, unless QUIEBRA_RESULTS names another folder (the workspace itself: over the pipeline's).

        WorkspaceError where the code that runs is not this workspace's: its results would be another checkout's.
        """
        refuse_other_code(self.root)
        named = os.environ.get(RESULTS, "").strip()
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
    def models(self) -> Path:
        return self.root / "models"

    @property
    def registry(self) -> Path:
        """Every model that was trained here, each in a folder named by its id; no stage's out, so that no run deletes it."""
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
    """Return the folder that a workspace's own code is imported from, where that is not the code that runs; None: it is, or the
    workspace has none."""
    source = root / "src"
    if not (source / "quiebra").is_dir() or Path(__file__).resolve().parent == (source / "quiebra").resolve():
        return None
    return source


def refuse_other_code(root: Path) -> None:
    """Raise WorkspaceError where the code that runs is another checkout's than the workspace's own."""
    if (source := own_source(root)) is not None:
        raise WorkspaceError(
            "this runs the code of {code}, not that of the workspace {root}: start Jupyter, papermill or Python with "
            "PYTHONPATH={source} (`quiebra` does so by itself)",
            code=Path(__file__).resolve().parent,
            root=root,
            source=source,
        )
