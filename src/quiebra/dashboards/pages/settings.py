"""The settings page."""

from __future__ import annotations

import contextlib
from html import escape
from typing import Any

import ipywidgets as w
import polars as pl

from quiebra.dashboards.pages.base import Page
from quiebra.dashboards.pages.setting_forms import FORMS, SettingForm
from quiebra.dashboards.pages.visitor import Visitor, current_visitor, deciding_person, page_database
from quiebra.dashboards.widgets.controls import Table, card, html, row
from quiebra.errors import ParamsError, StoreError
from quiebra.identity import Permission
from quiebra.services import settings
from quiebra.services.setting_forms import parse_typed
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words, translatable

FORM_NOTES = {
    "score.grades": translatable("What each grade stands for: the highest one-year PD that still gets it."),
    "alerts.rules": translatable("Choose a rule to change it. Each change is shown below before it is saved."),
    "delivery.channels": translatable(
        "Where alerts are sent. Addresses with secrets stay on the machine, in QUIEBRA_CHANNEL_NAME with the channel's name."
    ),
    "schedule.cron": translatable("When the monthly cycle runs: data, scores, alerts and the report."),
}
"""Setting with a form → what it is, for readers."""


class SettingsPage(Page):
    name = "settings"
    needs_run = False  # a setting that stops the run can be corrected here

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self.forms: dict[str, SettingForm] = {}
        self.drawn_in = self.words
        self.reason: w.Text | None = None

    def opening_html(self, words: Words) -> str:
        visitor = current_visitor(self.view.workspace)
        if visitor.name and visitor.may(Permission.SETTINGS):
            text = words.markup(
                "You are <strong>{who}</strong> and may change settings; each change is kept with your name and reason.",
                who=visitor.name,
            )
        elif visitor.user:
            text = words("You can read the settings. Model owners and administrators change them.")
        else:
            text = words(
                "You can read the settings. Who may change them is said when the dashboards are started: "
                "quiebra dashboards --editor NAME."
            )
        return f"<p class='q-lead'>{text}</p>"

    def compose(self) -> list[w.Widget]:
        words, workspace = self.words, self.view.workspace
        typed, entered = self.typed(), self.entered()
        if not entered and not set(typed) - {"reason"}:  # text typed against one version must not be saved over another
            self.text, self.version = settings.read_settings(workspace)
        self.lead = html(self.opening_html(words))
        self.fields, self.forms, self.notes = {}, {}, {}
        cards, boxes = [], []
        for title, fields in settings.FIELDS_BY_SECTION.items():
            lines: list[w.Widget] = []
            for field in fields:
                if field.name in FORMS:
                    boxes.append(self._form_card(field, entered))
                    continue
                control, note = self._control(field), html("", "q-fault")
                self.fields[field.name], self.notes[field.name] = control, note
                control.description = ", ".join(filter(None, (words(field.label), words(field.part))))
                lines.append(w.VBox([control, note]))
            cards.append(card(words(title), row(*lines, name="q-fields"), name="q-settings"))
        self.reason = w.Text(
            description=words("Reason"), placeholder=words("Why is this changed?"), value=typed.pop("reason", "")
        )
        self.look = w.Button(description=words("Show the change"))
        self.keep = w.Button(description=words("Save"), button_style="primary", disabled=True)
        self.look.on_click(lambda _button: self.guarded(self.preview)())
        self.keep.on_click(lambda _button: self.guarded(self.save)())
        self.shown = html(f"<p class='note'>{words('Nothing was changed yet.')}</p>")
        self.log = Table(pl.DataFrame(schema=LOG), self._log_columns(), words, label=words("Changes"), size=10)
        self.log_note = html("")
        self.show_log()
        for name, value in typed.items():
            self.fields[name].value = value
        change = card(
            words("The change"),
            self.shown,
            self.reason,
            row(self.look, self.keep, name="q-buttons"),
            note=words("It is checked first, and takes effect at the next run (quiebra run)."),
            wide=True,
            name="q-settings",
        )
        self.drawn_in = words
        return [
            self.lead,
            row(*cards, name="q-columns"),
            *boxes,
            change,
            card(words("Changes on record"), self.log_note, self.log),
        ]

    def typed(self) -> dict[str, str]:
        """Return unsaved input, so that a change of language keeps it."""
        if self.reason is None:
            return {}
        changed = {
            name: self._in_words(name, c.value) for name, c in self.fields.items() if c.value != self._saved(name, self.drawn_in)
        }
        return {**changed, "reason": self.reason.value}

    def entered(self) -> dict[str, Any]:
        """Return what is unsaved in the forms, but for what cannot be read."""
        found = {}
        for name, form in self.forms.items():
            with contextlib.suppress(ParamsError):
                if form.touched and form.value != settings.setting_value(self.text, name):
                    found[name] = form.value
        return found

    def _in_words(self, name: str, text: str) -> str:
        """Return a number that was typed in the language before as it is typed in this one; another text as it is."""
        try:
            value = parse_typed(name, text, self.drawn_in)
        except ParamsError:
            return text
        return self.words.typed(value) if isinstance(value, int | float) else text

    def _saved(self, name: str, words: Words | None = None) -> str:
        value = settings.setting_value(self.text, name)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        return (words or self.words).typed(value) if plain else settings.format_setting(value)

    def _form_card(self, field: settings.SettingField, entered: dict[str, Any]) -> w.VBox:
        """Return the card of a setting that has a form."""
        saved = settings.setting_value(self.text, field.name)
        form = FORMS[field.name](entered.get(field.name, saved), self.words, lambda: self.guarded(self.preview)())
        form.touched = field.name in entered
        self.forms[field.name], self.notes[field.name] = form, html("", "q-fault")
        form_note = FORM_NOTES.get(field.name, "")
        note = self.words(form_note) if form_note else ""
        return card(self.words(field.label), form.box, self.notes[field.name], note=note, wide=True, name="q-settings")

    def show_permitted_parts(self, visitor: Visitor) -> None:
        self.lead.value = self.opening_html(self.words)
        self.keep.disabled = visitor.name is None or not visitor.may(Permission.SETTINGS)

    def _control(self, field: settings.SettingField) -> w.Widget:
        value = self._saved(field.name)
        if field.choices:
            there = [value] if value not in field.choices else []  # an invalid value in the file can be corrected here
            control: Any = w.Dropdown(options=[*there, *field.choices], value=value)
        elif field.name in settings.MULTILINE_SETTINGS:
            control = w.Textarea(value=value, rows=max(3, min(value.count("\n") + 2, 18)))
        else:
            control = w.Text(value=value, continuous_update=False)
        control.layout.width = "100%"
        control.tooltip = field.name
        control.observe(lambda _change: self.guarded(self.preview)(), "value")
        return control

    def edits(self) -> dict[str, Any]:
        """Return the settings that differ from params.yaml; ParamsError if one is invalid, with the fault shown beside its
        field."""
        found, faulty = {}, []
        for name, control in self.fields.items():
            self.notes[name].value = ""
            if control.value == self._saved(name):
                continue
            try:
                found[name] = parse_typed(name, str(control.value), self.words)
            except ParamsError as error:
                self.notes[name].value = escape(self.words.say(error.said))
                faulty.append(name)
        for name, form in self.forms.items():
            self.notes[name].value = ""
            try:
                if form.touched and form.value != settings.setting_value(self.text, name):
                    found[name] = form.value
            except ParamsError as error:
                self.notes[name].value = escape(self.words.say(error.said))
                faulty.append(name)
        if faulty:
            raise ParamsError(self.words("Some fields cannot be read: {list}", list=", ".join(faulty)))
        return found

    def preview(self) -> None:
        """Validate the change and show it line by line."""
        try:
            after = settings.edit_params(self.text, self.edits())
        except ParamsError as error:
            self.shown.value = f"<p class='q-flag'>{escape(self.words.say(error.said))}</p>"
            return
        lines = settings.changed_lines(self.text, after)
        marked = "\n".join(
            f"<{'ins' if line[0] == '+' else 'del'}>{escape(line)}</{'ins' if line[0] == '+' else 'del'}>" for line in lines
        )
        self.shown.value = (
            f"<div class='q-diff'>{marked}</div>" if lines else f"<p class='note'>{self.words('Nothing was changed yet.')}</p>"
        )

    def save(self) -> None:
        if self.reason is None:  # the page is not drawn yet
            return
        workspace = self.view.workspace
        who = deciding_person(page_database(workspace), Permission.SETTINGS, "change settings")
        self.version = settings.save_settings(workspace, self.version, self.edits(), who=who, reason=self.reason.value)
        self.text, self.version = settings.read_settings(self.view.workspace)
        self.reason.value = ""
        self.preview()
        self.show_log()
        self.frame.say(self.words("Saved. It takes effect at the next run."), "ok")

    def show_log(self) -> None:
        try:
            entries = settings.settings_log(self.view.workspace)
            self.log_note.value = ""
        except StoreError:  # without the database, settings can still be read and corrected
            entries = []
            note = self.words("The database does not answer, or is still empty: no change can be shown.")
            self.log_note.value = f"<p class='note'>{escape(note)}</p>"
        rows = [
            {
                "at": entry["at"].isoformat(sep=" ", timespec="seconds"),
                "who": entry["who"],
                "subject": entry["subject"],
                "before": settings.format_setting(entry["before"]),
                "after": settings.format_setting(entry["after"]),
                "reason": entry["reason"],
            }
            for entry in entries
        ]
        self.log.show(pl.DataFrame(rows, schema=LOG))

    def _log_columns(self) -> list[TableColumn]:
        words = self.words
        titles = {
            "at": words("When (UTC)"),
            "who": words("Who"),
            "subject": words("Setting"),
            "before": words("Before"),
            "after": words("After"),
            "reason": words("Reason"),
        }
        return [TableColumn(name, title) for name, title in titles.items()]


LOG = dict.fromkeys(("at", "who", "subject", "before", "after", "reason"), pl.String)
