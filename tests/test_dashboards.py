"""What the dashboards show, as plain functions: figures, words, tables, charts, and what a reader gets wrong."""

import ast
import re
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
import yaml
from conftest import ROOT
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from quiebra.dashboards import company, executive, model, portfolio, stress
from quiebra.dashboards.base import Base
from quiebra.dashboards.controls import Chart
from quiebra.dashboards.look import brand_css, contrast, grade_colours, readable
from quiebra.dashboards.markup import Kpi, kpi_row, table
from quiebra.dashboards.page import PAGES, Page, frame_html
from quiebra.dashboards.pages.company import Company
from quiebra.dashboards.pages.executive import Executive
from quiebra.dashboards.pages.model import Model
from quiebra.dashboards.pages.portfolio import Portfolio
from quiebra.dashboards.pages.settings import Settings
from quiebra.dashboards.pages.stress import Stress
from quiebra.dashboards.rows import Column, Query, matching, shown
from quiebra.dashboards.stress import Case
from quiebra.dashboards.tearsheet import tear_sheet
from quiebra.dashboards.words import LANGUAGES, LOCALE, Words, _catalogue
from quiebra.errors import PanelError, SourceError, WorkspaceError
from quiebra.features import feature_table
from quiebra.items import ITEMS
from quiebra.models.term import COLUMNS
from quiebra.risk.shocks import KEYS, Shock, stressed
from quiebra.validation.verdict import TESTS
from quiebra.workspace import Workspace

EN, ES = Words("en"), Words("es")
SIX: dict[str, type[Page]] = {
    "executive": Executive, "company": Company, "portfolio": Portfolio, "stress": Stress, "model": Model, "settings": Settings,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(finished: Path) -> Base:
    return Base(Workspace(finished))


# words


def _said() -> set[str]:
    """Every text that the code hands to a translator."""
    found = {item.label for item in ITEMS} | {words for words, _ in TESTS.values()}
    for path in (ROOT / "src/quiebra/dashboards").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("words", "_", "markup", "mark") and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def test_every_text_has_its_spanish_words() -> None:
    from babel.messages.pofile import read_po

    with (LOCALE / "es.po").open("rb") as handle:
        catalogue = {m.id: m for m in read_po(handle, locale="es") if m.id}
    missing = sorted(text for text in _said() if text not in catalogue or not catalogue[text].string)
    assert not missing
    for message in catalogue.values():
        assert not message.fuzzy
        assert set(re.findall(r"{\w+}", message.id)) == set(re.findall(r"{\w+}", message.string)), message.id


def test_texts_said_in_spanish_differ_from_the_english() -> None:
    assert len(_catalogue("es")._catalog) > 300
    same = [text for text in _said() if ES(text) == text and re.search("[a-z]{3}", re.sub(r"{\w+}", "", text))]
    assert set(same) <= {"Sector", "Excel"}


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
    assert "<script>" not in table(["<script>"], [["<script>"]])


# tables

TABLE = pl.DataFrame({"company_id": ["A1", "B%", "c.*"], "name": ["Alfa", "Beta", "<b>"], "pd": [0.3, None, 0.1]})


@given(st.text(max_size=6))
def test_the_filter_takes_text_literally(text: str) -> None:
    wanted = text.strip().lower()
    expected = [r for r in TABLE.iter_rows() if not wanted or wanted in r[0].lower() or wanted in r[1].lower()]
    assert matching(TABLE, text).rows() == expected


@pytest.mark.parametrize("text", ["'; DROP TABLE empresas; --", "\" OR 1=1", "%", "[a-", "(", "\\"])
def test_the_search_box_is_no_place_for_sql_or_patterns(base: Base, text: str) -> None:
    assert company.find(base, text) == []


def test_a_table_sorts_pages_and_puts_missing_last() -> None:
    columns = [Column("name", "N", "company"), Column("pd", "PD", "number", EN.percent)]
    cells, count = shown(TABLE, columns, Query(sort="pd", descending=True, size=2), EN)
    assert cells == [[["A1", "Alfa"], "30.00\xa0%"], [["c.*", "<b>"], "10.00\xa0%"]]
    assert count == 3
    assert shown(TABLE, columns, Query(sort="pd", page=1, size=2), EN)[0] == [[["B%", "Beta"], "–"]]
    assert shown(TABLE, columns, Query(page=-5, size=0), EN)[0]  # what a browser sends is not trusted


def test_grades_sort_from_best_to_worst_not_by_the_alphabet() -> None:
    table = pl.DataFrame({"company_id": list("abcd"), "rating": ["B", "AAA", "A", "CCC"]})
    cells, _ = shown(table, [Column("rating", "R", "rating")], Query(sort="rating", descending=False), EN, ["AAA", "A", "B", "CCC"])
    assert [row[0] for row in cells] == ["AAA", "A", "B", "CCC"]


# pages


@pytest.mark.parametrize("name", SIX)
def test_a_page_draws_valid_charts_in_both_languages(name: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    page = SIX[name]()
    page.frame.opened = True
    for language in LANGUAGES:
        page.frame.language = language
        page.redraw()
        charts = _charts(page.body)
        for chart in charts:
            assert chart.spec["alt"]
            go.Figure(_plain(chart.spec["data"]), _plain(chart.spec["layout"]))  # raises where Plotly would not draw it
        assert len(charts) >= (0 if name == "settings" else 4)
        text = frame_html(page, Words(language))
        if name == "settings":
            continue
        assert "q-notice" not in text
        assert Words(language)("SIMULATED: these companies do not exist.") in text
        assert page.base.run["run_id"] in text
    assert not (finished / "data/logs/dashboards.log").exists()


def _charts(widget: object) -> list[Chart]:
    found = [widget] if isinstance(widget, Chart) else []
    return [*found, *(chart for child in getattr(widget, "children", ()) for chart in _charts(child))]


def _plain(value: object) -> object:
    if isinstance(value, str) and value.startswith("$"):
        return "#123456"
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def test_there_is_a_notebook_a_page() -> None:
    assert {path.stem for path in (ROOT / "dashboards").glob("*.ipynb")} == set(PAGES) == set(SIX)


def test_without_a_finished_run_every_page_says_what_to_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "data/scores/run.json").unlink()
    monkeypatch.chdir(workspace)
    for name, kind in SIX.items():
        if name == "settings":  # a setting that stops the run is mended there
            continue
        text = frame_html(kind(), ES)
        assert "quiebra run" in text
        assert "Todavía no hay nada" in text
    with FileLock(workspace / "data/.run.lock"):
        assert "Hay una ejecución en marcha" in frame_html(Executive(), ES)


def test_a_half_built_run_is_not_shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "data/panel/events.parquet").write_bytes(b"changed")
    assert "quiebra run" in frame_html(Executive(), EN)


def test_pages_keep_the_scale_that_the_scores_were_made_with(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    content = yaml.safe_load((workspace / "params.yaml").read_text())
    content["score"] |= {"grades": {"A": 0.01, "D": 1.0}, "watch_from": "D"}
    (workspace / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    base = Base(Workspace(workspace))
    assert "CCC" in base.params.score.grades
    assert sum(executive.grade_counts(base, EN)["now"].values()) == base.scores.height
    assert "q-notice" not in frame_html(Company(), EN)


def test_what_is_typed_in_and_uploaded_outlives_a_change_of_language(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    page = Company()
    page.frame.opened = True
    page.redraw()
    page.type_in.value = True
    page.fields["net_income"].value = -77.0
    page.called.value = "Mine"
    before = page.shown.score["pd_12m"]
    page.frame.language = "es"
    page.redraw()
    assert page.shown.score["pd_12m"] == before
    assert (page.fields["net_income"].value, page.shown.name) == (-77.0, "Mine")
    page = Portfolio()
    page.redraw()
    page.take("mine.csv", f"company_id,exposure\n{page.base.scores['company_id'][0]},5\n".encode())
    page.frame.language = "es"
    page.redraw()
    assert page._held().name == "mine.csv"
    page.choice.value = ""
    assert page._held().table.height == page.base.scores.height


def test_an_unknown_company_in_the_address_leaves_the_page_as_it_was(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    for kind in (Company, Stress):
        page = kind()
        page.frame.opened = True
        page.redraw()
        page.choose("NOPE")
        page.redraw()
        assert _charts(page.body)


def test_an_error_becomes_words_and_a_log_id_and_the_log_has_the_trace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    page = Executive()
    monkeypatch.setattr(executive, "kpis", lambda *_: 1 / 0)
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
    assert min(contrast(colour, readable(colour)) for colour in colours.values()) >= 4.5
    assert '.q-chip[data-value="A"]' in brand_css(["A", "B"])


# executive


def test_the_executive_figures_are_those_of_the_run(base: Base) -> None:
    kpis = {kpi.title: kpi for kpi in executive.kpis(base, EN)}
    scores = pl.read_parquet(base.workspace.scores / "scores.parquet")
    assert kpis["Companies"].value == EN.number(scores.height)
    assert kpis["Mean PD, one year"].value == EN.percent(scores["pd_12m"].mean())
    assert kpis["Expected loss"].value == EN.number(base.losses["expected_loss"], 1)
    assert kpis["On the watch list"].note == EN("{n} companies", n=scores["watch"].sum())
    assert kpis["Change on the month"].value == "–"
    assert sum(executive.grade_counts(base, EN)["now"].values()) == scores.height
    assert executive.migration(base).drop("from").sum_horizontal().sum() == base.before.height


def test_the_change_on_the_month_is_against_the_latest_run_of_an_earlier_month(workspace: Path) -> None:
    import sqlite3

    base = Base(Workspace(workspace))
    assert executive.month_before(base) is None
    with sqlite3.connect(workspace / "data/quiebra.db") as database:
        run = database.execute("SELECT * FROM ejecuciones").fetchone()
        names = [row[1] for row in database.execute("PRAGMA table_info(ejecuciones)")]
        earlier = dict(zip(names, run, strict=True)) | {"run_id": "0" * 12, "as_of": "2022-01-15", "is_current": 0}
        database.execute(f"INSERT INTO ejecuciones VALUES ({','.join('?' * len(names))})", list(earlier.values()))
        database.execute(
            "INSERT INTO predicciones (run_id, company_id, score_date, kind, fiscal_year, score_month, pd_12m, rating, watch) "
            "SELECT ?, company_id, '2022-01-15', kind, fiscal_year, '2022-01', 0.25, rating, watch FROM predicciones "
            "WHERE run_id = ? AND kind = 'current'", ("0" * 12, base.run["run_id"]),
        )  # fmt: skip
    assert executive.month_before(base) == pytest.approx(0.25)


# company


def test_what_is_said_of_a_company_adds_up(base: Base) -> None:
    subject = company.known(base, company.riskiest(base))
    steps = company.steps(subject, EN)
    assert subject.base + sum(effect for _, effect in steps) == pytest.approx(subject.score["log_odds"], abs=2e-3)
    pds, lows, highs = company.terms(subject.score)
    assert pds == sorted(pds)
    assert all(low <= pd <= high for low, pd, high in zip(lows, pds, highs, strict=True))
    moves = company.what_moves(subject, EN)
    assert all(now == pytest.approx(subject.score["pd_12m"]) for _, _, now, _ in moves)
    low, high = company.grade_bounds(base, subject.score["rating"])
    assert low < subject.score["pd_12m"] <= high
    blend = company.blend(base, subject)
    assert 0 <= blend["weight"] <= 1
    assert company.history(base, subject)["fiscal_year"].is_sorted()


def test_search_finds_by_name_and_id_and_puts_beginnings_first(base: Base) -> None:
    name = base.scores["name"][5]
    assert company.find(base, name)[0][0] == base.scores["company_id"][5]
    assert company.find(base, base.scores["company_id"][5].lower())[0][0] == base.scores["company_id"][5]
    assert company.find(base, "  ") == []
    with pytest.raises(PanelError, match="no company with the id"):
        company.known(base, "<script>")


def test_a_statement_typed_in_scores_as_the_same_statement_in_a_file(base: Base, tmp_path: Path) -> None:
    from quiebra.scoring import score_file

    items = company.defaults(base, None)
    items["gross_profit"] = items["revenue"] - items["cost_of_goods_sold"]
    subject = company.typed(base, "Mine", None, items)
    row = {"company_id": "X", "fiscal_year": subject.score["fiscal_year"], "available_at": str(base.as_of), **items}
    pl.DataFrame([row]).write_csv(tmp_path / "x.csv")
    assert score_file(base.workspace, tmp_path / "x.csv").table["pd_12m"][0] == pytest.approx(subject.score["pd_12m"], abs=1e-6)
    assert subject.base + sum(subject.parts.values()) == pytest.approx(subject.score["log_odds"])
    worse = company.typed(base, "Mine", None, items | {"net_income": -items["total_assets"], "ebit": -items["total_assets"],
        "ebitda": -items["total_assets"]})
    assert worse.score["pd_12m"] > subject.score["pd_12m"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_assets": -5.0}, "total_assets"), ({"total_assets": 0.0}, "total_assets"), ({"revenue": -1.0}, "revenue"),
        ({"current_assets": 1e6}, "current_assets"), ({"revenue": float("inf")}, "revenue"), ({"cash": 1e12}, "cash"),
        ({"current_liabilities": 1e6}, "current_liabilities"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_not_scored(base: Base, changes: dict, field: str) -> None:
    items = company.defaults(base, None) | changes
    assert field in company.faults(items)
    with pytest.raises(PanelError, match=field):
        company.typed(base, "", None, items)


def test_defaults_are_a_sound_company_of_each_sector(base: Base) -> None:
    for sector in [None, *base.scores["sector"].unique()]:
        assert company.faults(company.defaults(base, sector)) == {}


@pytest.mark.parametrize("words", [EN, ES], ids=LANGUAGES)
def test_the_tear_sheet_stands_alone_and_says_what_the_page_says(base: Base, words: Words) -> None:
    subject = company.known(base, company.riskiest(base))
    sheet = tear_sheet(base, subject, words)
    assert words.percent(subject.score["pd_12m"]) in sheet
    assert subject.name in sheet
    assert base.run["run_id"] in sheet
    assert words("SIMULATED: these companies do not exist.") in sheet
    assert "http" not in sheet


# portfolio

BAD = b"company_id,exposure,lgd\n%s,5,0.4\n%s,abc,0.4\n%s,3,\nZZZ,4,\n%s,-4,\n,4,\n<script>alert(1)</script>,2,\n"


def test_a_file_with_bad_rows_is_scored_without_them_and_they_are_listed(base: Base) -> None:
    ids = [i.encode() for i in base.scores["company_id"][:3]]
    held = portfolio.of_upload(base, "mine.csv", BAD % (ids[0], ids[1], ids[0], ids[2]), EN)
    assert held.table["company_id"].to_list() == [ids[0].decode()]
    assert held.faults["row"].to_list() == [3, 4, 5, 6, 7, 8]
    assert "not a number" in held.faults["problem"][0]
    assert "there twice" in held.faults["problem"][1]
    assert held.report["exposure"] == 5.0


def test_statements_with_bad_rows_are_scored_without_them(base: Base) -> None:
    latest = base.statements.join(base.scores.select(KEYS), on=KEYS, how="semi").head(8).drop("currency", "source")
    rows = latest.with_columns(pl.col("revenue").cast(pl.String), exposure=pl.lit(2.0))
    rows = rows.with_columns(
        revenue=pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("many")).otherwise("revenue"),
        total_assets=pl.when(pl.int_range(pl.len()) == 2).then(-1.0).otherwise("total_assets"),
        exposure=pl.when(pl.int_range(pl.len()) == 3).then(-1.0).otherwise("exposure"),
    )
    told = []
    held = portfolio.of_upload(base, "mine.csv", rows.write_csv().encode(), ES, told.append)
    assert held.faults["row"].to_list() == [3, 4, 5]
    assert "revenue" in held.faults["problem"][0]
    assert "total_assets" in held.faults["problem"][1]
    assert held.table.height == 5
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.pdf", b"%PDF-1.4", "Only files ending in"), ("x.csv", b"", "empty"), ("x.csv", b"a,b\n1,2\n", "take the template"),
        ("x.csv", b"company_id,exposure\n", "no rows"), ("x.xlsx", b"not a workbook", "x.xlsx cannot be read"),
        ("x.csv", b"company_id,fiscal_year,total_assets\nA,2020,5\n", "total_liabilities"),
        ("x.csv", "company_id,exposure\nA,añ\n".encode("latin-1"), "UTF-8"), ("x.csv", b"company_id,exposure\nNOBODY,3\n",
            "No row"),
        ("x.csv", b"0" * (portfolio.LARGEST + 1), "is the most"),
    ],
    ids=["kind", "empty", "columns", "no rows", "damaged", "lacks one", "encoding", "unknown", "large"],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_the_remedy(base: Base, name: str, content: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words) as error:
        portfolio.of_upload(base, name, content, EN)
    assert "/tmp" not in str(error.value)


def test_the_template_can_be_uploaded_as_it_is(base: Base) -> None:
    held = portfolio.of_upload(base, "template.xlsx", portfolio.template(), EN)
    assert held.table.height == 2
    assert held.faults.is_empty()
    assert held.report["exposure"] == pytest.approx(2.3)


def test_downloads_hold_the_table_and_no_formula(base: Base, tmp_path: Path) -> None:
    held = portfolio.of_run(base, EN)
    table = held.table.with_columns(name=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("=1+1")).otherwise("name"))
    (tmp_path / "x.xlsx").write_bytes(portfolio.excel(table))
    back = pl.read_excel(tmp_path / "x.xlsx")
    assert back["pd_12m"].to_list() == pytest.approx(table["pd_12m"].to_list())
    assert back["name"][0] == "=1+1"  # as text
    lines = portfolio.csv(table).decode().splitlines()
    assert len(lines) == table.height + 1
    assert "'=1+1" in lines[1]


def test_a_statement_without_exposure_beside_others_is_a_fault(base: Base) -> None:
    latest = base.statements.join(base.scores.select(KEYS), on=KEYS, how="semi").head(3).drop("currency", "source")
    rows = latest.with_columns(exposure=pl.Series([250.0, None, 250.0]))
    held = portfolio.of_upload(base, "mine.csv", rows.write_csv().encode(), EN)
    assert held.faults["row"].to_list() == [3]
    with pytest.raises(SourceError, match="No row"):
        portfolio.of_upload(base, "mine.csv", rows.with_columns(exposure=0.0).write_csv().encode(), EN)


def test_saved_portfolios_are_offered_and_cannot_lead_elsewhere(workspace: Path) -> None:
    base = Base(Workspace(workspace))
    folder = workspace / "data/raw/portfolios"
    folder.mkdir(parents=True)
    some = base.scores.head(3).select("company_id", exposure=pl.lit(10.0))
    some.write_csv(folder / "small.csv")
    assert portfolio.saved(base) == ["", "small.csv"]
    assert portfolio.of_saved(base, "small.csv", EN).table.height == 3
    with pytest.raises(SourceError, match="no file"):
        portfolio.of_saved(base, "../../../params.yaml", EN)


# stress


def test_nothing_happening_changes_nothing(base: Base) -> None:
    assert_frame_equal(stress.under(base, Case()), stress.now(base).sort("company_id"), check_exact=False)


def test_scenarios_and_shocks_of_params_give_what_the_stage_wrote(base: Base) -> None:
    found = stress.under(base, Case(stress.shifts_of_scenario(base, "severe")))
    wrote = base.scenarios.filter(scenario="severe").sort("company_id")
    assert found["pd_12m"].to_list() == pytest.approx(wrote["pd_12m"].to_list(), rel=1e-9)
    assert stress.economy_of(base, stress.shifts_of_economy(base, 1.3)) == pytest.approx(1.3)
    name = "a fifth less revenue"
    found = stress.under(base, Case(shock=stress.shock_of(stress.preset(base, name))))
    assert found["pd_12m"].to_list() == pytest.approx(base.shocks.filter(shock=name).sort("company_id")["pd_12m"].to_list(),
        abs=1e-9)


def test_a_worse_economy_is_worse_for_everybody_and_one_company_is_as_among_all(base: Base) -> None:
    bad = Case(stress.shifts_of_economy(base, 2.0), Shock(revenue=-0.1))
    calm, worse = stress.under(base, Case(stress.shifts_of_economy(base, 1.0))), stress.under(base, bad)
    assert (calm["pd_12m"] > stress.now(base).sort("company_id")["pd_12m"]).all()
    one = base.scores["company_id"][7]
    alone = stress.under(base, bad, one)
    assert alone.select(COLUMNS).row(0) == pytest.approx(worse.filter(company_id=one).select(COLUMNS).row(0), abs=1e-9)
    assert stress.totals(base, calm)["loss"] > stress.totals(base, stress.now(base))["loss"]
    assert stress.moves(base, calm).drop("from").sum_horizontal().sum() == base.scores.height


def test_fewer_peers_give_the_same_figures(base: Base) -> None:
    keys = base.scores.select(KEYS)
    few, all_ = (
        stressed(base.model, base.statements, base.companies, peers, keys, {"x": Shock(revenue=-0.3)}, base.params.score)
        for peers in (base.peers, base.features)
    )
    assert base.peers.height < base.features.height
    assert_frame_equal(few, all_, check_exact=True)


def test_rows_asked_for_alone_have_the_same_features(base: Base) -> None:
    keys = base.scores.select(KEYS)
    whole = feature_table(base.statements, base.companies, base.features).join(keys, on=KEYS, how="semi")
    assert_frame_equal(feature_table(base.statements, base.companies, base.features, keys), whole)


# model


def test_the_model_page_reads_what_validation_and_the_register_wrote(base: Base) -> None:
    years = model.auc_by_year(base, EN)
    assert [p[1] for p in years["model"]] == [base.metrics["by_year"][str(p[0])]["auc"] for p in years["model"]]
    assert [p[0] for p in years["Altman alone"]] == [p[0] for p in years["model"]]
    strongest = model.importance(base, ES, 3)
    assert strongest[0][2] >= strongest[1][2] >= strongest[2][2] > 0
    assert model.drift(base, EN)["status"][0] in ("alarm", "watch", "ok")
    lineage = dict(model.lineage(base, EN))
    assert lineage["Run"] == base.run["run_id"]
    assert lineage["Model, SHA-256"] == base.run["model_sha256"]
    assert len(model.register(base)) == 1


def test_a_score_made_before_contributions_were_kept_asks_for_a_run(workspace: Path) -> None:
    (workspace / "data/scores/contributions.parquet").unlink()
    with pytest.raises(WorkspaceError, match="quiebra run"):
        Base(Workspace(workspace)).check()
