"""What people read has none of the faults that a careful editor would mark, in any page, report, mail and file, in both languages."""

from __future__ import annotations

import inspect
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from faults_in_words import FAULTS, faults, faults_of, pieces
from ipywidgets import HTML, Text, Textarea, Widget
from said import counted
from test_dashboards import PAGES
from test_delivery import told  # noqa: F401
from typer.testing import CliRunner

from quiebra.cli.app import app
from quiebra.dashboards.pages.base import frame_html
from quiebra.dashboards.pages.company_sheet import company_page_html as page_to_print
from quiebra.dashboards.widgets.controls import Chart, Table
from quiebra.delivery import message_texts as letters
from quiebra.io.exports import to_csv, to_excel
from quiebra.params import Params
from quiebra.registry.comparison import comparison_in_words
from quiebra.reports.risk_report import risk_report
from quiebra.reports.tear_sheet import tear_sheet
from quiebra.reports.validation_report import validation_report
from quiebra.services import company as of_company
from quiebra.services import portfolio
from quiebra.services.finished_run import FinishedRunView
from quiebra.services.scoring import score_file
from quiebra.services.table_rows import TableQuery, page_of_rows
from quiebra.store import connect
from quiebra.text.words import LANGUAGES, Words, with_full_stop
from quiebra.workspace import Workspace

SAMPLES = {
    "power of ten": ("Net income / assets −0.2 (typical -5.1e-05)", "typical 1.2e-7", "1e+16 million"),
    "hyphen for a minus sign": ("EBIT is -2 % of assets", "(-0.5)", "-3.1"),
    "plural after a one": ("1 alerts stand", "some 1 failures", "Hay 1 alertas en pie", "within 1 years"),
    "plural in brackets": ("3 row(s) left out", "2 valor(es)", "falta(n)"),
    "two full stops": ("Paid to ACME S.A..", "is late.. It pays"),
    "no value": ("owner: None", "PD nan %", "from inf"),
    "hole in a sentence": ("EBITDA from – to – of assets would halve the PD", "EBITDA del – al 3 %", "the PD is –"),
    "place not filled in": ("{n} companies",),
    "label cut short": ("Wholesale and ret…", "Wholesale and ret… trade"),
    "arithmetic of a rule": ("high PD: one-year PD 12.3 % (from 10.0 % on)", "PD alta: 12,3 % (desde 10,0 %)"),
    "untranslated": ("La PD is the median of its sector", "más que en nine companies"),
}
SOUND = (
    "Liabilities are 85 % of assets, more than in nine of ten companies of its sector.",
    "EBIT is −2 % of assets.",
    "2016-2021",
    "SIM-00001",
    "1 alert stands on 1 company, 12 failures",
    "Paid to ACME S.A.",
    "as of 2023-06-30",
    "0.001 %",
    "…and 3 more",
    "in 1 of 6 measures",
    "3e4b5f12a9c0",
    "from 1.2 % to 3 %",
)


def test_each_kind_of_fault_is_found_and_sound_text_is_not() -> None:
    assert set(SAMPLES) == {*FAULTS, "untranslated"}
    for name, texts in SAMPLES.items():
        for text in texts:
            assert name in faults(text, "es" if name == "untranslated" else "en"), (name, text)
    assert [found for text in SOUND if (found := faults(text))] == []
    assert faults("El pasivo es el 85 % del activo, más que en nueve de cada diez empresas de su sector.", "es") == {}
    assert faults("De Simulated company of the sector", "es", known=["Simulated company of the sector"]) == {}


@pytest.fixture(scope="module")
def data(finished: Path) -> set[str]:
    """Names, sectors and regions: data, whatever the language."""
    table = pl.read_parquet(finished / "data/panel/companies.parquet")
    return {value for name in ("name", "sector", "region", "country") for value in table[name].drop_nulls().to_list()}


def spoken(widget: Any) -> Iterator[str]:
    """Yield every text of a widget and of those in it; what a reader types is theirs."""
    if isinstance(widget, HTML):
        yield from pieces(widget.value)
    if isinstance(widget, Table):
        yield from (column["label"] for column in widget.columns)
        rows, _ = page_of_rows(widget.frame, widget.formats, TableQuery(size=200), widget.words, widget.grades)
        yield from (str(part) for row in rows for cell in row for part in (cell[1:] if isinstance(cell, list) else [cell]))
        yield from (text for text in widget.says.values() if isinstance(text, str) and "{" not in text)
    if isinstance(widget, Chart):
        yield from _of_chart(widget.spec)
    for name in ("description", "placeholder", "label"):
        if isinstance(value := getattr(widget, name, None), str):
            yield value
    if not isinstance(widget, Text | Textarea):
        yield from (str(option[0] if isinstance(option, tuple) else option) for option in getattr(widget, "options", ()) or ())
    for child in getattr(widget, "children", ()):
        if isinstance(child, Widget):
            yield from spoken(child)


def _of_chart(spec: dict[str, Any]) -> Iterator[str]:
    yield spec.get("alt", "")
    for trace in spec.get("data", ()):
        for name in ("name", "text", "labels", "y", "x", "customdata"):
            values = trace.get(name, ())
            flat = (
                [values] if isinstance(values, str) else [v for row in values for v in (row if isinstance(row, list) else [row])]
            )
            yield from (value for value in flat if isinstance(value, str))
    layout = spec.get("layout", {})
    for axis in ("xaxis", "yaxis"):
        yield layout.get(axis, {}).get("title", {}).get("text", "")
        yield from layout.get(axis, {}).get("ticktext", ())
    yield from (note["text"] for note in layout.get("annotations", ()))


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str, finished: Path, monkeypatch: pytest.MonkeyPatch, data: set[str]) -> None:
    monkeypatch.chdir(finished)
    page = PAGES[name]()
    page.frame.opened = True
    for language in LANGUAGES:
        page.frame.language = language
        page.redraw()
        texts = [*spoken(page.body), *pieces(frame_html(page, Words(language)))]
        assert len(texts) > 20
        # the settings are shown as they stand in params.yaml
        but = ("place not filled in", "hyphen for a minus sign", "untranslated") if name == "settings" else ()
        assert faults_of({name: texts}, language, data, but) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_reports_and_tear_sheets(language: str, finished: Path, monkeypatch: pytest.MonkeyPatch, data: set[str]) -> None:
    monkeypatch.chdir(finished)
    options = {"report": {"lang": language}}
    safest = pl.read_parquet("data/scores/scores.parquet").sort("pd_12m")["company_id"][0]
    of = {
        "risk": risk_report(options),
        "validation": validation_report(options),
        "riskiest": tear_sheet("", options),
        "safest": tear_sheet(safest, options),
    }
    texts = {}
    for title, report in of.items():
        for name, part in inspect.getmembers(type(report), inspect.isfunction):
            if not name.startswith("_") and len(inspect.signature(part).parameters) == 1:
                made = getattr(report, name)()
                if isinstance(made, str):
                    texts[f"{title}.{name}"] = [cell.replace("\\", "") for line in made.splitlines() for cell in line.split("|")]
    assert len(texts) > 40
    assert faults_of(texts, language, data) == []


def test_built_reports_and_executed_notebooks(finished: Path, data: set[str]) -> None:
    pages = {path.name: pieces(path.read_text(encoding="utf-8")) for path in (finished / "reports/build").glob("*.html")}
    assert set(pages) == {"risk_report.html", "validation_report.html"}
    books = {path.name: _outputs(path) for path in (finished / "data").rglob("*.ipynb")}
    assert len(books) > 5
    assert faults_of({**pages, **books}, "en", data) == []


def _outputs(path: Path) -> list[str]:
    texts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            said = output.get("text") or output.get("data", {}).get("text/markdown") or ""
            texts += [cell.replace("\\", "") for line in "".join(said).splitlines() for cell in line.split("|")]
    return texts


def test_mails_and_messages(workspace: Path, told: Params, data: set[str]) -> None:  # noqa: F811
    there = Workspace(workspace)
    shutil.copytree(there.build, there.build / "es")
    engine = connect(f"sqlite:///{workspace / 'data' / 'quiebra.db'}")
    channels = {
        f"{kind}_{language}": {
            "kind": kind,
            "lang": language,
            "digest_above": above,
            **({"recipients": ["a@example.com"]} if kind == "mail" else {}),
        }
        for language in LANGUAGES
        for kind, above in (("mail", 1), ("webhook", 1000))
    }
    content = told.model_dump(by_alias=True)
    content["delivery"]["channels"] = channels
    params = Params.model_validate(content)
    for language in LANGUAGES:
        lang = params.model_copy(update={"report": params.report.model_copy(update={"lang": language})})
        made = [m for m in letters.alert_messages(there, params, engine) if m.channel.endswith(language)]
        made += [
            m for m in letters.report_messages(there, params) if m.recipient.startswith("ana" if language == "es" else "bob")
        ]
        made += letters.stale_data_notice(lang, FinishedRunView(there).as_of, 1)
        assert len(made) > 10
        texts = {f"{m.channel} {n}": [*_of_letter(m)] for n, m in enumerate(made)}
        assert faults_of(texts, language, data) == []


def _of_letter(made: Any) -> Iterator[str]:
    yield made.subject
    if not made.body.startswith(b"{"):
        message = message_from_bytes(made.body, policy=default)
        yield from pieces(message.get_body(("html",)).get_content())
        yield from message.get_body(("plain",)).get_content().replace("\xa0", " ").splitlines()
    else:
        yield from json.loads(made.body)["body"].splitlines()


def test_files_for_spreadsheets_and_programs(base: FinishedRunView, data: set[str], tmp_path: Path) -> None:
    statements = base.statements.join(base.scores.select("company_id").head(40), on="company_id")
    statements.write_csv(tmp_path / "mine.csv")
    scored = score_file(base.workspace, tmp_path / "mine.csv").table
    assert scored.height == 40
    written = scored.write_csv(float_scientific=False)
    assert faults_of({"score": written.splitlines()}, "en", data, ("hyphen for a minus sign", "untranslated")) == []
    for language in LANGUAGES:
        end = "_es" if language == "es" else ""
        columns = [name + end for name in ("reasons", "strengths", "gaps")]
        assert faults_of({name: scored[name].drop_nulls() for name in columns}, language, data) == []
        table = portfolio.download_table(portfolio.run_portfolio(base).table, Words(language))
        assert {"raises_pd", "lowers_pd", "not_known"} <= set(table.columns)
        assert not re.search(FAULTS["power of ten"], to_csv(table))
        strings = {name: table[name].drop_nulls() for name in ("raises_pd", "lowers_pd", "not_known")}
        assert faults_of(strings, language, data) == []
        with zipfile.ZipFile(io.BytesIO(to_excel(table))) as book:
            shared = book.read("xl/sharedStrings.xml").decode()
        assert faults_of({"xlsx": re.findall(r"<t[^>]*>([^<]*)</t>", shared)}, "en", data) == []
        why = pl.read_parquet(base.workspace.scores / "reasons.parquet")[f"text{end}"]
        assert why.null_count() == 0
        assert faults_of({"reasons.parquet": why}, language, data) == []


def test_the_tear_sheet_of_the_company_page(base: FinishedRunView, data: set[str]) -> None:
    for language in LANGUAGES:
        for company in base.scores.sort("pd_12m")["company_id"][[0, -1]]:
            page = page_to_print(base, of_company.load_company(base, company), Words(language))
            assert faults_of({company: pieces(page)}, language, data) == []


@pytest.mark.parametrize(
    "asked",
    [
        ["alerts", "list"],
        ["alerts", "list", "--all"],
        ["watch", "list"],
        ["override", "list"],
        ["models"],
        ["outbox", "list"],
        ["audit", "list"],
    ],
)
def test_lists_on_the_command_line(asked: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch, data: set[str]) -> None:
    monkeypatch.chdir(finished)
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0
    but = ("arithmetic of a rule",) if "--all" in asked else ()  # each alert with its rule
    assert faults_of({asked[0]: done.output.splitlines()}, "en", data, but) == []


def test_cards_of_the_model_and_the_dictionary(finished: Path, data: set[str]) -> None:
    cards = [*finished.rglob("model_card*.md"), *finished.rglob("*card*.md")]
    assert cards
    texts = {path.name: re.sub(r"`[^`]*`", "", path.read_text(encoding="utf-8")).split("|") for path in cards}
    assert faults_of(texts, "en", data) == []


def test_counts_choose_their_form_in_both_languages() -> None:
    words = {language: Words(language) for language in LANGUAGES}
    assert [words["en"].count("{n} alert", "{n} alerts", n=n) for n in (0, 1, 2, 1234)] == [
        "0 alerts",
        "1 alert",
        "2 alerts",
        "1,234 alerts",
    ]
    assert [words["es"].count("{n} alert", "{n} alerts", n=n) for n in (0, 1, 2, 1234)] == [
        "0 alertas",
        "1 alerta",
        "2 alertas",
        "1.234 alertas",
    ]
    assert words["en"].count("{n} failure", "{n} failures", n=1.3) == "1 failure", "as it is shown"
    for one, many in counted():
        values = dict.fromkeys(re.findall(r"{(\w+)}", one + many), "x")
        for language, said in words.items():
            for n in (1, 2):
                assert faults(said.count(one, many, **{**values, "n": n}), language, but=("no value",)) == {}, (one, n)


def test_a_sentence_ends_with_one_full_stop() -> None:
    assert with_full_stop("Lent to ACME S.A.") == "Lent to ACME S.A."
    assert with_full_stop("Lent to ACME") == "Lent to ACME."


def test_numbers_have_one_minus_sign_and_nothing_that_is_none() -> None:
    en, es = Words("en"), Words("es")
    assert (en.number(-1234.5, 1), es.number(-1234.5, 1)) == ("−1,234.5", "−1.234,5")
    assert (en.percent(-0.051, 1), en.signed(-0.5), en.signed(0.5), en.points(-0.012)) == ("−5.1\xa0%", "−0.50", "+0.50", "−1.20")
    assert (en.number(-0.001, 2), en.signed(-0.001), en.signed(0.0)) == ("0.00", "0.00", "0.00"), "nought has no sign"
    for bad in (None, float("nan"), float("inf")):
        assert {en.number(bad), en.percent(bad), en.signed(bad), en.points(bad), en.significant(bad)} == {"–"}
    assert [en.significant(v) for v in (85.04, 1234.5, -0.0512, -5.1e-05, 0.999999)] == ["85", "1,230", "−0.051", "0", "1"]
    assert es.parsed("−1,5") == es.parsed("-1,5") == -1.5, "what the page writes can be typed back"


def test_a_comparison_of_models_has_each_languages_figures() -> None:
    gap = {"rows": 5878, "auc": -0.026, "average_precision": 0.0004, "interval": {"auc": [-0.038, 0.015]}}
    said = comparison_in_words({"champion": "abc", "difference": gap})
    assert Words("en").say(said) == "against abc on the same 5,878 rows: AUC −0.026 (−0.038 to +0.015), average precision 0.000"
    assert Words("es").say(said).endswith("AUC −0,026 (−0,038 a +0,015), precisión media 0,000") and "5.878" in Words("es").say(
        said
    )
    assert str(said) == "against abc on the same 5,878 rows: AUC -0.026 (-0.038 to +0.015), average precision 0.000"
