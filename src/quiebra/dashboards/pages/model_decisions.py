"""The card of the model page for who is in charge: propose, confirm, roll back, and what was decided before."""

from __future__ import annotations

from functools import partial

import ipywidgets as w
from sqlalchemy import Engine

from quiebra.dashboards.pages.base import Page, replace_children
from quiebra.dashboards.pages.decision_cards import button, history_rows, history_table, pending_cards
from quiebra.dashboards.pages.visitor import NOBODY, Visitor, page_database
from quiebra.dashboards.widgets.controls import card, html, row
from quiebra.dashboards.widgets.markup import Markup
from quiebra.identity import Permission, users_exist
from quiebra.services import champion, open_work
from quiebra.services.decision_history import model_history
from quiebra.services.model_health import registered_models


class ModelDecisions:
    """Widgets for promotions and rollbacks. ``box`` is the card."""

    def __init__(self, page: Page) -> None:
        self.page, self.words, self.visitor = page, page.words, NOBODY
        words = self.words
        self.pending, self.note = row(name="q-grid"), html("")
        self.model = w.Dropdown(description=words("Model"))
        self.despite = w.Checkbox(description=words("although it ranks worse than the model in charge"), indent=False)
        self.promote, self.back = button("", main=True), button(words("Roll back to the model before"))
        self.sure = button(words("Yes, roll back now"))
        self.promote.on_click(lambda _button: self.propose())
        self.back.on_click(lambda _button: self.ask())
        self.sure.on_click(lambda _button: self.roll_back())
        self.forms = card(
            words("Put a model in charge, or go back"),
            row(self.model, self.despite, name="q-fields"),
            row(self.promote, self.back, self.sure, name="q-buttons"),
            note=words("The next run scores with it. A model that failed a gate is refused."),
            name="q-settings q-pending",
        )
        self.history = history_table([], words)
        self.box = card(
            words("Who is in charge"), self.note, self.pending, self.forms, self.history, wide=True, name="q-settings"
        )

    def show(self, visitor: Visitor) -> None:
        """Show what waits, the controls that the visitor may use, and the history."""
        view, words = self.page.view, self.words
        self.visitor = visitor
        if not view.decisions.answered:
            self.box.layout.display = "none"
            return
        engine = page_database(view.workspace)
        pending = [one for one in open_work.pending_decisions(engine, view, visitor.name, words) if one.kind != "grade"]
        replace_children(self.pending, pending_cards(self.page, pending, visitor))
        may = visitor.name is not None and visitor.may(Permission.PROMOTE)
        self.forms.layout.display = "" if may else "none"
        self.sure.layout.display = "none"
        if may:
            self.promote.description = words("Propose it") if users_exist(engine) else words("Put it in charge")
            self.model.options = [
                (f"{one['model_id']} · {words(one['status'] or '')}", one["model_id"])
                for one in registered_models(view)
                if one["status"] != "champion"
            ]
            self.promote.disabled = not self.model.options
        entries = model_history(engine)
        text = words("Nobody has decided on a model yet: the first was put in charge by the run.")
        self.note.value = "" if entries else Markup('<p class="note">{}</p>').format(text)
        self.history.show(history_rows(entries, words))
        self.history.layout.display = "" if entries else "none"

    def propose(self) -> None:
        workspace, words = self.page.view.workspace, self.words
        chosen, despite = str(self.model.value), bool(self.despite.value)
        two = users_exist(page_database(workspace))

        def act(engine: Engine, who: str) -> None:
            if two:
                champion.propose_promotion(workspace, engine, chosen, who, despite=despite)
            else:
                champion.promote_model(workspace, chosen, who, despite=despite)

        said = words("Proposed: it waits for another person.") if two else words("It is in charge: the next run scores with it.")
        self.page.decide(Permission.PROMOTE, "promote a model", act, said)

    def ask(self) -> None:
        self.sure.layout.display = ""

    def roll_back(self) -> None:
        source = str(self.page.view.run["data"]["source"])
        self.page.decide(
            Permission.PROMOTE,
            "roll a model back",
            partial(self._roll_back, source),
            self.words("The model before is in charge again."),
        )

    def _roll_back(self, source: str, engine: Engine, who: str) -> None:
        workspace = self.page.view.workspace
        if users_exist(engine):
            champion.roll_back_unconfirmed(workspace, engine, source, who)
        else:
            champion.roll_back_model(workspace, source, who)
