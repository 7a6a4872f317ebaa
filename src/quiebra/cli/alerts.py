"""Commands on alerts: list, acknowledge, close, and an alert's history."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import ReasonOption, ReviewOption, WhoOption, authorised_person, current_params, open_database, parse_day
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import JsonOption, print_list
from quiebra.errors import AlertError
from quiebra.terminal import echo
from quiebra.workspace import Workspace

app = typer.Typer(cls=WholeSentences, help="Alerts: list, acknowledge, close, and what happened to one.", no_args_is_help=True)


@app.command("list")
def alerts_list(
    company: Annotated[str | None, typer.Argument(help="a company's id: each of its alerts")] = None,
    every: Annotated[bool, typer.Option("--all", help="every single alert, closed ones too")] = False,
    severity: Annotated[str | None, typer.Option(help="low, medium or high: only these")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the alerts that stand: a line a company, the one to look at first on top, with what to do first.

    Example: quiebra alerts list --severity high
    """
    import polars as pl

    from quiebra.alerts.cases import CASE_ORDER_NOTE
    from quiebra.alerts.descriptions import SEVERITY_LABELS
    from quiebra.alerts.lifecycle import list_alerts
    from quiebra.cli.alert_rows import ALERT_COLUMNS, COMPANY_COLUMNS, alert_rows, company_rows
    from quiebra.store import current_source
    from quiebra.text.words import Words

    engine, words = open_database(), Words()
    found = list_alerts(engine, current_source(engine), closed=every)
    if severity is not None:
        if severity not in SEVERITY_LABELS:
            raise AlertError(f"severity is one of {', '.join(SEVERITY_LABELS)}, not '{severity}'")
        found = found.filter(pl.col("severity") == severity)
    if company is not None:
        found = found.filter(pl.col("subject") == company)
    grades, rows = list(current_params().score.grades), found.to_dicts()
    single = every or company is not None
    listed = alert_rows(rows, grades) if single else company_rows(rows, grades, Workspace.find())
    empty = "no alert" if company is None else f"no alert on '{company}': quiebra alerts list --all shows every one"
    print_list(listed, ALERT_COLUMNS if single else COMPANY_COLUMNS, empty=empty, as_json=as_json)
    if listed and not as_json:
        echo(words.count("{n} alert", "{n} alerts", n=found.height), err=True)
        if not single:
            echo(f"{words(CASE_ORDER_NOTE)} `quiebra alerts list COMPANY` shows each alert with its id.", err=True)


@app.command("ack")
def alerts_ack(
    identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")],
    owner: Annotated[str | None, typer.Option(help="who looks after it; default: who acknowledges")] = None,
    note: Annotated[str, typer.Option(help="what is being done")] = "",
    review: ReviewOption = None,
    who: WhoOption = None,
) -> None:
    """Acknowledge an alert: somebody looks after it. Again: change owner, note or review date.

    Example: quiebra alerts ack 1a2b3c --note "called their bank" --review 2026-12-31
    """
    from quiebra.services.decisions import acknowledge_alert

    engine = open_database()
    made = acknowledge_alert(
        engine,
        identifier,
        authorised_person(engine, who, "decide", "acknowledge an alert"),
        owner=owner,
        note=note,
        review_on=parse_day(review),
    )
    echo(f"alert {made} is acknowledged")


@app.command("close")
def alerts_close(
    identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")],
    reason: ReasonOption,
    who: WhoOption = None,
) -> None:
    """Close an alert for good: the same cause raises no other.

    Example: quiebra alerts close 1a2b3c --reason "capital was raised"
    """
    from quiebra.services.decisions import close_alert

    engine = open_database()
    made = close_alert(engine, identifier, authorised_person(engine, who, "decide", "close an alert"), reason)
    echo(f"alert {made} is closed")


@app.command("history")
def alerts_history(
    identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")], as_json: JsonOption = False
) -> None:
    """Show what happened to an alert: who did what, when and why.

    Example: quiebra alerts history 1a2b3c
    """
    from quiebra.alerts.lifecycle import alert_history

    columns = {"at": "at", "who": "who", "action": "action", "why": "reason"}
    print_list(alert_history(open_database(), identifier), columns, empty="nothing has happened to it", as_json=as_json)
