"""Commands that check the installation, run stages, publish, report and trace results."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from quiebra.cli.context import WhoOption, authorised_person, open_database
from quiebra.cli.listing import JsonOption, print_json
from quiebra.errors import PanelError
from quiebra.terminal import echo
from quiebra.workspace import Workspace


def doctor(as_json: JsonOption = False) -> None:
    """Check the installation, and say what is missing and how to get it.

    Example: quiebra doctor
    """
    from quiebra.doctor import check_installation

    findings = list(check_installation())
    if as_json:
        print_json([{"mark": finding.mark, "what": finding.what, "remedy": finding.remedy} for finding in findings])
    for finding in [] if as_json else findings:
        echo(f"{finding.mark:<5} {finding.what}" + (f"\n      {finding.remedy}" if finding.remedy else ""), lines=True)
    raise typer.Exit(any(finding.mark == "FAIL" for finding in findings))


def run(
    stage: Annotated[str, typer.Argument(help="one stage, as dvc.yaml names it")] = "",
) -> None:
    """Run all stages that need it (dvc repro) and end with the result; or run one stage's notebook.

    Examples: quiebra run    quiebra run train
    """

    workspace = Workspace.find()
    if stage:
        from quiebra.pipeline.stages import run_stage_command

        run_stage_command(workspace, stage)
        return
    from quiebra.pipeline.reproduce import reproduce, result_summary

    reproduce(workspace)
    for line in result_summary(workspace):
        echo(line)


def publish(
    take_over: Annotated[
        bool, typer.Option("--take-over", help="also where another workspace published to this database so far")
    ] = False,
    who: WhoOption = None,
) -> None:
    """Load the finished run into the database again (the same run twice leaves the same rows). From then on this workspace
    publishes to it. Once there are users, --take-over needs a sign-in.

    Example: QUIEBRA_DATABASE_URL=postgresql://user:password@host/name quiebra publish
    """
    from quiebra.services.publication import publish_finished_run

    person = authorised_person(open_database(), who, "settings", "take the database over") if take_over else None
    run_id, tables = publish_finished_run(Workspace.find(), take_over=take_over, who=person)
    for table, rows in tables.items():
        echo(f"{table:<24} {rows:>9,}")
    echo(f"run {run_id} is current")


class ReportKind(StrEnum):
    """The available reports."""

    risk = "risk"
    validation = "validation"
    company = "company"


def report(
    which: Annotated[ReportKind, typer.Argument(help="the report")] = ReportKind.risk,
    companies: Annotated[list[str] | None, typer.Argument(help="of companies: their ids")] = None,
    lang: Annotated[str | None, typer.Option(help="en or es; one that params do not name goes into a folder of its own")] = None,
) -> None:
    """Make a report again from the finished stages: HTML and PDF in reports/build. Of companies, one folder each.

    Examples: quiebra report    quiebra report validation --lang es    quiebra report company SIM-00885 SIM-01277
    """
    from quiebra.pipeline.stages import run_stage

    workspace = Workspace.find()
    if which is ReportKind.company:
        from quiebra.services.tear_sheets import write_tear_sheets

        if not companies:
            raise PanelError("name the companies: quiebra report company ID")
        for made_sheet in write_tear_sheets(workspace, companies, lang):
            echo(made_sheet.html)
            echo(made_sheet.pdf)
        return
    if companies:
        raise PanelError(f"'{companies[0]}': only tear sheets are of companies: quiebra report company ID")
    stage = "report" if which is ReportKind.risk else "validation_report"
    made = run_stage(workspace, stage, lang=lang)
    for ending in (".html", ".pdf"):
        echo(made.with_suffix(ending))


def trace(identifier: Annotated[str, typer.Argument(help="a run's id, or a model's, or the start of one")]) -> None:
    """Show what made a number: data, parameters, code, model and metrics of a run.

    Example: quiebra trace 1a2b3c4d5e6f
    """
    import json

    from quiebra import store
    from quiebra.environment import database_url

    found = store.trace_run(store.connect(database_url(Workspace.find().root)), identifier)
    echo(json.dumps(found, indent=2, default=str), lines=True)


def schedule(
    every: Annotated[bool, typer.Option("--every", help="stay, and run a cycle at each time of schedule.cron")] = False,
) -> None:
    """Run one cycle: score, alerts, reports, deliver; complete the last one if it was killed. The exit code is 1 where a step
    failed.

    Example: quiebra schedule
    """
    import json

    workspace = Workspace.find()
    if every:
        from quiebra.schedule.clock import run_clock

        run_clock(workspace, echo)
        return
    from quiebra.schedule.cycle import run_cycle

    ended = run_cycle(workspace, lambda line: echo(json.dumps(line, ensure_ascii=False)))
    for sentence in _who_is_told():
        echo(sentence, err=True)
    raise typer.Exit(bool(ended.errors))


def _who_is_told() -> list[str]:
    """Return what is missing for anybody to be told of a cycle; empty if somebody is."""
    from quiebra.cli.context import current_params
    from quiebra.environment import SMTP_URL, smtp_url
    from quiebra.errors import QuiebraError

    try:
        delivery = current_params().delivery
    except QuiebraError:  # the cycle has said so
        return []
    told = []
    if not delivery.recipients and not delivery.channels and not delivery.owner:
        told.append("nobody is told: delivery.recipients, channels and owner are empty in params.yaml")
    elif (delivery.recipients or delivery.owner) and smtp_url() is None:
        told.append(f"mails were written to data/outbox and not sent: no mail server is set in {SMTP_URL}")
    return told
