"""Published pages: self-contained, and the same figures in page and PDF."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, command
from pypdf import PdfReader

from quiebra.io.files import read_json
from quiebra.reports.fallback import FALLBACK_FOOTER
from quiebra.reports.notebook import notebook_to_markdown
from quiebra.reports.tables import markdown_table


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return (finished / "reports/build/risk_report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pdf_text(finished: Path) -> str:
    return "\n".join(p.extract_text() for p in PdfReader(finished / "reports/build/risk_report.pdf").pages)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(style|script|svg).*?</\1>", "", html))).replace("\xa0", " ")


def test_the_page_needs_nothing_from_outside(page: str, finished: Path) -> None:
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!['\"]?(?:data:|#))", page)
    assert "<script" not in page
    assert str(finished) not in page


def test_both_say_simulated_draft_run_and_fallback(page: str, pdf_text: str, finished: Path) -> None:
    run = read_json(finished / "data/scores/run.json")["run_id"]
    for text in (text_of(page), re.sub(r"\s+", " ", pdf_text)):
        for words in ("SIMULATED", "DRAFT", run, FALLBACK_FOOTER):
            assert words in text, words


def test_page_and_pdf_show_the_same_numbers(page: str, pdf_text: str) -> None:
    numbers = lambda text: set(re.findall(r"\d+[.,]\d+", text))  # noqa: E731
    flat = re.sub(r"\s+", " ", pdf_text)
    missing = numbers(text_of(page)) - numbers(flat)
    assert len(numbers(text_of(page))) > 60
    assert not missing, missing


def _figures(text: str, language: str) -> list[str]:
    found = re.findall(r"\d[\d.,]*\d\b", text)
    return [n.replace(".", "").replace(",", ".") if language == "es" else n.replace(",", "") for n in found]


def test_the_spanish_report_says_the_same_in_spanish(page: str, workspace: Path) -> None:
    done = command(workspace, "quiebra", "report", "--lang", "es")
    assert done.returncode == 0, done.stderr
    spanish = (workspace / "reports/build/es/risk_report.html").read_text(encoding="utf-8")
    assert '<html lang="es">' in spanish
    english, text = text_of(page), text_of(spanish)
    for words in (
        "Qué ha cambiado.",
        "Con qué seguridad.",
        "Figura 1",
        "Tabla 1",
        "BORRADOR",
        "SIMULADO",
        "A quién mirar",
        "Bajo estrés",
    ):
        assert words in text, words
    for words in ("What changed", "Figure 1", "Table 1", "DRAFT", "How sure", "company", "failures"):
        assert words not in text.replace("Simulated company", ""), words
    shares = lambda text, language: sorted(n for n in _figures(text, language) if re.search(r"\.\d\d$", n))  # noqa: E731
    assert len(shares(english, "en")) > 60
    assert shares(english, "en") == shares(text, "es")
    assert (workspace / "reports/build/risk_report.html").read_text(encoding="utf-8") == page  # that of params stays


def test_figures_and_tables_are_numbered_alike(page: str, pdf_text: str) -> None:
    for kind in ("Figure", "Table"):
        captions = re.findall(rf"{kind} (\d+): ", text_of(page))
        assert captions == sorted(set(captions), key=int)
        assert len(captions) >= 5
        assert set(re.findall(rf"{kind} (\d+): ", pdf_text)) == set(captions)
    assert "@fig-" not in page
    assert "@tbl-" not in page


def test_pictures_have_words_for_those_who_do_not_see_them(page: str) -> None:
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) >= 6
    assert all(len(re.search(r'alt="([^"]*)"', picture).group(1)) > 30 for picture in pictures)


def test_the_headline_is_the_scores_mean(page: str, finished: Path) -> None:
    import polars as pl

    mean = pl.read_parquet(finished / "data/scores/scores.parquet")["pd_12m"].mean()
    assert f"is {100 * mean:.2f} %" in text_of(page)


def test_code_is_not_shown(page: str, pdf_text: str) -> None:
    assert "plots.show(" not in page
    assert "#| label" not in page
    assert "plots.show(" not in pdf_text


def test_tables_escape_what_markdown_would_read() -> None:
    shown = markdown_table([{"name": "A|B <script>alert(1)</script> *x* [y](z)", "n": 1}])
    assert r"A\|B \<script\>" in shown
    assert r"\*x\* \[y\]" in shown


def test_references_follow_labels(finished: Path, tmp_path: Path) -> None:
    text = notebook_to_markdown(finished / "reports/build/risk_report.ipynb", tmp_path)
    assert "The line in Figure 1 is" in text
    assert (tmp_path / "fig-pd.svg").read_text().lstrip().startswith("<svg")


def test_the_brand_has_one_place() -> None:
    for path in (*ROOT.glob("src/quiebra/plots/*.py"), *ROOT.glob("src/quiebra/reports/assets/*.css")):
        strong = [c for c in re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text()) if c.lower() != "#55606b"]
        assert all(int(c[1:3], 16) > 0xEA for c in strong), f"{path.name}: {strong}"


def test_names_in_the_summary_are_shown_as_text(workspace: Path) -> None:
    import os

    import polars as pl

    from quiebra.reports.risk_report import risk_report

    here = Path.cwd()
    os.chdir(workspace)
    try:
        report = risk_report()
        report.__dict__["companies"] = report.companies.with_columns(name=pl.lit("<img src=x onerror=alert(1)> A*B*C"))
        assert r"\<img src=x onerror=alert(1)\> A\*B\*C" in report.summary()
        assert not re.search(r"(?<!\\)<img", report.summary())
    finally:
        os.chdir(here)
