"""Command that fetches data from services into data/raw; runs read what it has kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from quiebra.terminal import echo
from quiebra.workspace import Workspace

if TYPE_CHECKING:
    from quiebra.sources.http import Progress


class FetchService(StrEnum):
    """The services."""

    edgar = "edgar"
    alpha_vantage = "alpha_vantage"
    yahoo = "yahoo"
    fred = "fred"
    nasdaq = "nasdaq"


def fetch(
    source: Annotated[FetchService, typer.Argument(help="the service")],
    refresh: Annotated[bool, typer.Option("--refresh", help="also ask whether files that are there have changed")] = False,
) -> None:
    """Fetch a service's data into data/raw. It asks politely, keeps every answer, and goes on where it stopped.

    Example: QUIEBRA_SEC_CONTACT="Ana Ruiz ana@example.com" quiebra fetch edgar
    """
    from quiebra.params import load_params
    from quiebra.sources import alpha_vantage, fred, nasdaq
    from quiebra.sources.edgar import fetching as edgar
    from quiebra.sources.http import Client
    from quiebra.sources.raw_store import RawStore
    from quiebra.sources.yahoo import fetching as yahoo

    workspace = Workspace.find()
    ingest = load_params(workspace).ingest
    services = {
        "edgar": edgar.service,
        "alpha_vantage": alpha_vantage.service,
        "yahoo": lambda: yahoo.service(ingest.yahoo),
        "fred": fred.service,
        "nasdaq": nasdaq.service,
    }
    folder = {
        "edgar": ingest.edgar.folder,
        "alpha_vantage": ingest.alpha_vantage.folder,
        "yahoo": ingest.yahoo.folder,
        "fred": fred.FOLDER,
        "nasdaq": nasdaq.FOLDER,
    }[source]
    begun = dt.datetime.now(dt.UTC)
    with Client(services[source](), RawStore(workspace.root / folder)) as client, _progress() as progress:
        lines = {
            "edgar": lambda: edgar.fetch(client, ingest.edgar, refresh=refresh, progress=progress),
            "alpha_vantage": lambda: alpha_vantage.fetch(client, ingest.alpha_vantage, refresh=refresh),
            "yahoo": lambda: yahoo.fetch(client, ingest.yahoo, refresh=refresh),
            "fred": lambda: fred.fetch(client, ingest.macro),
            "nasdaq": lambda: nasdaq.fetch(client, ingest.macro),
        }[source]()
        any_line = False
        for line in lines:
            echo(line)
            any_line = True
        size = sum(path.stat().st_size for path in client.store.folder.rglob("*") if path.is_file())
    if not any_line:
        echo(f"no series of params.yaml is of {source}: name one under ingest.macro, such as UNRATE: {{{source}: …}}", err=True)
        return
    minutes = (dt.datetime.now(dt.UTC) - begun).total_seconds() / 60
    echo(f"{size / 1e6:,.1f} MB in {client.store.folder}, {minutes:.1f} min; `quiebra run` reads what params.yaml names of it.")


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show the progress of a download on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda have, whole: bar.update(task, completed=have, total=whole)
