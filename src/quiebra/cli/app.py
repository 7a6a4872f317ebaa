"""The commands, in the order of `quiebra --help`."""

from __future__ import annotations

import typer

from quiebra.cli import alerts, audit, dashboards, models, outbox, overrides, pipeline, scoring, watch_list
from quiebra.cli.own_code import run_own_code

app = typer.Typer(
    help="Corporate bankruptcy risk: from raw statements to a published report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _command in (
    pipeline.doctor,
    pipeline.run,
    pipeline.publish,
    pipeline.report,
    pipeline.trace,
    models.models,
    models.promote,
    models.rollback,
    scoring.score,
    dashboards.dashboards,
    pipeline.schedule,
    scoring.dictionary,
):
    app.command()(_command)

app.add_typer(alerts.app, name="alerts")
app.add_typer(watch_list.app, name="watch")
app.add_typer(overrides.app, name="override")
app.add_typer(outbox.app, name="outbox")
app.add_typer(audit.app, name="audit")


def run_app() -> None:
    """Run a command with the code of the current folder's workspace."""
    run_own_code()
    app()
