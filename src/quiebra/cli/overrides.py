"""Commands on rating overrides."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from quiebra.cli.context import ReasonOption, WhoOption, authorised_person, company_names, current_params, open_database
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import JsonOption, print_list
from quiebra.terminal import echo

app = typer.Typer(
    cls=WholeSentences, help="Analysts' grades beside the model's; another person must approve one.", no_args_is_help=True
)


@app.command("list")
def override_list(
    every: Annotated[bool, typer.Option("--all", help="ended ones too")] = False, as_json: JsonOption = False
) -> None:
    """List the analysts' grades: first the proposed ones, which wait for another person, then those in force.

    Example: quiebra override list --all
    """
    from quiebra.alerts.analyst_decisions import list_overrides
    from quiebra.store import current_source

    engine, names = open_database(), company_names()
    rows = [
        {
            **row,
            "name": names.get(row["company_id"]),
            "change": f"{row['model_rating']} → {row['rating']}",
            "state": f"ended {row['ended_on']}"
            if row["ended_on"]
            else f"approved by {row['approver']}"
            if row["approver"]
            else "PROPOSED",
        }
        for row in list_overrides(engine, current_source(engine), past=True).to_dicts()
    ]
    today = dt.date.today()
    shown = [row for row in rows if every or (row["ended_on"] is None and row["expires_on"] >= today)]
    shown.sort(key=lambda row: (row["ended_on"] is not None, row["approver"] is not None))
    columns = {
        "no.": "override_id",
        "company": "company_id",
        "name": "name",
        "grade": "change",
        "until": "expires_on",
        "state": "state",
        "author": "author",
        "why": "reason",
    }
    empty = "no analyst's grade is proposed or in force: quiebra override propose COMPANY GRADE --reason … proposes one"
    print_list(shown, columns, empty=empty, as_json=as_json)


@app.command("propose")
def override_propose(
    company: Annotated[str, typer.Argument(help="a company's id")],
    grade: Annotated[str, typer.Argument(help="the grade, of the rating scale")],
    reason: ReasonOption,
    days: Annotated[int, typer.Option(help="how long it counts")] = 180,
    who: WhoOption = None,
) -> None:
    """Propose another grade for a company than the model's.

    Example: quiebra override propose SIM-00885 BB --reason "parent guarantees its debt"
    """
    from quiebra.services.decisions import propose_override

    engine = open_database()
    made = propose_override(
        engine,
        company,
        grade,
        authorised_person(engine, who, "decide", "propose a grade"),
        reason,
        current_params().score.grades,
        days=days,
    )
    echo(f"override {made} is proposed; another person approves it: quiebra override approve {made}")


@app.command("approve")
def override_approve(number: Annotated[int, typer.Argument(help="the override's number")], who: WhoOption = None) -> None:
    """Approve a proposed override; its author cannot.

    Example: quiebra override approve 3 --who luis
    """
    from quiebra.services.decisions import approve_override

    engine = open_database()
    approve_override(engine, number, authorised_person(engine, who, "approve", "approve a grade"))
    echo(f"override {number} is in force")


@app.command("end")
def override_end(
    number: Annotated[int, typer.Argument(help="the override's number")], reason: ReasonOption, who: WhoOption = None
) -> None:
    """End an override before its time, or refuse a proposed one.

    Example: quiebra override end 3 --reason "the guarantee was withdrawn"
    """
    from quiebra.services.decisions import end_override

    engine = open_database()
    end_override(engine, number, authorised_person(engine, who, "decide", "end a grade"), reason)
    echo(f"override {number} has ended")
