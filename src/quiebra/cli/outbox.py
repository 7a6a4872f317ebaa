"""Commands on the outbox's messages: list, send, retry and drop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from quiebra.cli.context import ReasonOption, WhoOption, authorised_person, current_params, open_database
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import JsonOption, print_list
from quiebra.terminal import echo
from quiebra.workspace import Workspace

app = typer.Typer(cls=WholeSentences, help="Messages: which wait, which arrived; send, try again, drop.", no_args_is_help=True)


@app.command("list")
def outbox_list(
    waiting: Annotated[bool, typer.Option("--waiting", help="only those that have not arrived for sure")] = False,
    as_json: JsonOption = False,
) -> None:
    """List messages, newest first: to whom, about what, how they stand and why.

    Example: quiebra outbox list --waiting
    """
    from quiebra.delivery.outbox import list_messages

    shown = ("message_id", "state", "queued_at", "channel", "recipient", "subject", "error")  # not the bodies
    rows = [
        {**{name: row[name] for name in shown}, "id": row["message_id"][:12], "about": _about(row)}
        for row in list_messages(open_database(), waiting=waiting)
    ]
    columns = {
        "message": "id",
        "state": "state",
        "queued": "queued_at",
        "channel": "channel",
        "to": "recipient",
        "about": "about",
    }
    print_list(rows, columns, empty="no message waits" if waiting else "no message has been queued", as_json=as_json)


def _about(row: Mapping[str, Any]) -> str:
    return f"{row['subject']} ({row['error']})" if row["error"] else str(row["subject"])


@app.command("send")
def outbox_send() -> None:
    """Send what waits and is due. A message whose arrival is doubtful is not sent again by itself: see retry and drop.

    Example: quiebra outbox send
    """
    from quiebra.schedule.cycle import deliver_messages

    tried = deliver_messages(Workspace.find(), current_params(), open_database())
    for message_id, outcome in tried:
        echo(f"{message_id[:12]}  {outcome.state}" + (f"  {outcome.error}" if outcome.error else ""))
    from quiebra.text.words import Words

    echo(Words().count("{n} message was due", "{n} messages were due", n=len(tried)), err=True)


@app.command("retry")
def outbox_retry(
    identifier: Annotated[str, typer.Argument(help="a message's id, or the start of one")], who: WhoOption = None
) -> None:
    """Queue a message again that failed, or whose arrival is doubtful.

    Example: quiebra outbox retry 1a2b3c
    """
    from quiebra.delivery.outbox import decide_message

    engine = open_database()
    made = decide_message(
        engine,
        identifier,
        authorised_person(engine, who, "settings", "send a message again"),
        again=True,
        reason="sent again by hand",
    )
    echo(f"message {made[:12]} waits again; `quiebra outbox send` sends it")


@app.command("drop")
def outbox_drop(
    identifier: Annotated[str, typer.Argument(help="a message's id, or the start of one")],
    reason: ReasonOption,
    who: WhoOption = None,
) -> None:
    """Drop a message that is not to be sent any more, such as one that arrived after all.

    Example: quiebra outbox drop 1a2b3c --reason "the recipient has it"
    """
    from quiebra.delivery.outbox import decide_message

    engine = open_database()
    made = decide_message(
        engine, identifier, authorised_person(engine, who, "settings", "drop a message"), again=False, reason=reason
    )
    echo(f"message {made[:12]} is dropped")
