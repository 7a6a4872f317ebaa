"""Publish the finished run again, if this workspace may publish to the database."""

from __future__ import annotations

from quiebra import store
from quiebra.errors import StoreError
from quiebra.store.ownership import claim_database
from quiebra.store.run_files import read_publication
from quiebra.workspace import Workspace
from quiebra.workspace.publishing import declare_publisher, why_not_published


def publish_finished_run(workspace: Workspace, *, take_over: bool = False, who: str | None = None) -> tuple[str, dict[str, int]]:
    """Publish the finished run, declare this workspace the publisher, and return the run's id and the number of rows per table.

    take_over: also if another workspace has published to this database. who: who signed in for that. StoreError if this workspace
    may not publish, or another one publishes.
    """
    run = read_publication(workspace)
    if run.run.get("standing") == "experiment":
        raise StoreError(
            "these results are an experiment's, which no database takes: `quiebra run` makes those of the model in charge; an "
            "experiment is taken over with `dvc exp apply` and a run"
        )
    declare_publisher(workspace, asked=True)
    if reason := why_not_published(workspace):
        raise StoreError("{why}", why=reason)
    engine = store.open_database(workspace)
    if reason := claim_database(engine, workspace, take_over=take_over, who=who):
        raise StoreError("{why}", why=reason)
    return run.run["run_id"], store.publish_run(engine, run)
