"""Forms of the settings that have parts: rating scale, alert rules, channels and schedule. Each gives the setting's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import polars as pl

from quiebra.alerts.descriptions import MEASURE_LABELS, SEVERITY_LABELS
from quiebra.dashboards.pages.base import replace_children
from quiebra.dashboards.pages.decision_cards import button
from quiebra.dashboards.widgets.controls import Table, html, row
from quiebra.dashboards.widgets.markup import Markup
from quiebra.errors import ParamsError
from quiebra.services import setting_forms as forms
from quiebra.services.table_rows import TableColumn
from quiebra.text.words import Words

SPARE_GRADES = 2
LISTED = {"case_id": pl.String, "name": pl.String, "says": pl.String}


def choice(labels: Mapping[str, str], value: Any, words: Words, description: str) -> w.Dropdown:
    """Return a choice by name; a value that is none of them is shown too, so that it can be corrected."""
    offered = [(words(label), name) for name, label in labels.items()]
    there = [] if value in labels else [(str(value), value)]
    return w.Dropdown(options=[*there, *offered], value=value, description=description)


def as_percent(bound: Any, words: Words) -> str:
    """Return a share as typed in percent; another value as it is, so that it can be corrected."""
    return forms.to_percent(bound, words) if isinstance(bound, int | float) else str(bound or "")


class SettingForm:
    """A form for one setting. ``box`` shows it; ``value`` is the setting's value, ParamsError where a field cannot be read.

    ``touched`` is False until somebody has changed something: a value that the form cannot show stays as it is in the file.
    """

    def __init__(self, value: Any, words: Words, changed: Callable[[], object]) -> None:
        self.words, self.tell_page, self.touched = words, changed, False
        self.box = w.VBox()
        self.box.add_class("q-setting-form")
        self.show(value)

    def show(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    @property
    def value(self) -> Any:
        raise NotImplementedError

    def changed(self) -> None:
        self.touched = True
        self.tell_page()

    def watch(self, *controls: w.Widget) -> None:
        for control in controls:
            control.observe(lambda _change: self.changed(), "value")

    def number(self, text: str, label: str) -> w.Text:
        return w.Text(value=text, description=label, continuous_update=False)


class GradesForm(SettingForm):
    """The rating scale as a table of grades and the highest PD of each, in percent."""

    def show(self, value: dict[str, float]) -> None:
        words = self.words
        scale = value if isinstance(value, dict) else {}
        rows = [*((str(grade), as_percent(bound, words)) for grade, bound in scale.items()), *[("", "")] * SPARE_GRADES]
        self.rows = [
            (self.number(grade, words("Grade {n}", n=n)), self.number(bound, words("up to a PD of, %")))
            for n, (grade, bound) in enumerate(rows, 1)
        ]
        for pair in self.rows:
            self.watch(*pair)
        example = words("From the best grade to the worst, the last one up to 100. A row without a name is left out.")
        lines = [row(*pair, name="q-pair") for pair in self.rows]
        self.box.children = [html(Markup('<p class="note">{}</p>').format(example)), *lines]

    @property
    def value(self) -> dict[str, float]:
        return forms.read_grades([(grade.value, bound.value) for grade, bound in self.rows], self.words)


class ScheduleForm(SettingForm):
    """When cycles run: how often, on which day, at what time."""

    zone = "UTC"

    def show(self, value: str) -> None:
        words, now = self.words, forms.read_schedule(str(value or ""))
        self.frequency = w.Dropdown(
            options=[(words(label), name) for name, label in forms.FREQUENCIES.items()],
            value=now.frequency,
            description=words("How often"),
        )
        self.day = w.Dropdown(options=list(range(1, 29)), value=min(now.day, 28), description=words("Day of the month"))
        self.weekday = w.Dropdown(
            options=[(words(label), name) for name, label in forms.WEEKDAYS.items()],
            value=now.weekday,
            description=words("Day of the week"),
        )
        self.hour = w.Dropdown(options=list(range(24)), value=now.hour, description=words("Hour"))
        minutes = sorted({*range(0, 60, 5), now.minute})
        self.minute = w.Dropdown(options=minutes, value=now.minute, description=words("Minute"))
        self.cron = self.number(now.cron, words("Minute, hour, day, month, day of the week"))
        self.said = html("")
        self.box.children = [
            row(self.frequency, self.day, self.weekday, self.hour, self.minute, self.cron, name="q-fields"),
            self.said,
        ]
        for control in (self.frequency, self.day, self.weekday, self.hour, self.minute, self.cron):
            control.observe(lambda _change: self.tell(), "value")
        self.watch(self.frequency, self.day, self.weekday, self.hour, self.minute, self.cron)
        self.tell()

    def choice(self) -> forms.ScheduleChoice:
        return forms.ScheduleChoice(
            self.frequency.value, self.day.value, self.weekday.value, self.hour.value, self.minute.value, self.cron.value.strip()
        )

    def tell(self) -> None:
        """Say in a sentence what is chosen, and show the fields that belong to it."""
        now = self.choice()
        shown = {"day": "month", "weekday": "week", "cron": "other"}
        for name, frequency in shown.items():
            getattr(self, name).layout.display = "" if now.frequency == frequency else "none"
        for control in (self.hour, self.minute):
            control.layout.display = "none" if now.frequency == "other" else ""
        self.said.value = Markup("<p>{}</p>").format(forms.describe_schedule(now, self.zone, self.words))

    @property
    def value(self) -> str:
        return forms.write_schedule(self.choice())


class ListForm(SettingForm):
    """A setting that maps names to entries: a table of them, and fields for the one that is chosen."""

    def show(self, value: dict[str, Any]) -> None:
        words = self.words
        given = value if isinstance(value, dict) else {}
        self.entries: dict[str, dict[str, Any]] = {
            str(name): dict(entry) for name, entry in given.items() if isinstance(entry, dict)
        }
        self.open_name, self.error = "", ""
        columns = [TableColumn("name", words("Name"), "choice"), TableColumn("says", words("What it does"))]
        self.table = Table(pl.DataFrame(schema=LISTED), columns, words, label=self.label(), size=20, searchable=False)
        self.table.observe(lambda change: self.open(change["new"]), "chosen")
        self.new_name, add = self.number("", words("Name of a new one")), button(words("Add"))
        add.on_click(lambda _button: self.add())
        self.editor = w.VBox()
        self.box.children = [self.table, self.editor, row(self.new_name, add, name="q-pair")]
        self.refresh()

    def label(self) -> str:
        raise NotImplementedError

    def say(self, entry: dict[str, Any]) -> str:
        """Return what an entry does, in a sentence."""
        raise NotImplementedError

    def fields(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of an entry: its key → widget."""
        raise NotImplementedError

    def read(self, fields: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        """Return the entry that the fields say."""
        raise NotImplementedError

    def first(self) -> dict[str, Any]:
        """Return what a new entry starts with."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show the entries as they are now."""
        rows = [{"case_id": name, "name": self.words(name), "says": self.say(entry)} for name, entry in self.entries.items()]
        self.table.show(pl.DataFrame(rows, schema=LISTED))

    def add(self) -> None:
        name = self.new_name.value.strip()
        if name and name not in self.entries:
            self.entries[name] = self.first()
            self.new_name.value = ""
            self.refresh()
            self.open(name)
            self.changed()

    def open(self, name: str) -> None:
        """Show the fields of an entry."""
        if name not in self.entries:
            replace_children(self.editor, [])
            return
        words = self.words
        self.open_name, self.error = name, ""
        made = self.fields(self.entries[name])
        fault, remove = html("", "q-fault"), button(words("Remove"))

        def take(_change: object = None) -> None:
            try:
                before, self.entries[name] = self.entries[name], self.read(made, self.entries[name])
                if before.get("measure") != self.entries[name].get("measure"):  # its thresholds have another unit
                    self.open(name)
                self.error = fault.value = ""
            except ParamsError as error:
                self.error = words.say(error.said)
                fault.value = Markup("{}").format(self.error)
            self.refresh()
            self.changed()

        def drop(_button: object) -> None:
            del self.entries[name]
            self.error = ""
            replace_children(self.editor, [])
            self.refresh()
            self.changed()

        for control in made.values():
            control.observe(take, "value")
        remove.on_click(drop)
        title = html(Markup('<h3 class="q-part">{}</h3>').format(words(name)))
        replace_children(self.editor, [title, row(*made.values(), name="q-fields"), fault, row(remove, name="q-buttons")])

    @property
    def value(self) -> dict[str, Any]:
        if self.error:
            raise ParamsError("{why}", why=self.error)
        return self.entries


class RulesForm(ListForm):
    """Alert rules: what is measured, from where on an alert is raised, and how severe it is."""

    grades: tuple[str, ...] = ()

    def label(self) -> str:
        return self.words("Alert rules")

    def say(self, entry: dict[str, Any]) -> str:
        return forms.describe_rule(entry, self.words, self.grades)

    def first(self) -> dict[str, Any]:
        return {"measure": "pd_12m", "raise": 0.2, "clear": 0.15, "severity": "medium"}

    def fields(self, entry: dict[str, Any]) -> dict[str, Any]:
        words, measure = self.words, str(entry.get("measure", "pd_12m"))
        unit = forms.threshold_unit(measure, words)
        named = f" ({unit})" if unit else ""
        return {
            "measure": choice(MEASURE_LABELS, measure, words, words("Measured")),
            "raise": self.number(forms.format_threshold(measure, entry.get("raise"), words), words("Alert from") + named),
            "clear": self.number(forms.format_threshold(measure, entry.get("clear"), words), words("Closes below") + named),
            "severity": choice(SEVERITY_LABELS, entry.get("severity", "medium"), words, words("Severity")),
            "companies": choice(forms.SCOPES, entry.get("companies", "all"), words, words("For")),
            "pd_from": self.number(as_percent(entry.get("pd_from"), words), words("Only from a PD of, % (empty: any)")),
            "cool_down_days": self.number(
                words.typed(entry.get("cool_down_days")), words("Days without another one after it closed")
            ),
        }

    def read(self, fields: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        words, measure = self.words, str(fields["measure"].value)
        if measure != entry.get("measure"):
            return {**entry, "measure": measure, **forms.usual_thresholds(measure)}
        found = {**entry, "measure": measure}
        for name in ("raise", "clear"):
            found[name] = forms.read_threshold(measure, fields[name].value, words)
        for name, usual in (("severity", "medium"), ("companies", "all")):
            if name in entry or fields[name].value != usual:
                found[name] = fields[name].value
        typed = fields["pd_from"].value.strip()
        days = forms.typed_number(words("Days without another one after it closed"), fields["cool_down_days"].value, words)
        for name, value in (
            ("pd_from", forms.from_percent("pd_from", typed, words) if typed else None),
            ("cool_down_days", None if days is None else int(days)),
        ):
            found.pop(name, None)
            if value is not None:
                found[name] = value
        return found


class ChannelsForm(ListForm):
    """Channels of alerts: what kind, from which severity on, when they are quiet, and to whom mails go."""

    def label(self) -> str:
        return self.words("Channels")

    def say(self, entry: dict[str, Any]) -> str:
        words = self.words
        kind = words(forms.CHANNEL_KINDS.get(str(entry.get("kind")), str(entry.get("kind"))))
        to = ", ".join(map(str, entry.get("recipients") or []))
        severity = words(SEVERITY_LABELS.get(str(entry.get("severity", "low")), "low"))
        said = words("{kind}, alerts from severity {severity} on", kind=kind, severity=severity)
        quiet = entry.get("quiet") or []
        more = words("; quiet from {start} to {end}", start=quiet[0], end=quiet[1]) if len(quiet) == 2 else ""
        return f"{said}{more}{f': {to}' if to else ''}."

    def first(self) -> dict[str, Any]:
        return {"kind": "slack", "severity": "medium"}

    def fields(self, entry: dict[str, Any]) -> dict[str, Any]:
        words = self.words
        quiet = [*(entry.get("quiet") or []), "", ""]
        return {
            "kind": choice(forms.CHANNEL_KINDS, entry.get("kind", "mail"), words, words("Kind")),
            "recipients": self.number(
                ", ".join(map(str, entry.get("recipients") or [])), words("Recipients of a mail, such as ana@example.com")
            ),
            "severity": choice(SEVERITY_LABELS, entry.get("severity", "low"), words, words("From severity")),
            "from": self.number(str(quiet[0]), words("Quiet from, such as 20:00")),
            "to": self.number(str(quiet[1]), words("Quiet to, such as 07:00")),
            "digest_above": self.number(words.typed(entry.get("digest_above", 5)), words("One message for more alerts than")),
        }

    def read(self, fields: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
        words, given = self.words, {name: str(field.value).strip() for name, field in fields.items()}
        found = {**entry, "kind": given["kind"], "severity": given["severity"]}
        for name in ("recipients", "quiet", "digest_above"):
            found.pop(name, None)
        if given["recipients"]:
            found["recipients"] = [part.strip() for part in given["recipients"].split(",") if part.strip()]
        if given["from"] or given["to"]:
            found["quiet"] = [given["from"], given["to"]]
        digest = forms.typed_number(words("One message for more alerts than"), given["digest_above"], words)
        if digest is not None and (digest != 5 or "digest_above" in entry):
            found["digest_above"] = int(digest)
        return found


FORMS: dict[str, type[SettingForm]] = {
    "score.grades": GradesForm,
    "alerts.rules": RulesForm,
    "delivery.channels": ChannelsForm,
    "schedule.cron": ScheduleForm,
}
"""Setting → its form; others have a field."""
