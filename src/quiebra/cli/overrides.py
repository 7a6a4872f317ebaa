"""Commands on rating overrides."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import ReasonOption, WhoOption, acting_person, current_params, open_database
from quiebra.terminal import echo

app = typer.Typer(help="Analysts' grades beside the model's; another person must approve one.", no_args_is_help=True)


@app.command("list")
def override_list(every: Annotated[bool, typer.Option("--all", help="proposed and ended ones too")] = False) -> None:
    """List the analysts' grades in force.

    Example: quiebra override list --all
    """
    from quiebra.alerts.analyst_decisions import list_overrides
    from quiebra.store import current_source

    engine = open_database()
    for row in list_overrides(engine, current_source(engine), past=every).to_dicts():
        state = (
            f"ended {row['ended_on']}" if row["ended_on"] else f"approved by {row['approver']}" if row["approver"] else "proposed"
        )
        echo(
            f"{row['override_id']:>4}  {row['company_id']:<16} {row['model_rating']} → {row['rating']}  to {row['expires_on']}  "
            f"{state}  {row['author']}: {row['reason']}"
        )


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

    made = propose_override(open_database(), company, grade, acting_person(who), reason, current_params().score.grades, days=days)
    echo(f"override {made} is proposed; another person approves it: quiebra override approve {made}")


@app.command("approve")
def override_approve(number: Annotated[int, typer.Argument(help="the override's number")], who: WhoOption = None) -> None:
    """Approve a proposed override; its author cannot.

    Example: quiebra override approve 3 --who luis
    """
    from quiebra.services.decisions import approve_override

    approve_override(open_database(), number, acting_person(who))
    echo(f"override {number} is in force")


@app.command("end")
def override_end(
    number: Annotated[int, typer.Argument(help="the override's number")], reason: ReasonOption, who: WhoOption = None
) -> None:
    """End an override before its time, or refuse a proposed one.

    Example: quiebra override end 3 --reason "the guarantee was withdrawn"
    """
    from quiebra.services.decisions import end_override

    end_override(open_database(), number, acting_person(who), reason)
    echo(f"override {number} has ended")
