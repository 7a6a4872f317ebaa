"""Tear sheets: a page and a PDF for each company, in a folder of its own, in both languages, whatever the company is called."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from conftest import command, copy_workspace, folder_made_once
from pypdf import PdfReader

from quiebra.services.tear_sheets import _folder


@pytest.fixture(scope="module")
def made(finished: Path, shared: Path) -> tuple[Path, list[str]]:
    """A workspace with sheets of its riskiest company, of its safest, and of one whose name is markup; in English and in Spanish."""
    scores = pl.read_parquet(finished / "data/scores/scores.parquet").sort("pd_12m", "company_id")
    ids = [scores["company_id"][-1], scores["company_id"][0]]

    def make(workspace: Path) -> None:
        copy_workspace(finished, workspace)
        for more in ([], ["--lang", "es"]):
            done = command(workspace, "quiebra", "report", "company", *ids, *more)
            assert done.returncode == 0, done.stderr
            assert [line.endswith((".html", ".pdf")) for line in done.stdout.split()] == [True] * 4

    return folder_made_once(shared, "sheets", make), ids


def sheet(made: tuple[Path, list[str]], place: int, lang: str = "") -> tuple[str, str]:
    workspace, ids = made
    folder = workspace / "reports/build/companies" / ids[place] / lang
    pdf = PdfReader(folder / "tear_sheet.pdf")
    return (folder / "tear_sheet.html").read_text(encoding="utf-8"), " ".join(page.extract_text() for page in pdf.pages)


def test_each_company_has_its_page_and_pdf_with_its_own_figures(made: tuple[Path, list[str]]) -> None:
    workspace, ids = made
    scores = pl.read_parquet(workspace / "data/scores/scores.parquet")
    for place, company in enumerate(ids):
        row = scores.filter(pl.col("company_id") == company).row(0, named=True)
        page, text = sheet(made, place)
        for shown in (f"{100 * row['pd_12m']:.2f}\u00a0%", company, f"{100 * row['pd_60m']:.2f}\u00a0%"):
            assert shown in page
            assert shown.replace("\u00a0", " ") in text.replace("\u00a0", " ")
        assert f"grade <strong>{row['rating']}</strong>" in " ".join(page.split())
        assert len(PdfReader(workspace / f"reports/build/companies/{company}/tear_sheet.pdf").pages) == 2


def test_sheets_are_in_the_language_that_was_asked_for(made: tuple[Path, list[str]]) -> None:
    page, text = sheet(made, 0, "es")
    assert '<html lang="es">' in page
    for words in ("Ficha de empresa", "Por qué", "Tabla 1", "BORRADOR", "Puntuaciones de Altman"):
        assert words in page
    assert "Ficha de empresa" in text
    assert not re.search(r">(Why|Figures|Item|Value|DRAFT)<", page)


def test_a_sheet_needs_nothing_from_outside_and_names_no_machine_path(made: tuple[Path, list[str]]) -> None:
    page, _ = sheet(made, 0)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert str(made[0]) not in page
    assert all(re.search(r'alt="[^"]{20,}"', figure) for figure in re.findall(r"<img[^>]*>", page))
    assert "SIMULATED" in page


def test_made_twice_a_sheet_has_the_same_bytes(made: tuple[Path, list[str]]) -> None:
    workspace, ids = made
    folder = workspace / "reports/build/companies" / ids[0]
    before = {path.name: path.read_bytes() for path in folder.glob("tear_sheet.*")}
    assert command(workspace, "quiebra", "report", "company", ids[0]).returncode == 0
    assert {path.name: path.read_bytes() for path in folder.glob("tear_sheet.*")} == before


def test_a_company_called_markup_is_shown_as_text(workspace: Path) -> None:
    scores = pl.read_parquet(workspace / "data/scores/scores.parquet")
    company, path = scores["company_id"][0], workspace / "data/panel/companies.parquet"
    named = pl.read_parquet(path).with_columns(
        name=pl.when(pl.col("company_id") == company).then(pl.lit("<script>alert(1)</script> *A* & $x$")).otherwise("name")
    )
    named.write_parquet(path, compression="zstd", statistics=False)
    record = workspace / "data/scores/run.json"
    from quiebra.io.files import read_json, write_json
    from quiebra.provenance import hash_files

    run = read_json(record)
    run["data"]["panel"] = hash_files((workspace / "data/panel").glob("*.parquet"))
    write_json(record, run)
    done = command(workspace, "quiebra", "report", "company", company)
    assert done.returncode == 0, done.stderr
    page = (workspace / f"reports/build/companies/{company}/tear_sheet.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; *A* &amp; $x$" in page


def test_an_unknown_company_or_none_is_named_before_anything_is_made(workspace: Path) -> None:
    for words, said in (
        (["company"], "name the companies"),
        (["company", "SIM-0000X"], "SIM-0000X"),
        (["risk", "SIM-00001"], "only tear sheets"),
    ):
        done = command(workspace, "quiebra", "report", *words)
        assert done.returncode == 1
        assert said in done.stderr
    assert not (workspace / "reports/build/companies").exists()


@pytest.mark.parametrize(
    ("company", "folder"), [("A-1", "A-1"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("ñ b", "%C3%B1%20b"), ("", "%")]
)
def test_any_id_gives_a_folder_inside_the_build(company: str, folder: str) -> None:
    assert _folder(company) == folder


def test_long_ids_that_begin_alike_keep_their_own_folders() -> None:
    one, other = _folder("会" * 80 + "1"), _folder("会" * 80 + "2")
    assert one != other
    assert len(one) == len(other) < 130
