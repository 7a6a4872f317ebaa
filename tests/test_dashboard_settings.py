"""Settings: edits are checked, shown, kept with author and reason, never half done, and never over somebody else's."""

import re
import threading
from pathlib import Path

import hypothesis
import pytest
import yaml
from conftest import ROOT
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from quiebra import store
from quiebra.environment import database_url
from quiebra.errors import ParamsError, StoreError, WorkspaceError
from quiebra.io.safe_yaml import read_yaml
from quiebra.services import settings
from quiebra.services.setting_values import SETTINGS_BY_LINE, parse_setting
from quiebra.workspace import Workspace

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.fixture
def place(workspace: Path) -> Workspace:
    (workspace / "params.yaml").write_text(TEXT, encoding="utf-8")  # with its comments, as cloned
    return Workspace(workspace)


def entries(place: Workspace) -> list[dict]:
    return settings.settings_log(place)


def test_what_can_be_edited_is_in_params_and_reads_back_as_typed() -> None:
    for fields in settings.FIELDS_BY_SECTION.values():
        for field in fields:
            value = settings.setting_value(TEXT, field.name)
            assert parse_setting(field.name, settings.format_setting(value)) == value
            if field.name in SETTINGS_BY_LINE:
                assert settings.edit_params(TEXT, {field.name: value}) == TEXT


def test_channels_recipients_rules_and_schedule_are_typed_and_kept() -> None:
    typed = {
        "delivery.recipients": "ana@example.com (es), bob@example.com",
        "delivery.channels": 'team: {kind: slack, severity: high, quiet: ["20:00", "07:00"]}',
        "delivery.owner": "boss@example.com",
        "schedule.cron": "30 7 1 * *",
        "report.lang": "es",
        "alerts.rules": "high PD: {measure: pd_12m, raise: 0.2, clear: 0.1}\nmodel in alarm: {measure: drift, raise: alarm, clear: watch}",
    }
    edits = {name: parse_setting(name, text) for name, text in typed.items()}
    after = settings.edit_params(TEXT, edits)
    content = read_yaml(after)
    assert content["delivery"]["recipients"] == [{"address": "ana@example.com", "lang": "es"}, {"address": "bob@example.com"}]
    assert content["delivery"]["channels"]["team"]["quiet"] == ["20:00", "07:00"]
    assert list(content["alerts"]["rules"]) == ["high PD", "model in alarm"]
    for name, text in typed.items():
        assert parse_setting(name, settings.format_setting(settings.setting_value(after, name))) == parse_setting(name, text)
    assert "    high PD:\n      measure: pd_12m\n      raise: 0.2\n      clear: 0.1\n" in after


def test_an_edit_changes_its_line_alone() -> None:
    after = settings.edit_params(TEXT, {"portfolio.lgd": 0.5, "train.blend_weight": 0.7, "monitor.score_psi.alarm": 0.3})
    lines = settings.changed_lines(TEXT, after)
    assert len(lines) == 6
    assert any(re.fullmatch(r"\+  lgd: 0.5 +# loss given default where the file has none", line) for line in lines)
    assert settings.edit_params(TEXT, {}) == TEXT


@pytest.mark.slow
@hypothesis.settings(deadline=None)
@given(st.sampled_from(sorted(settings.EDITABLE_NAMES - {"score.grades"})), st.floats(0.01, 0.99))
def test_editing_there_and_back_leaves_the_file_as_it_was(name: str, value: float) -> None:
    before = settings.setting_value(TEXT, name)
    if not isinstance(before, float):
        return
    try:
        after = settings.edit_params(TEXT, {name: value})
    except ParamsError:
        return
    assert settings.setting_value(after, name) == value
    back = settings.edit_params(after, {name: before})
    assert yaml.safe_load(back) == yaml.safe_load(TEXT)
    assert re.findall("#.*", back) == re.findall("#.*", TEXT)


def test_the_rating_scale_can_be_changed_as_a_whole() -> None:
    scale = parse_setting("score.grades", "A: 0.01, B: 0.1, CCC: 0.3, D: 1")
    after = settings.edit_params(TEXT, {"score.grades": scale})
    assert yaml.safe_load(after)["score"]["grades"] == {"A": 0.01, "B": 0.1, "CCC": 0.3, "D": 1.0}


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("portfolio.lgd", "1.5", "portfolio.lgd"),
        ("portfolio.lgd", "much", "not a number"),
        ("score.watch_from", "ZZZ", "not a grade"),
        ("score.grades", "AAA: 0.5, C: 0.2", "must rise"),
        ("score.grades", "AAA", "write grades"),
        ("score.grades", "<img>: 0.5, C: 1.0", "named by"),
        ("dashboards.language", "fr", "dashboards.language"),
        ("delivery.recipients", "ana@example.com\tx", "one address"),
        ("delivery.channels", "team", "write a line for each"),
        ("delivery.channels", "team: {kind: fax}", "delivery.channels.team.kind"),
        ("alerts.rules", "x: {measure: pd}", "alerts.rules.x"),
        ("delivery.timezone", "Madrid", "time zone"),
        ("delivery.dashboards", "javascript:alert(1)", "delivery.dashboards"),
        ("report.watch_list", "0", "report.watch_list"),
        ("train.blend_weight", "-1", "train.blend_weight"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_name(name: str, typed: str, words: str) -> None:
    with pytest.raises(ParamsError, match=words):
        settings.edit_params(TEXT, {name: parse_setting(name, typed)})


def test_what_makes_the_data_cannot_be_edited_here() -> None:
    with pytest.raises(ParamsError, match="cannot be edited"):
        settings.edit_params(TEXT, {"ingest.source": "american"})


def test_a_change_is_kept_with_author_time_reason_and_run(place: Workspace) -> None:
    _, version = settings.read_settings(place)
    settings.save_settings(place, version, {"portfolio.lgd": 0.6, "score.reasons": 4}, who="ana", reason="the committee of May")
    assert yaml.safe_load((place.root / "params.yaml").read_text())["portfolio"]["lgd"] == 0.6
    found = {e["subject"]: e for e in entries(place)}
    assert (found["portfolio.lgd"]["before"], found["portfolio.lgd"]["after"]) == (0.45, 0.6)
    assert found["score.reasons"]["who"] == "ana"
    assert found["score.reasons"]["reason"] == "the committee of May"
    assert len(found["score.reasons"]["run_id"]) == 12


def test_the_second_of_two_editors_is_told_and_nothing_of_hers_is_written(place: Workspace) -> None:
    _, version = settings.read_settings(place)
    settings.save_settings(place, version, {"portfolio.lgd": 0.6}, who="ana", reason="first of two")
    with pytest.raises(WorkspaceError, match="somebody else"):
        settings.save_settings(place, version, {"portfolio.lgd": 0.7}, who="luis", reason="second of two")
    assert settings.setting_value(settings.read_settings(place)[0], "portfolio.lgd") == 0.6
    assert [e["who"] for e in entries(place)] == ["ana"]


def test_of_many_at_once_one_is_saved(place: Workspace) -> None:
    _, version = settings.read_settings(place)
    told = []

    def change(n: int) -> None:
        try:
            settings.save_settings(place, version, {"portfolio.lgd": 0.5 + n / 100}, who=f"p{n}", reason="all at once")
            told.append("saved")
        except WorkspaceError:
            told.append("told")

    threads = [threading.Thread(target=change, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["saved"] + ["told"] * 5
    assert len(entries(place)) == 1


@pytest.mark.parametrize(
    ("who", "reason", "edits", "error", "words"),
    [
        ("", "because I can", {"portfolio.lgd": 0.5}, WorkspaceError, "--editor"),
        ("ana", " x ", {"portfolio.lgd": 0.5}, ParamsError, "say why"),
        ("ana", "no change at all", {"portfolio.lgd": 0.45}, ParamsError, "nothing was changed"),
        ("ana", "out of range", {"portfolio.lgd": 2.0}, ParamsError, "lgd"),
    ],
)
def test_what_may_not_be_saved_leaves_no_trace(
    place: Workspace, who: str, reason: str, edits: dict, error: type, words: str
) -> None:
    text, version = settings.read_settings(place)
    with pytest.raises(error, match=words):
        settings.save_settings(place, version, edits, who=who, reason=reason)
    assert settings.read_settings(place)[0] == text
    assert entries(place) == []


def test_where_the_file_cannot_be_written_nothing_is_on_record(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise WorkspaceError("the disk is full")

    text, version = settings.read_settings(place)
    monkeypatch.setattr(settings, "write_text", refuse)
    with pytest.raises(WorkspaceError, match="disk"):
        settings.save_settings(place, version, {"portfolio.lgd": 0.6}, who="ana", reason="a full disk")
    assert settings.read_settings(place)[0] == text
    assert entries(place) == []


def test_where_the_record_cannot_be_kept_the_file_goes_back(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(_engine: object, _entries: object, act) -> None:  # type: ignore[no-untyped-def]
        act()
        raise StoreError("the database went away at the last moment")

    text, version = settings.read_settings(place)
    monkeypatch.setattr(settings.store, "record_action", late)
    with pytest.raises(StoreError):
        settings.save_settings(place, version, {"portfolio.lgd": 0.6}, who="ana", reason="a late failure")
    assert settings.read_settings(place)[0] == text


def test_settings_wait_for_a_run_that_reads_them(place: Workspace) -> None:
    _, version = settings.read_settings(place)
    with FileLock(place.root / "data/.run.lock"), pytest.raises(WorkspaceError, match="under way"):
        settings.save_settings(place, version, {"portfolio.lgd": 0.6}, who="ana", reason="during a run")


def test_where_the_database_refuses_the_file_stays(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    text, version = settings.read_settings(place)
    monkeypatch.setenv("QUIEBRA_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreError):
        settings.save_settings(place, version, {"portfolio.lgd": 0.6}, who="ana", reason="no database there")
    assert settings.read_settings(place)[0] == text


def test_the_audit_table_on_postgresql(postgres) -> None:  # type: ignore[no-untyped-def]
    engine = store.connect(postgres("audit"))
    store.upgrade_schema(engine)
    store.record_action(engine, [store.AuditRecord("ana", "settings", "score.grades", {"A": 0.1}, {"A": 0.2}, "why not")])
    with pytest.raises(ZeroDivisionError):
        store.record_action(engine, [store.AuditRecord("ana", "settings", "x", 1, 2, "lost")], lambda: 1 / 0)
    (entry,) = store.audit_entries(engine)
    assert (entry["before"], entry["after"], entry["who"]) == ({"A": 0.1}, {"A": 0.2}, "ana")


def test_a_database_of_the_version_before_is_brought_up(place: Workspace) -> None:
    engine = store.connect(database_url(place.root))
    with engine.begin() as connection:
        for table in (
            "auditoria",
            "auditoria_sellos",
            "alertas",
            "vigilancia",
            "ajustes_calificacion",
            "bandeja_salida",
            "ciclos",
            "alertas_comunicadas",
            "turnos",
            "usuarios",
            "claves_api",
            "sucesiones",
            "sesiones",
            "predicciones_api",
            "accesos_api",
            "trabajos",
            "respuestas_guardadas",
        ):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    with pytest.raises(StoreError):  # a reader does not change the tables
        settings.settings_log(place)
    settings.save_settings(place, settings.read_settings(place)[1], {"portfolio.lgd": 0.5}, who="ana", reason="as agreed")
    assert [entry["subject"] for entry in settings.settings_log(place)] == ["portfolio.lgd"]
