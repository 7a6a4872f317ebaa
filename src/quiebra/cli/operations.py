"""Commands on what goes on between runs: alerts, the analysts' watch list and grades, the audit table."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from quiebra.cli.terminal import say
from quiebra.errors import AlertError
from quiebra.names import person_name

Who = Annotated[str | None, typer.Option("--who", help="the person who decides; default: QUIEBRA_USER, or who is logged in")]
Reason = Annotated[str, typer.Option("--reason", help="why, in a few words; it is kept")]
Day = Annotated[str | None, typer.Option("--review", help="when to look again, YYYY-MM-DD")]

alerts = typer.Typer(help="Alerts: list, acknowledge, close, and what happened to one.", no_args_is_help=True)
watch = typer.Typer(help="The analysts' watch list: companies to keep an eye on, whatever their grade.", no_args_is_help=True)
override = typer.Typer(help="Analysts' grades beside the model's; another person must approve one.", no_args_is_help=True)
outbox = typer.Typer(help="Messages: which wait, which arrived; send, try again, drop.", no_args_is_help=True)
audit = typer.Typer(help="The audit table: list, verify, and delete what is older than the time to keep.", no_args_is_help=True)


def database() -> Any:
    """Return the workspace's database, at this version's tables."""
    from quiebra import store
    from quiebra.settings import database_url
    from quiebra.workspace import Workspace

    engine = store.connect(database_url(Workspace.find().root))
    store.upgrade(engine)
    return engine


def mirror(workspace: Any, who: str, action: str, why: str) -> None:
    """Bring the database's register to the workspace's files after a decision, where this workspace publishes."""
    from quiebra import store
    from quiebra.publishing import why_not_published
    from quiebra.store.ownership import belongs_to_another

    if why_not_published(workspace) is None:
        engine = database()
        if belongs_to_another(engine, workspace) is None:
            store.mirror_register(engine, workspace, who=who, action=action, why=why)


def _params() -> Any:
    from quiebra.params import load
    from quiebra.workspace import Workspace

    return load(Workspace.find())


def decider(given: str | None) -> str:
    """Return who decides: the person named, QUIEBRA_USER, or who is logged in."""
    from quiebra.settings import person

    return person_name(given, "--who") if given is not None else person()


def _source(engine: Any) -> str:
    from quiebra.store import current_source

    return current_source(engine)


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise AlertError(f"'{text}' is not a date: write it as 2026-12-31") from None


@alerts.command("list")
def alerts_list(
    company: Annotated[str | None, typer.Argument(help="a company's id: each of its alerts")] = None,
    every: Annotated[bool, typer.Option("--all", help="every single alert, closed ones too")] = False,
    severity: Annotated[str | None, typer.Option(help="low, medium or high: only these")] = None,
) -> None:
    """List the alerts that stand: a line a company, the one to look at first on top, with what to do first.

    Example: quiebra alerts list --severity high
    """
    import polars as pl

    from quiebra.alerts.states import alerts as table
    from quiebra.alerts.wording import SEVERITY
    from quiebra.cli.alert_lists import by_company, one_by_one
    from quiebra.words import Words
    from quiebra.workspace import Workspace

    engine, words = database(), Words()
    found = table(engine, _source(engine), closed=every)
    if severity is not None:
        if severity not in SEVERITY:
            raise AlertError(f"severity is one of {', '.join(SEVERITY)}, not '{severity}'")
        found = found.filter(pl.col("severity") == severity)
    if company is not None:
        found = found.filter(pl.col("subject") == company)
    grades, rows = list(_params().score.grades), found.to_dicts()
    lines = one_by_one(rows, grades) if every or company is not None else by_company(rows, grades, Workspace.find())
    for line in lines:
        say(line)
    say(words.count("{n} alert", "{n} alerts", n=found.height), err=True)


@alerts.command("ack")
def alerts_ack(
    identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")],
    owner: Annotated[str | None, typer.Option(help="who looks after it; default: who acknowledges")] = None,
    note: Annotated[str, typer.Option(help="what is being done")] = "",
    review: Day = None,
    who: Who = None,
) -> None:
    """Acknowledge an alert: somebody looks after it. Again: change owner, note or review date.

    Example: quiebra alerts ack 1a2b3c --note "called their bank" --review 2026-12-31
    """
    from quiebra.alerts.states import acknowledge

    made = acknowledge(database(), identifier, decider(who), owner=owner, note=note, review_on=_day(review))
    say(f"alert {made} is acknowledged")


@alerts.command("close")
def alerts_close(
    identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")], reason: Reason, who: Who = None
) -> None:
    """Close an alert for good: the same cause raises no other.

    Example: quiebra alerts close 1a2b3c --reason "capital was raised"
    """
    from quiebra.alerts.states import close

    say(f"alert {close(database(), identifier, decider(who), reason)} is closed")


@alerts.command("history")
def alerts_history(identifier: Annotated[str, typer.Argument(help="an alert's id, or the start of one")]) -> None:
    """Show what happened to an alert: who did what, when and why.

    Example: quiebra alerts history 1a2b3c
    """
    from quiebra.alerts.states import history

    for row in history(database(), identifier):
        say(f"{row['at']:%Y-%m-%d %H:%M:%S}  {row['who']:<16} {row['action']:<20} {row['reason']}")


@watch.command("list")
def watch_list() -> None:
    """List the companies on the analysts' watch list, with the day to look again.

    Example: quiebra watch list
    """
    from quiebra.alerts.analysts import watched
    from quiebra.alerts.wording import LEVELS
    from quiebra.cli.alert_lists import look_again

    engine = database()
    for row in watched(engine, _source(engine)).to_dicts():
        level, again = LEVELS[row["level"]], look_again(row["review_on"])
        say(f"{row['company_id']:<16} {level:<12} {again}  {row['who']}: {row['reason']}")


@watch.command("add")
def watch_add(
    company: Annotated[str, typer.Argument(help="a company's id")],
    reason: Reason,
    level: Annotated[int | None, typer.Option(help="1 watch, 2 close watch, 3 exit")] = None,
    review: Day = None,
    who: Who = None,
) -> None:
    """Put a company on the analysts' watch list, or change its level and review date there.

    Example: quiebra watch add SIM-00885 --level 2 --reason "lost its largest client" --review 2026-12-31
    """
    from quiebra.alerts.analysts import watch as put
    from quiebra.alerts.wording import LEVELS

    made = put(database(), company, decider(who), reason, level=level, review_on=_day(review))
    say(f"{company} is on the list: {LEVELS[made]}")


@watch.command("remove")
def watch_remove(company: Annotated[str, typer.Argument(help="a company's id")], reason: Reason, who: Who = None) -> None:
    """Take a company off the analysts' watch list.

    Example: quiebra watch remove SIM-00885 --reason "new owner, debt repaid"
    """
    from quiebra.alerts.analysts import unwatch

    unwatch(database(), company, decider(who), reason)
    say(f"{company} is off the list")


@override.command("list")
def override_list(every: Annotated[bool, typer.Option("--all", help="proposed and ended ones too")] = False) -> None:
    """List the analysts' grades in force.

    Example: quiebra override list --all
    """
    from quiebra.alerts.analysts import overrides

    engine = database()
    for row in overrides(engine, _source(engine), past=every).to_dicts():
        state = (
            f"ended {row['ended_on']}"
            if row["ended_on"]
            else f"approved by {row['approver']}"
            if row["approver"]
            else "proposed"
        )
        say(
            f"{row['override_id']:>4}  {row['company_id']:<16} {row['model_rating']} → {row['rating']}  to {row['expires_on']}  "
            f"{state}  {row['author']}: {row['reason']}"
        )


@override.command("propose")
def override_propose(
    company: Annotated[str, typer.Argument(help="a company's id")],
    grade: Annotated[str, typer.Argument(help="the grade, of the rating scale")],
    reason: Reason,
    days: Annotated[int, typer.Option(help="how long it counts")] = 180,
    who: Who = None,
) -> None:
    """Propose another grade for a company than the model's.

    Example: quiebra override propose SIM-00885 BB --reason "parent guarantees its debt"
    """
    from quiebra.alerts.analysts import propose

    made = propose(database(), company, grade, decider(who), reason, _params().score.grades, days=days)
    say(f"override {made} is proposed; another person approves it: quiebra override approve {made}")


@override.command("approve")
def override_approve(number: Annotated[int, typer.Argument(help="the override's number")], who: Who = None) -> None:
    """Approve a proposed override; its author cannot.

    Example: quiebra override approve 3 --who luis
    """
    from quiebra.alerts.analysts import approve

    approve(database(), number, decider(who))
    say(f"override {number} is in force")


@override.command("end")
def override_end(number: Annotated[int, typer.Argument(help="the override's number")], reason: Reason, who: Who = None) -> None:
    """End an override before its time, or refuse a proposed one.

    Example: quiebra override end 3 --reason "the guarantee was withdrawn"
    """
    from quiebra.alerts.analysts import withdraw

    withdraw(database(), number, decider(who), reason)
    say(f"override {number} has ended")


@audit.command("list")
def audit_list(count: Annotated[int, typer.Option(help="how many")] = 50) -> None:
    """List the latest entries of the audit table, newest first.

    Example: quiebra audit list --count 20
    """
    from quiebra.store import entries

    for row in entries(database(), count):
        say(
            f"{row['entry_id']:>6}  {row['at']:%Y-%m-%d %H:%M:%S}  {row['who']:<16} {row['action']:<20} {row['subject']}  "
            f"{row['reason']}"
        )


@audit.command("verify")
def audit_verify(
    known: Annotated[str | None, typer.Option(help="an entry's number and hash that were noted before, NUMBER:HASH")] = None,
) -> None:
    """Check that no entry of the audit table was changed, put in or taken out; the exit code is 1 where one was.

    The ends of the table that were noted outside the database show what was cut off or written anew; so does, with --known, the
    number and hash in each monthly mail.

    Example: quiebra audit verify --known 41:9f3c2a
    """
    from quiebra.store import verify

    noted = None
    if known is not None:
        number, _, start = known.partition(":")
        if not number.isdigit() or not start:
            raise AlertError(f"'{known}' is no entry's number and hash: write it as 41:9f3c2a")
        noted = (int(number), start)
    found = verify(database(), noted)
    for fault in found.faults:
        say(f"FAIL  {fault}")
    for remark in found.remarks:
        say(remark)
    if not found.faults:
        say("ok    no entry was changed, put in or taken out")
    say(f"{found.entries} entries; the last is {found.last_id}:{found.last_hash}")
    raise typer.Exit(bool(found.faults))


@audit.command("restored")
def audit_restored(reason: Reason, who: Who = None) -> None:
    """Put on record that an older copy of the database was put back, or a new one begun: its end is noted from now on.

    Example: quiebra audit restored --reason "the disk died; the copy of Sunday was put back"
    """
    from quiebra.store import restored

    number, hash_ = restored(database(), decider(who), reason)
    say(f"on record; the last entry is {number}:{hash_}")


@audit.command("prune")
def audit_prune(who: Who = None) -> None:
    """Delete entries, messages and cycles that are older than `retention` in params; the audit table stays checkable.

    Example: quiebra audit prune
    """
    from quiebra.store import prune

    for what, n in prune(database(), _params().retention, decider(who)).items():
        say(f"{what:<24} {n:>9,} deleted")


@outbox.command("list")
def outbox_list(
    waiting: Annotated[bool, typer.Option("--waiting", help="only those that have not arrived for sure")] = False,
) -> None:
    """List messages, newest first: to whom, about what, how they stand and why.

    Example: quiebra outbox list --waiting
    """
    from quiebra.delivery.outbox import messages

    for row in messages(database(), waiting=waiting):
        why = f"  {row['error']}" if row["error"] else ""
        say(
            f"{row['message_id'][:12]}  {row['state']:<9} {row['queued_at']:%Y-%m-%d %H:%M}  {row['channel']}: "
            f"{row['recipient']}  {row['subject']}{why}"
        )


@outbox.command("send")
def outbox_send() -> None:
    """Send what waits and is due. A message whose arrival is doubtful is not sent again by itself: see retry and drop.

    Example: quiebra outbox send
    """
    from quiebra.schedule.cycle import deliver
    from quiebra.workspace import Workspace

    tried = deliver(Workspace.find(), _params(), database())
    for message_id, outcome in tried:
        say(f"{message_id[:12]}  {outcome.state}" + (f"  {outcome.error}" if outcome.error else ""))
    from quiebra.words import Words

    say(Words().count("{n} message was due", "{n} messages were due", n=len(tried)), err=True)


@outbox.command("retry")
def outbox_retry(
    identifier: Annotated[str, typer.Argument(help="a message's id, or the start of one")], who: Who = None
) -> None:
    """Queue a message again that failed, or whose arrival is doubtful.

    Example: quiebra outbox retry 1a2b3c
    """
    from quiebra.delivery.outbox import decide

    made = decide(database(), identifier, decider(who), again=True, reason="sent again by hand")
    say(f"message {made[:12]} waits again; `quiebra outbox send` sends it")


@outbox.command("drop")
def outbox_drop(
    identifier: Annotated[str, typer.Argument(help="a message's id, or the start of one")], reason: Reason, who: Who = None
) -> None:
    """Drop a message that is not to be sent any more, such as one that arrived after all.

    Example: quiebra outbox drop 1a2b3c --reason "the recipient has it"
    """
    from quiebra.delivery.outbox import decide

    say(f"message {decide(database(), identifier, decider(who), again=False, reason=reason)[:12]} is dropped")
