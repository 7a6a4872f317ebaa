"""Commands on the audit table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from quiebra.cli.context import ReasonOption, WhoOption, authorised_person, company_names, current_params, open_database
from quiebra.cli.help import WholeSentences
from quiebra.cli.listing import JsonOption, print_json, print_list
from quiebra.errors import AlertError
from quiebra.terminal import echo
from quiebra.workspace import Workspace

app = typer.Typer(
    cls=WholeSentences,
    help="The audit table: list, verify, and delete what is older than the time to keep.",
    no_args_is_help=True,
)


@app.command("list")
def audit_list(
    count: Annotated[int, typer.Option(help="how many", min=1, max=1_000_000)] = 50, as_json: JsonOption = False
) -> None:
    """List the latest entries of the audit table, newest first.

    Example: quiebra audit list --count 20
    """
    from quiebra.store import audit_entries

    names = company_names()
    rows = [{**row, "of": _subject(row, names)} for row in audit_entries(open_database(), count)]
    columns = {"entry": "entry_id", "at": "at", "who": "who", "action": "action", "of": "of", "why": "reason"}
    print_list(rows, columns, empty="the audit table is empty", as_json=as_json)


def _subject(row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return what an entry is about in words: company, its name and the alert's rule, where it says them; else its subject."""
    after = row["after"] if isinstance(row["after"], dict) else {}
    company = after.get("company_id") or after.get("subject")
    parts = (company, names.get(str(company)), after.get("rule"))
    return " · ".join(str(part) for part in parts if part) or str(row["subject"])


@app.command("verify")
def audit_verify(
    known: Annotated[str | None, typer.Option(help="an entry's number and hash that were noted before, NUMBER:HASH")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no entry of the audit table was changed, put in or taken out; the exit code is 1 where one was.

    The ends of the table that were noted outside the database show what was cut off or written anew; so does, with --known, the
    number and hash in each monthly mail.

    Example: quiebra audit verify --known 41:9f3c2a
    """
    from quiebra.store import verify_chain

    noted = None
    if known is not None:
        number, _, start = known.partition(":")
        if not number.isdigit() or not start:
            raise AlertError(f"'{known}' is no entry's number and hash: write it as 41:9f3c2a")
        noted = (int(number), start)
    found = verify_chain(open_database(), noted)
    if as_json:
        last = f"{found.last_id}:{found.last_hash}"
        faults, remarks = ([str(text) for text in texts] for texts in (found.faults, found.remarks))
        print_json({"faults": faults, "remarks": remarks, "entries": found.entries, "last": last})
        raise typer.Exit(bool(found.faults))
    for fault in found.faults:
        echo(f"FAIL  {fault}")
    for remark in found.remarks:
        echo(remark)
    if not found.faults:
        echo("ok    no entry was changed, put in or taken out")
    echo(f"{found.entries} entries; the last is {found.last_id}:{found.last_hash}")
    raise typer.Exit(bool(found.faults))


@app.command("restored")
def audit_restored(reason: ReasonOption, who: WhoOption = None) -> None:
    """Put on record that an older copy of the database was put back, or a new one begun: its end is noted from now on.

    Example: quiebra audit restored --reason "the disk died; the copy of Sunday was put back"
    """
    from quiebra.store import record_restore

    engine = open_database()
    number, hash_ = record_restore(engine, authorised_person(engine, who, "users", "put a restore on record"), reason)
    echo(f"on record; the last entry is {number}:{hash_}")


@app.command("prune")
def audit_prune(who: WhoOption = None) -> None:
    """Delete what is older than `retention` in params: audit entries, messages, cycles, jobs with their files, predictions over
    HTTP and ended sessions.

    The audit table stays checkable.

    Example: quiebra audit prune
    """
    from quiebra.store import delete_job_folders, prune_database

    engine, keep = open_database(), current_params().retention
    deleted = prune_database(engine, keep, authorised_person(engine, who, "users", "prune the audit table"))
    deleted["data/jobs"] = delete_job_folders(engine, Workspace.find().jobs, keep)
    for what, n in deleted.items():
        echo(f"{what:<24} {n:>9,} deleted")
