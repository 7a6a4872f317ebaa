"""Commands on the analysts' watch list."""

from __future__ import annotations

from typing import Annotated

import typer

from quiebra.cli.context import (
    ReasonOption,
    ReviewOption,
    WhoOption,
    authorised_person,
    company_names,
    open_database,
    parse_day,
    review_status,
)
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import Field, JsonOption, print_list
from quiebra.terminal import echo

app = typer.Typer(
    cls=WholeSentences, help="The analysts' watch list: companies to keep an eye on, whatever their grade.", no_args_is_help=True
)


@app.command("list")
def watch_list(as_json: JsonOption = False) -> None:
    """List the companies on the analysts' watch list, with the day to look again.

    Example: quiebra watch list
    """
    from quiebra.alerts.analyst_decisions import watch_list_entries
    from quiebra.alerts.descriptions import WATCH_LEVELS
    from quiebra.store import current_source

    engine, names = open_database(), company_names()
    rows = [
        {**row, "name": names.get(row["company_id"]), "level_name": WATCH_LEVELS[row["level"]]}
        for row in watch_list_entries(engine, current_source(engine)).to_dicts()
    ]
    columns: dict[str, Field] = {
        "company": "company_id",
        "name": "name",
        "level": "level_name",
        "look again": review_status,
        "who": "who",
        "why": "reason",
    }
    empty = "no company is on the watch list: quiebra watch add COMPANY --reason … puts one there"
    print_list(rows, columns, empty=empty, as_json=as_json)


@app.command("add")
def watch_add(
    company: Annotated[str, typer.Argument(help="a company's id")],
    reason: ReasonOption,
    level: Annotated[int | None, typer.Option(help="1 watch, 2 close watch, 3 exit")] = None,
    review: ReviewOption = None,
    who: WhoOption = None,
) -> None:
    """Put a company on the analysts' watch list, or change its level and review date there.

    Example: quiebra watch add SIM-00885 --level 2 --reason "lost its largest client" --review 2026-12-31
    """
    from quiebra.alerts.descriptions import WATCH_LEVELS
    from quiebra.services.decisions import add_to_watch_list

    engine = open_database()
    made = add_to_watch_list(
        engine,
        company,
        authorised_person(engine, who, "decide", "change the watch list"),
        reason,
        level=level,
        review_on=parse_day(review),
    )
    echo(f"{company} is on the list: {WATCH_LEVELS[made]}")


@app.command("remove")
def watch_remove(
    company: Annotated[str, typer.Argument(help="a company's id")], reason: ReasonOption, who: WhoOption = None
) -> None:
    """Take a company off the analysts' watch list.

    Example: quiebra watch remove SIM-00885 --reason "new owner, debt repaid"
    """
    from quiebra.services.decisions import remove_from_watch_list

    engine = open_database()
    remove_from_watch_list(engine, company, authorised_person(engine, who, "decide", "change the watch list"), reason)
    echo(f"{company} is off the list")
