"""Cards for decisions that several pages have: what waits for a second person, and the history."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import ipywidgets as w
import polars as pl
from sqlalchemy import Engine

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.pages.visitor import Visitor
from quiebra.dashboards.widgets.controls import Table, card, html, row
from quiebra.dashboards.widgets.markup import Markup
from quiebra.identity import Permission
from quiebra.services import champion, decisions
from quiebra.services.decision_history import ACTION_LABELS, describe_decision
from quiebra.services.open_work import PendingDecision
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words

HISTORY = dict.fromkeys(("at", "who", "action", "about", "reason"), pl.String)


def history_table(entries: Iterable[Mapping[str, Any]], words: Words, size: int = 8) -> Table:
    """Return the table of entries of `quiebra.services.decision_history`."""
    titles = {
        "at": words("When (UTC)"),
        "who": words("Who"),
        "action": words("What"),
        "about": words("Decided"),
        "reason": words("Reason"),
    }
    columns = [TableColumn(name, title) for name, title in titles.items()]
    return Table(history_rows(entries, words), columns, words, label=words("History"), size=size, searchable=False)


def history_rows(entries: Iterable[Mapping[str, Any]], words: Words) -> pl.DataFrame:
    """Return the rows of a history, in words. What was done to several alerts at once is one row."""
    said = []
    for number, entry in enumerate(entries):
        row = {
            "at": f"{words.short(entry['at'].date())} {entry['at']:%H:%M}",
            "who": entry["who"],
            "action": words(ACTION_LABELS.get(entry["action"], entry["action"])),
            "about": describe_decision(entry, words),
            "reason": "" if entry["action"] in ("alert raised", entry["reason"]) else entry["reason"],
        }
        said.append((row, None if entry["action"].startswith("alert ") else number))  # others are never one row
    rows = []
    for (one, _), group in itertools.groupby(said):
        count = sum(1 for _ in group)
        about = [one["about"], words.count("{n} alert", "{n} alerts", n=count)] if count > 1 else [one["about"]]
        rows.append({**one, "about": " · ".join(filter(None, about))})
    return pl.DataFrame(rows, schema=HISTORY)


def button(words: str, *, main: bool = False) -> w.Button:
    """Return a button. main: the one that most people press."""
    return w.Button(description=words, button_style="primary" if main else "")


def pending_cards(page: Page, pending: Iterable[PendingDecision], visitor: Visitor) -> list[w.Widget]:
    """Return a card for each decision that waits, with buttons for who may decide it."""
    return [_pending_card(page, one, visitor) for one in pending]


def _pending_card(page: Page, one: PendingDecision, visitor: Visitor) -> w.VBox:
    words = page.words
    said = [one.text, words("Asked for by {name}.", name=one.author)]
    text = Markup("").join(
        Markup("<p>{}</p>").format(line) for line in (" ".join(said), one.reason and f"“{one.reason}”") if line
    )
    parts: list[w.Widget | str] = [text]
    if one.own:
        parts.append(Markup('<p class="note">{}</p>').format(words("You asked for this: another person decides.")))
        if one.kind == "grade" and visitor.may(Permission.DECIDE):
            parts += _refusal(page, one, words("Withdraw"), Permission.DECIDE)
    elif visitor.may(Permission.APPROVE):
        confirm = words("Confirm, even if it ranks worse") if one.despite else words("Confirm")
        approve = button(words("Approve") if one.kind == "grade" else confirm, main=True)
        done = words("Approved: it counts from now on.") if one.kind == "grade" else words("Confirmed.")
        act = partial(_approve, page, one)
        approve.on_click(lambda _button: page.decide(Permission.APPROVE, f"approve a {one.kind}", act, done))
        if one.kind == "grade":
            parts += _refusal(page, one, words("Refuse"), Permission.APPROVE, approve)
        else:
            parts.append(row(approve, name="q-buttons"))
    return card(one.title, *parts, name="q-settings q-pending")


def _refusal(page: Page, one: PendingDecision, label: str, permission: Permission, *before: w.Button) -> list[w.Widget]:
    """Return the field for a reason, and the button that refuses a proposed grade, after others."""
    words = page.words
    reason, refuse = reason_field(words, words("Reason, to refuse it")), button(label)
    refuse.on_click(
        lambda _button: page.decide(
            permission,
            "refuse a grade",
            lambda engine, who: decisions.end_override(engine, int(one.identifier), who, reason.value),
            words("Refused."),
        )
    )
    return [reason, row(*before, refuse, name="q-buttons")]


def _approve(page: Page, one: PendingDecision, engine: Engine, who: str) -> None:
    if one.kind == "grade":
        decisions.approve_override(engine, int(one.identifier), who)
    elif one.kind == "promotion":
        champion.confirm_promotion(page.view.workspace, engine, one.identifier, who, despite=one.despite)
    else:
        champion.confirm_rollback(engine, who)


def reason_field(words: Words, label: str = "") -> w.Text:
    """Return the field for a reason, which is kept with the decision."""
    field = w.Text(description=label or words("Reason"), placeholder=words("It is kept with the decision"))
    field.layout.width = "100%"
    return field


def note(text: str) -> w.HTML:
    """Return a line in small type; the text is escaped."""
    return html(Markup('<p class="note">{}</p>').format(text))
