"""The record of the finished run, and whether the files still are those that it was made from."""

from __future__ import annotations

from typing import Any

from quiebra.errors import WorkspaceError
from quiebra.files import read_json
from quiebra.models import model_hash
from quiebra.provenance import hash_files
from quiebra.workspace import Workspace


def read_run(workspace: Workspace) -> dict[str, Any]:
    """Return run.json. WorkspaceError where panel or model changed since, so that no page or table mixes two runs."""
    run = read_json(workspace.scores / "run.json")
    same_panel = run["data"]["panel"] == hash_files(workspace.panel.glob("*.parquet"))
    if not same_panel or run["model_sha256"] != model_hash(workspace.models):
        raise WorkspaceError("the panel or the model changed after the scores were made: run `quiebra run` to score again")
    return run
