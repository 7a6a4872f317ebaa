"""Where things are: the folder that holds params.yaml, and the folders that stages write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from quiebra.errors import WorkspaceError


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
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def build(self) -> Path:
        return self.root / "reports" / "build"
