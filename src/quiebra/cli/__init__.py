"""The command line: a thin skin over the functions below it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from quiebra.cli import operations
from quiebra.errors import PanelError, QuiebraError

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
        typer.echo(f"{finding.mark:<5} {finding.what}" + (f"\n      {finding.remedy}" if finding.remedy else ""))
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
        from quiebra.stages import run_stage

        run_stage(workspace, stage, progress=sys.stderr.isatty())
        return
    from quiebra.pipeline import reproduce, result_lines

    reproduce(workspace)
    for line in result_lines(workspace):
        typer.echo(line)


@app.command()
def publish() -> None:
    """Load the finished run into the database again (the same run twice leaves the same rows).

    Example: QUIEBRA_DATABASE_URL=postgresql://user:password@host/name quiebra publish
    """
    from quiebra import store
    from quiebra.settings import database_url
    from quiebra.store.files import publication
    from quiebra.workspace import Workspace

    workspace = Workspace.find()
    what = publication(workspace)
    engine = store.connect(database_url(workspace.root))
    store.upgrade(engine)
    for table, rows in store.publish(engine, what).items():
        typer.echo(f"{table:<24} {rows:>9,}")
    typer.echo(f"run {what.run['run_id']} is current")


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
            typer.echo(made_sheet.html)
            typer.echo(made_sheet.pdf)
        return
    if companies:
        raise PanelError(f"'{companies[0]}': only tear sheets are of companies: quiebra report company ID")
    stage = "report" if which is Page.risk else "validation_report"
    made = run_stage(workspace, stage, lang=lang, progress=sys.stderr.isatty())
    for ending in (".html", ".pdf"):
        typer.echo(made.with_suffix(ending))


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
    typer.echo(json.dumps(found, indent=2, default=str))


@app.command()
def models() -> None:
    """List every published model: version, status, what it learnt from, and the gates that it failed.

    Example: quiebra models
    """
    for model in _register().models(operations.database()):
        typer.echo(
            f"{model['model_id']}  v{model['version']}  {model['status']:<10}  {model['source']:<9} {model['trained_on']:<10} "
            f"AUC {model['auc']:.3f}"
        )
        for sentence in model["failed"]:
            typer.echo(f"    failed: {sentence}")
        if model["comparison"]:
            typer.echo(f"    {_register().against(model['comparison'])}")


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help="a model's id, or the start of one")],
    despite: Annotated[bool, typer.Option("--despite", help="even where it ranks worse than the champion")] = False,
    who: operations.Who = None,
) -> None:
    """Make a model the champion. One that failed a gate, or ranks worse than the champion, is refused, and the message says why.

    Example: quiebra promote 1a2b3c4d5e6f
    """
    made = _register().promote(operations.database(), model, who=operations.decider(who), despite=despite)
    typer.echo(f"{made} is the champion")


@app.command()
def rollback(
    source: Annotated[str | None, typer.Option(help="of models, where several have a champion")] = None,
    who: operations.Who = None,
) -> None:
    """Put the champion before this one in charge again.

    Example: quiebra rollback
    """
    again = _register().roll_back(operations.database(), source, who=operations.decider(who))
    typer.echo(f"{again} is the champion again")


def _register() -> Any:
    from quiebra.store import register

    return register


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="statements: CSV, Parquet or Excel, columns as ingest.table says")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="where to write the scores; default: standard output")] = None,
) -> None:
    """Score a file of statements with the trained model: PD, grade, Altman zones and reasons, one row a company.

    The latest fiscal year of each company is scored; earlier years in the file serve its changes and trends.

    Example: quiebra score statements.csv --out scores.csv
    """
    from quiebra.files import write_text
    from quiebra.scoring import score_file
    from quiebra.workspace import Workspace

    scored = score_file(Workspace.find(), file)
    for line in (*scored.left_out, *scored.warnings):
        typer.echo(line, err=True)
    text = scored.table.write_csv(float_scientific=False)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        from quiebra.words import Words

        typer.echo(Words().count("{n} company scored: {path}", "{n} companies scored: {path}", n=scored.table.height, path=out))


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

        run_clock(workspace, typer.echo)
        return
    from quiebra.schedule.cycle import run_cycle

    ended = run_cycle(workspace, lambda line: typer.echo(json.dumps(line, ensure_ascii=False)))
    raise typer.Exit(bool(ended.errors))


@app.command()
def dictionary() -> None:
    """Print the data dictionary as Markdown.

    Example: quiebra dictionary > docs/data-dictionary.md
    """
    from quiebra.features.dictionary import dictionary as words

    typer.echo(words(), nl=False)


def main() -> None:
    """Run the command line; errors meant for a person come out as their message alone, with exit code 1."""
    try:
        app()
    except QuiebraError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
