"""The dashboards' pages as widgets: words, tables, charts that Plotly can draw, and errors that become words."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
import yaml
from conftest import ROOT
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Widget

from quiebra.dashboards.pages.base import PAGE_TITLES, Page, frame_html
from quiebra.dashboards.pages.company import CompanyPage
from quiebra.dashboards.pages.executive import ExecutivePage
from quiebra.dashboards.pages.model import ModelPage
from quiebra.dashboards.pages.portfolio import PortfolioPage
from quiebra.dashboards.pages.settings import SettingsPage
from quiebra.dashboards.pages.stress import StressPage
from quiebra.dashboards.pages.work import WorkPage
from quiebra.dashboards.server.app import TokenFilter
from quiebra.dashboards.widgets.controls import Chart
from quiebra.dashboards.widgets.markup import Kpi, html_table, kpi_row
from quiebra.dashboards.widgets.theme import brand_css, contrast_ratio, grade_colours, readable_on
from quiebra.errors import LocalisedMessage, PanelError, SourceError, WorkspaceError
from quiebra.models import PdModel
from quiebra.services import company
from quiebra.services import overview as executive
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.settings import save_settings
from quiebra.services.stress import StressCase
from quiebra.services.table_rows import TableColumn, TableQuery, match_rows, page_of_rows
from quiebra.sources.cells import require_columns
from quiebra.sources.reading import read_file
from quiebra.text.words import LANGUAGES, Words
from quiebra.workspace import Workspace

EN, ES = Words("en"), Words("es")
PAGES: dict[str, type[Page]] = {
    "executive": ExecutivePage,
    "company": CompanyPage,
    "portfolio": PortfolioPage,
    "stress": StressPage,
    "model": ModelPage,
    "settings": SettingsPage,
    "work": WorkPage,
}


def test_numbers_and_dates_go_by_the_language() -> None:
    assert EN.number(12345.678, 2) == "12,345.68"
    assert ES.number(12345.678, 2) == "12.345,68"
    assert ES.percent(0.01234) == "1,23\xa0%"
    assert EN.date("2025-06-30") == "June 30, 2025"
    assert ES.date("2025-06-30") == "30 de junio de 2025"
    assert EN.percent(None) == ES.number(None) == "–"


def test_values_put_into_markup_are_escaped() -> None:
    assert "<script>" not in EN.markup(" The riskiest are {names}.", names="<script>alert(1)</script>")
    assert "<script>" not in kpi_row([Kpi("<script>", "<b>", "<i>")])
    assert "<script>" not in html_table(["<script>"], [["<script>"]])


# tables

TABLE = pl.DataFrame({"company_id": ["A1", "B%", "c.*"], "name": ["Alfa", "Beta", "<b>"], "pd": [0.3, None, 0.1]})


@given(st.text(max_size=6))
def test_the_filter_takes_text_literally(text: str) -> None:
    wanted = text.strip().lower()
    expected = [r for r in TABLE.iter_rows() if not wanted or wanted in r[0].lower() or wanted in r[1].lower()]
    assert TABLE.filter(match_rows(TABLE, text)).rows() == expected


def test_the_filter_looks_at_what_the_reader_sees() -> None:
    frame = TABLE.with_columns(status=pl.Series(["alarm", "ok", "watch"]), hidden=pl.lit("secret"))
    columns = [
        TableColumn("name", "N", "company"),
        TableColumn("status", "S", "status"),
        TableColumn("pd", "PD", "number", EN.percent),
    ]

    def names(text: str, words: Words = ES) -> list[str]:
        return [cells[0][1] for cells in page_of_rows(frame, columns, TableQuery(text=text), words)[0]]

    assert names("vigilancia") == ["<b>"] and names("watch") == []
    assert names("watch", EN) == ["<b>"] and names("b%") == ["Beta"] and names("secret") == []


def test_a_company_that_the_base_lacks_is_no_link() -> None:
    frame = TABLE.with_columns(known=pl.Series([True, False, True]))
    cells, _ = page_of_rows(frame, [TableColumn("name", "N", "company")], TableQuery(), EN)
    assert cells == [[["A1", "Alfa"]], [["", "Beta"]], [["c.*", "<b>"]]]


@pytest.mark.parametrize("text", ["'; DROP TABLE empresas; --", '" OR 1=1', "%", "[a-", "(", "\\"])
def test_the_search_box_is_no_place_for_sql_or_patterns(base: FinishedRunView, text: str) -> None:
    assert company.find_companies(base, text) == []


def test_a_table_sorts_pages_and_puts_missing_last() -> None:
    columns = [TableColumn("name", "N", "company"), TableColumn("pd", "PD", "number", EN.percent)]
    cells, count = page_of_rows(TABLE, columns, TableQuery(sort="pd", descending=True, size=2), EN)
    assert cells == [[["A1", "Alfa"], "30.00\xa0%"], [["c.*", "<b>"], "10.00\xa0%"]]
    assert count == 3
    assert page_of_rows(TABLE, columns, TableQuery(sort="pd", page=1, size=2), EN)[0] == [[["B%", "Beta"], "–"]]
    assert page_of_rows(TABLE, columns, TableQuery(page=-5, size=0), EN)[0]  # what a browser sends is not trusted


def test_grades_sort_from_best_to_worst_not_by_the_alphabet() -> None:
    table = pl.DataFrame({"company_id": list("abcd"), "rating": ["B", "AAA", "A", "CCC"]})
    cells, _ = page_of_rows(
        table, [TableColumn("rating", "R", "rating")], TableQuery(sort="rating", descending=False), EN, ["AAA", "A", "B", "CCC"]
    )
    assert [row[0] for row in cells] == ["AAA", "A", "B", "CCC"]


# pages


@pytest.mark.parametrize("name", PAGES)
def test_a_page_draws_valid_charts_in_both_languages(
    name: str, finished: Path, monkeypatch: pytest.MonkeyPatch, untranslated: set[str]
) -> None:
    monkeypatch.chdir(finished)
    page = PAGES[name]()
    page.frame.opened = True
    for language in LANGUAGES:
        page.frame.language = language
        page.redraw()
        charts = _charts(page.body)
        for chart in charts:
            assert chart.spec["alt"]
            go.Figure(_plain(chart.spec["data"]), _plain(chart.spec["layout"]))  # raises where Plotly would not draw it
        assert len(charts) >= (0 if name in ("settings", "work") else 4)
        text = frame_html(page, Words(language))
        if name == "settings":
            continue
        assert "q-notice" not in text
        assert f"{Words(language)('SIMULATED')}: {Words(language)('These companies do not exist.')}" in text
        assert page.view.run["run_id"] in text
    assert not (finished / "data/logs/dashboards.log").exists()
    assert not untranslated


def _charts(widget: object) -> list[Chart]:
    found = [widget] if isinstance(widget, Chart) else []
    return [*found, *(chart for child in getattr(widget, "children", ()) for chart in _charts(child))]


def _plain(value: object) -> object:
    if isinstance(value, str) and value.startswith("$"):
        return "#123456"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_from_what_the_run_wrote_and_scores_nothing(
    name: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)

    def refuse(*_: object) -> None:
        raise AssertionError("scored at page load")

    for method in ("predict", "explain"):
        monkeypatch.setattr(PdModel, method, refuse)
    page = PAGES[name]()
    page.redraw()
    assert page.ready
    assert "q-notice" not in frame_html(page, EN)


def test_where_the_database_does_not_answer_no_alert_is_made_up_or_away(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("QUIEBRA_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    base = FinishedRunView(Workspace(workspace))
    assert {kpi.title: kpi.value for kpi in executive.headline_figures(base, EN)}["Alerts open"] == "–"
    assert company.decisions_on_company(base, base.scores["company_id"][0], EN) == [
        "The database does not answer: alerts and analysts' grades are not shown."
    ]
    page = SettingsPage()
    page.redraw()
    assert page.ready
    assert "does not answer" in page.log_note.value


def test_a_setting_that_params_lack_can_be_given_on_the_page(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    del content["portfolio"]["lgd"]
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    page = SettingsPage()
    page.frame.language = "es"
    page.redraw()
    assert page.ready
    page.preview()
    assert "portfolio.lgd: falta" in page.shown.value  # in the reader's language
    page.fields["portfolio.lgd"].value = "0,4"  # as it is typed in Spanish
    assert "+  lgd: 0.4" in page.shown.value


def test_there_is_a_notebook_a_page() -> None:
    assert {path.stem for path in (ROOT / "dashboards").glob("*.ipynb")} == set(PAGE_TITLES) == set(PAGES)


def test_without_a_finished_run_every_page_says_what_to_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "data/scores/run.json").unlink()
    monkeypatch.chdir(workspace)
    for name, kind in PAGES.items():
        if name == "settings":  # a setting that stops the run is mended there
            continue
        text = frame_html(kind(), ES)
        assert "quiebra run" in text
        assert "Todavía no hay nada" in text
    with FileLock(workspace / "data/.run.lock"):
        assert "Hay una ejecución en marcha" in frame_html(ExecutivePage(), ES)


def test_a_half_built_run_is_not_shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "data/panel/events.parquet").write_bytes(b"changed")
    assert "quiebra run" in frame_html(ExecutivePage(), EN)


def test_pages_keep_the_scale_that_the_scores_were_made_with(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["score"] |= {"grades": {"A": 0.01, "D": 1.0}, "watch_from": "D"}
    content["alerts"]["rules"] = {}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    base = FinishedRunView(Workspace(workspace))
    assert "CCC" in base.params.score.grades
    assert sum(executive.grade_counts(base, EN)["now"].values()) == base.scores.height
    assert "q-notice" not in frame_html(CompanyPage(), EN)


def test_what_is_typed_in_and_uploaded_outlives_a_change_of_language(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    page = CompanyPage()
    page.frame.opened = True
    page.redraw()
    page.type_in.value = True
    page.fields["net_income"].value = "-77.5"
    page.fields["inventory"].value = ""  # missing, not zero
    page.listed.value = False
    page.called.value = "Mine"
    before = page.shown.score["pd_12m"]
    assert page.shown.statement["inventory"] is None
    assert page.shown.score["scorer"] == "accounting"
    page.frame.language = "es"
    page.redraw()
    assert page.shown.score["pd_12m"] == before
    assert (page.fields["net_income"].value, page.fields["inventory"].value, page.shown.name) == ("-77,5", "", "Mine")
    assert not page.listed.value
    page.fields["net_income"].value = "much"
    assert "no es un número" in page.notes["net_income"].value
    assert page.shown.score["pd_12m"] == before
    page = PortfolioPage()
    page.redraw()
    page.take("mine.csv", f"company_id,exposure\n{page.view.scores['company_id'][0]},5\n".encode())
    page.frame.language = "es"
    page.redraw()
    assert page.held.name == "mine.csv"
    page.choice.value = ""
    assert page.held.table.height == page.view.scores.height


def test_an_unknown_company_in_the_address_leaves_the_page_as_it_was(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    for kind in (CompanyPage, StressPage):
        page = kind()
        page.frame.opened = True
        page.redraw()
        page.choose("NOPE")
        page.redraw()
        assert _charts(page.body)


def test_an_error_becomes_words_and_a_log_id_and_the_log_has_the_trace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    page = ExecutivePage()
    monkeypatch.setattr(executive, "headline_figures", lambda *_: 1 / 0)
    for text in (frame_html(page, EN), page.draw()[0].value):
        log_id = re.search(r"<code>(\w{8})</code>", text)[1]
        assert "Traceback" not in text
        assert "ZeroDivisionError" not in text
        log = (workspace / "data/logs/dashboards.log").read_text()
        assert log_id in log
        assert "ZeroDivisionError" in log
    said = []
    monkeypatch.setattr(page.frame, "say", lambda text, kind="warning": said.append((kind, text)))
    page.guarded(lambda: 1 / 0)()
    assert said[0][0] == "error"
    assert "ZeroDivisionError" not in said[0][1]


def test_grades_can_be_read_on_their_colours() -> None:
    colours = grade_colours(list("ABCDEFGHI"))
    assert len(set(colours.values())) == 9
    assert min(contrast_ratio(colour, readable_on(colour)) for colour in colours.values()) >= 4.5
    assert '.q-chip[data-value="A"]' in brand_css(["A", "B"])


LAUNCHER = """
import enum, os, sys
import only_the_launcher
from jupyter_client.manager import start_new_kernel
from quiebra.dashboards.server.kernels import start_kernel_factory

class Name(str, enum.Enum):
    OF_A_SERVER = "NAME_OF_A_SERVER"

if __name__ == "__main__":
    start_kernel_factory()
    manager, client = start_new_kernel(env={**os.environ, Name.OF_A_SERVER: "given"})
    code = ("import os, sys, comm; print(sorted(comm.get_comm_manager().targets), os.environ['NAME_OF_A_SERVER'], "
            "sorted({'only_the_launcher', 'voila', 'typer'} & {m for m in sys.modules if m}), "
            "'quiebra.dashboards.pages.stress' in sys.modules)")
    client.execute_interactive(code, timeout=60)
    manager.shutdown_kernel(now=True)
"""


@pytest.mark.slow
def test_a_forked_kernel_can_give_all_widgets_at_once_and_imports_no_server(tmp_path: Path) -> None:
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    (tmp_path / "only_the_launcher.py").write_text("")
    env = {**os.environ, "JUPYTER_DEFAULT_PROVISIONER_NAME": "quiebra-fork", "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "launcher.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert "['jupyter.widget', 'jupyter.widget.control'] given [] True" in done.stdout, done.stderr


def test_messages_from_below_are_said_in_the_readers_language(tmp_path: Path) -> None:
    path = tmp_path / "firms.csv"
    path.write_text("company_id,exposuer\nA,1\n")
    with pytest.raises(SourceError, match="did you mean 'exposuer'") as caught:
        require_columns(read_file(path), ["company_id", "exposure"])
    assert ES.say(caught.value.said).startswith("a firms.csv le faltan columnas: 'exposure' (¿quería decir 'exposuer'?)")
    error = PanelError("{name}: no row can be scored. {list}", name="f", list=[LocalisedMessage("an amount is infinite"), "x"])
    assert str(error) == "f: no row can be scored. an amount is infinite; x"
    assert ES.say(error.said) == "f: no se puede puntuar ninguna fila. un importe es infinito; x"
    assert str(PanelError("as {it} is")) == "as {it} is"  # nothing to fill in


def test_an_open_page_does_not_mix_two_runs(workspace: Path) -> None:
    base = FinishedRunView(Workspace(workspace))
    base.check()
    assert base.scores.height and base.statements.height
    path = workspace / "data/features/features.parquet"  # the next run has got as far as this
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert base.scores.height and base.statements.height
    with pytest.raises(WorkspaceError, match="reload the page"):
        _ = base.features
    assert FinishedRunView(Workspace(workspace)).features.height


def test_a_shock_of_params_is_taken_as_it_is_and_a_moved_lever_makes_it_the_readers_own(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workspace / "data/stress/portfolio.json"
    record = json.loads(path.read_text())
    record["options"]["stress"]["shocks"]["collapse"] = {"revenue": -0.75}
    path.write_text(json.dumps(record))
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("  shocks:\n", "  shocks:\n    since then:\n      revenue: -0.1\n", 1))
    monkeypatch.chdir(workspace)
    page = StressPage()
    page.redraw()
    assert page.ready
    assert "since then" not in dict(page.preset.options), "a page shows what its run was made with"
    page.preset.value = "collapse"
    assert page.case().shock.revenue == -0.75 and page.preset.value == "collapse"
    page.levers["margin"].value = -0.02
    assert page.preset.value == "" and page.case().shock.revenue == -0.75 and page.case().shock.margin == -0.02
    page.frame.language = "es"
    page.redraw()
    assert page.case().shock.revenue == -0.75 and page.levers["revenue"].value == -0.75
    page.economy["GDP_GROWTH"].value = -1.5
    assert page.case().moves == {"GDP_GROWTH": -1.5} and page.scenario.value == ""
    page.scenario.value = "severe"
    assert page.case().moves == {"GDP_GROWTH": -2.0} and page.economy["GDP_GROWTH"].value == -2.0
    page.reset()
    assert page.case() == StressCase()


def test_a_table_stays_sorted_and_filtered_when_the_language_changes(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    page = StressPage()
    page.redraw()
    page.table.query = {**page.table.query, "text": "a", "sort": "name", "descending": False}
    names, matching = [cells[0][1] for cells in page.table.cells], page.table.matching
    page.frame.language = "es"
    page.redraw()
    assert [cells[0][1] for cells in page.table.cells] == names and page.table.matching == matching


def test_settings_that_were_typed_outlive_a_change_of_language(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    page = SettingsPage()
    page.redraw()
    page.fields["portfolio.lgd"].value, page.reason.value = "0.5", "as agreed"
    page.frame.language = "es"
    page.redraw()
    assert page.fields["portfolio.lgd"].value == "0,5" and page.reason.value == "as agreed"
    assert page.edits() == {"portfolio.lgd": 0.5}


def test_a_change_of_language_does_not_save_over_what_somebody_else_saved(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    page = SettingsPage()
    page.redraw()
    page.fields["portfolio.lgd"].value = "0.5"
    path = workspace / "params.yaml"
    path.write_text(path.read_text().replace("lgd: 0.45", "lgd: 0.6"))
    page.frame.language = "es"
    page.redraw()
    with pytest.raises(WorkspaceError, match="somebody else changed"):
        save_settings(page.view.workspace, page.version, page.edits(), who="ana", reason="as agreed")
    assert "lgd: 0.6" in path.read_text()


def test_the_settings_page_comes_back_once_params_are_mended(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    path = workspace / "params.yaml"
    text = path.read_text()
    path.write_text(": no yaml [")
    page = SettingsPage()
    page.redraw()
    assert not page.ready
    path.write_text(text)
    page.redraw()
    assert page.ready


@pytest.mark.parametrize("name", PAGE_TITLES)
def test_a_redrawn_page_leaves_no_widget_behind(name: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    page = PAGES[name]()
    page.redraw()
    counts = []
    for language in ("es", "en", "es"):
        page.frame.language = language
        page.redraw()
        counts.append(len(Widget.get_manager_state()["state"]))
    assert counts[0] == counts[2]


def test_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("quiebra.test")
    logger.addFilter(TokenFilter())
    logger.error("Uncaught exception %s\n%r", "GET /x", "HTTPServerRequest(uri='/x?token=SECRET-1&a=b')")
    assert "SECRET" not in caplog.text and "a=b" in caplog.text
    logger.error("next=%%2F%%3Ftoken%%3DSECRET-2 %s", "end")
    assert "SECRET" not in caplog.text and "end" in caplog.text
    assert TokenFilter().filter(logging.LogRecord("x", logging.ERROR, "", 0, "%s %s", ("one",), None))
