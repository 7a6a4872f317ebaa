"""The card of a company's page for decisions on it: propose a grade, keep the watch list, and what was decided before."""

from __future__ import annotations

import ipywidgets as w
import polars as pl

from quiebra.alerts.descriptions import WATCH_LEVELS
from quiebra.dashboards.pages.base import Page, replace_children
from quiebra.dashboards.pages.decision_cards import HISTORY, button, history_rows, history_table, pending_cards, reason_field
from quiebra.dashboards.pages.visitor import NOBODY, Visitor, page_database
from quiebra.dashboards.widgets.controls import card, html, row
from quiebra.dashboards.widgets.markup import Markup
from quiebra.identity import Permission
from quiebra.services import company, decisions, open_work
from quiebra.services.decision_history import company_history

DAYS = (30, 90, 180, 366)
"""How long a proposed grade may count, as offered."""


class CompanyDecisions:
    """Widgets for the decisions on one company. ``box`` is the card; hidden for a statement that was typed in."""

    def __init__(self, page: Page) -> None:
        self.page, self.words, self.visitor, self.company_id = page, page.words, NOBODY, ""
        words = self.words
        self.standing, self.pending = html(""), row(name="q-grid")
        self.grade = w.Dropdown(options=list(page.view.params.score.grades), description=words("Grade"))
        self.days = w.Dropdown(
            options=[(words("{n} days", n=words.number(days)), days) for days in DAYS], value=180, description=words("Counts for")
        )
        self.why_grade, propose = reason_field(words), button(words("Propose the grade"), main=True)
        propose.on_click(lambda _button: self.propose())
        self.level = w.Dropdown(
            options=[(words(label), level) for level, label in WATCH_LEVELS.items()], description=words("Level")
        )
        self.again = w.DatePicker(description=words("Look again on"))
        self.why_watch, keep = reason_field(words), button(words("Put it on the watch list"), main=True)
        self.off = button(words("Take off the list"))
        keep.on_click(lambda _button: self.watch())
        self.off.on_click(lambda _button: self.unwatch())
        both = row(
            card(
                words("Another grade than the model's"),
                row(self.grade, self.days, name="q-fields"),
                self.why_grade,
                row(propose, name="q-buttons"),
                note=words("It counts once another person has approved it."),
                name="q-settings q-pending",
            ),
            card(
                words("The analysts' watch list"),
                row(self.level, self.again, name="q-fields"),
                self.why_watch,
                row(keep, self.off, name="q-buttons"),
                note=words("Without a date it is looked at again in 90 days."),
                name="q-settings q-pending",
            ),
        )
        self.forms = w.VBox([both])
        self.history = history_table([], words)
        self.box = card(
            words("Decisions on this company"),
            self.standing,
            self.pending,
            self.forms,
            self.history,
            wide=True,
            name="q-settings",
        )

    def show(self, company_id: str, visitor: Visitor) -> None:
        """Show the decisions on a company; none for an id that the run does not have."""
        view, words = self.page.view, self.words
        scored = view.scores.filter(company_id=company_id)
        if company_id != self.company_id and not scored.is_empty() and scored["rating"][0] in self.grade.options:
            self.grade.value = scored["rating"][0]  # the reader starts from the model's
        self.company_id, self.visitor = company_id, visitor
        known = not scored.is_empty() and view.decisions.answered
        self.box.layout.display = "" if known else "none"
        if not known:
            return
        engine = page_database(view.workspace)
        may = visitor.name is not None and visitor.may(Permission.DECIDE)
        self.forms.layout.display = "" if may else "none"
        empty = Markup('<p class="note">{}</p>').format(words("Nothing was decided, and no alert stands."))
        self.standing.value = "" if company.decisions_on_company(view, company_id, words) else empty
        pending = open_work.pending_decisions(engine, view, visitor.name, words, company_id)
        replace_children(self.pending, pending_cards(self.page, pending, visitor))
        self.off.layout.display = "" if company_id in view.decisions.watched["company_id"] else "none"
        entries = company_history(engine, view.run["data"]["source"], company_id)
        self.history.show(history_rows(entries, words) if entries else pl.DataFrame(schema=HISTORY))

    def propose(self) -> None:
        grades = self.page.view.params.score.grades
        self.page.decide(
            Permission.DECIDE,
            "propose a grade",
            lambda engine, who: decisions.propose_override(
                engine, self.company_id, self.grade.value, who, self.why_grade.value, grades, days=self.days.value
            ),
            self.words("Proposed: it waits for another person."),
        )

    def watch(self) -> None:
        self.page.decide(
            Permission.DECIDE,
            "keep the watch list",
            lambda engine, who: decisions.add_to_watch_list(
                engine, self.company_id, who, self.why_watch.value, level=self.level.value, review_on=self.again.value
            ),
            self.words("It is on the watch list."),
        )

    def unwatch(self) -> None:
        self.page.decide(
            Permission.DECIDE,
            "keep the watch list",
            lambda engine, who: decisions.remove_from_watch_list(engine, self.company_id, who, self.why_watch.value),
            self.words("It is off the watch list."),
        )
