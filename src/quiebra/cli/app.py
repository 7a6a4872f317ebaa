"""The commands, in the order of `quiebra --help`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

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
from quiebra.errors import WorkspaceError
from quiebra.logs import logged_command
from quiebra.terminal import echo
from quiebra.workspace import PACKAGE, Workspace

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


READ_ONLY_COMMANDS = {
    "doctor",
    "trace",
    "models",
    "check",
    "score",
    "dictionary",
    "alerts list",
    "alerts history",
    "watch list",
    "override list",
    "outbox list",
    "audit list",
    "audit verify",
    "users list",
    "keys list",
}
"""Commands that change nothing: they are logged where they fail."""


def command_name(words: Sequence[str]) -> str:
    """Return the name of the command that words of a command line call, such as ``users add``; empty if they call none."""
    found, group = [], get_command(app)
    for word in words:
        if not isinstance(group, TyperGroup) or word not in group.commands:
            break
        found.append(word)
        group = group.commands[word]
    return " ".join(found) if not isinstance(group, TyperGroup) else ""


def run_app() -> None:
    """Run a command with the code of the current folder's workspace."""
    run_own_code()
    take_passwords()
    name = command_name(sys.argv[1:])
    root = None
    with contextlib.suppress(WorkspaceError):  # a command that needs a workspace raises it itself
        root = Workspace.find().root if name and "--help" not in sys.argv else None
    with logged_command(root, name, changes=name not in READ_ONLY_COMMANDS):
        app(prog_name="quiebra")
