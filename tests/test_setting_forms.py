"""Forms of the settings: what they show, they give back; numbers go by the language; what cannot be read is said."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from quiebra.dashboards.pages.setting_forms import FORMS, ChannelsForm, GradesForm, RulesForm, ScheduleForm
from quiebra.errors import ParamsError
from quiebra.services import settings
from quiebra.services.setting_forms import (
    FREQUENCIES,
    WEEKDAYS,
    ScheduleChoice,
    describe_rule,
    from_percent,
    parse_typed,
    read_schedule,
    to_percent,
    write_schedule,
)
from quiebra.text.words import LANGUAGES, Words

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
EN, ES = Words("en"), Words("es")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FORMS)
def test_a_form_gives_back_what_it_shows(name: str, language: str) -> None:
    value = settings.setting_value(TEXT, name)
    assert FORMS[name](value, Words(language), lambda: None).value == value


def test_each_rule_that_is_opened_and_touched_stays_as_it_was() -> None:
    rules = settings.setting_value(TEXT, "alerts.rules")
    form = RulesForm(rules, ES, lambda: None)
    for name in rules:
        form.open(name)
        fields = form.editor.children[1].children
        severity = fields[3]
        kept = severity.value
        severity.value = "low" if kept != "low" else "high"
        severity.value = kept
        after = {key: value for key, value in form.value[name].items() if (key, value) != ("severity", "medium")}
        assert after == {key: value for key, value in rules[name].items() if (key, value) != ("severity", "medium")}


def test_a_rule_is_changed_in_the_readers_numbers_and_said_in_a_sentence() -> None:
    seen: list[Any] = []
    form = RulesForm(
        {"high PD": {"measure": "pd_12m", "raise": 0.15, "clear": 0.1, "severity": "high"}}, ES, lambda: seen.append(1)
    )
    assert describe_rule(form.value["high PD"], EN, ()).startswith(
        "Alert (high) from one-year PD 15.0\xa0% on; it closes below 10.0\xa0%."
    )
    form.open("high PD")
    high = form.editor.children[1].children[1]
    assert high.value == "15"
    high.value = "17,5"
    assert form.value["high PD"]["raise"] == 0.175 and seen
    high.value = "much"
    with pytest.raises(ParamsError):
        _ = form.value
    high.value = "20"
    form.editor.children[1].children[0].value = "pd_times"  # its thresholds have another unit
    assert form.value["high PD"] == {"measure": "pd_times", "raise": 3.0, "clear": 2.0, "severity": "high"}
    form.new_name.value = "another"
    form.add()
    assert list(form.value) == ["high PD", "another"]
    assert settings.edit_params(TEXT, {"alerts.rules": form.value})


def test_a_channel_has_recipients_and_quiet_hours() -> None:
    form = ChannelsForm({}, EN, lambda: None)
    form.new_name.value = "team"
    form.add()
    kind, recipients, _, start, end, _ = form.editor.children[1].children
    kind.value, recipients.value, start.value, end.value = "mail", "ana@example.com, bob@example.com", "20:00", "07:00"
    after = settings.edit_params(TEXT, {"delivery.channels": form.value})
    channel = settings.setting_value(after, "delivery.channels")["team"]
    assert channel["recipients"] == ["ana@example.com", "bob@example.com"] and channel["quiet"] == ["20:00", "07:00"]


def test_the_scale_is_typed_in_percent_without_binary_dust() -> None:
    form = GradesForm({"A": 0.0003, "B": 0.07, "C": 1.0}, ES, lambda: None)
    assert [bound.value for _, bound in form.rows[:3]] == ["0,03", "7", "100"]
    form.rows[1][0].value = ""
    assert form.value == {"A": 0.0003, "C": 1.0}
    form.rows[1][0].value = "A"
    with pytest.raises(ParamsError, match="twice"):
        _ = form.value


@given(st.integers(1, 999_999))
def test_percent_there_and_back_is_exact(millionths: int) -> None:
    value = millionths / 1_000_000
    for words in (EN, ES):
        assert from_percent("x", to_percent(value, words), words) == value


@given(
    st.builds(
        ScheduleChoice,
        st.sampled_from([name for name in FREQUENCIES if name != "other"]),
        st.integers(1, 28),
        st.sampled_from(list(WEEKDAYS)),
        st.integers(0, 23),
        st.integers(0, 59),
    )
)
def test_a_schedule_there_and_back_is_the_same_cron(choice: ScheduleChoice) -> None:
    cron = write_schedule(choice)
    assert write_schedule(read_schedule(cron)) == cron
    assert read_schedule(cron).frequency == choice.frequency
    assert settings.edit_params(TEXT, {"schedule.cron": cron})


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 6 1,15 * *", "0 6 31 2 *", "nonsense", ""])
def test_another_cron_expression_is_kept_as_it_is(cron: str) -> None:
    assert ScheduleForm(cron, EN, lambda: None).value == cron


def test_a_number_goes_by_the_language_and_a_thousand_is_not_one() -> None:
    assert parse_typed("portfolio.lgd", "0,45", ES) == 0.45 == parse_typed("portfolio.lgd", "0.45", EN)
    assert parse_typed("score.reasons", "4", ES) == 4
    assert parse_typed("train.blend_weight", "", ES) is None
    for text, words in (("0.45", ES), ("0,45", EN), ("much", EN)):
        with pytest.raises(ParamsError):
            parse_typed("portfolio.lgd", text, words)


def test_what_is_wrong_in_the_file_is_shown_so_that_it_can_be_corrected() -> None:
    form = RulesForm({"odd": {"measure": "nonsense", "raise": ["x"], "severity": "dire"}}, EN, lambda: None)
    form.open("odd")
    measure, high, _, severity, *_ = form.editor.children[1].children
    assert (measure.value, high.value, severity.value) == ("nonsense", "['x']", "dire")
    assert form.value == {"odd": {"measure": "nonsense", "raise": ["x"], "severity": "dire"}}
    measure.value = "pd_12m"
    assert form.value["odd"]["raise"] == 0.2
    assert [bound.value for _, bound in GradesForm({"A": "much", "B": 0.5}, EN, lambda: None).rows[:2]] == ["much", "50"]
    for kind in FORMS.values():
        kind(None, EN, lambda: None)
        kind(["x"], EN, lambda: None)
    channel = ChannelsForm({"team": {"kind": "fax"}}, EN, lambda: None)
    channel.open("team")
    assert channel.editor.children[1].children[0].value == "fax"
