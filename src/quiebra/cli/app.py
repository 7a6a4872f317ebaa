"""The commands, in the order of `quiebra --help`."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra import __version__
from quiebra.cli import (
    alerts,
    audit,
    dashboards,
    fetching,
    models,
    outbox,
    overrides,
    pipeline,
    scoring,
    serving,
    users,
    watch_list,
)
from quiebra.cli.help import WholeSentences
from quiebra.cli.own_code import run_own_code
from quiebra.environment import take_passwords
from quiebra.terminal import echo
from quiebra.workspace import PACKAGE

app = typer.Typer(
    cls=WholeSentences,
    help="Corporate bankruptcy risk: from raw statements to a published report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def print_version(asked: bool) -> None:
    """Print the version and where it is installed, and end, if asked."""
    if asked:
        echo(f"quiebra {__version__} ({PACKAGE})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="print the version and where it is installed")
    ] = False,
) -> None:
    """Options before a command."""


for _command in (
    pipeline.doctor,
    fetching.fetch,
    pipeline.run,
    pipeline.publish,
    pipeline.report,
    pipeline.trace,
    models.models,
    models.promote,
    models.rollback,
    scoring.check,
    scoring.score,
    dashboards.dashboards,
    serving.serve,
    serving.work,
    pipeline.schedule,
    scoring.dictionary,
):
    app.command()(_command)

app.add_typer(alerts.app, name="alerts")
app.add_typer(watch_list.app, name="watch")
app.add_typer(overrides.app, name="override")
app.add_typer(outbox.app, name="outbox")
app.add_typer(audit.app, name="audit")
app.add_typer(users.users_app, name="users")
app.add_typer(users.keys_app, name="keys")


def run_app() -> None:
    """Run a command with the code of the current folder's workspace."""
    run_own_code()
    take_passwords()
    app(prog_name="quiebra")
