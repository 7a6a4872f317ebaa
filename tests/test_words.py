"""Words for readers: each has its Spanish, and values stay apart from the text."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT
from said import MESSAGES, SAYING, counted, said

from quiebra.params import Params
from quiebra.reports.risk_report import risk_report
from quiebra.reports.tear_sheet import tear_sheet
from quiebra.reports.validation_report import validation_report
from quiebra.text.words import LOCALE_FOLDER, Words, _catalogue

ES = Words("es")


def test_what_a_reader_is_told_can_be_said_in_another_language() -> None:
    names = ("finished_run", "company", "portfolio", "portfolio_files", "settings", "setting_values", "decisions", "champion")
    pages = [ROOT / "src/quiebra/services" / f"{name}.py" for name in names]
    messages = 0
    for path in [*SAYING, *pages]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MESSAGES:
                messages += 1
                assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), f"{path.name}:{node.lineno}: values belong apart"
    assert messages > 100


def test_every_text_has_its_spanish_words() -> None:
    from babel.messages.pofile import read_po

    with (LOCALE_FOLDER / "es.po").open("rb") as handle:
        catalogue = {m.id: m for m in read_po(handle, locale="es") if m.id}
    missing = sorted(str(text) for text in said() | counted() if text not in catalogue or not catalogue[text].string)
    assert not missing
    for message in catalogue.values():
        assert not message.fuzzy
        ids, strings = ((part,) if isinstance(part, str) else part for part in (message.id, message.string))
        assert len(ids) == len(strings) and all(strings), message.id
        for text, spanish in zip(ids, strings, strict=True):
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", spanish)), message.id


def test_texts_said_in_spanish_differ_from_the_english() -> None:
    assert len(_catalogue("es")._catalog) > 300
    same = [text for text in said() if ES(text) == text and re.search("[a-z]{3}", re.sub(r"{\w+}", "", text))]
    assert set(same) <= {"Sector", "Excel", "Shock"}


def test_reports_say_everything_in_spanish(
    finished: Path, params: Params, untranslated: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    spanish = {"report": {"lang": "es"}}
    for report in (risk_report(spanish), validation_report(spanish), tear_sheet("", spanish)):
        for name, part in inspect.getmembers(type(report), inspect.isfunction):
            if not name.startswith("_") and len(inspect.signature(part).parameters) == 1:
                getattr(report, name)()
    data = {*params.score.grades, *pl.read_parquet(finished / "data/panel/companies.parquet")["sector"]}
    assert untranslated <= data
