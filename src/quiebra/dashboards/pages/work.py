"""The page of decisions: what waits for the visitor, the alerts with all that can be done about them, grades and watch list."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ipywidgets as w
import polars as pl
from sqlalchemy import Engine

from quiebra.alerts.cases import AlertCase
from quiebra.alerts.descriptions import WATCH_LEVELS, alert_in_figures
from quiebra.alerts.sentences import alert_sentence
from quiebra.dashboards.pages.base import Page, replace_children
from quiebra.dashboards.pages.decision_cards import button, history_table, note, pending_cards, reason_field
from quiebra.dashboards.pages.visitor import NOBODY, Visitor, page_database
from quiebra.dashboards.widgets.controls import Table, card, html, row
from quiebra.dashboards.widgets.markup import Kpi, Markup, bullet_list, kpi_row
from quiebra.identity import Permission
from quiebra.services import decisions, open_work
from quiebra.services.decision_history import alerts_history
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words


class WorkPage(Page):
    name = "work"

    def __init__(self) -> None:
        super().__init__()
        self.visitor = NOBODY
        self.show_which, self.chosen = "all", ""

    def opening_html(self, words: Words) -> str:
        alerts = self.view.decisions.alerts
        if not self.view.decisions.answered:
            return Markup("<p class='q-lead'>{}</p>").format(words("The database does not answer: nothing can be decided now."))
        cases = open_work.alert_cases(self.view)
        today = dt.datetime.now(dt.UTC).date()
        dates = [*alerts["review_on"].drop_nulls(), *self.view.decisions.watched["review_on"]]
        kpis = [
            Kpi(words("Alerts open"), words.number(alerts.height), words.count("{n} case", "{n} cases", n=len(cases))),
            Kpi(words("Nobody looks after"), words.number(alerts.filter(pl.col("owner").is_null()).height), words("alerts")),
            Kpi(words("To look at again"), words.number(sum(day <= today for day in dates)), words("by today")),
            Kpi(words("Analysts' grades"), words.number(self.view.decisions.overrides.height), words("in force")),
            Kpi(words("On the analysts' list"), words.number(self.view.decisions.watched.height), words("companies")),
        ]
        return kpi_row(kpis)

    def compose(self) -> list[w.Widget]:
        words = self.words
        self.head = html("")
        self.pending = row(name="q-grid")
        self.waits = html("")
        self.which = w.Dropdown(
            options=[(words(label), name) for name, label in open_work.SHOWN.items()],
            value=self.show_which,
            description=words("Show"),
        )
        self.which.add_class("q-narrow")
        self.which.observe(lambda _change: self.guarded(self._show_cases)(), "value")
        self.cases = Table(pl.DataFrame(schema=open_work.CASE_SCHEMA), self._case_columns(), words, label=words("Alerts"), size=8)
        self.cases.observe(lambda change: self.guarded(self.open_case)(change["new"]), "chosen")
        self.case = w.VBox()
        self.grades = row(name="q-grid")
        self.grades_note = html("")
        self.watched = html("")
        self.refresh_decisions()
        return [
            self.head,
            card(words("Waits for a second person"), self.waits, self.pending, wide=True, name="q-waits"),
            card(
                words("Alerts"),
                self.which,
                self.cases,
                note=words("Choose a line to see what is behind it, who looks after it and what was done."),
                name="q-settings",
            ),
            self.case,
            card(words("Analysts' grades in force"), self.grades_note, self.grades),
            card(
                words("Watch list"),
                self.watched,
                note=words("Companies are put on it, and grades proposed, on the page of the company."),
            ),
        ]

    def show_permitted_parts(self, visitor: Visitor) -> None:
        if visitor != self.visitor:  # a button that somebody is about to press stays where it is
            self.visitor = visitor
            self.refresh_decisions()

    def refresh_decisions(self) -> None:
        words, view = self.words, self.view
        self.head.value = self.opening_html(words)
        if not view.decisions.answered:
            return
        engine = page_database(view.workspace)
        pending = open_work.pending_decisions(engine, view, self.visitor.name, words)
        self.waits.value = Markup("<p class='q-lead'>{}</p>").format(self._lead(pending))
        replace_children(self.pending, pending_cards(self, pending, self.visitor))
        self._show_cases()
        if self.chosen:
            self.open_case(self.chosen)
        self._show_grades()
        self._show_watched()

    def _lead(self, pending: list[open_work.PendingDecision]) -> str:
        words = self.words
        mine = [one for one in pending if self.visitor.may(Permission.APPROVE) and not one.own]
        if mine:
            return words.count("{n} decision waits for you.", "{n} decisions wait for you.", n=len(mine))
        if pending:
            return words.count("{n} decision waits for another person.", "{n} decisions wait for another person.", n=len(pending))
        return words("Nothing waits for a second person.")

    # alerts

    def _case_columns(self) -> list[TableColumn]:
        words = self.words
        return [
            TableColumn("name", words("Of"), "choice"),
            TableColumn("severity", words("Severity"), "status"),
            TableColumn("what", words("What")),
            TableColumn("alerts", words("Alerts")),
            TableColumn("owner", words("Owner")),
            TableColumn("state", words("State")),
            TableColumn("raised_on", words("Since"), "number", words.short),
            TableColumn("review_on", words("Look again"), "number", words.short),
        ]

    def _show_cases(self) -> None:
        self.show_which = str(self.which.value)
        shown = open_work.case_rows(open_work.alert_cases(self.view), self.view, self.words, self.show_which, self.visitor.name)
        self.cases.show(shown)

    def open_case(self, chosen: str) -> None:
        """Show a case of alerts below the table: what it says, its history, and the controls for who may decide."""
        self.chosen = chosen
        found = next((one for one in open_work.alert_cases(self.view) if open_work.case_id(one) == chosen), None)
        if found is None:
            self.chosen = ""
            gone = [card(self.words("Closed"), note(self.words("No alert is open there any more.")))]
            replace_children(self.case, gone if chosen else [])
            return
        replace_children(self.case, [self._case_card(found)])

    def _case_card(self, case: AlertCase) -> w.VBox:
        words, view = self.words, self.view
        grades = list(view.params.score.grades)
        names = dict(view.scores.select("company_id", "name").iter_rows())
        lines = [
            f"{alert_sentence(one, words, grades, case.fact)} ({alert_in_figures(one, words, grades)})" for one in case.alerts
        ]
        engine = page_database(view.workspace)
        history = history_table(alerts_history(engine, [one["alert_id"] for one in case.alerts]), words)
        first = Markup("<p><b>{}</b> {}.</p>").format(words("First step:"), case.step(words))
        link = Markup("")
        if case.first["subject"] in names:
            link = Markup('<p><a href="company?company={}">{}</a></p>').format(
                case.first["subject"], words("Open the company's page")
            )
        form = self._case_form(case, engine) if self.visitor.may(Permission.DECIDE) and self.visitor.name else []
        return card(
            case.named(words, names),
            bullet_list(lines),
            first,
            link,
            *form,
            html(_heading(words("History"))),
            history,
            name="q-settings q-case",
        )

    def _case_form(self, case: AlertCase, engine: Engine) -> list[w.Widget]:
        words = self.words
        every = [one["alert_id"] for one in case.alerts]
        grades = list(self.view.params.score.grades)
        single = [(alert_sentence(one, words, grades, case.fact)[:90], (one["alert_id"],)) for one in case.alerts]
        which = w.Dropdown(
            options=[(words("All of them ({n})", n=len(every)), tuple(every)), *single] if len(every) > 1 else single,
            description=words("Alert"),
        )
        owners = open_work.possible_owners(engine)
        owner_now = next((one["owner"] for one in case.alerts if one["owner"]), None) or self.visitor.name or ""
        owner: Any = (
            w.Dropdown(options=sorted({*owners, owner_now}), value=owner_now, description=words("Owner"))
            if owners
            else w.Text(value=owner_now, description=words("Owner"))
        )
        again = next((one["review_on"] for one in case.alerts if one["review_on"]), None)
        review = w.DatePicker(value=again, description=words("Look again on"))
        comment = reason_field(words, words("Comment, or why it is closed"))
        keep, say, close = (
            button(words("Acknowledge and assign"), main=True),
            button(words("Comment only")),
            button(words("Close for good")),
        )

        def each(act: Any) -> Any:
            return lambda engine, who: [act(engine, alert_id, who) for alert_id in which.value]

        keep.on_click(
            lambda _button: self.decide(
                Permission.DECIDE,
                "acknowledge an alert",
                each(
                    lambda engine, alert_id, who: decisions.acknowledge_alert(
                        engine, alert_id, who, owner=owner.value or None, note=comment.value, review_on=review.value
                    )
                ),
                words("Acknowledged."),
            )
        )
        say.on_click(
            lambda _button: self.decide(
                Permission.DECIDE,
                "comment on an alert",
                each(lambda engine, alert_id, who: decisions.comment_alert(engine, alert_id, who, comment.value)),
                words("The comment is kept."),
            )
        )
        close.on_click(
            lambda _button: self.decide(
                Permission.DECIDE,
                "close an alert",
                each(lambda engine, alert_id, who: decisions.close_alert(engine, alert_id, who, comment.value)),
                words("Closed: the same cause raises no other alert."),
            )
        )
        return [row(which, owner, review, comment, name="q-fields"), row(keep, say, close, name="q-buttons")]

    # grades and watch list

    def _show_grades(self) -> None:
        words = self.words
        names = dict(self.view.scores.select("company_id", "name").iter_rows())
        rows = self.view.decisions.overrides.to_dicts()
        self.grades_note.value = "" if rows else Markup("<p class='note'>{}</p>").format(words("There are none."))
        replace_children(self.grades, [self._grade_card(one, names.get(one["company_id"]) or one["company_id"]) for one in rows])

    def _grade_card(self, one: dict[str, Any], name: str) -> w.VBox:
        words = self.words
        text = words(
            "{model} by the model, {grade} by {author}, approved by {approver}; until {date}.",
            model=one["model_rating"],
            grade=one["rating"],
            author=one["author"],
            approver=one["approver"],
            date=words.short(one["expires_on"]),
        )
        parts: list[w.Widget | str] = [Markup("<p>{}</p><p>“{}”</p>").format(text, one["reason"])]
        if self.visitor.may(Permission.DECIDE) and self.visitor.name:
            reason, end = reason_field(words), button(words("End it"))
            end.on_click(
                lambda _button: self.decide(
                    Permission.DECIDE,
                    "end a grade",
                    lambda engine, who: decisions.end_override(engine, int(one["override_id"]), who, reason.value),
                    words("Ended: the model's grade counts again."),
                )
            )
            parts += [reason, row(end, name="q-buttons")]
        return card(name, *parts, name="q-settings q-pending")

    def _show_watched(self) -> None:
        words = self.words
        names = dict(self.view.scores.select("company_id", "name").iter_rows())
        today = dt.datetime.now(dt.UTC).date()
        lines = [
            Markup('<li><a href="company?company={}">{}</a>: {}</li>').format(
                one["company_id"],
                names.get(one["company_id"]) or one["company_id"],
                words(
                    "{level}, {reason} ({who}; look again {date}{due})",
                    level=words(WATCH_LEVELS[one["level"]]),
                    reason=one["reason"],
                    who=one["who"],
                    date=words.short(one["review_on"]),
                    due=words(", overdue") if one["review_on"] < today else "",
                ),
            )
            for one in self.view.decisions.watched.to_dicts()
        ]
        empty = Markup("<p class='note'>{}</p>").format(words("No company is on it."))
        self.watched.value = Markup('<ul class="q-reasons">{}</ul>').format(Markup("").join(lines)) if lines else empty


def _heading(text: str) -> Markup:
    return Markup('<h3 class="q-part">{}</h3>').format(text)
