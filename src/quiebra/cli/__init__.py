"""The command line: a thin skin over the functions below it."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from quiebra.cli import operations, terminal
from quiebra.cli.own_code import run_own_code
from quiebra.cli.terminal import say
from quiebra.errors import PanelError, StoreError

app = typer.Typer(
    help="Corporate bankruptcy risk: from raw statements to a published report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _name in ("alerts", "watch", "override", "outbox", "audit"):
    app.add_typer(getattr(operations, _name), name=_name)


@app.command()
def doctor() -> None:
    """Check the installation, and say what is missing and how to get it.

    Example: quiebra doctor
    """
    from quiebra.doctor import examine

    worst = 0
    for finding in examine():
        say(f"{finding.mark:<5} {finding.what}" + (f"\n      {finding.remedy}" if finding.remedy else ""), lines=True)
        worst = max(worst, finding.mark == "FAIL")
    raise typer.Exit(worst)


@app.command()
def run(
    stage: Annotated[str, typer.Argument(help="one stage, as dvc.yaml names it")] = "",
) -> None:
    """Run all stages that need it (dvc repro) and end with the result; or run one stage's notebook.

    Examples: quiebra run    quiebra run train
    """
    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    if stage:
        from quiebra.publishing import declare
        from quiebra.stages import run_stage

        if "DVC_STAGE" not in os.environ:  # a person gave the command
            declare(workspace)
        run_stage(workspace, stage, progress=sys.stderr.isatty())
        if stage == "ingest":
            from quiebra.pipeline import ingest_lines

            for line in ingest_lines(workspace):
                say(line)
        return
    from quiebra.pipeline import reproduce, result_lines

    reproduce(workspace)
    for line in result_lines(workspace):
        say(line)


@app.command()
def publish(
    take_over: Annotated[
        bool, typer.Option("--take-over", help="also where another workspace published to this database so far")
    ] = False,
) -> None:
    """Load the finished run into the database again (the same run twice leaves the same rows). From then on this workspace
    publishes to it.

    Example: QUIEBRA_DATABASE_URL=postgresql://user:password@host/name quiebra publish
    """
    from quiebra import store
    from quiebra.publishing import declare, why_not_published
    from quiebra.settings import database_url
    from quiebra.store.files import publication
    from quiebra.store.ownership import claim
    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    what = publication(workspace)
    declare(workspace, asked=True)
    if reason := why_not_published(workspace):
        raise StoreError("{why}", why=reason)
    engine = store.connect(database_url(workspace.root))
    store.upgrade(engine)
    if reason := claim(engine, workspace, take_over=take_over):
        raise StoreError("{why}", why=reason)
    for table, rows in store.publish(engine, what).items():
        say(f"{table:<24} {rows:>9,}")
    say(f"run {what.run['run_id']} is current")


class Page(StrEnum):
    """The reports that there are."""

    risk = "risk"
    validation = "validation"
    company = "company"


@app.command()
def report(
    which: Annotated[Page, typer.Argument(help="the report")] = Page.risk,
    companies: Annotated[list[str] | None, typer.Argument(help="of companies: their ids")] = None,
    lang: Annotated[
        str | None, typer.Option(help="en or es; one that params do not name goes into a folder of its own")
    ] = None,
) -> None:
    """Make a report again from the finished stages: HTML and PDF in reports/build. Of companies, one folder each.

    Examples: quiebra report    quiebra report validation --lang es    quiebra report company SIM-00885 SIM-01277
    """
    from quiebra.stages import run_stage
    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    if which is Page.company:
        from quiebra.tear_sheets import tear_sheets

        if not companies:
            raise PanelError("name the companies: quiebra report company ID")
        for made_sheet in tear_sheets(workspace, companies, lang):
            say(made_sheet.html)
            say(made_sheet.pdf)
        return
    if companies:
        raise PanelError(f"'{companies[0]}': only tear sheets are of companies: quiebra report company ID")
    stage = "report" if which is Page.risk else "validation_report"
    made = run_stage(workspace, stage, lang=lang, progress=sys.stderr.isatty())
    for ending in (".html", ".pdf"):
        say(made.with_suffix(ending))


@app.command()
def trace(identifier: Annotated[str, typer.Argument(help="a run's id, or a model's, or the start of one")]) -> None:
    """Show what made a number: data, parameters, code, model and metrics of a run.

    Example: quiebra trace 1a2b3c4d5e6f
    """
    import json

    from quiebra import store
    from quiebra.settings import database_url
    from quiebra.workspace import Workspace

    found = store.trace(store.connect(database_url(Workspace.find().root)), identifier)
    say(json.dumps(found, indent=2, default=str), lines=True)


@app.command()
def models() -> None:
    """List every registered model: version, status, what it learnt from, and the gates that it failed.

    Example: quiebra models
    """
    from quiebra.registry import against, entries
    from quiebra.workspace import Workspace

    for model in entries(Workspace.find()):
        say(
            f"{model['model_id']}  v{model['version']}  {model['status']:<10}  {model['source']:<9} {model['trained_on']:<10} "
            f"AUC {model['auc']:.3f}"
        )
        for sentence in model["failed"]:
            say(f"    failed: {sentence}")
        if model["comparison"]:
            say(f"    {against(model['comparison'])}")


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help="a model's id, or the start of one")],
    despite: Annotated[bool, typer.Option("--despite", help="even where it ranks worse than the champion")] = False,
    who: operations.Who = None,
) -> None:
    """Put a model in charge: from the next run on, scores come from it. One that failed a gate, or ranks worse than the champion,
    is refused, and the message says why.

    Example: quiebra promote 1a2b3c4d5e6f
    """
    from quiebra.registry import promote as put_in_charge
    from quiebra.workspace import Workspace

    workspace, who = Workspace.find(), operations.decider(who)
    done = put_in_charge(workspace, model, despite=despite)
    why = "although it ranks worse than the champion" if despite else "no gate failed"
    operations.mirror(workspace, who, "model promoted", why)
    say(f"{done.after} is the champion: `quiebra run` scores with it")


@app.command()
def rollback(
    source: Annotated[str | None, typer.Option(help="of models, where several have a champion")] = None,
    who: operations.Who = None,
) -> None:
    """Put the champion before this one in charge again: the next run restores its scores. Asked twice, the later one is back.

    Example: quiebra rollback
    """
    from quiebra.registry import roll_back
    from quiebra.workspace import Workspace

    workspace, who = Workspace.find(), operations.decider(who)
    done = roll_back(workspace, source)
    operations.mirror(workspace, who, "model rolled back", f"rolled back from {done.before}")
    say(f"{done.after} is the champion again: `quiebra run` scores with it")


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="statements: CSV, Parquet or Excel, columns as ingest.table says")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file of scores: .csv, .xlsx or .parquet; default: CSV to standard output")
    ] = None,
) -> None:
    """Score a file of statements with the model in charge: PD, grade, Altman zones and reasons, one row a company.

    The latest fiscal year of each company is scored; earlier years in the file serve its changes and trends.

    Example: quiebra score statements.csv --out scores.csv
    """
    from quiebra.exports import as_csv, encoder_for
    from quiebra.files import write_atomically
    from quiebra.scoring import score_file
    from quiebra.workspace import Workspace

    written = None if out is None else encoder_for(out)  # before anything is scored
    scored = score_file(Workspace.find(), file)
    for line in (*scored.left_out, *scored.warnings):
        say(line, err=True)
    if out is None or written is None:
        say(as_csv(scored.table).removesuffix("\n"), lines=True)
    else:
        write_atomically(out, lambda path: path.write_bytes(written(scored.table)))
        from quiebra.words import Words

        say(Words().count("{n} company scored: {path}", "{n} companies scored: {path}", n=scored.table.height, path=out))


@app.command()
def dashboards(
    host: Annotated[str, typer.Option(help="address to listen on; one that others reach needs the tokens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8866,
    editor: Annotated[list[str] | None, typer.Option(help="a person who may change settings; may be given again")] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="let everybody on this machine in")] = False,
    pool: Annotated[int, typer.Option(min=0, max=8, help="kernels kept warm for each page")] = 2,
) -> None:
    """Serve the dashboards in a browser, and print the address of each person.

    Examples: quiebra dashboards    quiebra dashboards --editor ana --editor luis
    """
    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    from quiebra.dashboards.access import refuse_taken, tokens_for

    tokens = tokens_for(host, editor or [], not no_token)
    refuse_taken(host, port)
    from quiebra.dashboards.kernels import preload

    preload()  # it imports beside the server's own imports
    from quiebra.dashboards.server import serve

    serve(workspace, tokens=tokens, host=host, port=port, pool=pool, announce=typer.echo)


@app.command()
def schedule(
    every: Annotated[bool, typer.Option("--every", help="stay, and run a cycle at each time of schedule.cron")] = False,
) -> None:
    """Run one cycle: score, alerts, reports, deliver; complete the last one if it was killed. The exit code is 1 where a step
    failed.

    Example: quiebra schedule
    """
    import json

    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    if every:
        from quiebra.schedule.clock import run_clock

        run_clock(workspace, say)
        return
    from quiebra.schedule.cycle import run_cycle

    ended = run_cycle(workspace, lambda line: say(json.dumps(line, ensure_ascii=False)))
    raise typer.Exit(bool(ended.errors))


@app.command()
def dictionary() -> None:
    """Print the data dictionary as Markdown.

    Example: quiebra dictionary > docs/data-dictionary.md
    """
    from quiebra.features.dictionary import dictionary as words

    typer.echo(words(), nl=False)


def main() -> None:
    """Run the command line, with the code of the workspace around the current folder."""
    terminal.run(_run)


def _run() -> None:
    run_own_code()
    app()
