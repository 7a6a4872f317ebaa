"""Commands that serve the API and work on its jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import GatewayOption
from quiebra.io.addresses import parse_networks
from quiebra.workspace import Workspace


def serve(
    host: Annotated[
        str, typer.Option(help="address to listen on; for others, put the gateway of deploy/nginx before it")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8890,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that answer")] = 1,
    gateway: GatewayOption = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="start no process that works on jobs")] = False,
) -> None:
    """Serve predictions and the last run to other systems over HTTP, with keys, roles and limits.

    A process beside it works on jobs, as `quiebra work` does. While there are neither users nor keys, it prints a key of its own
    that holds until it stops or there are users.

    Example: quiebra serve --port 8890
    """
    workspace = Workspace.find()
    trusted = parse_networks(gateway or [], "--gateway")
    from quiebra.api.server import serve_api

    serve_api(workspace, host=host, port=port, workers=workers, gateway=trusted, work=not no_worker, announce=typer.echo)


def work(
    parent: Annotated[int | None, typer.Option(hidden=True, help="end with the process of this id")] = None,
) -> None:
    """Work on jobs, files of companies that were sent to the API, until stopped.

    As many as are wanted may run, also on other machines that share the database and the workspace's folder; where one is
    killed, another goes on.

    Example: quiebra work
    """
    workspace = Workspace.find()
    from quiebra.api.jobs.process import run_worker

    run_worker(workspace, parent, typer.echo)
