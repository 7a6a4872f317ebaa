"""The command that serves the dashboards."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import GatewayOption
from quiebra.errors import WorkspaceError
from quiebra.io.addresses import parse_networks, require_free_port
from quiebra.workspace import Workspace


def dashboards(
    host: Annotated[str, typer.Option(help="address to listen on; one that others reach needs the tokens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8866,
    editor: Annotated[list[str] | None, typer.Option(help="a person who may change settings; may be given again")] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="let everybody on this machine in")] = False,
    gateway: GatewayOption = None,
    pool: Annotated[int, typer.Option(min=0, max=8, help="kernels kept warm for each page")] = 2,
) -> None:
    """Serve the dashboards in a browser, and print the address of each person; once there are users they sign in.

    Examples: quiebra dashboards    quiebra dashboards --editor ana --editor luis
    """

    workspace = Workspace.find()
    from quiebra.dashboards.server.access import tokens_for

    trusted = parse_networks(gateway or [], "--gateway")
    if trusted and no_token:
        raise WorkspaceError("a gateway lets others in: leave --no-token away")
    tokens_for(host, editor or [], not no_token)  # refuses what is not safe before anything is started
    require_free_port(host, port)
    from quiebra.dashboards.server.kernels import start_kernel_factory

    start_kernel_factory()  # its imports run in parallel with the server's
    from quiebra.dashboards.server.accounts import Accounts
    from quiebra.dashboards.server.app import serve_dashboards

    accounts = Accounts(workspace)
    tokens = tokens_for(host, editor or [], not no_token, users=accounts.any())
    serve_dashboards(
        workspace, tokens=tokens, accounts=accounts, host=host, port=port, pool=pool, gateway=trusted, announce=typer.echo
    )
