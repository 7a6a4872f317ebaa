"""Pages set by Quarto: what our reports tell it, how it is called, and what its pages must not do. See `quarto_stand_in`."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT, command
from pypdf import PdfReader
from quarto_stand_in import HEAD, executed_notebook, front_matter, stand_in

from quiebra.doctor import _quarto
from quiebra.errors import WorkspaceError
from quiebra.io.files import read_json, replace_files
from quiebra.reports.publisher import Published, find_publisher, publish_report
from quiebra.reports.self_contained import outside_addresses

NAMES = ("risk_report", "validation_report", "tear_sheet")
TABLE = ("#| label: tbl-a\n#| tbl-cap: Things\nshow()", "| a | b |\n|:---|---:|\n| one | 1 |")
WITH_WEB_FONT = '<link href="data:text/css,%40import%20url%28https%3A%2F%2Ffonts.example%2Fcss%29%3B" rel="stylesheet">'


@pytest.fixture(autouse=True)
def without_quarto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say themselves whether there is a Quarto, whatever this machine has."""
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "quarto").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def publish(folder: Path, **head: str) -> Published:
    executed = executed_notebook(folder / ".risk_report.partial.ipynb", [("# Part", ""), TABLE], head={**HEAD, **head})
    return publish_report(executed, folder / "risk_report.ipynb", find_publisher(), {**HEAD, **head})


@pytest.mark.parametrize("name", NAMES)
def test_a_report_asks_quarto_for_a_page_that_needs_nothing_from_outside(name: str) -> None:
    front = front_matter_of(name)
    html = front["format"]["html"]
    assert set(front["format"]) == {"html", "typst"}
    assert html["theme"] == "default"  # named themes fetch a font from outside
    assert html["embed-resources"] is True
    assert html["html-math-method"] == "mathml"
    assert front["execute"] == {"enabled": False, "echo": False}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_carries_its_style_sheet_once_and_links_to_no_other_format(name: str) -> None:
    """A brand for light and dark pages, which is what Quarto takes a _brand.yml for by itself, gives three style sheets."""
    front = front_matter_of(name)
    assert front["brand"] == {"light": "/_brand.yml"}
    assert front["format"]["html"]["format-links"] is False
    assert yaml.safe_load((ROOT / "reports/_quarto.yml").read_text())["brand"] == {"light": "_brand.yml"}


def front_matter_of(name: str) -> dict:
    first = nbformat.read(ROOT / f"reports/{name}.ipynb", as_version=4).cells[0]
    assert first.cell_type == "raw"
    return yaml.safe_load(first.source.strip().strip("-"))


def test_the_run_writes_title_language_status_and_preamble_into_the_first_cell(tmp_path: Path) -> None:
    head = {"title": "Riesgo *de* quiebra", "subtitle": 'SIMULADO · "Uno" · ejecución 1a2b', "lang": "es", "status": "BORRADOR"}
    front = front_matter(executed_notebook(tmp_path / "a.ipynb", [TABLE], head=head))
    assert (front["title"], front["lang"]) == (r"Riesgo \*de\* quiebra", "es")
    assert "BORRADOR" in front["format"]["html"]["include-in-header"]["text"]
    typst = front["format"]["typst"]["include-in-header"]["text"]
    assert '#let status = "BORRADOR"' in typst
    assert r'#let running = "SIMULADO · \"Uno\" · ejecución 1a2b"' in typst


def test_no_cell_keeps_an_empty_list_of_tags(tmp_path: Path) -> None:
    """Papermill gives every cell one, and Quarto makes attributes of them that differ between two renders."""
    executed = executed_notebook(tmp_path / "a.ipynb", [TABLE, ("# Part", "")])
    assert all(cell.metadata.get("tags", ["any"]) for cell in nbformat.read(executed, as_version=4).cells)


def test_quarto_is_called_once_a_format_runs_nothing_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(monkeypatch, stand_in(tmp_path / "bin"))
    build = tmp_path / "build"
    build.mkdir()
    made = publish(build)
    calls = [line.split("|") for line in (tmp_path / "bin/calls").read_text().splitlines()]
    assert [words for _, _, words in calls] == [
        "render risk_report.ipynb --no-execute --to html --output risk_report.html",
        "render risk_report.ipynb --no-execute --to typst --output risk_report.pdf",
    ]
    assert {epoch for _, epoch, _ in calls} == {"SOURCE_DATE_EPOCH=0"}
    assert (made.by, made.html.read_text(), made.pdf.read_text()) == ("quarto", "set by Quarto", "set by Quarto")
    assert sorted(path.name for path in build.iterdir()) == ["risk_report.html", "risk_report.ipynb", "risk_report.pdf"]
    assert not any(Path(where).exists() for where, _, _ in calls)


@pytest.mark.parametrize("fails", ["html", "typst"])
def test_where_quarto_fails_the_former_pages_stay_and_nothing_is_left(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tmp_path / "build"
    build.mkdir()
    publish(build)
    before = {path.name: path.read_bytes() for path in build.iterdir()}
    put_on_path(monkeypatch, stand_in(tmp_path / "bin", fails=fails))
    with pytest.raises(WorkspaceError, match=r"quarto failed on risk_report.ipynb: ERROR: no luck"):
        publish(build, title="Another")
    assert {path.name: path.read_bytes() for path in build.iterdir()} == before
    assert not any(Path(line.split("|")[0]).exists() for line in (tmp_path / "bin/calls").read_text().splitlines())


def test_where_the_disk_takes_only_the_smaller_file_neither_is_changed(tmp_path: Path) -> None:
    places = {tmp_path / "a.html": tmp_path / "new.html", tmp_path / "a.pdf": tmp_path / "new.pdf"}
    for (place, source), size in zip(places.items(), (10, 100_000), strict=True):
        place.write_text("former")
        source.write_bytes(b"x" * size)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(WorkspaceError, match=r"cannot write .*a\.pdf: File too large"):
            replace_files(places)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {place.read_text() for place in places} == {"former"}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_page_by_quarto_that_would_fetch_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(monkeypatch, stand_in(tmp_path / "bin", page=WITH_WEB_FONT))
    with pytest.raises(WorkspaceError, match=r"made by quarto 1\.10\.18 would fetch https://fonts\.example/css"):
        publish(tmp_path)
    assert not list(tmp_path.glob("risk_report.*"))


@pytest.mark.parametrize(
    ("page", "asked"),
    [
        (WITH_WEB_FONT, ["https://fonts.example/css"]),
        (
            "<style>@import url('//a.example/x.css'); b { background: url(data:image/png;base64,AA//) }</style>",
            ["//a.example/x.css"],
        ),
        (
            '<img alt="x" src="http://a.example/p.png"><script src=https://b.example/j.js></script>',
            ["http://a.example/p.png", "https://b.example/j.js"],
        ),
        ('<a href="https://a.example">read on</a> <p>https://b.example</p> <img src="data:image/svg+xml;base64,//AA">', []),
        ('<svg xmlns="http://www.w3.org/2000/svg"></svg><script>const a = "https://a.example"</script>', []),
    ],
)
def test_what_a_page_would_fetch_is_seen(page: str, asked: list[str]) -> None:
    assert outside_addresses(page) == asked


def test_pages_of_the_run_and_the_sheets_of_companies_with_hostile_names_fetch_nothing(finished: Path, tmp_path: Path) -> None:
    for path in (finished / "reports/build").rglob("*.html"):
        assert outside_addresses(path.read_text(encoding="utf-8")) == []
        assert path.stat().st_size < 1_000_000  # light enough for a mail
    hostile = "![x](http://a.example/x.png) <img src=http://b.example/y.png> [z]: http://c.example"
    publish(tmp_path, title=hostile, subtitle=hostile)
    page = (tmp_path / "risk_report.html").read_text(encoding="utf-8")
    assert outside_addresses(page) == []
    assert "a.example" in page  # shown as text


@pytest.mark.parametrize(
    ("version", "name"),
    [("1.10.18", "quarto"), ("1.7.0", "quarto"), ("2.0.1", "quarto"), ("1.6.43", "fallback"), ("what?", "fallback")],
)
def test_a_quarto_too_old_for_our_reports_is_not_used(
    version: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(monkeypatch, stand_in(tmp_path / "bin", version=version))
    found = find_publisher()
    assert found.name == name
    said = _quarto()
    assert (said.mark, version in said.what) == (("ok", True) if name == "quarto" else ("note", False))
    assert name == "quarto" or re.fullmatch(r"pypandoc-binary [\d.]+, typst [\d.]+", found.version)


def test_a_run_never_puts_back_the_pages_of_another_publisher(workspace: Path, tmp_path: Path) -> None:
    build, record = workspace / "reports/build", workspace / "reports/build/publisher.json"
    fallback = {name: (build / name).read_bytes() for name in ("risk_report.html", "risk_report.pdf", "validation_report.html")}
    assert read_json(record)["publisher"] == "fallback"
    quarto = stand_in(tmp_path / "bin")

    def said(*words: str, with_quarto: bool = True) -> str:
        line = f'PATH="{quarto}:$PATH" {" ".join(words)}' if with_quarto else " ".join(words)
        done = command(workspace, "sh", "-c", line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said("quiebra", "report")
    assert (build / "risk_report.html").read_text() == "set by Quarto"
    said("quiebra", "run")
    assert read_json(record) == {"publisher": "quarto", "version": "1.10.18"}
    assert (
        {path.read_text() for path in build.glob("*.html")}
        == {path.read_text() for path in build.glob("*.pdf")}
        == {"set by Quarto"}
    )
    assert re.findall("Running stage '(.*)'", said("dvc", "repro")) == ["inputs"]
    assert (build / "risk_report.html").read_text() == "set by Quarto"
    said("quiebra", "run", with_quarto=False)
    assert {name: (build / name).read_bytes() for name in fallback} == fallback


def test_by_hand_quarto_finds_an_index_whose_links_lead_to_what_a_run_makes() -> None:
    project = yaml.safe_load((ROOT / "reports/_quarto.yml").read_text())["project"]
    assert project["type"] == "default"
    assert project["render"][0] == "index.qmd"  # without one, a preview of the folder has no first page
    text = (ROOT / "reports/index.qmd").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert "```" not in text  # nothing to run
    assert front["format"]["html"]["theme"] == "default"
    outs = {
        name
        for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
        for out in stage["outs"]
        for name in (out if isinstance(out, dict) else [out])
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 4
    assert {f"reports/{link}" for link in links} <= outs


def test_git_ignores_what_quarto_makes_and_quarto_finds_its_own_lines() -> None:
    """Quarto adds lines to a project's .gitignore where it misses them, and so would change the checkout."""
    lines = (ROOT / "reports/.gitignore").read_text().splitlines()
    assert {"/.quarto/", "**/*.quarto_ipynb"} <= set(lines)
    made = ["reports/.quarto/x", "reports/index.html", "reports/build/risk_report.html", "reports/build/publisher.json"]
    done = subprocess.run(["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == made


def test_two_pages_and_pdfs_of_the_same_report_have_the_same_bytes(tmp_path: Path) -> None:
    made = [publish(folder) for folder in (tmp_path / "a", tmp_path / "b") if folder.mkdir() is None]
    assert made[0].html.read_bytes() == made[1].html.read_bytes()
    assert made[0].pdf.read_bytes() == made[1].pdf.read_bytes()
    assert PdfReader(made[0].pdf).metadata.creation_date is None
