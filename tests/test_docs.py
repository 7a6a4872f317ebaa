"""Documents: every command and link in them works, no word is left unexplained, and the site needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, FLAGS
from conftest import ROOT, command, environment, folder_made_once
from playwright.sync_api import sync_playwright
from typer.main import get_command

from quiebra.cli.app import app

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts and path.name != "index.md"),
    ]
)
LINKED = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data/raw").glob("*.md")])
GENERATED = ("reference/commands.md", "reference/params.md", "decisions/index.md", "tutorials/")
"""Pages that only the built site has."""
PLAIN_ACRONYMS = {
    *(
        "CSV",
        "GET",
        "POST",
        "DELETE",
        "SCOPE",
        "PDF",
        "HTML",
        "JSON",
        "YAML",
        "SQL",
        "URL",
        "ID",
        "UTF",
        "ISO",
        "UTC",
        "US",
        "USD",
        "EUR",
        "EN",
        "ES",
        "NA",
        "OK",
        "NaN",
    ),
    *(
        "HTTP",
        "SMTP",
        "API",
        "TLS",
        "CI",
        "README",
        "CHANGELOG",
        "GDP",
        "CPI",
        "AAA",
        "AA",
        "BBB",
        "BB",
        "CCC",
        "CC",
        "SIC",
        "NACE",
    ),
    *(
        "AAAA",
        "YYYY",
        "MB",
        "NUL",
        "SHA",
        "DVC",
        "PYTHONPATH",
        "PIB",
        "DATE",
        "FECHA",
        "NAME",
        "NOMBRE",
        "EXPERIMENT",
        "EXPERIMENTO",
    ),
    *("APROBADO", "BORRADOR", "MODELO", "PASADA", "PAST", "PRUEBA", "SIMULADO", "SIN", "SUPERADA"),
    *("NYSE", "NASDAQ", "SIM", "DRAFT", "APPROVED", "SIMULATED", "NO", "CHAMPION", "GATE", "FAILED", "EBIT", "EBITDA", "OVERDUE"),
}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        wanted = (page.parent / target).resolve()
        inside = str(wanted).removeprefix(f"{ROOT / 'docs'}/")
        assert wanted.exists() or inside.startswith(GENERATED), f"{page.name}: {target}"


def commands(text: str) -> list[list[str]]:
    """Return the words of every `quiebra …` in code of a page."""
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *(line.strip() for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()),
    ]
    return [line.split("#")[0].split("quiebra ", 1)[1].split() for line in code if re.match(r"(\w+=\S+ )*quiebra \w", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    for words in commands(text_of(page)):
        place = get_command(app)
        for word in words:
            inner = getattr(place, "commands", {})
            if word.startswith("-"):
                options = {name for parameter in place.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
                    "--help"
                }
                assert word.split("=")[0] in options, f"{page.name}: quiebra {' '.join(words)}"
            elif inner:
                assert word in inner, f"{page.name}: quiebra {' '.join(words)}"
                place = inner[word]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text_of(page), re.M):
        assert set(filter(None, line)) <= targets, f"{page.name}: make {line}"


def test_no_acronym_is_left_unexplained() -> None:
    """Of what readers of pages, reports and mails see, the catalogue of their texts."""
    catalogue = text_of(ROOT / "src/quiebra/text/locale/es.po")
    shown = " ".join(re.findall(r'^(?:msgid|msgid_plural|msgstr(?:\[\d\])?|) ?"(.*)"$', catalogue, re.M))
    found = set(re.findall(r"(?<![\w.{/_-])[A-Z]{2,}(?![\w.}/_])", re.sub(r"\{[^}]*\}|`[^`]*`", "", shown)))
    explained = set(re.findall(r"[A-Z]{2,}", text_of(ROOT / "docs/glossary.md") + text_of(ROOT / "docs/es/glosario.md")))
    assert found - PLAIN_ACRONYMS - explained == set()


def test_both_glossaries_have_the_same_words() -> None:
    english, spanish = (
        [
            tuple(cell.strip() for cell in line.split("|")[1:3])
            for line in text_of(ROOT / path).splitlines()
            if line.startswith("| ")
        ][2:]
        for path in ("docs/glossary.md", "docs/es/glosario.md")
    )
    assert sorted(english) == sorted((english_, spanish_) for spanish_, english_ in spanish)
    assert len(english) > 35


@pytest.fixture(scope="session")
def site(finished: Path, shared: Path) -> Path:
    def build(folder: Path) -> None:
        words = [sys.executable, str(ROOT / "docs/build_site.py"), str(finished), str(folder)]
        done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return folder_made_once(shared, "docs", build) / "site"


def test_the_site_is_built_with_its_tutorials_executed_and_nothing_from_outside(site: Path, finished: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)\"|<link[^>]+rel=\"stylesheet\"[^>]+href=\"([^\"]+)\"", text_of(page)
        )
        assert not [address for pair in loaded for address in pair if re.match(r"(https?:)?//", address)], page.name
    own_feature = text_of(site / "tutorials/02_own_feature.html")
    assert "looks ahead" in own_feature and "<svg" in own_feature
    assert "walk_forward" in text_of(site / "reference/interface.html")
    assert not (finished / "data/research/verdicts.jsonl").exists(), "the tutorials' verdicts are not among the workspace's own"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(
    ("query", "title"), [("embargo", "Glossary"), ("cuarentena", "Glosario"), ("walk_forward", "The research interface")]
)
def test_it_is_searched_in_a_browser_without_network(site: Path, query: str, title: str) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS[1:])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{site}/search.html?q={query}")
        page.get_by_role("link", name=title, exact=True).and_(page.locator("#search-results a")).wait_for(timeout=30_000)
        browser.close()
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_the_version_is_told(tmp_path: Path) -> None:
    said = command(tmp_path, "quiebra", "--version").stdout
    assert re.match(r"quiebra \d+\.\d+\.\d+ \(", said)
